//! `pixelgate consent set`: one change, said by the operator.
//!
//! It must never guess a moment for a grant. What cannot be a record names the option that is wrong.

use clap::Args;
use jiff::Timestamp;

use super::{failure, standing};
use crate::cli::{Exit, Failure, Whom, say};
use crate::consent::record::Assertion;
use crate::consent::{ChangeKind, Form, Purpose};
use crate::register::{Recorded, Register, Row, RowEntry};

/// `pixelgate consent set`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Set {
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

pub(super) fn run(register: &Register, set: &Set) -> Result<(), Failure> {
    let data = |what: String| Failure::new(Exit::Usage, what);
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
    let (at, now) = when(register, set, kind)?;
    let wording_sha256 = set
        .wording_sha256
        .as_deref()
        .map(|hex| {
            digest(hex).ok_or_else(|| data("--wording-sha256: not 64 hex digits".to_owned()))
        })
        .transpose()?;
    let assertion = Assertion {
        purposes,
        at,
        form: Form {
            channel: set.channel.clone(),
            wording_version: set.wording_version.clone(),
            wording_sha256,
            ..Form::default()
        },
        ..Assertion::new(kind)
    };
    let missing = (kind == ChangeKind::Granted)
        .then(|| assertion.missing_for_proof())
        .flatten();
    let row = Row {
        controller: set.whom.controller.clone(),
        address: set.whom.address.clone(),
        entry: RowEntry::Change(assertion),
    };
    let text = match (register.record(&row, now).map_err(failure)?, missing) {
        (Recorded::AlreadyThere, _) => "this was recorded already\n".to_owned(),
        (Recorded::Erased, _) => {
            "the person is erased, and this is no newer: nothing was recorded\n".to_owned()
        }
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

/// When it happened, and when it is received.
fn when(
    register: &Register,
    set: &Set,
    kind: ChangeKind,
) -> Result<(Option<Timestamp>, Timestamp), Failure> {
    let now = Timestamp::now();
    match set.at.as_deref() {
        Some(at) => match at.parse() {
            Ok(at) => Ok((Some(at), now)),
            Err(error) => Err(Failure::new(Exit::Usage, format_args!("--at: {error}"))),
        },
        None if kind == ChangeKind::Granted => Ok((None, now)),
        // The same content is the same record: a restriction without its moment, said again after a newer grant, would
        // change nothing. So what is said here happened now.
        None => {
            let now = super::after_all_else(register, &set.whom, now)?;
            Ok((Some(now), now))
        }
    }
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
