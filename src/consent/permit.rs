//! The question the relay exists for: may a tracker with these purposes stay in this person's mail?
//!
//! Yes only with a proven consent to *all* its purposes (D3), or with an exemption that a loaded profile states. It must
//! never know what the tracker is or where the records come from; a register that did not answer is the caller's
//! `store_unavailable`. It cannot fail, and every path that is not a proven yes ends in `Stripped`.

use std::collections::BTreeSet;

use super::fold::{Standing, State};
use super::purpose::Purpose;
use super::reason::{Basis, Reason};
use super::record::ProofId;
use super::stream::StreamKind;

/// What a tracker is for, as far as somebody declared it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// The operator declared these purposes; none at all is the same as undeclared.
    Declared(&'a [Purpose]),
    /// Nobody declared anything: it needs consent to every consent purpose (D2).
    Undeclared,
}

/// Whether the mail offers to take back the consent it relies on (D10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithdrawalLink {
    /// The stream does not demand one in the mail (built-in stream, or `"elsewhere"` with a reason).
    NotDemanded,
    /// Demanded, and there.
    Present,
    /// Demanded, and not there.
    Absent,
}

/// What the law needs to know of the stream. There is no default: every fact is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamFacts {
    /// Its kind.
    pub kind: StreamKind,
    /// Whether a controller is known; without one there are no records to rely on.
    pub assigned: bool,
    /// Whether the operator strips everything (`[stops] strip_all`).
    pub strip_all: bool,
    /// Whether a withdrawal link is demanded and there.
    pub withdrawal_link: WithdrawalLink,
    /// Whether a loaded profile exempts `auth_security` on authentication streams (D4). `false` while none is loaded.
    pub auth_security_exempt: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permit {
    /// It may stay.
    Kept {
        /// Why.
        basis: Basis,
        /// The records that it rests on, each once; empty for an exemption.
        proofs: Vec<ProofId>,
    },
    /// It may not.
    Stripped {
        /// Why not.
        reason: Reason,
        /// The record that says so, where one does.
        record: Option<ProofId>,
    },
}

/// Decides.
pub fn permit(wanted: Wanted<'_>, standing: &Standing, stream: &StreamFacts) -> Permit {
    let (purposes, declared) = match wanted {
        Wanted::Declared(purposes) if !purposes.is_empty() => (purposes, true),
        Wanted::Declared(_) | Wanted::Undeclared => (Purpose::CONSENT, false),
    };
    if stream.strip_all {
        return stripped(Reason::StripAll);
    }
    // An exemption asks for no record, hence for no controller and no withdrawal link.
    if let Some(permit) = exempt(purposes, stream) {
        return permit;
    }
    if !stream.assigned {
        return stripped(Reason::Unassigned);
    }
    if stream.kind == StreamKind::ConsentRequest {
        return stripped(Reason::ConsentRequest);
    }
    let mut proofs = BTreeSet::new();
    for purpose in purposes {
        match standing.entry(*purpose) {
            Some(entry) if entry.state == State::Granted => proofs.insert(entry.proof),
            _ => return refusal(purposes, declared, standing, stream),
        };
    }
    match stream.withdrawal_link {
        WithdrawalLink::Absent => stripped(Reason::NoWithdrawalLink),
        WithdrawalLink::NotDemanded | WithdrawalLink::Present => Permit::Kept {
            basis: Basis::Consent,
            proofs: proofs.into_iter().collect(),
        },
    }
}

fn stripped(reason: Reason) -> Permit {
    Permit::Stripped {
        reason,
        record: None,
    }
}

/// The one exemption that needs no gate: `auth_security` alone, on an authentication stream (D4). Anything beside it
/// turns the whole tracker into one that needs consent (F12).
fn exempt(purposes: &[Purpose], stream: &StreamFacts) -> Option<Permit> {
    let alone = purposes
        .iter()
        .all(|purpose| *purpose == Purpose::AuthSecurity);
    (alone && stream.kind == StreamKind::Authentication && stream.auth_security_exempt).then_some(
        Permit::Kept {
            basis: Basis::Exempt(Purpose::AuthSecurity),
            proofs: Vec::new(),
        },
    )
}

/// The reason that tells the operator most: what the person said comes before what is merely missing.
fn refusal(
    purposes: &[Purpose],
    declared: bool,
    standing: &Standing,
    stream: &StreamFacts,
) -> Permit {
    let worst = purposes
        .iter()
        .filter_map(|purpose| standing.entry(*purpose))
        .max_by_key(|entry| (entry.state, entry.at, entry.proof));
    if let Some(entry) = worst
        && let Some(reason) = said(entry.state)
    {
        return Permit::Stripped {
            reason,
            record: Some(entry.proof),
        };
    }
    stripped(missing(purposes, declared, standing, stream))
}

fn said(state: State) -> Option<Reason> {
    match state {
        State::Erased => Some(Reason::Erased),
        State::Objected => Some(Reason::Objected),
        State::Withdrawn => Some(Reason::Withdrawn),
        State::Refused => Some(Reason::Refused),
        State::Expired => Some(Reason::Expired),
        State::Granted | State::LegacyInformed | State::Unknown => None,
    }
}

fn missing(
    purposes: &[Purpose],
    declared: bool,
    standing: &Standing,
    stream: &StreamFacts,
) -> Reason {
    if purposes.iter().all(|purpose| purpose.may_be_exempt()) {
        return match purposes {
            _ if stream.kind == StreamKind::Prospecting => Reason::NotExempt,
            _ if purposes.iter().all(|purpose| behind_gate(*purpose)) => Reason::NeedsGate,
            _ => Reason::NotExempt,
        };
    }
    if purposes.iter().any(|purpose| standing.is_claimed(*purpose)) {
        return Reason::ClaimWithoutProof;
    }
    let some_granted = purposes
        .iter()
        .any(|purpose| standing.state(*purpose) == State::Granted);
    match (some_granted, declared) {
        (true, true) => Reason::PurposeMissing,
        (true, false) => Reason::Undeclared,
        (false, _) => Reason::NoConsent,
    }
}

/// Exempt uses that could stay in a reduced form once the gate stands (DESIGN 5).
fn behind_gate(purpose: Purpose) -> bool {
    matches!(
        purpose,
        Purpose::DeliverabilityHygiene | Purpose::AggregateAnonymous
    )
}

#[cfg(test)]
mod tests;
