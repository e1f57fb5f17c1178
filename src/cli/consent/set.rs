//! `pixelgate consent set`: one change, said by the operator.
//!
//! It must never guess a moment for a grant. What cannot be a record names the option that is wrong.

use clap::Args;
use jiff::Timestamp;

use super::{failure, standing};
use crate::cli::{Exit, Failure, Whom, say};
use crate::consent::record::Assertion;
use crate::consent::{ChangeKind, Form, Purpose, hex};
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
    /// Who collected it
    #[arg(long)]
    collector: Option<String>,
    /// Language of the words, e.g. fr
    #[arg(long)]
    language: Option<String>,
    /// What the person did to say yes
    #[arg(long)]
    affirmative_act: Option<String>,
    /// Version of the privacy notice
    #[arg(long)]
    notice: Option<String>,
    /// Version of the list of partners that was shown
    #[arg(long)]
    controller_list: Option<String>,
    /// One name on that list; once for each
    #[arg(long = "controller-shown", value_name = "NAME")]
    controllers_shown: Vec<String>,
    /// SHA-256 of a picture or of the code of the form, hex
    #[arg(long)]
    evidence_sha256: Option<String>,
    /// pixel_only or combined_personalised
    #[arg(long)]
    scope: Option<String>,
}

impl Set {
    fn form(&self) -> Result<Form, Failure> {
        let usage = |what: String| Failure::new(Exit::Usage, what);
        let digest = |option: &str, digits: &Option<String>| {
            let read = |digits: &String| {
                hex::read(digits).ok_or_else(|| usage(format!("--{option}: not 64 hex digits")))
            };
            digits.as_ref().map(read).transpose()
        };
        let scope = self.scope.as_deref().map(str::parse).transpose();
        Ok(Form {
            channel: self.channel.clone(),
            collector: self.collector.clone(),
            wording_version: self.wording_version.clone(),
            wording_sha256: digest("wording-sha256", &self.wording_sha256)?,
            language: self.language.clone(),
            affirmative_act: self.affirmative_act.clone(),
            notice: self.notice.clone(),
            controller_list: self.controller_list.clone(),
            controllers_shown: self.controllers_shown.iter().cloned().collect(),
            evidence_sha256: digest("evidence-sha256", &self.evidence_sha256)?,
            scope: scope.map_err(|error| usage(format!("--scope: {error}")))?,
        })
    }
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
    let assertion = Assertion {
        purposes,
        at,
        form: set.form()?,
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
