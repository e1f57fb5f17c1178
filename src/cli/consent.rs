//! `pixelgate consent`: the register from the command line. What it writes is obeyed by the next message of a running relay.
//!
//! Addresses are read from the operator and shown to the operator's terminal only; nothing here logs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::serve::read;
use super::{Exit, Failure, Whom, say};
use crate::consent::record::{Assertion, check_address};
use crate::consent::{ChangeKind, Purpose, Standing};
use crate::register::import::{ImportError, Options};
use crate::register::keys::Keys;
use crate::register::{Recorded, Register, RegisterError, Row};

/// `pixelgate consent`.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Take records from a file of JSON lines
    Import(Import),
    /// Record one change
    Set(Set),
    /// Say where one person stands
    Get(Whom),
    /// Show everything recorded of one person
    History(Whom),
}

/// `pixelgate consent import`.
#[derive(Debug, Clone, Args)]
pub(super) struct Import {
    /// Refuse the whole file when a grant in it has no proof
    #[arg(long)]
    require_proof: bool,
    /// The file
    file: PathBuf,
}

/// `pixelgate consent set`.
#[derive(Debug, Clone, Args)]
pub(super) struct Set {
    #[command(flatten)]
    whom: Whom,
    /// granted, refused, withdrawn, objected or erased
    #[arg(long)]
    state: String,
    /// What it concerns, separated by commas; a restriction without it concerns every purpose
    #[arg(long, value_delimiter = ',')]
    purposes: Vec<String>,
    /// When the person did it, e.g. 2026-05-02T09:14:00Z [default: now, for a restriction]
    #[arg(long)]
    at: Option<String>,
    /// How the person said it, e.g. form, phone, mail_link
    #[arg(long)]
    channel: Option<String>,
    /// Version of the words the person saw
    #[arg(long)]
    wording_version: Option<String>,
    /// SHA-256 of those words, hex
    #[arg(long)]
    wording_sha256: Option<String>,
}

pub(super) fn run(config: Option<PathBuf>, command: Command) -> Result<(), Failure> {
    let config = read(config)?;
    let unavailable = |error: &dyn std::fmt::Display| Failure::new(Exit::Unavailable, error);
    let keys = Keys::open(&config.file.keys.directory).map_err(|error| unavailable(&error))?;
    let register = Register::open(&config.file.consent, Arc::new(keys)).map_err(failure)?;
    match command {
        Command::Import(import) => self::import(&register, &import),
        Command::Set(set) => self::set(&register, &set),
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

fn import(register: &Register, import: &Import) -> Result<(), Failure> {
    let file = std::fs::File::open(&import.file).map_err(|error| {
        Failure::new(
            Exit::Data,
            format_args!("{}: {error}", import.file.display()),
        )
    })?;
    let options = Options {
        require_proof: import.require_proof,
        received_at: Timestamp::now(),
    };
    let report = register
        .import(&mut std::io::BufReader::new(file), &options)
        .map_err(|error| match error {
            ImportError::Register(error) => failure(error),
            other => Failure::new(
                Exit::Data,
                format_args!("{}: {other}", import.file.display()),
            ),
        })?;
    let mut text = format!(
        "{} rows: {} grants with proof, {} claims without (they permit nothing), {} restrictions; {} recorded, {} were there already, {} refused\n",
        report.rows,
        report.grants,
        report.claims,
        report.restrictions,
        report.recorded,
        report.already_there,
        report.refused
    );
    for row in &report.refused_rows {
        let _ = writeln!(text, "  {row}");
    }
    say(&text)?;
    if report.refused > 0 {
        Err(Failure::new(
            Exit::Data,
            format_args!("{} rows were refused", report.refused),
        ))
    } else {
        Ok(())
    }
}

fn set(register: &Register, set: &Set) -> Result<(), Failure> {
    let data = |what: String| Failure::new(Exit::Usage, what);
    let now = Timestamp::now();
    let kind: ChangeKind = set
        .state
        .parse()
        .map_err(|error| data(format!("--state: {error}")))?;
    let purposes = set
        .purposes
        .iter()
        .map(|word| {
            word.parse::<Purpose>()
                .map_err(|error| data(format!("--purposes: {error}")))
        })
        .collect::<Result<_, _>>()?;
    let at = set
        .at
        .as_deref()
        .map(|at| {
            at.parse::<Timestamp>()
                .map_err(|error| data(format!("--at: {error}")))
        })
        .transpose()?;
    // The same content is the same record: a restriction without its moment, said again after a newer grant, would change
    // nothing. So what is said here happened now.
    let at = at.or((kind != ChangeKind::Granted).then_some(now));
    let wording_sha256 = set
        .wording_sha256
        .as_deref()
        .map(|hex| {
            digest(hex).ok_or_else(|| data("--wording-sha256: not 64 hex digits".to_owned()))
        })
        .transpose()?;
    let assertion = Assertion {
        kind,
        purposes,
        at,
        channel: set.channel.clone(),
        wording_version: set.wording_version.clone(),
        wording_sha256,
    };
    let missing = (kind == ChangeKind::Granted)
        .then(|| assertion.missing_for_proof())
        .flatten();
    let row = Row {
        controller: set.whom.controller.clone(),
        address: set.whom.address.clone(),
        assertion,
    };
    let text = match (register.record(&row, now).map_err(failure)?, missing) {
        (Recorded::AlreadyThere, _) => "this was recorded already\n".to_owned(),
        (_, Some(missing)) => {
            format!("recorded as a claim, which permits nothing: {missing} is missing\n")
        }
        (_, None) => "recorded\n".to_owned(),
    };
    say(&text)?;
    say(&standing(
        &register
            .get(&set.whom.controller, &set.whom.address)
            .map_err(failure)?,
    ))
}

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

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (octet, pair) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

/// What a register's error means for the exit code, in every command that opens one.
pub(super) fn failure(error: RegisterError) -> Failure {
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
