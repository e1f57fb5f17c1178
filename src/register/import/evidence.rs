//! The evidence file: what everybody on one list was shown and did, which the rows of an export do not say (D17, D18).
//!
//! Texts and pictures are hashed here, over their exact octets, so that what is written down is a digest of something
//! that exists. It must never know a row. What contradicts itself, or names a file that cannot be read, is an error that
//! names its key; nothing is left out in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ring::digest;
use serde::Deserialize;
use thiserror::Error;

use super::mapping::Mapping;
use super::moments::Moments;
use super::said::{field, fields};
use crate::consent::form::{Form, Scope};
use crate::consent::hex::read as from_hex;
use crate::consent::record::check_controller;
use crate::consent::{Contact, Purpose, Refusal};

/// The largest file that is hashed, in octets: a screenshot of a long page fits many times.
const HASHED_OCTETS_MAX: u64 = 256 * 1024 * 1024;
/// The most lists in one evidence file.
const LISTS_MAX: usize = 10_000;

/// The evidence file as it is written (TOML).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    /// The zone of days and local times, here and in the rows, e.g. `Europe/Paris`.
    pub time_zone: Option<String>,
    /// `[csv]`.
    pub csv: Option<Mapping>,
    /// `[[list]]`.
    #[serde(rename = "list")]
    pub lists: Vec<WrittenList>,
}

/// One `[[list]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenList {
    /// What a row's `list` must be; an entry without it is for rows that name no list.
    pub name: Option<String>,
    /// To whom the consent was given.
    pub controller: Option<String>,
    /// By which way.
    pub channel: Option<String>,
    /// Who collected it.
    pub collector: Option<String>,
    /// The words that the person saw, hashed here.
    pub wording: Option<String>,
    /// A file with these words, hashed here.
    pub wording_file: Option<PathBuf>,
    /// Their SHA-256, where only that is left.
    pub wording_sha256: Option<String>,
    /// Their version.
    pub wording_version: Option<String>,
    /// Their language.
    pub language: Option<String>,
    /// What the person did to say yes.
    pub affirmative_act: Option<String>,
    /// Version of the privacy notice.
    pub notice: Option<String>,
    /// Version of the list of controllers that was shown.
    pub controller_list: Option<String>,
    /// The names on that list.
    pub controllers_shown: BTreeSet<String>,
    /// A picture of the form, hashed here.
    pub screenshot_file: Option<PathBuf>,
    /// Its SHA-256.
    pub screenshot_sha256: Option<String>,
    /// The code of the form, hashed here.
    pub code_file: Option<PathBuf>,
    /// Its SHA-256.
    pub code_sha256: Option<String>,
    /// What one yes was given to.
    pub scope: Option<Scope>,
    /// What a yes on this form means.
    pub purposes: BTreeSet<Purpose>,
    /// From when this form was shown; a bare day begins it.
    pub valid_from: Option<String>,
    /// Until when; a bare day is the last one.
    pub valid_until: Option<String>,
    /// When everybody on this list was informed; it is said only of people collected before.
    pub informed_at: Option<String>,
    /// Version of that notice.
    pub informed_notice: Option<String>,
    /// The purposes that it named.
    pub informed_purposes: BTreeSet<Purpose>,
    /// The country of everybody on this list.
    pub country: Option<String>,
}

/// What is wrong with an evidence file. Whoever wrote it is to blame; permanent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}{problem}", place(*.list, .table, .key))]
pub struct EvidenceError {
    /// Which `[[list]]`, from 0.
    pub list: Option<usize>,
    /// The table it stands in, outside a list.
    pub table: &'static str,
    /// The key.
    pub key: String,
    /// What is wrong with its value.
    pub problem: String,
    /// What the key could have been, where it is none.
    pub known: Vec<&'static str>,
}

fn place(list: Option<usize>, table: &str, key: &str) -> String {
    match (list, table) {
        (Some(list), _) => format!("[[list]] {}: `{key}` ", list + 1),
        (None, "") => format!("`{key}` "),
        (None, table) => format!("[{table}] `{key}` "),
    }
}

/// A digest that was made of a file or text, so that the operator can compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    /// The list's name.
    pub list: String,
    /// The key it was made for.
    pub key: &'static str,
    /// Over how many octets.
    pub octets: u64,
    /// The digest.
    pub sha256: [u8; 32],
}

/// What every row of one list has in common.
#[derive(Debug, Clone, Default)]
pub(super) struct List {
    pub(super) controller: Option<String>,
    pub(super) form: Form,
    pub(super) purposes: BTreeSet<Purpose>,
    pub(super) from: Option<Timestamp>,
    /// The last moment that is inside.
    pub(super) until: Option<Timestamp>,
    pub(super) contact: Contact,
}

/// An evidence file, understood. The default says nothing: then rows must say everything.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    iso: Moments,
    of_table: Moments,
    pub(super) mapping: Mapping,
    pub(super) lists: BTreeMap<Option<String>, List>,
    hashed: Vec<Hashed>,
    digest: Vec<u8>,
}

impl Evidence {
    /// Understands a file; `text` is its exact text, `directory` where the files it names are looked for.
    ///
    /// # Errors
    /// When it contradicts itself, or a file that it names cannot be read.
    pub fn new(written: &Written, text: &str, directory: &Path) -> Result<Self, EvidenceError> {
        let wrong = |table, key: &str, problem: String| EvidenceError {
            list: None,
            table,
            key: key.to_owned(),
            problem,
            known: Vec::new(),
        };
        let zone = Moments::new(written.time_zone.as_deref())
            .map_err(|problem| wrong("", "time_zone", problem))?;
        let mapping = written.csv.clone().unwrap_or_default();
        mapping
            .check()
            .map_err(|(key, problem)| wrong("csv", key, problem))?;
        for (table, names) in [
            ("csv.columns", &mapping.columns),
            ("csv.constant", &mapping.constant),
        ] {
            if let Some(name) = names.keys().find(|name| field(name).is_none()) {
                return Err(EvidenceError {
                    known: fields(),
                    ..wrong(table, name, "is no field".to_owned())
                });
            }
        }
        if written.lists.len() > LISTS_MAX {
            return Err(wrong(
                "",
                "list",
                format!("has more than {LISTS_MAX} entries"),
            ));
        }
        let mut evidence = Self {
            iso: zone.clone(),
            of_table: zone.with_formats(&mapping.date_formats),
            mapping,
            lists: BTreeMap::new(),
            hashed: Vec::new(),
            digest: sha256(text.as_bytes()).to_vec(),
        };
        for (number, list) in written.lists.iter().enumerate() {
            let mut reading = Reading {
                list,
                directory,
                zone: &zone,
                hashed: &mut evidence.hashed,
            };
            let understood = reading.list().map_err(|(key, problem)| EvidenceError {
                list: Some(number),
                ..wrong("", key, problem)
            })?;
            if evidence
                .lists
                .insert(list.name.clone(), understood)
                .is_some()
            {
                return Err(EvidenceError {
                    list: Some(number),
                    ..wrong("", "name", "is that of another list".to_owned())
                });
            }
        }
        for hashed in &evidence.hashed {
            evidence.digest.extend(hashed.sha256);
        }
        Ok(evidence)
    }

    /// Everything that was hashed for it.
    pub fn hashed(&self) -> &[Hashed] {
        &self.hashed
    }

    /// How moments are written in rows.
    pub(super) fn moments(&self, of_table: bool) -> &Moments {
        if of_table { &self.of_table } else { &self.iso }
    }

    /// What changes when anything in it does, the files it names included.
    pub(super) fn digest(&self) -> &[u8] {
        &self.digest
    }
}

type Problem = (&'static str, String);

/// A refusal as a problem of its key, which it names first.
fn problem(refusal: Refusal) -> Problem {
    let key = match &refusal {
        Refusal::InTheFuture { field, .. }
        | Refusal::TooMany { field, .. }
        | Refusal::Text { field, .. } => *field,
        Refusal::Country => "country",
    };
    let text = refusal.to_string();
    let named = format!("`{key}` ");
    (key, text.strip_prefix(&named).unwrap_or(&text).to_owned())
}

struct Reading<'a> {
    list: &'a WrittenList,
    directory: &'a Path,
    zone: &'a Moments,
    hashed: &'a mut Vec<Hashed>,
}

impl Reading<'_> {
    fn list(&mut self) -> Result<List, Problem> {
        let written = self.list;
        if written
            .name
            .as_ref()
            .is_some_and(|name| name.trim().is_empty())
        {
            return Err((
                "name",
                "is empty: leave it out for rows that name no list".to_owned(),
            ));
        }
        if let Some(controller) = &written.controller {
            check_controller(controller).map_err(problem)?;
        }
        let form = Form {
            channel: written.channel.clone(),
            collector: written.collector.clone(),
            wording_version: written.wording_version.clone(),
            wording_sha256: self.wording()?,
            language: written.language.clone(),
            affirmative_act: written.affirmative_act.clone(),
            notice: written.notice.clone(),
            controller_list: written.controller_list.clone(),
            controllers_shown: written.controllers_shown.clone(),
            evidence_sha256: self.evidence()?,
            scope: written.scope,
        };
        form.check().map_err(problem)?;
        let from = self
            .moment("valid_from", &written.valid_from)?
            .map(|span| span.0);
        let until = self
            .moment("valid_until", &written.valid_until)?
            .map(|span| span.1);
        if let (Some(from), Some(until)) = (from, until)
            && until < from
        {
            return Err(("valid_until", "lies before `valid_from`".to_owned()));
        }
        let contact = self.contact()?;
        Ok(List {
            controller: written.controller.clone(),
            form,
            purposes: written.purposes.clone(),
            from,
            until,
            contact,
        })
    }

    fn contact(&self) -> Result<Contact, Problem> {
        let contact = Contact {
            informed_at: self
                .moment("informed_at", &self.list.informed_at)?
                .map(|span| span.1),
            notice: self.list.informed_notice.clone(),
            informed_purposes: self.list.informed_purposes.clone(),
            country: self.list.country.clone(),
            ..Contact::default()
        };
        contact.check().map_err(|refusal| match problem(refusal) {
            ("notice", what) => ("informed_notice", what),
            other => other,
        })?;
        if contact.informed_at.is_none()
            && (contact.notice.is_some() || !contact.informed_purposes.is_empty())
        {
            return Err((
                "informed_at",
                "is missing beside `informed_notice` or `informed_purposes`".to_owned(),
            ));
        }
        Ok(contact)
    }

    fn moment(
        &self,
        key: &'static str,
        text: &Option<String>,
    ) -> Result<Option<(Timestamp, Timestamp)>, Problem> {
        text.as_deref()
            .map(|text| self.zone.read(text).map(|span| (span.first, span.last)))
            .transpose()
            .map_err(|problem| (key, problem))
    }

    fn wording(&mut self) -> Result<Option<[u8; 32]>, Problem> {
        let list = self.list;
        let told = [
            list.wording.is_some(),
            list.wording_file.is_some(),
            list.wording_sha256.is_some(),
        ];
        if told.iter().filter(|told| **told).count() > 1 {
            let problem =
                "stands beside another of `wording`, `wording_file`, `wording_sha256`: give one";
            return Err(("wording_file", problem.to_owned()));
        }
        if let Some(text) = &list.wording {
            if text.trim().is_empty() {
                return Err(("wording", "is empty: nobody can have read it".to_owned()));
            }
            let digest = sha256(text.as_bytes());
            self.note("wording", text.len() as u64, digest);
            return Ok(Some(digest));
        }
        match self.file("wording_file", &list.wording_file)? {
            Some(digest) => Ok(Some(digest)),
            None => hex("wording_sha256", &list.wording_sha256),
        }
    }

    fn evidence(&mut self) -> Result<Option<[u8; 32]>, Problem> {
        let list = self.list;
        let found = [
            self.file("screenshot_file", &list.screenshot_file)?,
            hex("screenshot_sha256", &list.screenshot_sha256)?,
            self.file("code_file", &list.code_file)?,
            hex("code_sha256", &list.code_sha256)?,
        ];
        let mut found = found.into_iter().flatten();
        let first = found.next();
        // A record names one; a file and its own digest may stand side by side, as a check.
        if found.any(|other| Some(other) != first) {
            let problem = "stands beside another picture or code with another digest: a record holds one; name the \
                           one you keep";
            return Err(("screenshot_file", problem.to_owned()));
        }
        Ok(first)
    }

    fn file(
        &mut self,
        key: &'static str,
        path: &Option<PathBuf>,
    ) -> Result<Option<[u8; 32]>, Problem> {
        let Some(path) = path else { return Ok(None) };
        let (octets, digest) = hash_file(&self.directory.join(path))
            .map_err(|error| (key, format!("{}: {error}", path.display())))?;
        if octets == 0 {
            return Err((key, format!("{} is empty", path.display())));
        }
        self.note(key, octets, digest);
        Ok(Some(digest))
    }

    fn note(&mut self, key: &'static str, octets: u64, sha256: [u8; 32]) {
        let list = self.list.name.clone().unwrap_or_default();
        self.hashed.push(Hashed {
            list,
            key,
            octets,
            sha256,
        });
    }
}

fn hex(key: &'static str, digits: &Option<String>) -> Result<Option<[u8; 32]>, Problem> {
    digits
        .as_deref()
        .map(|digits| {
            from_hex::<32>(digits).ok_or_else(|| (key, "is not 64 hex digits".to_owned()))
        })
        .transpose()
}

fn hash_file(path: &Path) -> io::Result<(u64, [u8; 32])> {
    let mut file = File::open(path)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 64 * 1024];
    let mut octets = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((octets, array(context.finish().as_ref())));
        }
        octets += read as u64;
        if octets > HASHED_OCTETS_MAX {
            return Err(io::Error::other(format!(
                "larger than {HASHED_OCTETS_MAX} octets"
            )));
        }
        context.update(buffer.get(..read).unwrap_or_default());
    }
}

pub(super) fn sha256(octets: &[u8]) -> [u8; 32] {
    array(digest::digest(&digest::SHA256, octets).as_ref())
}

pub(super) fn array(octets: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    for (to, from) in array.iter_mut().zip(octets) {
        *to = *from;
    }
    array
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
