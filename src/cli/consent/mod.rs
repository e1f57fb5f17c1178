//! `pixelgate consent`: the register from the command line. What it writes is obeyed by the next message of a running relay.
//!
//! Addresses are read from the operator and shown to the operator's terminal only; nothing here logs.

mod diff;
mod erase;
mod expire;
mod export;
mod import;
mod list;
mod set;
mod verify;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use jiff::Timestamp;

use super::serve::read;
use super::{Exit, Failure, Whom, say};
use crate::consent::record::check_address;
use crate::consent::{Law, Standing, next_ask_after};
use crate::register::keys::Keys;
use crate::register::{Register, RegisterError};

/// `pixelgate consent`.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum Command {
    /// Take records from a list: JSON lines, or a table with a mapping
    Import(import::Import),
    /// Compare a list with the register; exit code 65 when they differ
    Diff(diff::Diff),
    /// Write everybody, or one person, with every record and its proof
    Export(export::Export),
    /// Record one change
    Set(Box<set::Set>),
    /// Say where one person stands
    Get(Whom),
    /// Show everything recorded of one person
    History(Whom),
    /// Recompute every chain and every state, and compare; exit code 65 when something was changed
    Verify(verify::Verify),
    /// Erase one person: what stays is a tombstone that no older record revives
    Erase(erase::Erase),
    /// End what is past its period in [retention]
    Expire(expire::Expire),
}

pub(in crate::cli) fn run(config: Option<PathBuf>, command: Command) -> Result<(), Failure> {
    let config = read(config)?;
    let unavailable = |error: &dyn std::fmt::Display| Failure::new(Exit::Unavailable, error);
    // A register that is gone is not verified by making an empty one.
    if matches!(command, Command::Verify(_)) && !config.file.consent.is_there().map_err(failure)? {
        let what =
            format_args!("{}: there is no register", config.file.consent.register).to_string();
        return Err(Failure::new(Exit::Data, what));
    }
    let keys = Keys::open(&config.file.keys.directory).map_err(|error| unavailable(&error))?;
    let register = Register::open(&config.file.consent, Arc::new(keys)).map_err(failure)?;
    match command {
        Command::Import(import) => import::run(&register, &import),
        Command::Diff(diff) => diff::run(&register, &diff),
        Command::Export(export) => export::run(&register, &export),
        Command::Set(set) => set::run(&register, &set),
        Command::Get(whom) => {
            address(&whom)?;
            let standing = register
                .get(&whom.controller, &whom.address)
                .map_err(failure)?;
            let lawbook = config.file.lawbook();
            let lawbook = lawbook.map_err(|what| Failure::new(Exit::Config, what))?;
            let law = lawbook.law(&whom.controller, Timestamp::now());
            say(&shown(&standing, &law))
        }
        Command::Verify(verify) => verify::run(&register, &verify),
        Command::Erase(erase) => erase::run(&register, &erase),
        Command::Expire(expire) => expire::run(&register, &config.file.retention, &expire),
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

/// Now, or the latest moment that counts for the person where this machine's clock is behind it: by a clock that was set back
/// a no would be older than the yes that it takes back, and change nothing.
fn after_all_else(register: &Register, whom: &Whom, now: Timestamp) -> Result<Timestamp, Failure> {
    address(whom)?;
    let standing = register
        .get(&whom.controller, &whom.address)
        .map_err(failure)?;
    let latest = standing.entries().map(|(_, entry)| entry.at).max();
    let latest = latest.filter(|latest| *latest > now);
    if let Some(latest) = latest {
        say(&format!(
            "the clock of this machine is behind what is recorded of the person: counted from {latest}\n"
        ))?;
    }
    Ok(latest.unwrap_or(now))
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
    if text.is_empty() && standing.contact.is_empty() {
        text.push_str("nothing is recorded: every tracker is stripped\n");
    } else if text.is_empty() {
        text.push_str(
            "nothing is recorded of what the person wants: stripped, where no legacy rule holds\n",
        );
    }
    text
}

/// The same with what is known of the address and when the person may be asked again.
fn shown(standing: &Standing, law: &Law<'_>) -> String {
    let mut text = self::standing(standing);
    let facts = &standing.contact;
    if let Some((at, record)) = &facts.collected {
        let _ = writeln!(text, "collected {at} (record {record})");
    }
    for informed in &facts.informed {
        let purposes: Vec<&str> = informed.purposes.iter().map(|word| word.as_str()).collect();
        let (at, record) = (informed.at, informed.record);
        let _ = writeln!(
            text,
            "informed {at} of {} (record {record})",
            purposes.join(", ")
        );
    }
    for country in &facts.countries {
        let _ = writeln!(text, "country {country}");
    }
    if let Some(kind) = facts.address_kind {
        let _ = writeln!(text, "address of kind {kind}");
    }
    if let Some(at) = next_ask_after(standing, law) {
        let _ = writeln!(text, "may be asked again after {at}");
    }
    text
}

/// What a register's error means for the exit code, in every command that opens one.
pub(in crate::cli) fn failure(error: RegisterError) -> Failure {
    let exit = match &error {
        RegisterError::Setting { .. }
        | RegisterError::Retention { .. }
        | RegisterError::OtherKey { .. }
        | RegisterError::MissingKey { .. } => Exit::Config,
        RegisterError::Refused(_)
        | RegisterError::Address(_)
        | RegisterError::Unverified { .. } => Exit::Data,
        error if error.is_transient() => Exit::Again,
        _ => Exit::Unavailable,
    };
    Failure::new(exit, error)
}
