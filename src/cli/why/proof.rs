//! The records that an answer rests on, each told once under its number, and where the person stands now.
//!
//! Wording only. It shows what it is handed, which is one person's.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use super::super::paper::wrap;
use super::super::plain;
use super::person::{Person, Record};
use super::{Told, UNASSIGNED, moment};
use crate::consent::{Change, ContactFacts, ContactRecord, Purpose, State};

/// Numbers of records, in the order in which they were mentioned, by controller and name.
#[derive(Debug, Default)]
pub(super) struct Numbers(BTreeMap<(String, String), usize>);

impl Numbers {
    /// The number of this one.
    pub(super) fn of(&mut self, controller: &str, id: &str) -> usize {
        let next = self.0.len() + 1;
        *self
            .0
            .entry((controller.to_owned(), id.to_owned()))
            .or_insert(next)
    }
}

pub(super) fn records(text: &mut String, told: &Told, numbers: &Numbers) {
    if numbers.0.is_empty() {
        return;
    }
    text.push_str("\nThe records that this rests on:\n");
    let mut by_number: Vec<_> = numbers
        .0
        .iter()
        .map(|(name, number)| (number, name))
        .collect();
    by_number.sort();
    for (number, (controller, id)) in by_number {
        let person = told
            .people
            .iter()
            .find(|person| person.controller == *controller);
        let record = person.and_then(|person| person.records.get(id));
        let _ = writeln!(text, " {number}. {id}");
        self::record(
            text,
            record.unwrap_or(&Record::Unknown),
            person.is_some_and(|person| person.sealed),
        );
    }
}

fn record(text: &mut String, record: &Record, sealed: bool) {
    match record {
        Record::Change(change) => self::change(text, change),
        Record::Contact(contact) => self::contact(text, contact),
        Record::Blanked(blanked) => {
            let how = match blanked.rule.as_str() {
                "erased" => "erased".to_owned(),
                rule => format!("expired under the rule {rule}"),
            };
            let line = format!("{how} on {}; its content is gone", moment(blanked.at));
            wrap(text, &line, "    ", "    ");
            if sealed {
                text.push_str("    What is kept sealed to answer for it opens with --erased.\n");
            }
        }
        Record::Defence { sealed_at, record } => {
            let _ = writeln!(
                text,
                "    erased; kept sealed since {}:",
                moment(*sealed_at)
            );
            self::record(text, record, false);
        }
        Record::Unknown => {
            text.push_str("    no record of this person in this register has that name\n")
        }
    }
}

fn change(text: &mut String, change: &Change) {
    let said = &change.said;
    let mut line = plain::change(said.kind.as_str()).to_owned();
    match said.purposes.is_empty() {
        true => line.push_str(", every purpose"),
        false => {
            let purposes: Vec<&str> = said
                .purposes
                .iter()
                .map(|purpose| purpose.as_str())
                .collect();
            let _ = write!(line, ", for {}", purposes.join(" and "));
        }
    }
    if let Some(at) = said.at {
        let _ = write!(line, ", on {}", moment(at));
    }
    if let Some(channel) = &said.form.channel {
        let _ = write!(line, ", by {channel}");
    }
    wrap(text, &line, "    ", "      ");
    let form = &said.form;
    let mut lines = vec![format!("recorded {}", moment(change.recorded_at))];
    let named = [
        ("collected by", &form.collector),
        ("the person", &form.affirmative_act),
        ("language", &form.language),
        ("notice", &form.notice),
        ("list of controllers", &form.controller_list),
        ("source", &said.source),
    ];
    lines.extend(
        named
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?))),
    );
    if let Some(scope) = form.scope {
        lines.push(format!("scope {scope}"));
    }
    wrap(text, &lines.join("; "), "      ", "      ");
    if let Some(version) = &form.wording_version {
        let _ = writeln!(text, "      wording {version}");
    }
    for (name, digest) in [
        ("wording", form.wording_sha256),
        ("evidence", form.evidence_sha256),
    ] {
        if let Some(digest) = digest {
            let hex: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
            let _ = writeln!(text, "      {name} sha256 {hex}");
        }
    }
}

fn contact(text: &mut String, record: &ContactRecord) {
    let contact = &record.contact;
    let mut lines = Vec::new();
    if let Some(at) = contact.collected_at {
        lines.push(format!("address collected {}", moment(at)));
    }
    if let Some(at) = contact.informed_at {
        lines.push(format!("person informed {}", moment(at)));
    }
    if let Some(notice) = &contact.notice {
        lines.push(format!("notice {notice}"));
    }
    if !contact.informed_purposes.is_empty() {
        let purposes: Vec<&str> = contact
            .informed_purposes
            .iter()
            .map(|purpose| purpose.as_str())
            .collect();
        lines.push(format!("informed of {}", purposes.join(" and ")));
    }
    if let Some(country) = &contact.country {
        lines.push(format!("country {country}"));
    }
    if let Some(kind) = contact.address_kind {
        lines.push(format!("kind of address {kind}"));
    }
    lines.push(format!("recorded {}", moment(record.recorded_at)));
    wrap(text, &lines.join("; "), "    ", "      ");
}

/// Where the person stands now: alike purposes together.
pub(super) fn today(text: &mut String, told: &Told) {
    text.push_str("\nOn record now:\n");
    let mut silent = Vec::new();
    for person in &told.people {
        let contact = &person.standing.contact;
        let silence = person.standing.is_unknown() && *contact == ContactFacts::default();
        if silence && person.erased_at.is_none() {
            // Under this name nothing is ever recorded: it is that of mail whose controller was not clear.
            if person.controller != UNASSIGNED || told.people.len() == 1 {
                silent.push(person.controller.as_str());
            }
            continue;
        }
        standing(text, person);
    }
    if !silent.is_empty() {
        let line = format!(
            "nothing for controller {}: every tracker that needs consent is taken out",
            silent.join(", ")
        );
        wrap(text, &line, "  ", "    ");
    }
}

fn standing(text: &mut String, person: &Person) {
    let mut alike: BTreeMap<(State, Timestamp), Vec<Purpose>> = BTreeMap::new();
    let erased = person.erased_at.is_some();
    let entries = person.standing.entries();
    for (purpose, entry) in entries.filter(|(_, entry)| !(erased && entry.state == State::Erased)) {
        alike
            .entry((entry.state, entry.at))
            .or_default()
            .push(purpose);
    }
    let _ = writeln!(text, "  controller {}:", person.controller);
    if let Some(at) = person.erased_at {
        let _ = writeln!(text, "    erased on {}", moment(at));
    }
    for ((state, at), purposes) in alike {
        let which = match purposes.len() == Purpose::ALL.len() {
            true => "every purpose".to_owned(),
            false => purposes
                .iter()
                .map(|purpose| purpose.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        };
        wrap(
            text,
            &format!("{state} since {}: {which}", moment(at)),
            "    ",
            "      ",
        );
    }
    facts(text, &person.standing.contact);
    let claims: Vec<&str> = person.standing.claims().map(Purpose::as_str).collect();
    if !claims.is_empty() {
        let line = format!(
            "claimed without proof, which permits nothing: {}",
            claims.join(", ")
        );
        wrap(text, &line, "    ", "      ");
    }
}

/// What is known of the address beside its owner's will.
fn facts(text: &mut String, contact: &ContactFacts) {
    let mut lines = Vec::new();
    if let Some((at, _)) = contact.collected {
        lines.push(format!("address collected {}", moment(at)));
    }
    if let Some(informed) = contact.informed.iter().map(|informed| informed.at).max() {
        lines.push(format!("person informed {}", moment(informed)));
    }
    if !contact.countries.is_empty() {
        let countries: Vec<&str> = contact.countries.iter().map(String::as_str).collect();
        lines.push(format!("country {}", countries.join(", ")));
    }
    if let Some(kind) = contact.address_kind {
        lines.push(format!("kind of address {kind}"));
    }
    if !lines.is_empty() {
        wrap(text, &lines.join("; "), "    ", "      ");
    }
}
