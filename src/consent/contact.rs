//! What is known of an address beside its owner's will: when it was collected, what its owner was told, where they live,
//! whose mailbox it is (D8, D25, D31).
//!
//! Several records about one person add up to [`ContactFacts`], whatever their order; where they differ the more
//! restrictive reading holds. Pure. It must never know what a profile makes of a fact.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::form::VERSION_OCTETS_MAX;
use super::purpose::Purpose;
use super::record::{ProofId, is_ahead, name_of, to_microsecond};
use super::subject::Subject;
use super::text::{Refusal, check_text};
use super::words::words;

words! {
    /// Whose mailbox an address is (D25), the more restrictive the later in the list.
    AddressKind, "address kind", {
        /// One person's.
        Personal = "personal",
        /// A function's, such as `info@`.
        Role = "role",
        /// Many subscribers'.
        List = "list",
    }
}

/// What a contact record says: when an address was collected and what its owner was told (D8).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Contact {
    /// When the address was collected; missing means new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collected_at: Option<Timestamp>,
    /// When the person was informed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub informed_at: Option<Timestamp>,
    /// Version of the notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// The purposes that the notice named.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub informed_purposes: BTreeSet<Purpose>,
    /// ISO 3166 code of the country whose law protects the person, two capital letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Whose mailbox it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_kind: Option<AddressKind>,
}

/// A contact as it stands in the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContactRecord {
    /// Its name.
    pub id: ProofId,
    /// When it was first received.
    pub recorded_at: Timestamp,
    /// What it says.
    pub contact: Contact,
}

impl Contact {
    /// Checks everything that does not depend on when it is received.
    ///
    /// # Errors
    /// Names the first field that cannot stand in a record.
    pub fn check(&self) -> Result<(), Refusal> {
        if let Some(notice) = &self.notice {
            check_text("notice", notice, VERSION_OCTETS_MAX)?;
        }
        let code = |country: &String| {
            country.len() == 2 && country.bytes().all(|octet| octet.is_ascii_uppercase())
        };
        match &self.country {
            Some(country) if !code(country) => Err(Refusal::Country),
            _ => Ok(()),
        }
    }

    /// The refusal that receipt at this moment would meet: nobody was informed in the future.
    pub fn ahead_of(&self, recorded_at: Timestamp) -> Option<Refusal> {
        let at = self.informed_at?;
        is_ahead(at, recorded_at).then_some(Refusal::InTheFuture {
            field: "informed_at",
            at,
        })
    }

    /// Receives it: from now on it is a record.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn received(
        self,
        subject: &Subject,
        recorded_at: Timestamp,
    ) -> Result<ContactRecord, Refusal> {
        self.check()?;
        if let Some(refusal) = self.ahead_of(recorded_at) {
            return Err(refusal);
        }
        let contact = Self {
            collected_at: self.collected_at.map(to_microsecond),
            informed_at: self.informed_at.map(to_microsecond),
            ..self
        };
        Ok(ContactRecord {
            id: name_of(subject, &contact.content()),
            recorded_at: to_microsecond(recorded_at),
            contact,
        })
    }

    /// Hash of what it says, whoever it is about: the same content about the same person is the same record.
    pub fn content(&self) -> [u8; 32] {
        let moment = |at: Option<Timestamp>| {
            at.map(|at| to_microsecond(at).as_microsecond().to_string().into_bytes())
        };
        let informed: Vec<&str> = self
            .informed_purposes
            .iter()
            .map(|word| word.as_str())
            .collect();
        let text = |text: &Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
        super::record::content_of(
            "pixelgate contact 2",
            &[
                ("collected_at", moment(self.collected_at)),
                ("informed_at", moment(self.informed_at)),
                ("notice", text(&self.notice)),
                ("informed_purposes", Some(informed.join(" ").into_bytes())),
                ("country", text(&self.country)),
                (
                    "address_kind",
                    self.address_kind
                        .map(|kind| kind.as_str().as_bytes().to_vec()),
                ),
            ],
        )
    }
}

/// One occasion on which the person was told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Informed {
    /// When.
    pub at: Timestamp,
    /// Of which purposes.
    pub purposes: BTreeSet<Purpose>,
    /// The record that says so.
    pub record: ProofId,
}

/// What all contact records of one person add up to. Empty means that nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContactFacts {
    /// When the address was collected, the latest moment that any record gives, and that record. None: it counts as new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collected: Option<(Timestamp, ProofId)>,
    /// Every occasion on which the person was told something.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub informed: BTreeSet<Informed>,
    /// Every country that a record names; two are as good as none.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub countries: BTreeSet<String>,
    /// The most restrictive kind that any record names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_kind: Option<AddressKind>,
}

impl ContactFacts {
    /// Adds the contact records of one person up.
    pub fn fold<'a>(records: impl IntoIterator<Item = &'a ContactRecord>) -> Self {
        let mut facts = Self::default();
        for record in records {
            let contact = &record.contact;
            let collected = contact.collected_at.map(|at| (at, record.id));
            facts.collected = facts.collected.max(collected);
            if let Some(at) = contact.informed_at {
                facts.informed.insert(Informed {
                    at,
                    purposes: contact.informed_purposes.clone(),
                    record: record.id,
                });
            }
            facts.countries.extend(contact.country.clone());
            facts.address_kind = facts.address_kind.max(contact.address_kind);
        }
        facts
    }

    /// The person's country, where the records agree on one.
    pub fn country(&self) -> Option<&str> {
        let mut countries = self.countries.iter();
        match (countries.next(), countries.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }

    /// Whether no record says anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::subject::{KEY_OCTETS, LookupKey};
    use proptest::prelude::*;

    fn moment(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn record(contact: Contact) -> ContactRecord {
        let subject = Subject::of(&LookupKey::new(&[1; KEY_OCTETS]), "shop", "a@example.net");
        contact.received(&subject, moment(10_000)).unwrap()
    }

    #[test]
    fn the_latest_collection_counts_and_the_strictest_kind() {
        let old = record(Contact {
            collected_at: Some(moment(100)),
            address_kind: Some(AddressKind::List),
            country: Some("FR".to_owned()),
            ..Contact::default()
        });
        let new = record(Contact {
            collected_at: Some(moment(200)),
            address_kind: Some(AddressKind::Personal),
            ..Contact::default()
        });
        let facts = ContactFacts::fold([&old, &new]);
        assert_eq!(facts.collected, Some((moment(200), new.id)));
        assert_eq!(facts.address_kind, Some(AddressKind::List));
        assert_eq!(facts.country(), Some("FR"));
    }

    #[test]
    fn two_countries_are_none() {
        let country = |code: &str| {
            record(Contact {
                country: Some(code.to_owned()),
                ..Contact::default()
            })
        };
        let both = ContactFacts::fold([&country("FR"), &country("IT")]);
        assert_eq!(both.country(), None);
    }

    #[test]
    fn a_country_is_two_capital_letters_and_nobody_was_informed_tomorrow() {
        for wrong in ["fr", "FRA", "F1", ""] {
            let contact = Contact {
                country: Some(wrong.to_owned()),
                ..Contact::default()
            };
            assert_eq!(contact.check(), Err(Refusal::Country), "{wrong}");
        }
        let tomorrow = Contact {
            informed_at: Some(moment(100_000)),
            ..Contact::default()
        };
        assert!(tomorrow.ahead_of(moment(0)).is_some());
        assert!(tomorrow.ahead_of(moment(100_000)).is_none());
    }

    fn any_contact() -> impl Strategy<Value = Contact> {
        (
            proptest::option::of(0..9_000i64),
            proptest::option::of(0..9_000i64),
            proptest::sample::subsequence(Purpose::ALL.to_vec(), 0..3),
            proptest::option::of(proptest::sample::select(vec!["FR", "IT", "DE"])),
            proptest::option::of(proptest::sample::select(AddressKind::ALL.to_vec())),
        )
            .prop_map(|(collected, informed, purposes, country, kind)| Contact {
                collected_at: collected.map(moment),
                informed_at: informed.map(moment),
                informed_purposes: purposes.into_iter().collect(),
                country: country.map(str::to_owned),
                address_kind: kind,
                notice: None,
            })
    }

    proptest! {
        #[test]
        fn neither_order_nor_repetition_matters(
            contacts in proptest::collection::vec(any_contact(), 0..6).prop_shuffle(),
            turn in 0..6usize,
        ) {
            let records: Vec<ContactRecord> = contacts.into_iter().map(record).collect();
            let mut turned = records.clone();
            turned.rotate_left(turn.min(records.len()));
            turned.extend(records.iter().take(turn).cloned());
            prop_assert_eq!(ContactFacts::fold(&records), ContactFacts::fold(&turned));
        }
    }
}
