//! `pixelgate keys`: new generations of the keys, while the relay runs.
//!
//! Says at the end what to back up and which old key file is still needed by whom; it never removes one. No key, and no
//! address, is ever shown.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};

use super::consent::failure;
use super::serve::read;
use super::{Exit, Failure, complain, say};
use crate::register::Register;
use crate::register::keys::{Keys, Kind};
use crate::register::rotate::{Outlook, RotateError, Rotated, Step, Tally};
use crate::session::logins;

/// `pixelgate keys`.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Make a new generation of a key and carry everything over to it
    Rotate(Rotate),
    /// Make a line for a listener's file of logins; the password is read from standard input
    Password {
        /// The name that logs in
        name: String,
    },
}

/// `pixelgate keys rotate`.
#[derive(Debug, Clone, Args)]
pub(super) struct Rotate {
    /// Which key
    key: Key,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Key {
    /// Under which people are looked up
    Lookup,
    /// Under which addresses are sealed
    Seal,
}

pub(super) fn run(config: Option<PathBuf>, command: Command) -> Result<(), Failure> {
    if let Command::Password { name } = &command {
        return password(name);
    }
    let config = read(config)?;
    let keys = Keys::open(&config.file.keys.directory)
        .map_err(|error| Failure::new(Exit::Unavailable, error))?;
    let register = Register::open(&config.file.consent, Arc::new(keys)).map_err(failure)?;
    match command {
        Command::Rotate(rotate) => self::rotate(&register, &rotate),
        Command::Password { .. } => Ok(()),
    }
}

/// `NAME:HASH` on standard output; the password is the first line of standard input, never an argument, which everybody on
/// the machine can read.
fn password(name: &str) -> Result<(), Failure> {
    if name.is_empty() || name.contains(':') || name.chars().any(char::is_whitespace) {
        let what = format!("`{name}` cannot be a login's name: no blanks, no colon");
        return Err(Failure::new(Exit::Usage, what));
    }
    if std::io::stdin().is_terminal() {
        complain("password (it is shown as you type):");
    }
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| Failure::new(Exit::Data, format_args!("standard input: {error}")))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::new(Exit::Data, "no password on standard input"));
    }
    let line = logins::line(name, password.as_bytes())
        .map_err(|error| Failure::new(Exit::Unavailable, error))?;
    say(&format!("{line}\n"))
}

fn rotate(register: &Register, rotate: &Rotate) -> Result<(), Failure> {
    let kind = match rotate.key {
        Key::Lookup => Kind::Lookup,
        Key::Seal => Kind::Seal,
    };
    if rotate.dry_run {
        let outlook = register.rotation_outlook(kind).map_err(rotate_failure)?;
        return say(&foreseen(&register.keys(), kind, &outlook));
    }
    let mut progress = Progress::new(kind);
    let rotated = register.rotate(kind, &mut |step| progress.note(step));
    progress.end();
    let rotated = rotated.map_err(rotate_failure)?;
    say(&done(&register.keys(), kind, &rotated))?;
    if rotated.damaged == 0 {
        return Ok(());
    }
    for subject in &rotated.damaged_subjects {
        complain(&format!("not carried over: {subject}"));
    }
    Err(Failure::new(
        Exit::Data,
        format_args!(
            "{} do not open or are not their person's: they stay under their old key, where their people are found as \
             before, and the rotation stays unfinished; `pixelgate consent verify` says more",
            counted(rotated.damaged, "row", "rows")
        ),
    ))
}

fn foreseen(keys: &Keys, kind: Kind, outlook: &Outlook) -> String {
    let name = kind.as_str();
    let (current, next) = (outlook.current, outlook.next);
    let file = keys.path(kind, next);
    let mut text = format!("{name} key {current} is the current one\n");
    let _ = match outlook.unfinished {
        true => writeln!(
            text,
            "a rotation to it was interrupted and would be finished; no key would be made"
        ),
        false => writeln!(text, "{} would be made", file.display()),
    };
    let left = |tally: &&Tally| tally.generation != next;
    let living = outlook.tallies.iter().filter(left).map(|one| one.living);
    let erased = outlook.tallies.iter().filter(left).map(|one| one.erased);
    let _ = writeln!(
        text,
        "{} would be carried over to {name} key {next}",
        counted(living.sum(), "person", "people")
    );
    let erased = erased.sum();
    if erased > 0 {
        let _ = writeln!(
            text,
            "{} would remain under an older key, which has to be kept",
            counted(erased, "erased person", "erased people")
        );
    }
    text
}

fn done(keys: &Keys, kind: Kind, rotated: &Rotated) -> String {
    let name = kind.as_str();
    let generation = rotated.generation;
    let mut text = String::new();
    if rotated.resumed {
        let _ = writeln!(
            text,
            "an interrupted rotation to {name} key {generation} has been taken up again; no key was made"
        );
    }
    let _ = writeln!(
        text,
        "{name} key {generation} is the current one; {} carried over to it",
        counted(rotated.carried, "person was", "people were")
    );
    let _ = writeln!(
        text,
        "back up now, and not beside the register: {}",
        keys.path(kind, generation).display()
    );
    let old = rotated.tallies.iter();
    for tally in old.filter(|tally| tally.generation != generation && tally.erased > 0) {
        let _ = writeln!(
            text,
            "{} under generation {}: keep {}",
            counted(
                tally.erased,
                "erased person remains",
                "erased people remain"
            ),
            tally.generation,
            keys.path(kind, tally.generation).display()
        );
    }
    let held = |retired: &&u32| keys.path(kind, **retired).exists();
    for retired in rotated.retired.iter().filter(held) {
        let file = keys.path(kind, *retired).display().to_string();
        let _ = match kind {
            Kind::Seal => writeln!(
                text,
                "nothing is sealed under generation {retired} any more: {file} may be destroyed once no backup of the register \
                 from before this rotation is kept"
            ),
            _ => writeln!(
                text,
                "nobody stands under generation {retired} any more: {file} may be destroyed once neither a ledger nor a backup \
                 of the register from before this rotation is kept"
            ),
        };
    }
    for stranger in &rotated.strangers {
        let _ = writeln!(
            text,
            "{} was never used by this register: it is of a rotation that was not committed, of a later backup or of another \
             register",
            keys.path(kind, *stranger).display()
        );
    }
    if !rotated.log_emptied {
        let _ = writeln!(
            text,
            "old values may stand in the register's write-ahead log until the relay is restarted"
        );
    }
    text
}

fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

fn rotate_failure(error: RotateError) -> Failure {
    match error {
        RotateError::Register(error) => failure(error),
        error if error.is_transient() => Failure::new(Exit::Again, error),
        error => Failure::new(Exit::Unavailable, error),
    }
}

/// One line that is written over, on a terminal only.
struct Progress {
    name: &'static str,
    shown: bool,
    terminal: bool,
}

impl Progress {
    fn new(kind: Kind) -> Self {
        Self {
            name: kind.as_str(),
            shown: false,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    fn note(&mut self, step: Step) {
        let Step::Carried { done, of } = step else {
            return;
        };
        if self.terminal {
            self.shown = true;
            let percent = (done * 100).checked_div(of).unwrap_or(100);
            // Nobody looking is no failure.
            let _ = write!(
                std::io::stderr(),
                "\r{} key: {done} of {of} rows ({percent} %)",
                self.name
            );
        }
    }

    fn end(&self) {
        if self.shown {
            let _ = writeln!(std::io::stderr());
        }
    }
}
