//! Lists of consents: checked whole before the first is written, restrictions first, in short transactions.
//!
//! A grant without its proof is recorded as a claim and permits nothing (D18). Restrictions are written first, so that a
//! withdrawal never waits behind a million grants, and after each transaction the import steps aside for those of other
//! processes. Nothing may be left half known: what is not understood is an error that names line and field and stops
//! the import before it writes anything; what was written when the machine stops is written again by the next run
//! without effect. An address stands in no error and no count.

mod evidence;
mod judge;
mod known;
mod lines;
mod mapping;
mod moments;
mod reading;
mod said;
mod table;
mod tally;
mod writing;

use std::io::{self, Read, Seek};

use jiff::Timestamp;
use ring::digest;
use thiserror::Error;

pub use evidence::{Evidence, EvidenceError, Hashed, Written};
pub use lines::LINE_OCTETS_MAX;
pub use mapping::{Mapping, SEPARATOR};
pub(super) use reading::{List, Understood};
pub use said::{RowError, fields};
pub use table::ROW_OCTETS_MAX;
pub use tally::{ImportReport, ROWS_NAMED_MAX};
pub use writing::{BATCH_ROWS_MAX, BATCH_TIME_MAX};

use super::keys::hex;
use super::{Register, RegisterError};
use crate::consent::ChangeKind;
use judge::{Judged, Worth};
use reading::Rows;
use tally::Contents;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Lines,
    /// CSV.
    Table,
}

/// How to import.
pub struct Options<'a> {
    /// How the file is written.
    pub format: Format,
    /// What the rows do not say.
    pub evidence: &'a Evidence,
    /// Refuse the whole file when a grant in it has no proof.
    pub require_proof: bool,
    /// Count and check, write nothing.
    pub dry_run: bool,
    /// The moment of receipt; the clock's now, outside tests.
    pub received_at: Timestamp,
    /// Told now and then how far it is.
    pub progress: &'a dyn Fn(Progress),
}

impl<'a> Options<'a> {
    /// JSON lines, written down, with claims among them, and nobody told how far it is.
    pub fn new(evidence: &'a Evidence, received_at: Timestamp) -> Self {
        Self {
            format: Format::Lines,
            evidence,
            require_proof: false,
            dry_run: false,
            received_at,
            progress: &|_| {},
        }
    }
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many rows are checked.
    Checked(u64),
    /// Of so many records, so many are written.
    Written {
        /// How many are done.
        done: u64,
        /// Of how many.
        of: u64,
    },
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
    /// The first line of a table does not fit; nothing was written. Whoever wrote file or mapping is to blame.
    #[error("nothing was imported: {0}")]
    Header(RowError),
    /// The file could not be read.
    #[error("reading the import: {0}")]
    Read(#[from] io::Error),
    /// The file was not the same at a later reading; what is written before this is written, run it again.
    #[error("the file changed while it was imported; import it again")]
    Changed,
    /// The register did not take it; batches before this are written, run it again.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

fn faults(rows: &[RowError], total: u64) -> String {
    let mut text = format!("nothing was imported, {total} rows are wrong:");
    for row in rows {
        text.push_str(&format!("\n  {row}"));
    }
    let more = total.saturating_sub(rows.len() as u64);
    if more > 0 {
        text.push_str(&format!("\n  ... and {more} more"));
    }
    text
}

impl Register {
    /// Imports a list. Blocks; the reader is read from its beginning five times.
    ///
    /// # Errors
    /// When a row is wrong (then nothing was written), or reading or writing fails.
    pub fn import(
        &self,
        reader: &mut (impl Read + Seek),
        options: &Options<'_>,
    ) -> Result<ImportReport, ImportError> {
        let content = hash(reader)?;
        let mut report = check(reader, options)?;
        report.id = import_id(&content, options);
        report.dry_run = options.dry_run;
        self.write_import(reader, options, &mut report)?;
        // Rows that were not there when the file was checked would bear the name of one they were not in.
        if hash(reader)? != content {
            return Err(ImportError::Changed);
        }
        Ok(report)
    }
}

/// Reads the whole file, counts, and finds every fault before anything is written.
fn check(
    reader: &mut (impl Read + Seek),
    options: &Options<'_>,
) -> Result<ImportReport, ImportError> {
    let mut report = ImportReport::default();
    let mut faulty = Vec::new();
    let mut total = 0;
    let mut contents = Contents::default();
    let mut rows = Rows::of(reader, options.format, options.evidence)?;
    while let Some((line, judged)) = rows.next_row()? {
        match judged.and_then(|judged| demand(judged, options)) {
            Ok(judged) => {
                report.count(&judged, options.received_at);
                for restrictions in [true, false] {
                    for row in judged.rows(restrictions) {
                        report.duplicates += u64::from(!contents.add(&row));
                    }
                }
            }
            Err(problem) => {
                report.rows += 1;
                total += 1;
                if faulty.len() < ROWS_NAMED_MAX {
                    faulty.push(RowError { line, problem });
                }
            }
        }
        if report.rows % 1_000 == 0 {
            (options.progress)(Progress::Checked(report.rows));
        }
    }
    report.unread_columns = rows.unread_columns();
    if total > 0 {
        return Err(ImportError::Rows {
            rows: faulty,
            total,
        });
    }
    Ok(report)
}

/// What `--require-proof` demands of every grant.
fn demand(judged: Judged, options: &Options<'_>) -> Result<Judged, String> {
    let Some((assertion, worth)) = &judged.change else {
        return Ok(judged);
    };
    if !options.require_proof || assertion.kind != ChangeKind::Granted {
        return Ok(judged);
    }
    if let Worth::Claim(reason) = worth {
        return Err(format!("no proof, {reason}"));
    }
    match assertion.ahead_of(options.received_at) {
        Some(refusal) => Err(refusal.to_string()),
        None => Ok(judged),
    }
}

fn hash(reader: &mut (impl Read + Seek)) -> io::Result<Vec<u8>> {
    reader.rewind()?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(context.finish().as_ref().to_vec()),
            read => context.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// 32 hex digits: of the file, of everything its evidence consists of, and of how it is read.
fn import_id(content: &[u8], options: &Options<'_>) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"pixelgate import 1\0");
    context.update(match options.format {
        Format::Lines => b"l",
        Format::Table => b"t",
    });
    context.update(content);
    context.update(options.evidence.digest());
    hex(context.finish().as_ref().iter().take(16))
}

#[cfg(test)]
mod tests;
