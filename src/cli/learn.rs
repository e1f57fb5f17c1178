//! `pixelgate learn`: what many messages together say of loads, shown, carried elsewhere, put in place.
//!
//! The table holds no host, no URL and no address, so none can be shown of it; what it says of one message's loads is shown beside
//! them. Looking and carrying read what the relay last wrote and take no lock; putting a table in place needs the relay to be down.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::serve::read;
use super::{Exit, Failure, say, strip};
use crate::config::File;
use crate::learn::{Answer, Figures, LearnError, Learning, SlotFigures, SlotName};
use crate::pixel::Rules;
use crate::relay::recall::day;
use crate::relay::streams::{Assignment, Connection};
use crate::relay::survey::{Lens, header, survey};

/// Slots that are listed by their hashes.
const LISTED_MAX: usize = 20;

/// `pixelgate learn`.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Say what is known: altogether, or of each load of one message
    Report(Report),
    /// Write what is known, with its key, to a file for the owner alone
    Export {
        /// The file
        file: PathBuf,
    },
    /// Put an exported table in the place of what is known here; the relay must not run
    Import {
        /// The file
        file: PathBuf,
    },
}

/// `pixelgate learn report`.
#[derive(Debug, Clone, Args)]
pub(super) struct Report {
    /// The listener that the message would come by, as its address stands in the configuration [default: the first]
    #[arg(long, value_name = "ADDRESS", requires = "message")]
    listener: Option<String>,
    /// A message whose loads are looked up
    message: Option<PathBuf>,
}

pub(super) fn run(config: Option<PathBuf>, command: Command) -> Result<(), Failure> {
    let file = read(config)?.file;
    let today = day(Timestamp::now());
    match command {
        Command::Report(report) => {
            let table = look(&file)?;
            match &report.message {
                None => say(&altogether(&table, today)),
                Some(message) => of_message(&file, &table, message, report.listener, today),
            }
        }
        Command::Export { file: to } => {
            let table = look(&file)?;
            if let Some(why) = table.cold() {
                return Err(Failure::new(Exit::Data, why));
            }
            table.export(&to).map_err(failure)?;
            let slots = table.size().slots;
            say(&format!(
                "{slots} slots written to {}, with the key that they are hashed under: keep it as you keep keys\n",
                to.display()
            ))
        }
        Command::Import { file: from } => {
            let table = exported(&file, &from)?;
            table
                .put_in_place(&file.learn, &file.keys.directory)
                .map_err(failure)?;
            say(&format!(
                "{} slots put in place, with their key; what was known here before is gone\n",
                table.size().slots
            ))
        }
    }
}

/// What went wrong, with its exit code.
pub(super) fn failure(error: LearnError) -> Failure {
    let exit = match &error {
        LearnError::Locked { .. } => Exit::Again,
        LearnError::Damaged { .. } => Exit::Data,
        LearnError::Setting { .. } => Exit::Config,
        LearnError::Disk { .. }
        | LearnError::Exposed { .. }
        | LearnError::Malformed { .. }
        | LearnError::Random => Exit::Unavailable,
    };
    Failure::new(exit, error)
}

/// A table that somebody names; one that is not there, or is none, is bad input.
pub(super) fn exported(file: &File, from: &Path) -> Result<Learning, Failure> {
    Learning::exported(&file.learn, from).map_err(|error| Failure::new(Exit::Data, error))
}

fn look(file: &File) -> Result<Learning, Failure> {
    Learning::look(&file.learn, &file.keys.directory).map_err(failure)
}

fn altogether(table: &Learning, today: u32) -> String {
    let (figures, certain) = table.report(today);
    let mut text = String::new();
    if let Some(why) = table.cold() {
        let _ = writeln!(text, "nothing is known: {why}");
    }
    let Figures {
        slots,
        octets,
        individual,
        shared,
        unknown,
        ..
    } = figures;
    let _ = writeln!(
        text,
        "{slots} slots in {octets} octets (a slot: controller, stream, host, shape of the path, kind of element)\n\
         {shared} with a URL that is everybody's\n\
         {individual} where nearly everybody has a URL of their own\n\
         {unknown} seen in fewer than four transactions"
    );
    if certain.is_empty() {
        return text;
    }
    let _ = writeln!(
        text,
        "\n{} of these are certain enough for images that may be visible. If they count opens, name their hosts as endpoints of \
         the stream. Hosts are not kept: `pixelgate learn report MESSAGE` names those of a message.",
        figures.certain
    );
    for slot in certain.iter().take(LISTED_MAX) {
        let _ = writeln!(text, "  {}", of_slot(slot));
    }
    if let Some(more) = certain
        .len()
        .checked_sub(LISTED_MAX)
        .filter(|more| *more > 0)
    {
        let _ = writeln!(text, "  and {more} more");
    }
    text
}

fn of_slot(slot: &SlotFigures) -> String {
    let own = slot.individual.map_or_else(String::new, |people| {
        format!(", a URL of their own for {people} or more")
    });
    format!("slot {:016x}: about {} people{own}", slot.hash, slot.people)
}

/// What is known of each load of a message, in the order in which they stand.
fn of_message(
    file: &File,
    table: &Learning,
    message: &Path,
    listener: Option<String>,
    today: u32,
) -> Result<(), Failure> {
    let octets = std::fs::read(message).map_err(|error| {
        Failure::new(Exit::Data, format_args!("{}: {error}", message.display()))
    })?;
    let listener = strip::listener(file, listener.as_deref())?;
    let streams = file.streams();
    let connection = Connection {
        listener: &listener,
        login: None,
    };
    let assignment = streams.assign(connection, &header(&octets).asked);
    let lens = Lens::new(
        Arc::new(Rules::built_in().clone()),
        Arc::new(file.relay.clone()),
    );
    let mut text = String::new();
    if let Some(why) = table.cold() {
        let _ = writeln!(text, "nothing is known: {why}");
    }
    for (slot, url) in survey(&octets, &lens).seen {
        let name = slot_name(&assignment, &slot.host, &slot.shape, slot.vector.as_str());
        let known = table.of_slot(&name, today);
        let known = known.map_or_else(|| "never seen".to_owned(), |slot| of_slot(&slot));
        let says = match table.ask(&name, &url, today) {
            Answer::Nothing => "nothing".to_owned(),
            Answer::Shared => "shared".to_owned(),
            Answer::Individual { recipients } => format!("individual ({recipients})"),
        };
        let _ = writeln!(
            text,
            "{says}: {} https://{}{} ({known})",
            name.kind, name.host, name.shape
        );
    }
    if text.is_empty() {
        text.push_str("nothing in the message loads over the network\n");
    }
    say(&text)
}

fn slot_name<'a>(
    assignment: &'a Assignment<'_>,
    host: &'a str,
    shape: &'a str,
    kind: &'a str,
) -> SlotName<'a> {
    SlotName {
        controller: &assignment.controller,
        stream: &assignment.stream.name,
        host,
        shape,
        kind,
    }
}
