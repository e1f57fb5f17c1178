//! `pixelgate ledger`: what the ledger can show.
//!
//! Reads only: it takes no lock and never writes, so that it can run beside a live relay or on a copy.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Failure, extract, report};

/// `pixelgate ledger`.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// What was done, and what would have been done, by stream and day
    Report(report::Report),
    /// Extract for the register of processing activities (GDPR art. 30)
    RegisterExtract(extract::Extract),
}

pub(super) fn run(config: Option<PathBuf>, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Report(report) => report::run(config, report),
        Command::RegisterExtract(extract) => extract::run(config, extract),
    }
}
