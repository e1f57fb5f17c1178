//! The question the relay exists for: may a tracker with these purposes stay in this person's mail?
//!
//! Yes only with a proven consent to *all* its purposes (D3), with a legacy basis (D8) or with an exemption, each as the
//! profile of the person's country states it; where the country is not known every loaded profile has to say yes. It must
//! never know what the tracker is or where the records come from; a register that did not answer is the caller's
//! `store_unavailable`. It cannot fail, and every path that is not a proven yes ends in `Stripped`.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::contact::AddressKind;
use super::fold::{Entry, Standing, State};
use super::profile::{ExemptForm, Profile, Profiles, STRICTEST};
use super::purpose::Purpose;
use super::reason::{Basis, Reason};
use super::record::{CLOCK_TOLERANCE, ProofId};
use super::stream::StreamKind;

/// What a tracker is for and who learns of the opens, as far as somebody declared it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The purposes that the operator declared; none, or an empty list, is undeclared: it needs consent to every consent
    /// purpose (D2).
    pub purposes: Option<&'a [Purpose]>,
    /// The partner who learns of the opens; none: the controller alone (D19).
    pub partner: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// Declared for these purposes, for the controller itself.
    pub fn declared(purposes: &'a [Purpose]) -> Self {
        Self {
            purposes: Some(purposes),
            partner: None,
        }
    }

    /// Nobody declared anything.
    pub fn undeclared() -> Self {
        Self {
            purposes: None,
            partner: None,
        }
    }

    /// The same, for a partner.
    #[must_use]
    pub fn for_partner(self, partner: &'a str) -> Self {
        Self {
            partner: Some(partner),
            ..self
        }
    }
}

/// The law that decides, and the moment at which it does.
#[derive(Debug, Clone, Copy)]
pub struct Law<'a> {
    /// Every loaded profile.
    pub profiles: &'a Profiles,
    /// The country of people of whom no record says one, where the controller vouches for it.
    pub country_default: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
    /// How old a consent may be; none: it does not age (law.md Q7).
    pub grant_age_max: Option<SignedDuration>,
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
        /// Name of the profile that says so.
        profile: String,
    },
    /// It may not.
    Stripped {
        /// Why not.
        reason: Reason,
        /// The record that says so, where one does.
        record: Option<ProofId>,
        /// Name of the profile that says so.
        profile: String,
    },
}

/// Decides.
pub fn permit(
    wanted: &Wanted<'_>,
    standing: &Standing,
    stream: &StreamFacts,
    law: &Law<'_>,
) -> Permit {
    let profiles = of_the_person(standing, law);
    let name = match profiles.as_slice() {
        [only] => only.name.clone(),
        _ => STRICTEST.to_owned(),
    };
    let mut basis = None;
    let mut proofs = BTreeSet::new();
    let mut waits = None;
    for profile in profiles {
        let question = Question {
            needed: wanted.needed(),
            wanted,
            standing,
            stream,
            law,
            profile,
        };
        match question.answer() {
            Ok((ground, records)) => {
                basis = Some(basis.map_or(ground, |known: Basis| known.and(ground)));
                proofs.extend(records);
            }
            // A profile that only waits for the gate does not speak for one that says no.
            Err((Reason::NeedsGate, record)) => waits = Some((Reason::NeedsGate, record)),
            Err(no) => return stripped(no, name),
        }
    }
    if let Some(no) = waits {
        return stripped(no, name);
    }
    match basis {
        Some(basis) => Permit::Kept {
            basis,
            proofs: proofs.into_iter().collect(),
            profile: name,
        },
        // No profile at all, which cannot be loaded.
        None => stripped((Reason::NoConsent, None), name),
    }
}

/// The profiles that decide for this person.
fn of_the_person<'a>(standing: &Standing, law: &Law<'a>) -> Vec<&'a Profile> {
    let country = standing.contact.country().or(law.country_default);
    // Records that name two countries leave it open, whatever the controller vouches for.
    let country = country.filter(|_| standing.contact.countries.len() <= 1);
    law.profiles.for_country(country)
}

fn stripped((reason, record): No, profile: String) -> Permit {
    Permit::Stripped {
        reason,
        record,
        profile,
    }
}

impl Wanted<'_> {
    fn is_declared(&self) -> bool {
        self.purposes.is_some_and(|purposes| !purposes.is_empty())
    }

    fn needed(&self) -> BTreeSet<Purpose> {
        let declared = self.purposes.filter(|purposes| !purposes.is_empty());
        declared
            .unwrap_or(Purpose::CONSENT)
            .iter()
            .copied()
            .collect()
    }
}

/// The question under one profile.
struct Question<'a> {
    needed: BTreeSet<Purpose>,
    wanted: &'a Wanted<'a>,
    standing: &'a Standing,
    stream: &'a StreamFacts,
    law: &'a Law<'a>,
    profile: &'a Profile,
}

type No = (Reason, Option<ProofId>);

impl Question<'_> {
    fn answer(&self) -> Result<(Basis, Vec<ProofId>), No> {
        if self.stream.strip_all {
            return Err((Reason::StripAll, None));
        }
        // One subscriber cannot consent for the others (D25), and an exemption is about one person's own mail.
        if self.standing.contact.address_kind == Some(AddressKind::List) {
            return Err((Reason::ListAddress, None));
        }
        // An exemption asks for no consent, hence for no controller and no withdrawal link.
        if let Some(purpose) = self.exempt(ExemptForm::AsSent) {
            return Ok((Basis::Exempt(purpose), Vec::new()));
        }
        if !self.stream.assigned {
            return Err((Reason::Unassigned, None));
        }
        if self.stream.kind == StreamKind::ConsentRequest {
            return Err((Reason::ConsentRequest, None));
        }
        let (basis, proofs) = self.asked_for()?;
        match self.stream.withdrawal_link {
            WithdrawalLink::Absent => Err((Reason::NoWithdrawalLink, None)),
            WithdrawalLink::NotDemanded | WithdrawalLink::Present => Ok((basis, proofs)),
        }
    }

    /// The one purpose of the tracker, where the profile exempts it on this stream in this form. Anything beside it turns
    /// the whole tracker into one that needs consent (D3, F12), and so does a partner who learns of it.
    fn exempt(&self, form: ExemptForm) -> Option<Purpose> {
        let mut needed = self.needed.iter();
        let (Some(purpose), None) = (needed.next(), needed.next()) else {
            return None;
        };
        let said_no = said(self.standing.state(*purpose)).is_some();
        let alone = self.wanted.is_declared() && self.wanted.partner.is_none() && !said_no;
        let exemption = self.profile.exemption(*purpose, self.stream.kind)?;
        (alone && exemption.form == form).then_some(*purpose)
    }

    /// Consent to every purpose, or the legacy rule for those of which the person has said nothing. A yes that cannot be
    /// relied on is as good as nothing said, never worse: taking it away must not permit more.
    fn asked_for(&self) -> Result<(Basis, Vec<ProofId>), No> {
        let mut proofs = BTreeSet::new();
        let mut unsaid = BTreeSet::new();
        let mut why_not = None;
        for purpose in &self.needed {
            match self.standing.entry(*purpose) {
                Some(entry) if entry.state == State::Granted => match self.usable(entry) {
                    Ok(()) => {
                        proofs.insert(entry.proof);
                    }
                    Err(reason) => {
                        why_not = why_not.or(Some((reason, Some(entry.proof))));
                        unsaid.insert(*purpose);
                    }
                },
                None => {
                    unsaid.insert(*purpose);
                }
                Some(_) => return Err(self.refusal()),
            }
        }
        if unsaid.is_empty() {
            return Ok((Basis::Consent, proofs.into_iter().collect()));
        }
        // A role's mailbox needs a record of its own (D25); a notice names no partner (D19).
        let ours = self.wanted.partner.is_none()
            && self.standing.contact.address_kind != Some(AddressKind::Role);
        let law = self.law;
        let legacy = ours.then(|| {
            self.profile
                .legacy(&self.standing.contact, &unsaid, law.now)
        });
        match legacy.flatten() {
            Some(records) => {
                proofs.extend(records);
                Ok((Basis::LegacyNoObjection, proofs.into_iter().collect()))
            }
            None => Err(why_not.unwrap_or_else(|| self.refusal())),
        }
    }

    /// Whether a grant can be relied on for this tracker, under this profile, today.
    fn usable(&self, entry: &Entry) -> Result<(), Reason> {
        let age = self.law.now.duration_since(entry.at);
        // By a clock that was set back, a grant of tomorrow is not given yet.
        if age < -CLOCK_TOLERANCE {
            return Err(Reason::NoConsent);
        }
        if self.law.grant_age_max.is_some_and(|most| age > most) {
            return Err(Reason::Expired);
        }
        if entry.combined && self.profile.combined.is_none() {
            return Err(Reason::ConsentScope);
        }
        match self.wanted.partner {
            Some(partner) if !entry.shown.contains(partner) => Err(Reason::PartnerNotShown),
            _ => Ok(()),
        }
    }

    /// The reason that tells the operator most: what the person said comes before what is merely missing.
    fn refusal(&self) -> No {
        let worst = self
            .needed
            .iter()
            .filter_map(|purpose| self.standing.entry(*purpose))
            .max_by_key(|entry| (entry.state, entry.at, entry.proof));
        if let Some(entry) = worst
            && let Some(reason) = said(entry.state)
        {
            return (reason, Some(entry.proof));
        }
        (self.missing(), None)
    }

    fn missing(&self) -> Reason {
        if self.needed.iter().all(|purpose| purpose.may_be_exempt()) {
            let gated = [ExemptForm::Reduced, ExemptForm::Counted];
            return match gated.into_iter().any(|form| self.exempt(form).is_some()) {
                true => Reason::NeedsGate,
                false => Reason::NotExempt,
            };
        }
        if self
            .needed
            .iter()
            .any(|purpose| self.standing.is_claimed(*purpose))
        {
            return Reason::ClaimWithoutProof;
        }
        let some_granted = self
            .needed
            .iter()
            .any(|purpose| self.standing.state(*purpose) == State::Granted);
        match (some_granted, self.wanted.is_declared()) {
            (true, true) => Reason::PurposeMissing,
            (true, false) => Reason::Undeclared,
            (false, _) => Reason::NoConsent,
        }
    }
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

/// When the person may be asked again after a no (D23): the longest wait that a profile for their country states, from the
/// latest no. `None`: at once, as far as the loaded profiles say.
pub fn next_ask_after(standing: &Standing, law: &Law<'_>) -> Option<Timestamp> {
    let latest = standing
        .entries()
        .filter(|(_, entry)| {
            matches!(
                entry.state,
                State::Refused | State::Withdrawn | State::Objected
            )
        })
        .map(|(_, entry)| entry.at)
        .max()?;
    let months = of_the_person(standing, law)
        .iter()
        .filter_map(|profile| profile.ask_again.as_ref())
        .map(|rule| i64::from(rule.after_months))
        .max()?;
    let wait = latest.to_zoned(TimeZone::UTC).checked_add(months.months());
    wait.ok().map(|until| until.timestamp())
}

#[cfg(test)]
mod tests;
