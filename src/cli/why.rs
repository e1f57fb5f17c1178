//! `pixelgate why`: what was done with the trackers in mail to one person, on which basis, with the proof (D21).
//!
//! Joins what the ledgers say with what the register says, for one address under every generation of the look-up key.
//! Nobody else's subject, address or record is ever shown. What is not found is said together with where it was looked for.

mod messages;
mod person;
mod proof;
mod sheet;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use jiff::{Span, Timestamp};
use serde::Serialize;

use super::consent::failure;
use super::report::{check_days, distinct, said_as_json};
use super::serve::read;
use super::{Exit, Failure, say};
use crate::config::Config;
use crate::consent::record::{check_address, check_controller};
use crate::ledger::read::{Body, Ledgers};
use crate::pixel::Rules;
use crate::register::{Keys, Register};
use crate::relay::speaks::Speaks;
use crate::relay::streams::Streams;
use messages::{Message, Wanted};
use person::Person;

/// The controller of mail whose controller was not clear.
const UNASSIGNED: &str = "unassigned";
/// Most messages that are shown.
const MESSAGES_MAX: usize = 20;
/// How many days before and after a day are read to find the other attempts at its messages: as long as mail is owed.
const ATTEMPTS_DAYS: i64 = 7;
/// Most controllers that are taken from ledgers where configuration and register lead to nothing.
const CONTROLLERS_MAX: usize = 1_000;

/// `pixelgate why`.
#[derive(Debug, Clone, Args)]
pub(super) struct Why {
    /// The e-mail address
    #[arg(long = "to", value_name = "ADDRESS")]
    address: String,
    /// In whose name the mail was sent [default: every controller that configuration or register name]
    #[arg(long)]
    controller: Option<String>,
    /// Only messages decided on this day (UTC), e.g. 2026-11-22
    #[arg(long, value_name = "DAY")]
    day: Option<Date>,
    /// Only the message with this Message-ID, with or without its angle brackets
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
    /// A ledger's directory; may be given several times [default: the configured one]
    #[arg(long = "ledger", value_name = "DIR")]
    ledgers: Vec<PathBuf>,
    /// Open what is kept sealed of a person who was erased
    #[arg(long)]
    erased: bool,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Everything that is shown.
#[derive(Debug, Serialize)]
struct Told {
    v: u32,
    searched: Searched,
    /// The newest first.
    messages: Vec<Message>,
    /// How many more there are.
    more: usize,
    /// What the register says, one for each controller that was asked about.
    people: Vec<Person>,
}

/// Where it was looked for.
#[derive(Debug, Serialize)]
struct Searched {
    ledgers: Vec<String>,
    first_day: Option<Date>,
    last_day: Option<Date>,
    controllers: Vec<String>,
    day: Option<Date>,
    message_id: bool,
    /// Whether messages may name controllers that stand nowhere else.
    named_by_messages: bool,
    /// What slowed it down.
    remarks: Vec<String>,
}

pub(super) fn run(config: Option<PathBuf>, why: &Why) -> Result<(), Failure> {
    check(why)?;
    let config = read(config)?;
    let keys = Keys::open(&config.file.keys.directory)
        .map_err(|error| Failure::new(Exit::Unavailable, error))?;
    let register = Register::open(&config.file.consent, keys.into()).map_err(failure)?;
    let told = why.told(&config, &register)?;
    match why.format {
        Format::Json => said_as_json(
            &serde_json::to_value(&told).map_err(|error| Failure::new(Exit::Unavailable, error))?,
        ),
        Format::Text => say(&sheet::told(&why.address, &told)),
    }
}

fn check(why: &Why) -> Result<(), Failure> {
    check_address(&why.address)
        .map_err(|problem| Failure::new(Exit::Data, format_args!("--to: {problem}")))?;
    if let Some(controller) = &why.controller {
        check_controller(controller)
            .map_err(|problem| Failure::new(Exit::Data, format_args!("--controller: {problem}")))?;
    }
    match &why.message_id {
        Some(id) if bare(id).is_empty() => Err(Failure::new(Exit::Data, "--message-id is empty")),
        _ => check_days(why.day, why.day),
    }
}

impl Why {
    fn told(&self, config: &Config, register: &Register) -> Result<Told, Failure> {
        let directories = match self.ledgers.is_empty() {
            true => vec![config.file.ledger.directory.clone()],
            false => distinct(&self.ledgers),
        };
        let mut ledgers = Vec::new();
        for directory in &directories {
            let ledger = Ledgers::open(std::slice::from_ref(directory))?;
            ledgers.push((directory.as_path(), ledger));
        }
        let mut controllers = self.controllers(config, register)?;
        let (mut messages, mut people) = self.asked(register, &ledgers, &controllers)?;
        if messages.is_empty() && self.controller.is_none() {
            let known: BTreeSet<&String> = controllers.iter().collect();
            let others: Vec<String> = named(&ledgers, self.from(), self.to())?
                .into_iter()
                .filter(|name| !known.contains(name))
                .collect();
            let (more, others_people) = self.asked(register, &ledgers, &others)?;
            messages = more;
            people.extend(others_people);
            controllers.extend(others);
        }
        messages.sort_by_key(|message| std::cmp::Reverse(message.last_decided_at()));
        let more = messages.len().saturating_sub(MESSAGES_MAX);
        messages.truncate(MESSAGES_MAX);
        for person in &mut people {
            person.keep_mentioned(&messages);
        }
        let days: BTreeSet<Date> = ledgers
            .iter()
            .flat_map(|(_, ledger)| ledger.days())
            .collect();
        let searched = Searched {
            ledgers: directories
                .iter()
                .map(|directory| directory.display().to_string())
                .collect(),
            first_day: days.first().copied(),
            last_day: days.last().copied(),
            controllers,
            day: self.day,
            message_id: self.message_id.is_some(),
            named_by_messages: self.controller.is_none() && names_its_own(config),
            remarks: ledgers
                .iter()
                .flat_map(|(_, ledger)| ledger.remarks())
                .collect(),
        };
        Ok(Told {
            v: 1,
            searched,
            messages,
            more,
            people,
        })
    }

    /// Whose mail it may have been. Ledgers are not asked first: to read all their lines for names takes minutes where
    /// there are millions, and mail of a controller whom nobody configured has no tracker in it that was kept.
    fn controllers(&self, config: &Config, register: &Register) -> Result<Vec<String>, Failure> {
        if let Some(controller) = &self.controller {
            return Ok(vec![controller.clone()]);
        }
        let streams = Streams::new(config.file.streams.clone(), []);
        let mut controllers: BTreeSet<String> = streams
            .all()
            .iter()
            .filter_map(|stream| stream.controller.clone())
            .collect();
        controllers.insert(UNASSIGNED.to_owned());
        for listener in &config.file.listeners {
            if let Speaks::Listed(names) = &listener.controllers {
                controllers.extend(names.iter().cloned());
            }
        }
        let stated = config.file.controllers.iter();
        controllers.extend(stated.map(|controller| controller.name.clone()));
        let heads = register.heads().map_err(failure)?;
        controllers.extend(heads.into_iter().map(|head| head.controller));
        Ok(controllers.into_iter().collect())
    }

    fn asked(
        &self,
        register: &Register,
        ledgers: &[(&Path, Ledgers)],
        controllers: &[String],
    ) -> Result<(Vec<Message>, Vec<Person>), Failure> {
        let rules = Rules::built_in();
        let keys = register.keys();
        let mut messages = Vec::new();
        let mut people = Vec::new();
        for controller in controllers {
            let identity = keys.identity(controller, &self.address);
            let subjects: Vec<String> = identity.all().iter().map(ToString::to_string).collect();
            let person =
                Person::of(register, controller, &self.address, self.erased).map_err(failure)?;
            let wanted = Wanted {
                controller,
                subjects: &subjects,
                day: self.day,
                message_ids: self.message_id.as_deref().map(|id| hashes(&keys, id)),
                rules,
            };
            for (_, ledger) in ledgers {
                let lines = ledger.of_subjects(&subjects, self.from(), self.to())?;
                messages.extend(messages::told(lines, &wanted, &person));
            }
            people.push(person);
        }
        Ok((messages, people))
    }

    fn from(&self) -> Option<Date> {
        self.day
            .map(|day| day.saturating_sub(Span::new().days(ATTEMPTS_DAYS)))
    }

    fn to(&self) -> Option<Date> {
        self.day
            .map(|day| day.saturating_add(Span::new().days(ATTEMPTS_DAYS)))
    }
}

/// The keyed hashes that a Message-ID may stand under: the relay hashes the field as it was written, nearly always in
/// angle brackets.
fn hashes(keys: &Keys, id: &str) -> Vec<String> {
    let bare = bare(id);
    [format!("<{bare}>"), bare]
        .iter()
        .map(|id| keys.ledger_hash("message-id", id.as_bytes()))
        .collect()
}

/// A Message-ID without brackets and without what a mail program or a copy from one adds around it.
fn bare(id: &str) -> String {
    let id: String = id.chars().filter(|c| !c.is_whitespace()).collect();
    let id = id.strip_prefix('<').unwrap_or(&id);
    id.strip_suffix('>').unwrap_or(id).to_owned()
}

/// The controllers that intents name.
fn named(
    ledgers: &[(&Path, Ledgers)],
    from: Option<Date>,
    to: Option<Date>,
) -> Result<BTreeSet<String>, Failure> {
    let mut names = BTreeSet::new();
    for (_, ledger) in ledgers {
        for line in ledger.lines(from, to) {
            if let Body::Intent(intent) = line?.body
                && names.len() < CONTROLLERS_MAX
            {
                names.insert(intent.controller);
            }
        }
    }
    Ok(names)
}

/// Whether a listener takes the controller from the message.
fn names_its_own(config: &Config) -> bool {
    let listeners = config.file.listeners.iter();
    listeners
        .into_iter()
        .any(|listener| listener.controllers == Speaks::Named)
}

/// A moment as people read it.
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_found_however_it_was_copied() {
        for id in ["a@x", "<a@x>", " <a@x> ", "<a\r\n @x>", "a@x>"] {
            assert_eq!(bare(id), "a@x");
        }
        assert_eq!(bare("<>"), "");
    }
}
