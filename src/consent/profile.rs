//! Country profiles: what a country's law asks, as dated data with a source for every rule (D31).
//!
//! Which purposes need consent, which are exempt under which conditions, whose old addresses may go on. A purpose that a
//! profile does not name needs consent. It must never know a person. A profile that says something impossible is an error
//! at start; there is no profile that permits what it does not name.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::contact::ContactFacts;
use super::purpose::Purpose;
use super::record::{ProofId, is_ahead};
use super::stream::StreamKind;
use super::words::words;

/// The profiles that come with pixelgate, by name.
pub const BUILT_IN: [(&str, &str); 3] = [
    ("fr-2026", include_str!("profiles/fr-2026.toml")),
    ("it-2026", include_str!("profiles/it-2026.toml")),
    ("strict-edpb", include_str!("profiles/strict-edpb.toml")),
];
/// What stands in the ledger where several profiles had to agree.
pub const STRICTEST: &str = "strictest";

words! {
    /// In which form an exempt tracker may stay.
    ExemptForm, "form of an exemption", {
        /// As the client sent it.
        AsSent = "as_sent",
        /// Behind the gate, which keeps one day (D5).
        Reduced = "reduced",
        /// Behind the gate, which keeps one counter for all (D7).
        Counted = "counted",
    }
}

/// Why a profile cannot be used. Whoever wrote it, or the configuration that names it, is to blame; permanent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProfileError {
    /// It is not a profile.
    #[error("profile {name}: {problem}")]
    Malformed {
        /// Its name or path.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// None is loaded: no law would decide.
    #[error("no profile is loaded: name at least one of {}", BUILT_IN.map(|(name, _)| name).join(", "))]
    None,
    /// Two have one name.
    #[error("two profiles are called {0}")]
    Twice(String),
    /// A rule is switched on that no loaded profile has switched off.
    #[error(
        "`{0}` names no rule of a loaded profile that is off; write PROFILE/RULE, e.g. fr-2026/aggregate_anonymous"
    )]
    NoSuchRule(String),
}

/// Purposes that need consent, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentRule {
    /// Its name.
    pub rule: String,
    /// Which purposes.
    pub purposes: BTreeSet<Purpose>,
    /// What the reading rests on.
    pub source: String,
    /// When a person compared it with the primary text.
    #[serde(default)]
    pub verified_on: Option<Date>,
}

/// A purpose that needs no consent, under conditions that all have to hold (F12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exemption {
    /// Its name.
    pub rule: String,
    /// Which purpose; always the only one of its tracker (D3).
    pub purpose: Purpose,
    /// On which kinds of stream.
    pub kinds: BTreeSet<StreamKind>,
    /// In which form it may stay.
    pub form: ExemptForm,
    /// The conditions in words.
    pub conditions: Vec<String>,
    /// What the reading rests on.
    pub source: String,
    /// When a person compared it with the primary text.
    #[serde(default)]
    pub verified_on: Option<Date>,
    /// Whether it holds; one that is off holds only where the operator switches it on with a reason.
    #[serde(default = "yes")]
    pub on: bool,
}

fn yes() -> bool {
    true
}

/// Old addresses whose owners were informed in time and did not object (D8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegacyRule {
    /// Its name.
    pub rule: String,
    /// Collected before this day.
    pub collected_before: Date,
    /// Informed on this day at the earliest.
    pub informed_from: Date,
    /// Informed on this day at the latest.
    pub informed_until: Date,
    /// The last day on which it holds; none: it goes on (law.md Q5).
    #[serde(default)]
    pub holds_until: Option<Date>,
    /// What the reading rests on.
    pub source: String,
    /// When a person compared it with the primary text.
    #[serde(default)]
    pub verified_on: Option<Date>,
}

/// One yes for personalised prospecting and its pixel counts (law.md Q4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CombinedRule {
    /// Its name.
    pub rule: String,
    /// What the reading rests on.
    pub source: String,
    /// When a person compared it with the primary text.
    #[serde(default)]
    pub verified_on: Option<Date>,
}

/// How long a no stands before the question may be asked again (D23).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskAgainRule {
    /// Its name.
    pub rule: String,
    /// Months, at most 120.
    pub after_months: u8,
    /// What the reading rests on.
    pub source: String,
    /// When a person compared it with the primary text.
    #[serde(default)]
    pub verified_on: Option<Date>,
}

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    name: String,
    title: String,
    effective: Date,
    countries: BTreeSet<String>,
    time_zone: String,
    #[serde(default)]
    consent: Vec<ConsentRule>,
    #[serde(default)]
    exempt: Vec<Exemption>,
    #[serde(default)]
    legacy: Vec<LegacyRule>,
    combined: Option<CombinedRule>,
    ask_again: Option<AskAgainRule>,
}

/// One country's rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its name, as in the ledger.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// From when the rules hold; a profile that is loaded decides at once.
    pub effective: Date,
    /// For whom: ISO 3166 codes.
    pub countries: BTreeSet<String>,
    /// Purposes that need consent.
    pub consent: Vec<ConsentRule>,
    /// Purposes that do not.
    pub exempt: Vec<Exemption>,
    /// Old addresses.
    pub legacy: Vec<LegacyRule>,
    /// One yes for all.
    pub combined: Option<CombinedRule>,
    /// When to ask again.
    pub ask_again: Option<AskAgainRule>,
    time_zone: TimeZone,
}

impl Profile {
    /// Reads one; `origin` is what an error calls it.
    ///
    /// # Errors
    /// When it is no profile or contradicts itself.
    pub fn read(origin: &str, text: &str) -> Result<Self, ProfileError> {
        let malformed = |problem: String| ProfileError::Malformed {
            name: origin.to_owned(),
            problem,
        };
        let text: Text = toml::from_str(text).map_err(|error| malformed(error.to_string()))?;
        let time_zone = TimeZone::get(&text.time_zone).map_err(|_| {
            malformed(format!(
                "`{}` is no time zone that is known here",
                text.time_zone
            ))
        })?;
        let word = |name: &str| {
            let letter = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
            !name.is_empty() && name.len() <= 64 && name.bytes().all(letter)
        };
        if !word(&text.name) || text.name == STRICTEST {
            return Err(malformed(
                "its name is not 1 to 64 letters, digits, `-`, `_`, `.`".to_owned(),
            ));
        }
        let profile = Self {
            name: text.name,
            title: text.title,
            effective: text.effective,
            countries: text.countries,
            consent: text.consent,
            exempt: text.exempt,
            legacy: text.legacy,
            combined: text.combined,
            ask_again: text.ask_again,
            time_zone,
        };
        profile
            .contradiction()
            .map_or(Ok(profile), |problem| Err(malformed(problem)))
    }

    fn contradiction(&self) -> Option<String> {
        let wrong = self.exempt.iter().find(|exemption| {
            let consent = self
                .consent
                .iter()
                .any(|rule| rule.purposes.contains(&exemption.purpose));
            consent || !exemption.purpose.may_be_exempt()
        });
        if let Some(exemption) = wrong {
            return Some(format!(
                "{} cannot both need consent and be exempt (rule `{}`)",
                exemption.purpose, exemption.rule
            ));
        }
        let legacy = self
            .legacy
            .iter()
            .find(|rule| rule.informed_from > rule.informed_until);
        if let Some(rule) = legacy {
            return Some(format!("rule `{}` ends before it begins", rule.rule));
        }
        let long = self
            .ask_again
            .as_ref()
            .is_some_and(|rule| rule.after_months > 120);
        long.then(|| "ask_again.after_months is more than 120".to_owned())
    }

    /// The exemption that holds for this purpose on this kind of stream.
    pub fn exemption(&self, purpose: Purpose, kind: StreamKind) -> Option<&Exemption> {
        self.exempt.iter().find(|exemption| {
            exemption.on && exemption.purpose == purpose && exemption.kinds.contains(&kind)
        })
    }

    /// The records by which the legacy rule holds for all these purposes today (D8): the one that says when the address was
    /// collected and the one that says when its owner was told. A missing date is a new address; somebody who was told
    /// late, or of other purposes, was not told.
    pub fn legacy(
        &self,
        contact: &ContactFacts,
        purposes: &BTreeSet<Purpose>,
        now: Timestamp,
    ) -> Option<[ProofId; 2]> {
        let (collected_at, collected) = contact.collected?;
        let day = |at: Timestamp| at.to_zoned(self.time_zone.clone()).date();
        self.legacy.iter().find_map(|rule| {
            let ended = rule.holds_until.is_some_and(|last| day(now) > last);
            if ended || day(collected_at) >= rule.collected_before {
                return None;
            }
            let informed = contact.informed.iter().find(|informed| {
                // By a clock that was set back, who is told tomorrow has not been told.
                (rule.informed_from..=rule.informed_until).contains(&day(informed.at))
                    && !is_ahead(informed.at, now)
                    && informed.purposes.is_superset(purposes)
            })?;
            Some([collected, informed.record])
        })
    }
}

/// Every profile that decides here.
#[derive(Debug, Clone, PartialEq)]
pub struct Profiles {
    loaded: Vec<Profile>,
}

impl Profiles {
    /// From profiles, with these rules (`PROFILE/RULE`) switched on.
    ///
    /// # Errors
    /// When there is none, two have one name, or a rule to be switched on is not there.
    pub fn new(mut loaded: Vec<Profile>, switched_on: &[String]) -> Result<Self, ProfileError> {
        let mut names = BTreeSet::new();
        if let Some(twice) = loaded
            .iter()
            .find(|profile| !names.insert(profile.name.clone()))
        {
            return Err(ProfileError::Twice(twice.name.clone()));
        }
        if loaded.is_empty() {
            return Err(ProfileError::None);
        }
        for wanted in switched_on {
            let rules = loaded.iter_mut().flat_map(|profile| {
                let name = &profile.name;
                profile
                    .exempt
                    .iter_mut()
                    .map(move |exemption| (name, exemption))
            });
            let mut found = false;
            for (name, exemption) in rules {
                if !exemption.on && *wanted == format!("{name}/{}", exemption.rule) {
                    exemption.on = true;
                    found = true;
                }
            }
            if !found {
                return Err(ProfileError::NoSuchRule(wanted.clone()));
            }
        }
        Ok(Self { loaded })
    }

    /// All that come with pixelgate, as they come.
    ///
    /// # Errors
    /// When one of them is broken, which a test rules out.
    pub fn built_in() -> Result<Self, ProfileError> {
        let read = BUILT_IN
            .iter()
            .map(|(name, text)| Profile::read(name, text));
        Self::new(read.collect::<Result<_, _>>()?, &[])
    }

    /// All that are loaded.
    pub fn all(&self) -> &[Profile] {
        &self.loaded
    }

    /// Those that decide for a person of this country: all of the country's own, whichever is named first; where it has
    /// none, or is not known, all of them have to agree, which is at least as strict as the strictest (law.md Q11).
    pub fn for_country(&self, country: Option<&str>) -> Vec<&Profile> {
        let is_own =
            |profile: &&Profile| country.is_some_and(|country| profile.countries.contains(country));
        let own: Vec<&Profile> = self.loaded.iter().filter(is_own).collect();
        match own.is_empty() {
            true => self.loaded.iter().collect(),
            false => own,
        }
    }
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
