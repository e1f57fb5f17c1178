//! What a crash left, at start: clears the half-written, buries the unreadable, finds what is owed.
//!
//! The rules, by directory. `dead/` decides over `owed/`, `owed/` over `prepared/`: each was written and synced before
//! the earlier one was removed. A prepared envelope is removed, since its client was never answered. A message without
//! envelope is removed for the same reason. An owed entry that cannot be read back is moved to `dead/`, with a log line.
//! A file whose name is none of ours is left alone, with a log line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::entry::quarantine;
use super::envelope::{Stored, Unreadable};
use super::index::{Index, Stage};
use super::{EntryId, Layout, Settings, SpoolError, State, disk, hand};

/// Reads the directories and gives what is owed or dead.
pub(super) fn recover(layout: &Layout, settings: &Settings) -> Result<Index, SpoolError> {
    let mut index = Index::default();
    let mut known = BTreeSet::new();
    for id in entries(&layout.dead(), "json")? {
        let octets = length(&layout.dead_of(&id))?.saturating_add(length(&layout.message_of(&id))?);
        index.found(id.clone(), octets, Stage::Dead);
        known.insert(id);
    }
    for id in entries(&layout.owed(), "json")? {
        if known.contains(&id) {
            disk::remove(&layout.owed_of(&id))?;
            continue;
        }
        let (octets, stage) = owed(layout, &id)?;
        index.found(id.clone(), octets, stage);
        known.insert(id);
    }
    disk::sync_directory(&layout.owed())?;
    count_deaths(layout, settings, &mut index)?;
    clear_prepared(layout)?;
    clear_requests(layout)?;
    clear_orphans(layout, &known)?;
    let usage = index.usage();
    if usage.owed > 0 || usage.dead > 0 {
        tracing::info!(
            owed = usage.owed,
            dead = usage.dead,
            octets = usage.octets,
            "entries found in the spool"
        );
    }
    if usage.octets > settings.bytes || usage.owed + usage.dead > settings.entries {
        tracing::warn!(
            octets = usage.octets,
            entries = usage.owed + usage.dead,
            "the spool holds more than spool.bytes or spool.entries allow; nothing new is taken until it shrinks"
        );
    }
    Ok(index)
}

/// Refuses a spool of which a part is gone.
pub(super) fn is_whole(layout: &Layout) -> Result<(), SpoolError> {
    let parts = [
        (layout.messages(), "eml"),
        (layout.prepared(), "json"),
        (layout.owed(), "json"),
        (layout.dead(), "json"),
    ];
    let (there, gone): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(part, _)| part.exists());
    let Some((missing, _)) = gone.into_iter().next() else {
        return Ok(());
    };
    for (found, extension) in there {
        if !entries(&found, extension)?.is_empty() {
            return Err(SpoolError::Incomplete { missing, found });
        }
    }
    Ok(())
}

/// One owed entry: what it is in the index. Unreadable ones are dead from here on.
fn owed(layout: &Layout, id: &EntryId) -> Result<(u64, Stage), SpoolError> {
    let path = layout.owed_of(id);
    let octets = fs::read(&path).map_err(disk::failed("reading", &path))?;
    let message = length(&layout.message_of(id))?;
    let size = message.saturating_add(u64::try_from(octets.len()).unwrap_or(u64::MAX));
    let why = match Stored::parse(&octets) {
        Ok(stored) if stored.message_octets == message && stored.envelope.id == *id => {
            let stage = Stage::Waiting {
                next_attempt_at: stored.envelope.next_attempt_at,
                fresher: None,
            };
            return Ok((size, stage));
        }
        Ok(stored) if stored.envelope.id != *id => "it names another entry".to_owned(),
        Ok(stored) => format!(
            "its message has {message} octets instead of {}",
            stored.message_octets
        ),
        Err(Unreadable::Newer(version)) => {
            let what = format!("version {version}, written by a later build");
            return Err(SpoolError::Newer { path, what });
        }
        Err(Unreadable::Json(error)) => error.to_string(),
    };
    tracing::error!(entry = %id, %why, "an owed entry cannot be read back and is moved to dead/");
    disk::rename(&path, &layout.dead_of(id))?;
    Ok((size, Stage::Dead))
}

/// Every entry that was being decided when the process ended otherwise than in order counts one death; too many, and it is
/// left alone. The count is written down anew before anything else may happen to this process.
fn count_deaths(layout: &Layout, settings: &Settings, index: &mut Index) -> Result<(), SpoolError> {
    for id in entries(&layout.working(), "note")? {
        let deaths = hand::read(layout, &id).map_or(0, hand::Note::deaths_by_now);
        if index.state(&id) != Some(State::Owed) {
            disk::remove(&layout.working_of(&id))?;
            continue;
        }
        if deaths >= settings.crashes {
            match quarantine(layout, &id, deaths, None) {
                Ok(()) => {
                    index.set(&id, Stage::Dead);
                    continue;
                }
                // A full disk: the others are owed theirs all the same.
                Err(error) => {
                    tracing::error!(entry = %id, %error, "could not be put into quarantine")
                }
            }
        }
        hand::note(layout, &id, hand::Stage::Idle, deaths);
        index.set_deaths(&id, deaths);
    }
    Ok(())
}

/// What was asked of a process that is gone is asked again by whoever still wants it.
fn clear_requests(layout: &Layout) -> Result<(), SpoolError> {
    let directory = layout.requests();
    let reading = || disk::failed("reading the directory", &directory);
    for found in fs::read_dir(&directory).map_err(reading())? {
        disk::remove(&found.map_err(reading())?.path())?;
    }
    Ok(())
}

/// Removes what was written ahead and never settled.
fn clear_prepared(layout: &Layout) -> Result<(), SpoolError> {
    let prepared = entries(&layout.prepared(), "json")?;
    for id in &prepared {
        disk::remove(&layout.prepared_of(id))?;
    }
    if !prepared.is_empty() {
        tracing::info!(
            entries = prepared.len(),
            "removed prepared entries: their clients were never answered"
        );
    }
    disk::sync_directory(&layout.prepared())
}

/// Removes messages that no envelope names.
fn clear_orphans(layout: &Layout, known: &BTreeSet<EntryId>) -> Result<(), SpoolError> {
    for id in entries(&layout.messages(), "eml")? {
        if !known.contains(&id) {
            disk::remove(&layout.message_of(&id))?;
        }
    }
    Ok(())
}

/// The ids of the files `ID.extension` in a directory; unfinished files are removed on the way.
fn entries(directory: &Path, extension: &str) -> Result<Vec<EntryId>, SpoolError> {
    let reading = || disk::failed("reading the directory", directory);
    let mut ids = Vec::new();
    for found in fs::read_dir(directory).map_err(reading())? {
        let path: PathBuf = found.map_err(reading())?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.ends_with(disk::UNFINISHED)) {
            disk::remove(&path)?;
            continue;
        }
        let id = name
            .and_then(|name| name.strip_suffix(extension)?.strip_suffix('.'))
            .and_then(EntryId::parse);
        match id {
            Some(id) => ids.push(id),
            None => {
                tracing::warn!(file = %path.display(), "not a file of the spool; left alone");
            }
        }
    }
    Ok(ids)
}

/// The length of a file; one that is missing has none.
fn length(path: &Path) -> Result<u64, SpoolError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(disk::failed("looking at", path)(error)),
    }
}
