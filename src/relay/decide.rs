//! Finding × recipient → action, basis, reason. Pure: no clock, no store, no octets (DESIGN 2 "decide").
//!
//! Joins what `pixel` saw with what `consent` permits; the only place where they meet. What a stream does not declare
//! needs consent to every purpose, what could not be asked permits nothing, what cannot be seen counts as a tracker of the
//! broadest declaration. There is no input that turns an unknown into a kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::plan::{Cause, Treatment};
use super::settings::{Shadow, Stops};
use super::streams::{Assignment, Declared};
use super::survey::Uninspectable;
use crate::consent::{
    Action, Basis, Law, Permit, ProofId, Reason, Standing, StreamFacts, StreamKind, Subject,
    Wanted, WithdrawalLink, permit,
};
use crate::pixel::IndividualImages;

/// What one recipient's copy is decided by.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Whose mail it is.
    pub assignment: &'a Assignment<'a>,
    /// The law that decides.
    pub law: Law<'a>,
    /// The operator's stops.
    pub stops: Stops,
    /// Whether the ledger takes lines: without one nothing is kept (DESIGN 5 "Ledger").
    pub ledger: bool,
    /// Whether mail of this stream that cannot be examined was first seen longer than `hold_limit` ago.
    pub hold_over: bool,
}

/// One thing that a decision is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matter<'a> {
    /// What is seen of it.
    pub sight: Sight<'a>,
    /// Further hosts that it would ask: each has to be permitted.
    pub others: &'a [String],
    /// What the stream wants of it where it is an individual image.
    pub image: Option<IndividualImages>,
    /// Whether the recipient can withdraw by a link in its part, where the stream asks for one (D10).
    pub withdrawal: WithdrawalLink,
}

/// What is seen of a matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight<'a> {
    /// A finding at a host, which can be taken out.
    Finding(&'a str),
    /// A finding at a host, in a part that cannot be edited, and why.
    Fixed(&'a str, Uninspectable),
    /// A part that no reading sees through, and why.
    Blind(Uninspectable),
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
    /// Why its part cannot be inspected or edited, where that is what decided.
    pub uninspectable: Option<Uninspectable>,
    /// The records it rests on.
    pub proofs: Vec<ProofId>,
    /// Name of the profile that decided; none where it never came to that.
    pub profile: Option<String>,
}

impl Decision {
    /// Whether the tracker stays.
    pub fn keeps(&self) -> bool {
        self.action == Action::Kept
    }
}

/// Who the recipient is to the controller: the states, or why they could not be asked.
pub type Asked<'a> = Result<&'a Standing, Reason>;

/// Which matters of one message are decided alike whoever the recipient is: those declared for the same purposes, seen
/// equally well, with or without a link to withdraw. Made once for a message, so that a thousand recipients of ten thousand findings are not ten million
/// decisions.
#[derive(Debug)]
pub struct Classes<'a> {
    /// The class of each matter.
    of: Arc<[usize]>,
    /// One matter of each class.
    first: Vec<Matter<'a>>,
}

impl<'a> Classes<'a> {
    /// Sorts the matters of one message.
    pub fn new(matters: impl Iterator<Item = Matter<'a>>, assignment: &Assignment<'_>) -> Self {
        let mut keys = Vec::new();
        let mut first = Vec::new();
        let of = matters.map(|matter| {
            let (host, why) = matter.sight.seen();
            let blind = matches!(matter.sight, Sight::Blind(_));
            let declared = assignment.declared(host);
            let others = matter.others.iter().map(|host| assignment.declared(host));
            let others: Vec<_> = others.collect();
            let key = (
                blind,
                declared,
                others,
                why,
                matter.withdrawal,
                matter.image,
            );
            keys.iter()
                .position(|known| *known == key)
                .unwrap_or_else(|| {
                    keys.push(key);
                    first.push(matter);
                    first.len() - 1
                })
        });
        let of = of.collect();
        Self { of, first }
    }

    /// Decides about all of them for one recipient.
    pub fn decide(&self, asked: Asked<'_>, facts: &Facts<'_>) -> Decisions {
        let distinct = self.first.iter();
        Decisions {
            distinct: distinct
                .map(|matter| decide(*matter, asked, facts))
                .collect(),
            of: Arc::clone(&self.of),
        }
    }
}

/// What was decided about each matter of a message for one recipient.
#[derive(Debug, Clone)]
pub struct Decisions {
    distinct: Vec<Decision>,
    of: Arc<[usize]>,
}

/// Only those about the same message are ever compared.
impl PartialEq for Decisions {
    fn eq(&self, other: &Self) -> bool {
        self.distinct == other.distinct
    }
}

impl Decisions {
    /// One for each matter, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Decision> {
        self.of.iter().filter_map(|class| self.distinct.get(*class))
    }

    /// The one about this matter.
    pub fn get(&self, matter: usize) -> Option<&Decision> {
        self.distinct.get(*self.of.get(matter)?)
    }

    /// Whether anything stays in the mail.
    pub fn keep(&self) -> bool {
        self.iter().any(Decision::keeps)
    }

    /// Whether they are these fresh ones about the same message, whatever had to give way to others since.
    pub fn are(&self, fresh: &Self) -> bool {
        self.distinct.get(..fresh.distinct.len()) == Some(&fresh.distinct)
    }

    /// What makes a treatment, without the records it rests on.
    pub fn words(&self) -> Vec<(Action, Option<Reason>, Option<Uninspectable>)> {
        let words =
            |decision: &Decision| (decision.action, decision.reason, decision.uninspectable);
        self.distinct.iter().map(words).collect()
    }

    /// The classes again, each parted into what stays and what goes (`gone`) with a body that others share; for
    /// [`Decisions::give_way`] of everybody who gets that body.
    pub fn parted(&self, gone: impl Fn(usize) -> bool) -> Arc<[usize]> {
        let matters = self.of.iter().enumerate();
        let parted = matters.map(|(matter, class)| match gone(matter) {
            true => class + self.distinct.len(),
            false => *class,
        });
        parted.collect()
    }

    /// What would have stayed goes because of another recipient of the same body.
    pub fn give_way(&mut self, parted: &Arc<[usize]>) {
        let gone = self.distinct.iter().map(|decision| match decision.keeps() {
            true => Decision {
                action: Action::Stripped,
                basis: None,
                reason: Some(Reason::StrictestRecipient),
                ..decision.clone()
            },
            false => decision.clone(),
        });
        let gone: Vec<Decision> = gone.collect();
        self.distinct.extend(gone);
        self.of = Arc::clone(parted);
    }
}

impl<'a> Sight<'a> {
    /// The host that a declaration is looked for by, and why it cannot be seen or taken out.
    fn seen(self) -> (&'a str, Option<Uninspectable>) {
        match self {
            Self::Finding(host) => (host, None),
            Self::Fixed(host, why) => (host, Some(why)),
            // Nobody knows what is in it.
            Self::Blind(why) => ("", Some(why)),
        }
    }
}

/// The decision about one matter for one recipient.
pub fn decide(matter: Matter<'_>, asked: Asked<'_>, facts: &Facts<'_>) -> Decision {
    let (_, blind) = matter.sight.seen();
    let (reason, proofs, profile) = match allowed(matter, asked, facts) {
        Permit::Kept {
            basis,
            proofs,
            profile,
        } => {
            return Decision {
                profile: Some(profile),
                action: Action::Kept,
                basis: Some(basis),
                reason: None,
                uninspectable: None,
                proofs,
            };
        }
        Permit::Stripped {
            reason,
            record,
            profile,
        } => (
            reason,
            record.into_iter().collect(),
            Some(profile).filter(|name| !name.is_empty()),
        ),
    };
    // Content and tracker at once: where the stream leaves it, it stays, and the record says so. Every other stop is stronger.
    let left = matter.image == Some(IndividualImages::Report);
    if left && facts.ledger && !facts.stops.strip_all {
        return Decision {
            profile,
            action: Action::Kept,
            basis: Some(Basis::IndividualImage),
            reason: None,
            uninspectable: None,
            proofs: Vec::new(),
        };
    }
    let action = match blind {
        None if matter.image == Some(IndividualImages::Deidentify) => Action::Deidentified,
        None => Action::Stripped,
        Some(Uninspectable::Signed) => Action::Rejected,
        Some(_) => uninspectable(facts.assignment.stream.kind),
    };
    Decision {
        profile,
        action,
        basis: None,
        reason: Some(reason),
        uninspectable: blind,
        proofs,
    }
}

fn allowed(matter: Matter<'_>, asked: Asked<'_>, facts: &Facts<'_>) -> Permit {
    let stripped = |reason| Permit::Stripped {
        reason,
        record: None,
        profile: String::new(),
    };
    if !facts.ledger {
        return stripped(Reason::LedgerUnavailable);
    }
    let standing = match asked {
        Ok(standing) => standing,
        Err(reason) => return stripped(reason),
    };
    let stream = StreamFacts {
        kind: facts.assignment.stream.kind,
        assigned: facts.assignment.assigned,
        strip_all: facts.stops.strip_all,
        withdrawal_link: matter.withdrawal,
    };
    let asked_for = |declared: &Declared<'_>| {
        let wanted = Wanted {
            purposes: Some(declared.purposes.as_ref()),
            partner: declared.partner,
        };
        permit(&wanted, standing, &stream, &facts.law)
    };
    let (host, _) = matter.sight.seen();
    let first = asked_for(&facts.assignment.declared(host));
    match matter.sight {
        Sight::Finding(_) | Sight::Fixed(..) => matter
            .others
            .iter()
            .map(|host| asked_for(&facts.assignment.declared(host)))
            .fold(first, both),
        // Any tracker of the stream may be in it, so it stays only where each of them might: what is declared for every
        // host says nothing of one that has an entry of its own.
        Sight::Blind(_) => {
            let others = facts.assignment.every_declared();
            others
                .map(|declared| asked_for(&declared))
                .fold(first, both)
        }
    }
}

/// What two answers permit together.
fn both(one: Permit, other: Permit) -> Permit {
    match (one, other) {
        (no @ Permit::Stripped { .. }, _) | (_, no @ Permit::Stripped { .. }) => no,
        (
            Permit::Kept {
                basis,
                proofs,
                profile,
            },
            Permit::Kept {
                basis: more,
                proofs: further,
                ..
            },
        ) => {
            let proofs: BTreeSet<ProofId> = proofs.into_iter().chain(further).collect();
            Permit::Kept {
                basis: basis.and(more),
                proofs: proofs.into_iter().collect(),
                profile,
            }
        }
    }
}

/// What an uninspectable part means by kind of stream (DESIGN 4).
fn uninspectable(kind: StreamKind) -> Action {
    match kind {
        StreamKind::Marketing | StreamKind::Prospecting | StreamKind::ConsentRequest => {
            Action::Rejected
        }
        StreamKind::Requested | StreamKind::Authentication => Action::Held,
    }
}

/// Whether decisions act on this recipient: always, but for the share of a shadow that only looks on.
pub fn enforced(shadow: Option<&Shadow>, subject: &Subject) -> bool {
    shadow.is_none_or(|shadow| subject.percentile() < shadow.share_percent)
}

/// What all decisions about one recipient make of the copy. `emptiable[i]`: the part of matter `i` can be emptied because a
/// text/plain alternative stands beside it, and its index.
pub fn treatment<'a>(
    decisions: impl IntoIterator<Item = &'a Decision>,
    matters: &[Place],
    facts: &Facts<'_>,
) -> Treatment {
    let mut strip = BTreeSet::new();
    let mut empty = BTreeSet::new();
    let mut held = None;
    for (decision, place) in decisions.into_iter().zip(matters) {
        let cause = Cause {
            reason: decision.reason.unwrap_or(Reason::Uninspectable),
            uninspectable: decision.uninspectable,
        };
        match decision.action {
            Action::Kept => {}
            Action::Rejected => return Treatment::Rejected(cause),
            Action::Held => match place {
                Place::Part {
                    part,
                    emptiable: true,
                } => {
                    empty.insert(*part);
                }
                Place::Part { .. } | Place::Finding(_) if facts.hold_over => {
                    return Treatment::Rejected(cause);
                }
                Place::Part { .. } | Place::Finding(_) => held = Some(cause),
            },
            Action::Stripped
            | Action::WouldStrip
            | Action::Reduced
            | Action::Counted
            | Action::Deidentified => match place {
                Place::Finding(finding) => {
                    strip.insert(*finding);
                }
                Place::Part { .. } => return Treatment::Rejected(cause),
            },
        }
    }
    let treatment = Treatment::Forward { strip, empty };
    match held {
        Some(cause) => Treatment::Held(cause),
        None if facts.stops.hold_edits && treatment.changes() => Treatment::Held(Cause {
            reason: Reason::HoldEdits,
            uninspectable: None,
        }),
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

#[cfg(test)]
mod tests;
