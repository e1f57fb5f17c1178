//! `pixelgate spool`: what is owed and lies on disk, for the operator whose mail it is.
//!
//! `list` shows no address, so that it can be pasted into a ticket; `show` does, for one entry, because whom it is for is what
//! the operator asks then; a body is shown only where it is asked for. Looking takes no lock;
//! what is to change is done by the relay that holds the spool, or here where none does. Nothing is dropped without `--yes`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;

use super::serve::read;
use super::{Exit, Failure, complain, say};
use crate::smtp::reply::Reply;
use crate::spool::{
    Asked, Desk, Done, Entry, EntryId, Envelope, Origin, Owes, Settings, SpoolError, State,
    entries, entry, message_file,
};

/// `pixelgate spool`.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Every entry: its state, age, attempts, when it is tried next, for how many, and the codes of the last answers.
    /// No address and no text of a next hop: those are in `show`
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// One entry: who is owed what, and what was last said about it, with the addresses
    Show {
        /// The entry, as `list` and the log name it
        id: String,
        /// Write the message to standard output instead
        #[arg(long)]
        message: bool,
    },
    /// Try entries now; one that was given up begins anew
    Retry {
        /// The entry
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// Every entry, dead ones and quarantine included
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Forget an entry: nobody who is owed something gets it
    Drop {
        /// The entry
        id: String,
        /// Meant
        #[arg(long)]
        yes: bool,
        /// Write the message into this file first
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
    },
}

pub(super) fn run(config: Option<PathBuf>, command: Command) -> Result<(), Failure> {
    let settings = read(config)?.file.spool;
    match command {
        Command::List { json } => list(&settings, json),
        Command::Show { id, message } => show(&settings, &named(&id)?, message),
        Command::Retry { id, all } => retry(&settings, id.as_deref(), all),
        Command::Drop { id, yes, save } => drop_one(&settings, &named(&id)?, yes, save.as_deref()),
    }
}

fn named(id: &str) -> Result<EntryId, Failure> {
    EntryId::parse(id).ok_or_else(|| {
        let what = format!("`{}` is no entry's name", id.escape_debug());
        Failure::new(Exit::Usage, what)
    })
}

fn failure(error: SpoolError) -> Failure {
    Failure::new(Exit::Unavailable, error)
}

fn find(settings: &Settings, id: &EntryId) -> Result<Entry, Failure> {
    entry(&settings.directory, id)
        .map_err(failure)?
        .ok_or_else(|| Failure::new(Exit::Data, format_args!("there is no entry {id}")))
}

fn list(settings: &Settings, json: bool) -> Result<(), Failure> {
    let found = entries(&settings.directory).map_err(failure)?;
    let now = Timestamp::now();
    let mut text = String::new();
    for entry in &found {
        let _ = match json {
            true => writeln!(text, "{}", as_json(entry, now)),
            false => writeln!(text, "{}", in_line(entry, now)),
        };
    }
    if !json && found.is_empty() {
        text.push_str("nothing lies in the spool\n");
    }
    say(&text)
}

fn in_line(entry: &Entry, now: Timestamp) -> String {
    let head = format!("{:<18} {:<10}", entry.id.as_str(), entry.state.as_str());
    match &entry.envelope {
        Ok(envelope) => format!(
            "{head} {} old, {} attempts, {}, {} octets, {} recipients{}",
            duration(envelope.arrived_at, now),
            envelope.attempts,
            next(entry.state, envelope, now),
            entry.octets,
            envelope.recipients.len(),
            why(envelope)
        ),
        Err(why) => format!("{head} cannot be read: {why}"),
    }
}

/// Why it is here, as far as that can be said without a name: why it was given up, or what was answered last.
fn why(envelope: &Envelope) -> String {
    if let Some(why) = &envelope.dead {
        return format!(", {why}");
    }
    let codes = last_answers(envelope);
    match codes.is_empty() {
        true => String::new(),
        false => format!(", last answered {}", codes.join(" and ")),
    }
}

/// Code and enhanced code of each last answer, each once.
fn last_answers(envelope: &Envelope) -> Vec<String> {
    let said = envelope
        .recipients
        .iter()
        .filter_map(|recipient| recipient.last_reply.as_ref())
        .map(|said| {
            let reply = Reply::from(said);
            match reply.enhanced() {
                Some(enhanced) => format!("{} {enhanced}", said.code),
                None => said.code.to_string(),
            }
        });
    said.collect::<BTreeSet<_>>().into_iter().collect()
}

fn next(state: State, envelope: &Envelope, now: Timestamp) -> String {
    match state {
        State::Owed if envelope.next_attempt_at <= now => "due".to_owned(),
        State::Owed => format!("next in {}", duration(now, envelope.next_attempt_at)),
        State::Prepared | State::InHand => "being delivered".to_owned(),
        State::Dead | State::Quarantine => "not tried again".to_owned(),
    }
}

/// In the largest unit that fits.
fn duration(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn as_json(entry: &Entry, now: Timestamp) -> serde_json::Value {
    let mut value = serde_json::json!({
        "id": entry.id.as_str(),
        "state": entry.state.as_str(),
        "octets": entry.octets,
    });
    let more = match &entry.envelope {
        Ok(envelope) => serde_json::json!({
            "arrived_at": envelope.arrived_at.to_string(),
            "age_seconds": now.duration_since(envelope.arrived_at).as_secs(),
            "attempts": envelope.attempts,
            "next_attempt_at": envelope.next_attempt_at.to_string(),
            "recipients": envelope.recipients.len(),
            "owed_copies": envelope.owed(Owes::Delivery).count(),
            "owed_reports": envelope.owed(Owes::FailedDsn).count(),
            "delay_told_at": envelope.delay_told_at.map(|at| at.to_string()),
            "last_answers": last_answers(envelope),
            "why": envelope.dead,
        }),
        Err(why) => serde_json::json!({ "unreadable": why }),
    };
    if let (Some(value), serde_json::Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    value
}

fn show(settings: &Settings, id: &EntryId, message: bool) -> Result<(), Failure> {
    let entry = find(settings, id)?;
    let file = message_file(&settings.directory, id);
    if message {
        let octets = message_of(&file)?;
        return std::io::stdout().write_all(&octets).map_err(|error| {
            Failure::new(Exit::Unavailable, format_args!("standard output: {error}"))
        });
    }
    let now = Timestamp::now();
    let mut text = format!("{}\n", in_line(&entry, now));
    let _ = writeln!(text, "message: {}", file.display());
    if let Ok(envelope) = &entry.envelope {
        describe(&mut text, envelope);
    }
    say(&text)
}

fn describe(text: &mut String, envelope: &Envelope) {
    let _ = writeln!(text, "arrived: {}", envelope.arrived_at);
    let _ = match &envelope.origin {
        Origin::Client(client) => writeln!(text, "came in at: {}", client.listener),
        Origin::Own => writeln!(text, "written by this relay"),
    };
    let _ = writeln!(text, "reverse-path: {}", envelope.reverse_path);
    if let Some(at) = envelope.delay_told_at {
        let _ = writeln!(text, "the sender was told of the delay: {at}");
    }
    if let Some(why) = &envelope.dead {
        let _ = writeln!(text, "given up: {why}");
    }
    for recipient in &envelope.recipients {
        let owes = match recipient.owes {
            Owes::Delivery => "is owed a copy",
            Owes::FailedDsn => "its sender is owed a report of failure",
        };
        let _ = write!(text, "{} {owes}", recipient.forward_path);
        if recipient.possible_duplicate {
            text.push_str("; it may have arrived already");
        }
        if let Some(said) = &recipient.last_reply {
            let _ = write!(
                text,
                "; last answer: {} {}",
                said.code,
                printable(&said.lines.join(" "))
            );
        }
        text.push('\n');
    }
}

/// What a next hop said does nothing to a terminal.
fn printable(text: &str) -> String {
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(blank).collect()
}

fn message_of(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| {
        Failure::new(
            Exit::Unavailable,
            format_args!("{}: {error}", file.display()),
        )
    })
}

/// The last copy of a message: durable before the spool's goes, readable by nobody else, over no other file.
fn save_new(path: &Path, octets: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(octets)?;
    file.sync_all()
}

fn retry(settings: &Settings, id: Option<&str>, all: bool) -> Result<(), Failure> {
    let chosen: Vec<EntryId> = match id {
        Some(id) => vec![named(id)?],
        None if all => {
            let found = entries(&settings.directory).map_err(failure)?;
            let idle = found
                .into_iter()
                .filter(|entry| !matches!(entry.state, State::Prepared | State::InHand));
            idle.map(|entry| entry.id).collect()
        }
        None => Vec::new(),
    };
    if chosen.is_empty() {
        return say("nothing lies in the spool\n");
    }
    let desk = Desk::open(settings).map_err(failure)?;
    let done = desk.ask(&chosen, Asked::Retry).map_err(failure)?;
    let mut text = String::new();
    let mut first = Ok(());
    for (id, done) in chosen.iter().zip(done) {
        match told(id, done) {
            Ok(()) => {
                let when = match desk.is_beside() {
                    true => "will be tried at once",
                    false => "will be tried as soon as a relay runs",
                };
                let _ = writeln!(text, "{id}: {when}");
            }
            Err(error) if all => {
                complain(&error.message);
                first = first.and(Err(error));
            }
            Err(error) => return Err(error),
        }
    }
    say(&text)?;
    first
}

fn told(id: &EntryId, done: Done) -> Result<(), Failure> {
    let wrong = |exit, what: &str| Err(Failure::new(exit, format_args!("{id}: {what}")));
    match done {
        Done::Yes => Ok(()),
        Done::Busy => wrong(Exit::Again, "it is being delivered at this moment"),
        Done::Unknown => wrong(Exit::Data, "there is no such entry"),
        Done::Failed(why) if why.is_empty() => wrong(
            Exit::Unavailable,
            "the relay that holds the spool could not do it; its log says why",
        ),
        Done::Failed(why) => wrong(Exit::Unavailable, &why),
        Done::Unanswered => wrong(
            Exit::Again,
            "the relay that holds the spool did not answer within 15 s",
        ),
    }
}

fn drop_one(
    settings: &Settings,
    id: &EntryId,
    yes: bool,
    save: Option<&Path>,
) -> Result<(), Failure> {
    let entry = find(settings, id)?;
    let owed = entry
        .envelope
        .as_ref()
        .map_or(0, |envelope| envelope.recipients.len());
    if !yes {
        let what = format!("{id}: {owed} recipients would never get what they are owed; say --yes");
        return Err(Failure::new(Exit::Usage, what));
    }
    if let Some(save) = save {
        let octets = message_of(&message_file(&settings.directory, id))?;
        save_new(save, &octets).map_err(|error| {
            Failure::new(
                Exit::Unavailable,
                format_args!("{}: {error}", save.display()),
            )
        })?;
    }
    let desk = Desk::open(settings).map_err(failure)?;
    for done in desk
        .ask(std::slice::from_ref(id), Asked::Drop)
        .map_err(failure)?
    {
        told(id, done)?;
    }
    say(&format!(
        "{id}: dropped, {owed} recipients will not be served\n"
    ))
}
