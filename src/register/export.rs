//! Everybody with everything: states and records with their proofs, in the fields that an import takes.
//!
//! For the person who asks what is known of them (D22), for a move to another installation, and for whoever wants to
//! read a register without us. Imported into an empty register it gives the same states: a restriction that counts from
//! its receipt is written with that moment, since another register's receipt is later. It must never write to the
//! register. The erased are not in it: of them nothing is left that has a name.

use std::io::{self, Write};
use std::ops::ControlFlow;

use jiff::Timestamp;
use serde_json::{Map, Value};
use thiserror::Error;

use super::history::Person;
use super::import::{Format, SEPARATOR, fields};
use super::{Register, RegisterError};
use crate::consent::record::Effect;
use crate::consent::{Change, ContactRecord};

/// Why an export stopped.
#[derive(Debug, Error)]
pub enum ExportError {
    /// It could not be written. The reader's end, or the disk, is to blame.
    #[error("writing the export: {0}")]
    Write(#[from] io::Error),
    /// The register could not be read.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// A text that a table cannot carry. The format is to blame; permanent.
    #[error(
        "a name in `{field}` holds `{SEPARATOR}`, which stands between two names in a table: export JSON lines"
    )]
    Separator {
        /// The field.
        field: String,
    },
}

/// How many were exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// People.
    pub people: u64,
    /// Their records.
    pub records: u64,
}

impl Register {
    /// Writes everybody, of one controller or of all, or one person. Blocks.
    ///
    /// # Errors
    /// When the register cannot be read or the export cannot be written.
    pub fn export(
        &self,
        controller: Option<&str>,
        person: Option<(&str, &str)>,
        format: Format,
        to: &mut dyn Write,
    ) -> Result<Exported, ExportError> {
        let mut sheet = Sheet::begin(format, to)?;
        if let Some((controller, address)) = person {
            let history = self.history(controller, address)?;
            if let Some(address) = history.address {
                sheet.person(&Person {
                    controller: controller.to_owned(),
                    subject: history.subject,
                    standing: self.get(controller, &address)?,
                    address,
                    changes: history.changes,
                    contacts: history.contacts,
                })?;
            }
            return sheet.end();
        }
        let flow = self.each(controller, |person| match sheet.person(&person) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        })?;
        match flow {
            ControlFlow::Continue(()) => sheet.end(),
            ControlFlow::Break(error) => Err(error),
        }
    }
}

struct Sheet<'a> {
    out: Out<'a>,
    exported: Exported,
}

enum Out<'a> {
    Lines(&'a mut dyn Write),
    Table(Box<csv::Writer<&'a mut dyn Write>>),
}

impl<'a> Sheet<'a> {
    fn begin(format: Format, to: &'a mut dyn Write) -> Result<Self, ExportError> {
        let out = match format {
            Format::Lines => Out::Lines(to),
            Format::Table => {
                let mut writer = csv::Writer::from_writer(to);
                writer.write_record(columns()).map_err(io::Error::from)?;
                Out::Table(Box::new(writer))
            }
        };
        Ok(Self {
            out,
            exported: Exported::default(),
        })
    }

    fn person(&mut self, person: &Person) -> Result<(), ExportError> {
        self.exported.people += 1;
        let whose = || {
            let mut members = Map::new();
            members.insert("controller".to_owned(), person.controller.clone().into());
            members.insert("address".to_owned(), person.address.clone().into());
            members
        };
        if let Out::Lines(_) = self.out {
            let mut members = whose();
            let standing = serde_json::to_value(&person.standing).map_err(io::Error::from)?;
            members.insert("standing".to_owned(), standing);
            self.write(members)?;
        }
        let contacts = person.contacts.iter().map(of_contact);
        for record in person.changes.iter().map(of_change).chain(contacts) {
            self.exported.records += 1;
            let mut members = whose();
            members.extend(record?);
            self.write(members)?;
        }
        Ok(())
    }

    fn write(&mut self, members: Map<String, Value>) -> Result<(), ExportError> {
        match &mut self.out {
            Out::Lines(to) => {
                serde_json::to_writer(&mut **to, &members).map_err(io::Error::from)?;
                to.write_all(b"\n")?;
            }
            Out::Table(writer) => {
                for column in columns() {
                    let cell = cell(column, members.get(column))?;
                    writer.write_field(cell).map_err(io::Error::from)?;
                }
                let end: [&str; 0] = [];
                writer.write_record(end).map_err(io::Error::from)?;
            }
        }
        Ok(())
    }

    fn end(self) -> Result<Exported, ExportError> {
        match self.out {
            Out::Lines(to) => to.flush()?,
            Out::Table(mut writer) => writer.flush()?,
        }
        Ok(self.exported)
    }
}

/// A table has no room for a person's standing, which is what the records add up to.
fn columns() -> impl Iterator<Item = &'static str> {
    fields()
        .into_iter()
        .filter(|field| !matches!(*field, "standing" | "list"))
}

fn cell(column: &str, value: Option<&Value>) -> Result<String, ExportError> {
    Ok(match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => {
            let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            if texts.iter().any(|text| text.contains(SEPARATOR)) {
                return Err(ExportError::Separator {
                    field: column.to_owned(),
                });
            }
            texts.join(SEPARATOR)
        }
        _ => String::new(),
    })
}

fn of_change(change: &Change) -> Result<Map<String, Value>, ExportError> {
    let mut members = object(serde_json::to_value(&change.said).map_err(io::Error::from)?);
    if let Effect::From(at) = change.effect() {
        members.insert("at".to_owned(), at.to_string().into());
    }
    about(&mut members, &change.id.to_string(), change.recorded_at);
    Ok(members)
}

fn of_contact(record: &ContactRecord) -> Result<Map<String, Value>, ExportError> {
    let mut members = object(serde_json::to_value(&record.contact).map_err(io::Error::from)?);
    if let Some(notice) = members.remove("notice") {
        members.insert("informed_notice".to_owned(), notice);
    }
    about(&mut members, &record.id.to_string(), record.recorded_at);
    Ok(members)
}

fn about(members: &mut Map<String, Value>, record: &str, recorded_at: Timestamp) {
    members.insert("record".to_owned(), record.into());
    members.insert("recorded_at".to_owned(), recorded_at.to_string().into());
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
