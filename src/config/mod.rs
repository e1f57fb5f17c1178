//! From a TOML file to checked settings, in two steps: read as written ([`mod@file`]), then checked for what no single key shows.
//!
//! Builds every module's settings and knows no socket, no record and no message. The first problem ends it, named with file,
//! line, key and repair; nothing is guessed and nothing has a silent default.

pub mod error;
pub mod file;
pub mod law;
mod limits;
mod streams;

use std::path::{Path, PathBuf};

use jiff::civil::Date;

pub use self::error::ConfigError;
pub use self::file::{File, LogFormat};

use self::error::{Source, Step};
use self::law::check_law;
use self::limits::check_limits;
use self::streams::{check_controllers, check_stream};
use crate::learn::LearnError;
use crate::ledger::LedgerError;
use crate::next_hop;
use crate::pixel::Rules;
use crate::register::RegisterError;

/// Where the configuration is looked for when no `--config` says.
pub const PLACES: [&str; 2] = ["config/pixelgate.toml", "/etc/pixelgate/pixelgate.toml"];

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// Its settings.
    pub file: File,
    /// What the operator should know about it, in words.
    pub remarks: Vec<String>,
}

/// Reads and checks a configuration; `today` (UTC) bounds shadows.
///
/// # Errors
/// The first problem.
pub fn load(path: Option<&Path>, today: Date) -> Result<Config, ConfigError> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => PLACES
            .iter()
            .map(PathBuf::from)
            .find(|place| place.exists())
            .ok_or_else(nowhere)?,
    };
    let text = std::fs::read_to_string(&path).map_err(|error| ConfigError {
        file: path.clone(),
        place: None,
        what: error.to_string(),
        repair: None,
    })?;
    read(&path, &text, today)
}

fn nowhere() -> ConfigError {
    ConfigError {
        file: PathBuf::from(PLACES[0]),
        place: None,
        what: "there is no configuration".to_owned(),
        repair: Some(format!(
            "name one with --config, or put one at {} or {}",
            PLACES[0], PLACES[1]
        )),
    }
}

/// Checks a configuration text.
///
/// # Errors
/// The first problem.
pub fn read(path: &Path, text: &str, today: Date) -> Result<Config, ConfigError> {
    let source = Source { file: path, text };
    let file: File = toml::from_str(text).map_err(|error| source.from_toml(&error))?;
    check_doors(&source, &file)?;
    check_limits(&source, &file)?;
    check_stores(&source, &file)?;
    file.admin.check().map_err(|error| {
        let at = [Step::Key("admin"), Step::Key("address")];
        source.at_key(&at, error.to_string(), "give it a loopback address")
    })?;
    check_rules(&source, &file)?;
    check_law(&source, &file)?;
    check_controllers(&source, &file)?;
    for (index, stream) in file.streams.iter().enumerate() {
        check_stream(&source, &file, index, stream, today)?;
    }
    let remarks = remarks(&file, today);
    Ok(Config {
        path: path.to_owned(),
        file,
        remarks,
    })
}

fn check_doors(source: &Source<'_>, file: &File) -> Result<(), ConfigError> {
    if file.listeners.is_empty() {
        return Err(source.at(
            None,
            "there is no [[listener]]",
            Some("add one with address = \"127.0.0.1:2525\"".to_owned()),
        ));
    }
    if file.next_hops.is_empty() {
        return Err(source.at(
            None,
            "there is no [[next_hop]]",
            Some("add one with address = \"HOST:PORT\" or \"maildir:DIRECTORY\"".to_owned()),
        ));
    }
    for (index, next_hop) in file.next_hops.iter().enumerate() {
        // With those before it, so that the one that does not fit is the one that is named.
        let so_far = file.next_hops.get(..=index).unwrap_or_default();
        next_hop
            .check()
            .and_then(|()| next_hop::check_all(so_far))
            .map_err(|error| {
                source.at_key(
                    &[Step::Key("next_hop"), Step::Index(index)],
                    error.to_string(),
                    "correct it",
                )
            })?;
    }
    for (index, listener) in file.listeners.iter().enumerate() {
        let at = [
            Step::Key("listener"),
            Step::Index(index),
            Step::Key("address"),
        ];
        let address = listener.address.to_string();
        let loops = |hop: &next_hop::Settings| hop.address.to_string() == address;
        if file.next_hops.iter().any(loops) {
            return Err(source.at_key(
                &at,
                format!("listener and next hop are both {address}: mail would loop"),
                "give one of them another address",
            ));
        }
        if file
            .listeners
            .iter()
            .take(index)
            .any(|other| other.address.to_string() == address)
        {
            return Err(source.at_key(&at, format!("two listeners at {address}"), "keep one"));
        }
    }
    Ok(())
}

/// Register and ledger know their own ranges; here they get file and line before anything is opened.
fn check_stores(source: &Source<'_>, file: &File) -> Result<(), ConfigError> {
    let wrong = |table: &str, key: &str, what: String| {
        source.at_key(&[Step::Key(table), Step::Key(key)], what, "correct it")
    };
    file.consent.check().map_err(|error| {
        let key = match &error {
            RegisterError::Setting { key, .. } => *key,
            _ => "register",
        };
        wrong("consent", key, error.to_string())
    })?;
    file.retention.check().map_err(|error| {
        let key = match &error {
            RegisterError::Retention { key, .. } => *key,
            _ => "claims_days",
        };
        wrong("retention", key, error.to_string())
    })?;
    file.learn.check().map_err(|error| {
        let key = match &error {
            LearnError::Setting { key, .. } => *key,
            _ => "directory",
        };
        wrong("learn", key, error.to_string())
    })?;
    file.ledger.check().map_err(|error| {
        let key = match &error {
            LedgerError::Setting { key, .. } => *key,
            _ => "directory",
        };
        wrong("ledger", key, error.to_string())
    })
}

fn check_rules(source: &Source<'_>, file: &File) -> Result<(), ConfigError> {
    Rules::built_in()
        .without(&file.rules.disabled)
        .map(|_| ())
        .map_err(|error| {
            source.at_key(
                &[Step::Key("rules"), Step::Key("disabled")],
                error.to_string(),
                "`pixelgate check` lists the names",
            )
        })
}

/// Every exception and every point the operator should not overlook.
fn remarks(file: &File, today: Date) -> Vec<String> {
    let mut remarks = Vec::new();
    if file.streams.is_empty() {
        remarks.push(
            "no [[stream]] is configured: one controller `default`, every tracker counts as campaign_performance, and no withdrawal link is asked for (D10)".to_owned(),
        );
    }
    for stream in &file.streams {
        streams::remarks(stream, today, &mut remarks);
    }
    remarks.extend(law::remarks(file));
    for rule in &file.rules.disabled {
        remarks.push(format!(
            "detection rule `{rule}` is switched off: what only it finds leaves without consent"
        ));
    }
    if file.stops.strip_all {
        remarks.push("stops.strip_all: every tracker is stripped, consent or not, and no stream only looks on".to_owned());
    }
    if file.stops.hold_edits {
        remarks
            .push("stops.hold_edits: a message that would be changed is answered 451".to_owned());
    }
    remarks
}

#[cfg(test)]
mod tests;
