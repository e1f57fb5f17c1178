//! One reading of a list, from its beginning: row after row, understood.
//!
//! It must never hold more than one row. A row that is wrong is an answer of its own; a list that cannot be read, or a
//! table whose first line does not fit, ends the reading.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Seek};

use jiff::Timestamp;

use super::evidence::Evidence;
use super::judge::{Judged, judge};
use super::lines::Lines;
use super::table::Table;
use super::{Format, ImportError};
use crate::consent::{ChangeKind, Purpose};

/// The rows of one reading.
pub(super) struct Rows<'a> {
    source: Source<'a>,
    evidence: &'a Evidence,
}

enum Source<'a> {
    Lines(Lines<Box<dyn BufRead + 'a>>),
    Table(Box<Table<'a>>),
}

impl<'a> Rows<'a> {
    pub(super) fn of(
        reader: &'a mut (impl Read + Seek),
        format: Format,
        evidence: &'a Evidence,
    ) -> Result<Self, ImportError> {
        reader.rewind()?;
        let source = match format {
            Format::Lines => Source::Lines(Lines::new(Box::new(BufReader::new(reader)))),
            Format::Table => Source::Table(Box::new(
                Table::open(reader, &evidence.mapping)?.map_err(ImportError::Header)?,
            )),
        };
        Ok(Self { source, evidence })
    }

    /// The next row with its line, or what is wrong with it.
    pub(super) fn next_row(&mut self) -> io::Result<Option<(u64, Result<Judged, String>)>> {
        let next = match &mut self.source {
            Source::Lines(lines) => lines.next_row(),
            Source::Table(table) => table.next_row(),
        }?;
        Ok(next.map(|(line, said)| (line, said.and_then(|said| judge(said, self.evidence)))))
    }

    pub(super) fn unread_columns(&self) -> Vec<String> {
        match &self.source {
            Source::Lines(_) => Vec::new(),
            Source::Table(table) => table.unread().to_vec(),
        }
    }
}

/// What a list says of one person, for a comparison.
pub(in crate::register) struct Understood {
    pub(in crate::register) controller: String,
    pub(in crate::register) address: String,
    /// None: no answer.
    pub(in crate::register) kind: Option<ChangeKind>,
    pub(in crate::register) at: Option<Timestamp>,
    pub(in crate::register) purposes: BTreeSet<Purpose>,
}

/// A list, for a comparison.
pub(in crate::register) struct List<'a>(Rows<'a>);

impl<'a> List<'a> {
    pub(in crate::register) fn of(
        reader: &'a mut (impl Read + Seek),
        format: Format,
        evidence: &'a Evidence,
    ) -> Result<Self, ImportError> {
        Rows::of(reader, format, evidence).map(Self)
    }

    /// The next row with its line, or what is wrong with it.
    pub(in crate::register) fn next_row(
        &mut self,
    ) -> io::Result<Option<(u64, Result<Understood, String>)>> {
        let next = self.0.next_row()?;
        Ok(next.map(|(line, judged)| (line, judged.map(understood))))
    }
}

fn understood(judged: Judged) -> Understood {
    let change = judged.change.map(|(assertion, _)| assertion);
    Understood {
        controller: judged.controller,
        address: judged.address,
        kind: change.as_ref().map(|assertion| assertion.kind),
        at: change.as_ref().and_then(|assertion| assertion.at),
        purposes: change
            .map(|assertion| assertion.purposes)
            .unwrap_or_default(),
    }
}
