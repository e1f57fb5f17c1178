//! Lists of consents: JSON lines, one assertion a line, checked whole before the first is written.
//!
//! A grant without its proof is recorded as a claim and permits nothing (D18). Restrictions are written first, so that a
//! withdrawal never waits behind a million grants. Nothing may be left half known: a field that is not understood is an
//! error that names line and field and stops the import before it writes anything; what was written when the machine
//! stops is written again by the next run without effect.

use std::io::{self, BufRead, Read, Seek};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::keys::from_hex;
use super::writer::{Recorded, Row, RowEntry};
use super::{Register, RegisterError};
use crate::consent::record::{check_address, check_controller};
use crate::consent::{Assertion, ChangeKind, Form, Refusal};

/// The longest line, in octets.
pub const LINE_OCTETS_MAX: usize = 16 * 1024;
/// The most rows of one transaction.
pub const BATCH_ROWS_MAX: usize = 1_000;
/// How long one transaction gathers rows before it is committed all the same.
pub const BATCH_TIME_MAX: Duration = Duration::from_millis(100);
/// Between two transactions others get their turn at the write lock.
const PAUSE: Duration = Duration::from_millis(2);
/// How many faulty rows an answer names; the rest is counted.
pub const ROWS_NAMED_MAX: usize = 20;

/// How to import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Refuse the whole file when a grant in it has no proof.
    pub require_proof: bool,
    /// The moment of receipt; the clock's now, outside tests.
    pub received_at: Timestamp,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ImportReport {
    /// Rows in the file.
    pub rows: u64,
    /// Grants with proof among them.
    pub grants: u64,
    /// Grants without proof among them: recorded, and permitting nothing.
    pub claims: u64,
    /// Refusals, withdrawals, objections and erasures among them.
    pub restrictions: u64,
    /// Rows written.
    pub recorded: u64,
    /// Rows whose content was there already.
    pub already_there: u64,
    /// Rows that were not written, a grant from the future.
    pub refused: u64,
    /// The first of those.
    pub refused_rows: Vec<RowError>,
}

/// One row that cannot be taken, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize)]
#[error("line {line}: {problem}")]
pub struct RowError {
    /// Its line, from 1.
    pub line: u64,
    /// What is wrong; it names the field and never the address.
    pub problem: String,
}

/// Why an import stopped.
#[derive(Debug, Error)]
pub enum ImportError {
    /// Rows are wrong; nothing was written. Whoever wrote the file is to blame.
    #[error("{}", faults(.rows, *.total))]
    Rows {
        /// The first of them.
        rows: Vec<RowError>,
        /// How many in all.
        total: u64,
    },
    /// The file could not be read.
    #[error("reading the import: {0}")]
    Read(#[from] io::Error),
    /// The file was not the same at the second reading; batches before this are written, run it again.
    #[error("the file changed while it was imported ({0}); import it again")]
    Changed(RowError),
    /// The register did not take it; batches before this are written, run it again.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

fn faults(rows: &[RowError], total: u64) -> String {
    let mut text = format!("nothing was imported, {total} rows are wrong:");
    for row in rows {
        text.push_str(&format!("\n  {row}"));
    }
    if total > rows.len() as u64 {
        text.push_str("\n  ...");
    }
    text
}

impl Register {
    /// Imports JSON lines. Blocks; the reader is read three times.
    ///
    /// # Errors
    /// When a row is wrong (then nothing was written), or reading or writing fails.
    pub fn import(
        &self,
        reader: &mut (impl BufRead + Seek),
        options: &Options,
    ) -> Result<ImportReport, ImportError> {
        let mut report = check(reader, options)?;
        for restrictions in [true, false] {
            reader.rewind()?;
            self.write_rows(reader, options, restrictions, &mut report)?;
        }
        Ok(report)
    }

    fn write_rows(
        &self,
        reader: &mut impl BufRead,
        options: &Options,
        restrictions: bool,
        report: &mut ImportReport,
    ) -> Result<(), ImportError> {
        let mut batch: Vec<Row> = Vec::new();
        let mut begun = Instant::now();
        let mut lines = Lines::new(reader);
        while let Some((line, octets)) = lines.next_line()? {
            let row = parse(line, &octets).map_err(ImportError::Changed)?;
            if (row.assertion.kind == ChangeKind::Granted) == restrictions {
                continue;
            }
            if let Some(refusal) = from_the_future(&row, options) {
                report.refuse(line, &refusal);
                continue;
            }
            if batch.is_empty() {
                begun = Instant::now();
            }
            batch.push(row.into());
            if batch.len() >= BATCH_ROWS_MAX || begun.elapsed() >= BATCH_TIME_MAX {
                self.write_counted(&mut batch, options, report)?;
                std::thread::sleep(PAUSE);
            }
        }
        self.write_counted(&mut batch, options, report)
    }

    fn write_counted(
        &self,
        batch: &mut Vec<Row>,
        options: &Options,
        report: &mut ImportReport,
    ) -> Result<(), ImportError> {
        if batch.is_empty() {
            return Ok(());
        }
        let recorded = self.write_batch(batch, options.received_at)?;
        for outcome in recorded {
            match outcome {
                Recorded::New => report.recorded += 1,
                Recorded::AlreadyThere | Recorded::Erased => report.already_there += 1,
            }
        }
        batch.clear();
        Ok(())
    }
}

impl ImportReport {
    fn refuse(&mut self, line: u64, refusal: &Refusal) {
        self.refused += 1;
        if self.refused_rows.len() < ROWS_NAMED_MAX {
            let problem = refusal.to_string();
            self.refused_rows.push(RowError { line, problem });
        }
    }
}

/// Reads the whole file, counts, and finds every fault before anything is written.
fn check(reader: &mut impl BufRead, options: &Options) -> Result<ImportReport, ImportError> {
    let mut report = ImportReport::default();
    let mut faulty = Vec::new();
    let mut total = 0;
    let mut lines = Lines::new(reader);
    while let Some((line, octets)) = lines.next_line()? {
        report.rows += 1;
        match parse(line, &octets).and_then(|row| demand(line, row, options)) {
            Ok(assertion) => match (assertion.kind, assertion.is_proven()) {
                (ChangeKind::Granted, true) => report.grants += 1,
                (ChangeKind::Granted, false) => report.claims += 1,
                _ => report.restrictions += 1,
            },
            Err(error) => {
                total += 1;
                if faulty.len() < ROWS_NAMED_MAX {
                    faulty.push(error);
                }
            }
        }
    }
    if total > 0 {
        return Err(ImportError::Rows {
            rows: faulty,
            total,
        });
    }
    Ok(report)
}

/// What `--require-proof` demands of every grant.
fn demand(line: u64, row: Parsed, options: &Options) -> Result<Assertion, RowError> {
    let fault = |problem| Err(RowError { line, problem });
    if !options.require_proof || row.assertion.kind != ChangeKind::Granted {
        return Ok(row.assertion);
    }
    if let Some(field) = row.assertion.missing_for_proof() {
        return fault(format!("no proof, `{field}` is missing"));
    }
    match from_the_future(&row, options) {
        Some(refusal) => fault(refusal.to_string()),
        None => Ok(row.assertion),
    }
}

fn from_the_future(row: &Parsed, options: &Options) -> Option<Refusal> {
    row.assertion.ahead_of(options.received_at)
}

/// One line as it is written; every value is looked at by name, so that an error can say which.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    controller: Option<Value>,
    address: Option<Value>,
    state: Option<Value>,
    purposes: Option<Value>,
    at: Option<Value>,
    channel: Option<Value>,
    wording_version: Option<Value>,
    wording_sha256: Option<Value>,
}

struct Parsed {
    controller: String,
    address: String,
    assertion: Assertion,
}

impl From<Parsed> for Row {
    fn from(parsed: Parsed) -> Self {
        Self {
            controller: parsed.controller,
            address: parsed.address,
            entry: RowEntry::Change(parsed.assertion),
        }
    }
}

fn parse(line: u64, octets: &[u8]) -> Result<Parsed, RowError> {
    parse_line(octets).map_err(|problem| RowError { line, problem })
}

fn parse_line(octets: &[u8]) -> Result<Parsed, String> {
    if octets.len() > LINE_OCTETS_MAX {
        return Err(format!("longer than {LINE_OCTETS_MAX} octets"));
    }
    // serde would take the values of a list for those of a row, in order.
    if !octets.starts_with(b"{") {
        return Err("a row is one object, `{\"controller\":..}`".to_owned());
    }
    let line: Line = serde_json::from_slice(octets).map_err(|error| said(&error))?;
    let controller = needed("controller", line.controller)?;
    check_controller(&controller).map_err(|refusal| refusal.to_string())?;
    let address = needed("address", line.address)?;
    check_address(&address).map_err(|problem| problem.to_string())?;
    let state = needed("state", line.state)?;
    let assertion = Assertion {
        kind: state
            .parse()
            .map_err(|error: crate::consent::UnknownWord| format!("`state`: {error}"))?,
        purposes: purposes(line.purposes)?,
        at: text("at", line.at)?.map(|at| moment(&at)).transpose()?,
        form: Form {
            channel: text("channel", line.channel)?,
            wording_version: text("wording_version", line.wording_version)?,
            wording_sha256: text("wording_sha256", line.wording_sha256)?
                .map(|digits| {
                    from_hex::<32>(&digits)
                        .ok_or_else(|| "`wording_sha256` is not 64 hex digits".to_owned())
                })
                .transpose()?,
            ..Form::default()
        },
        supersedes: None,
        source: None,
    };
    assertion.check().map_err(|refusal| refusal.to_string())?;
    Ok(Parsed {
        controller,
        address,
        assertion,
    })
}

/// serde's own words, without its line number (it only ever sees one) and without anything that could be an address.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    if what.contains('@') {
        return "a field name holds `@`".to_owned();
    }
    let what: String = what
        .chars()
        .take(300)
        .flat_map(char::escape_debug)
        .collect();
    format!("{what} (column {})", error.column())
}

fn text(field: &str, value: Option<Value>) -> Result<Option<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{field}` must be a text in quotes")),
    }
}

fn needed(field: &str, value: Option<Value>) -> Result<String, String> {
    text(field, value)?.ok_or_else(|| format!("`{field}` is missing"))
}

fn purposes<T>(value: Option<Value>) -> Result<T, String>
where
    T: FromIterator<crate::consent::Purpose>,
{
    let values = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(values)) => values,
        Some(_) => return Err("`purposes` must be a list of texts".to_owned()),
    };
    let word = |value: Value| match value {
        Value::String(word) => word
            .parse()
            .map_err(|error: crate::consent::UnknownWord| format!("`purposes`: {error}")),
        _ => Err("`purposes` must be a list of texts".to_owned()),
    };
    values.into_iter().map(word).collect()
}

fn moment(at: &str) -> Result<Timestamp, String> {
    at.parse().map_err(|_| {
        "`at` is not a moment with its offset, such as 2026-05-02T10:00:00Z or 2026-05-02T12:00:00+02:00"
            .to_owned()
    })
}

/// Lines with their numbers, each bounded before it is held.
struct Lines<'a, R> {
    reader: &'a mut R,
    line: u64,
}

impl<'a, R: BufRead> Lines<'a, R> {
    fn new(reader: &'a mut R) -> Self {
        Self { reader, line: 0 }
    }

    /// The next line that is not blank. Of one past the limit only the excess tells; the rest of it is skipped.
    fn next_line(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        loop {
            let mut octets = Vec::new();
            let most = LINE_OCTETS_MAX as u64 + 1;
            if self
                .reader
                .by_ref()
                .take(most)
                .read_until(b'\n', &mut octets)?
                == 0
            {
                return Ok(None);
            }
            self.line += 1;
            if octets.len() as u64 == most && octets.last() != Some(&b'\n') {
                self.reader.skip_until(b'\n')?;
                return Ok(Some((self.line, octets)));
            }
            // A byte order mark, as spreadsheets write it, belongs to no row.
            let row = octets
                .strip_prefix(b"\xef\xbb\xbf")
                .filter(|_| self.line == 1);
            let row = row.unwrap_or(&octets).trim_ascii();
            if !row.is_empty() {
                return Ok(Some((self.line, row.to_vec())));
            }
        }
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
