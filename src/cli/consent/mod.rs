//! `pixelgate consent`: the register from the command line. What it writes is obeyed by the next message of a running relay.
//!
//! Addresses are read from the operator and shown to the operator's terminal only; nothing here logs.

mod import;
mod set;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;

use super::serve::read;
use super::{Exit, Failure, Whom, say};
use crate::consent::Standing;
use crate::consent::record::check_address;
use crate::register::keys::Keys;
use crate::register::{Register, RegisterError};

/// `pixelgate consent`.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum Command {
    /// Take records from a file of JSON lines
    Import(import::Import),
    /// Record one change
    Set(set::Set),
    /// Say where one person stands
    Get(Whom),
    /// Show everything recorded of one person
    History(Whom),
}

pub(in crate::cli) fn run(config: Option<PathBuf>, command: Command) -> Result<(), Failure> {
    let config = read(config)?;
    let unavailable = |error: &dyn std::fmt::Display| Failure::new(Exit::Unavailable, error);
    let keys = Keys::open(&config.file.keys.directory).map_err(|error| unavailable(&error))?;
    let register = Register::open(&config.file.consent, Arc::new(keys)).map_err(failure)?;
    match command {
        Command::Import(import) => import::run(&register, &import),
        Command::Set(set) => set::run(&register, &set),
        Command::Get(whom) => {
            address(&whom)?;
            say(&standing(
                &register
                    .get(&whom.controller, &whom.address)
                    .map_err(failure)?,
            ))
        }
        Command::History(whom) => {
            address(&whom)?;
            let history = register
                .history(&whom.controller, &whom.address)
                .map_err(failure)?;
            let text =
                serde_json::to_string_pretty(&history).map_err(|error| unavailable(&error))?;
            say(&format!("{text}\n"))
        }
    }
}

/// What is no address has a subject too, of whom nothing is ever recorded: an answer about it would mislead.
fn address(whom: &Whom) -> Result<(), Failure> {
    check_address(&whom.address).map_err(|problem| failure(problem.into()))
}

/// Where a person stands, line by line.
fn standing(standing: &Standing) -> String {
    let mut text = String::new();
    for (purpose, entry) in standing.entries() {
        let _ = writeln!(
            text,
            "{purpose}: {} since {} (record {})",
            entry.state, entry.at, entry.proof
        );
    }
    for purpose in standing.claims() {
        let _ = writeln!(text, "{purpose}: claimed without proof");
    }
    if text.is_empty() {
        text.push_str("nothing is recorded: every tracker is stripped\n");
    }
    text
}

/// What a register's error means for the exit code, in every command that opens one.
pub(in crate::cli) fn failure(error: RegisterError) -> Failure {
    let exit = match &error {
        RegisterError::Setting { .. }
        | RegisterError::OtherKey { .. }
        | RegisterError::MissingKey { .. } => Exit::Config,
        RegisterError::Refused(_) | RegisterError::Address(_) => Exit::Data,
        error if error.is_transient() => Exit::Again,
        _ => Exit::Unavailable,
    };
    Failure::new(exit, error)
}
