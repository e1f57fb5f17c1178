//! Finding × recipient → action, basis, reason. Pure: no clock, no store, no octets (DESIGN 2 "decide").
//!
//! Joins what `pixel` saw with what `consent` permits; the only place where they meet. What a stream does not declare
//! needs consent to every purpose, what could not be asked permits nothing, what cannot be seen counts as a tracker of the
//! broadest declaration. There is no input that turns an unknown into a kept.

use std::collections::BTreeSet;

use super::plan::Treatment;
use super::settings::{Shadow, Stops, Stream};
use super::streams::Declared;
use crate::consent::fold::Standing;
use crate::consent::permit::{Permit, ProofId, Wanted, permit};
use crate::consent::reason::{Action, Basis, Reason};
use crate::consent::stream::StreamKind;
use crate::consent::subject::Subject;

/// What one recipient's copy is decided by.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Whose mail it is.
    pub stream: &'a Stream,
    /// Looking on instead of acting, today.
    pub shadow: Option<&'a Shadow>,
    /// The operator's stops.
    pub stops: Stops,
    /// Whether the recipient can withdraw by a link in this mail, where the stream asks for one (D10).
    pub withdrawal: bool,
    /// Whether the ledger takes lines: without one nothing is kept (DESIGN 5 "Ledger").
    pub ledger: bool,
    /// Whether mail of this stream that cannot be examined was first seen longer than `hold_limit` ago.
    pub hold_over: bool,
}

/// One thing that a decision is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter<'a> {
    /// A finding at a host, which can be taken out.
    Finding(&'a str),
    /// A finding at a host, in a part that cannot be edited, and why.
    Fixed(&'a str, Reason),
    /// A part that no reading sees through, and why.
    Blind(Reason),
}

/// What is done about one matter for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is done, or would be done where the stream is in shadow.
    pub action: Action,
    /// Why it may stay.
    pub basis: Option<Basis>,
    /// Why not.
    pub reason: Option<Reason>,
    /// The proof a keep rests on.
    pub proof: Option<ProofId>,
}

impl Decision {
    fn against(action: Action, reason: Reason) -> Self {
        Self { action, basis: None, reason: Some(reason), proof: None }
    }

    /// Whether the tracker stays.
    pub fn keeps(&self) -> bool {
        self.action == Action::Kept
    }
}

/// Who the recipient is to the controller: the states, or that they could not be asked.
pub type Asked<'a> = Result<&'a Standing, Reason>;

/// The decision about one matter for one recipient.
pub fn decide(matter: Matter<'_>, asked: Asked<'_>, facts: &Facts<'_>) -> Decision {
    let host = match matter {
        Matter::Finding(host) | Matter::Fixed(host, _) => host,
        // Nobody knows what is in it: what is declared for all hosts, else every purpose.
        Matter::Blind(_) => "",
    };
    let because = match allowed(host, asked, facts) {
        Ok((basis, proof)) => return Decision { action: Action::Kept, basis: Some(basis), reason: None, proof: Some(proof) },
        Err(reason) => reason,
    };
    match matter {
        Matter::Finding(_) => Decision::against(Action::Stripped, because),
        Matter::Fixed(_, Reason::Signed) => Decision::against(Action::Rejected, Reason::Signed),
        Matter::Fixed(_, why) | Matter::Blind(why) => Decision::against(uninspectable(facts), why),
    }
}

fn allowed(host: &str, asked: Asked<'_>, facts: &Facts<'_>) -> Result<(Basis, ProofId), Reason> {
    if facts.stops.strip_all {
        return Err(Reason::StripAll);
    }
    if !facts.ledger {
        return Err(Reason::LedgerUnavailable);
    }
    let standing = asked?;
    let wanted = match facts.stream.declared(host) {
        Declared::Purposes(purposes) => Wanted::Purposes(purposes),
        Declared::Undeclared => Wanted::Undeclared,
    };
    match permit(wanted, standing, facts.stream.kind) {
        Permit::Kept { basis, proof } if facts.withdrawal => Ok((basis, proof)),
        Permit::Kept { .. } => Err(Reason::NoWithdrawalLink),
        Permit::Stripped { reason } => Err(reason),
    }
}

/// What an uninspectable part means by kind of stream (DESIGN 4).
fn uninspectable(facts: &Facts<'_>) -> Action {
    match facts.stream.kind {
        StreamKind::Marketing | StreamKind::Prospecting | StreamKind::ConsentRequest => Action::Rejected,
        StreamKind::Requested | StreamKind::Authentication => Action::Held,
    }
}

/// Whether decisions act on this recipient: always, but for the share of a shadow that only looks on.
pub fn enforced(shadow: Option<&Shadow>, subject: Option<&Subject>) -> bool {
    let Some(shadow) = shadow else { return true };
    // A recipient without a subject is nobody in particular: looked on like the rest.
    subject.is_some_and(|subject| subject.percentile() < shadow.share_percent)
}

/// What all decisions about one recipient make of the copy. `emptiable[i]`: the part of matter `i` can be emptied because a
/// text/plain alternative stands beside it, and its index.
pub fn treatment(decisions: &[Decision], matters: &[Place], facts: &Facts<'_>) -> Treatment {
    let mut strip = BTreeSet::new();
    let mut empty = BTreeSet::new();
    let mut held = None;
    for (decision, place) in decisions.iter().zip(matters) {
        let reason = decision.reason.unwrap_or(Reason::Uninspectable);
        match decision.action {
            Action::Kept => {}
            Action::Rejected => return Treatment::Rejected(reason),
            Action::Held => match place {
                Place::Part { part, emptiable: true } => {
                    empty.insert(*part);
                }
                Place::Part { .. } | Place::Finding(_) if facts.hold_over => return Treatment::Rejected(reason),
                Place::Part { .. } | Place::Finding(_) => held = Some(reason),
            },
            Action::Stripped | Action::Reduced | Action::Counted | Action::Deidentified => match place {
                Place::Finding(finding) => {
                    strip.insert(*finding);
                }
                Place::Part { .. } => return Treatment::Rejected(reason),
            },
        }
    }
    let treatment = Treatment::Forward { strip, empty };
    match held {
        Some(reason) => Treatment::Held(reason),
        None if facts.stops.hold_edits && treatment.changes() => Treatment::Held(Reason::HoldEdits),
        None => treatment,
    }
}

/// Where a matter stands, for what is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A finding that can be taken out, by its index in the survey.
    Finding(usize),
    /// A whole part, by its index in the tree.
    Part {
        /// Index of the part.
        part: usize,
        /// Whether a text/plain alternative stands beside it.
        emptiable: bool,
    },
}
