//! `pixelgate ledger`: what was recorded, checked and handed out.
//!
//! Reads only and takes no lock: it runs beside a live relay, or on a copy without any configuration. What does not hold
//! together ends with 65 and names file and line; what cannot be read ends with 69.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::civil::Date;

use super::serve::read;
use super::{Exit, Failure, extract, report, say};
use crate::ledger::read::Ledgers;
use crate::ledger::{AuditHead, LedgerError, Verified, VerifyError, verify_against};

/// `pixelgate ledger`.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Check that every line hangs on the one before it
    Verify(Verify),
    /// Write every line to standard output, as it stands there
    Export(Export),
    /// What was done, and what would have been done, by stream and day
    Report(report::Report),
    /// Extract for the register of processing activities (GDPR art. 30)
    RegisterExtract(extract::Extract),
}

/// Whose lines.
#[derive(Debug, Clone, Args)]
pub(super) struct Directories {
    /// Directory of a ledger; may be given for each of several nodes [default: the configured one]
    #[arg(long = "ledger", value_name = "DIR")]
    directories: Vec<PathBuf>,
}

/// `pixelgate ledger verify`.
#[derive(Debug, Clone, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    of: Directories,
    /// A line that you wrote down earlier, its number and hash: it must still be there; may be given several times
    #[arg(long = "head", value_name = "SEQ:HEX")]
    heads: Vec<AuditHead>,
}

/// `pixelgate ledger export`.
#[derive(Debug, Clone, Args)]
pub(super) struct Export {
    #[command(flatten)]
    of: Directories,
    /// The first day, UTC, e.g. 2026-05-02
    #[arg(long, value_name = "DAY")]
    from: Option<Date>,
    /// The last day, UTC
    #[arg(long, value_name = "DAY")]
    to: Option<Date>,
}

pub(super) fn run(config: Option<PathBuf>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Verify(verify) => {
            let directories = verify.of.directories(config)?;
            self::verify(&directories, &verify.heads)
        }
        Command::Export(export) => {
            let directories = export.of.directories(config)?;
            self::export(&directories, export.from, export.to)
        }
        Command::Report(report) => report::run(config, &report),
        Command::RegisterExtract(extract) => extract::run(config, &extract),
    }
}

impl Directories {
    /// Those that were named; where none was, the configured one.
    pub(super) fn directories(self, config: Option<PathBuf>) -> Result<Vec<PathBuf>, Failure> {
        match self.directories.is_empty() {
            true => Ok(vec![read(config)?.file.ledger.directory]),
            false => Ok(self.directories),
        }
    }
}

/// Every directory is checked, also after one that does not hold.
fn verify(directories: &[PathBuf], heads: &[AuditHead]) -> Result<(), Failure> {
    if directories.len() > 1 && !heads.is_empty() {
        // Every ledger counts from 1: a number alone does not say whose.
        let message = "--head goes with one --ledger";
        return Err(Failure::new(Exit::Usage, message));
    }
    let mut failures: Vec<Failure> = Vec::new();
    for directory in directories {
        let shown = directory.display();
        match verify_against(directory, heads) {
            Ok(verified) if verified.files + verified.dropped == 0 => {
                let message = format!("{shown}: there is no ledger");
                failures.push(Failure::new(Exit::Data, message));
            }
            Ok(verified) => say(&format!("{shown}: {}", told(&verified)))?,
            Err(error) => {
                let exit = verify_exit(&error);
                failures.push(Failure::new(exit, format_args!("{shown}: {error}")));
            }
        }
    }
    let messages: Vec<&str> = failures
        .iter()
        .map(|failure| failure.message.as_str())
        .collect();
    let message = messages.join("\npixelgate: ");
    let broken = failures.iter().find(|failure| failure.exit == Exit::Data);
    match broken.or(failures.first()) {
        Some(failure) => Err(Failure::new(failure.exit, message)),
        None => Ok(()),
    }
}

fn told(verified: &Verified) -> String {
    let mut text = format!(
        "whole: {} lines in {} files ({} intents, {} outcomes, {} gaps)\n",
        verified.lines, verified.files, verified.intents, verified.outcomes, verified.gaps
    );
    if verified.dropped > 0 {
        text.push_str(&format!(
            "  {} files were dropped by age; the chain joins by the heads that were kept\n",
            verified.dropped
        ));
    }
    if verified.unfinished_octets > 0 {
        text.push_str(&format!(
            "  {} octets at the end are no whole line: one is being written, or a crash tore it\n",
            verified.unfinished_octets
        ));
    }
    text.push_str(&format!(
        "  head {}:{}\n",
        verified.head_seq, verified.head_hash
    ));
    text
}

fn verify_exit(error: &VerifyError) -> Exit {
    match error {
        VerifyError::Ledger(error) => exit(error),
        _ => Exit::Data,
    }
}

/// What is damaged is bad data; everything else is not there.
fn exit(error: &LedgerError) -> Exit {
    match error {
        LedgerError::Damaged { .. } => Exit::Data,
        _ => Exit::Unavailable,
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::new(exit(&error), error)
    }
}

fn export(directories: &[PathBuf], from: Option<Date>, to: Option<Date>) -> Result<(), Failure> {
    let ledgers = Ledgers::open(directories)?;
    let output = |error| Failure::new(Exit::Unavailable, format_args!("standard output: {error}"));
    let mut out = BufWriter::new(std::io::stdout().lock());
    ledgers.each_raw(from, to, |line| {
        let written = out.write_all(line).and_then(|()| out.write_all(b"\n"));
        written.map_err(output)
    })?;
    out.flush().map_err(output)
}
