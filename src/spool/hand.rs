//! Which entries are in hand, and how often the process died over each: a line of text beside it, in `working/`.
//!
//! The count is on the disk from the death on, whatever happens next, until an attempt ends in order. Written without a sync:
//! a process that dies leaves its files, and a power loss is no fault of a message. A note that cannot be written (a full
//! disk) is logged and delivery goes on; a note that cannot be read counts as one death. It must never know an envelope.

use std::fs;
use std::path::Path;

use super::{EntryId, Layout, SpoolError, disk};

/// Where an entry stands between two processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody has it in hand.
    Idle,
    /// It is being read and decided: a process that dies now dies of its content.
    Deciding,
    /// It was decided and is on its way; what the process dies of now is not its content.
    Delivering,
}

/// What stands in a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) stage: Stage,
    /// Before this attempt.
    pub(super) deaths: u32,
}

impl Note {
    fn parse(text: &str) -> Option<Self> {
        let (word, deaths) = text.trim_end().split_once(' ')?;
        let stage = match word {
            "idle" => Stage::Idle,
            "deciding" => Stage::Deciding,
            "delivering" => Stage::Delivering,
            _ => return None,
        };
        let deaths = deaths.parse().ok()?;
        Some(Self { stage, deaths })
    }

    fn text(self) -> String {
        let word = match self.stage {
            Stage::Idle => "idle",
            Stage::Deciding => "deciding",
            Stage::Delivering => "delivering",
        };
        format!("{word} {}\n", self.deaths)
    }

    /// How often the process died over it, where the process that wrote this is gone.
    pub(super) fn deaths_by_now(self) -> u32 {
        match self.stage {
            Stage::Deciding => self.deaths.saturating_add(1),
            Stage::Idle | Stage::Delivering => self.deaths,
        }
    }
}

/// The note about an entry; `None` where there is none.
pub(super) fn read(layout: &Layout, id: &EntryId) -> Option<Note> {
    let unreadable = Note {
        stage: Stage::Deciding,
        deaths: 0,
    };
    match fs::read_to_string(layout.working_of(id)) {
        Ok(text) => Some(Note::parse(&text).unwrap_or(unreadable)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(_) => Some(unreadable),
    }
}

/// Notes it; an idle entry over which nobody died needs no note.
pub(super) fn note(layout: &Layout, id: &EntryId, stage: Stage, deaths: u32) {
    let path = layout.working_of(id);
    let written = match (stage, deaths) {
        (Stage::Idle, 0) => disk::remove(&path),
        _ => replace(&path, &Note { stage, deaths }.text()),
    };
    if let Err(error) = written {
        tracing::warn!(entry = %id, %error, "a note about an entry in hand could not be written");
    }
}

/// At once or not at all, as far as other processes see it.
fn replace(path: &Path, text: &str) -> Result<(), SpoolError> {
    let unfinished = disk::unfinished(path);
    let written = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written.map_err(disk::failed("writing", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_back_and_counts_the_death_of_whoever_was_deciding() {
        for (stage, by_now) in [
            (Stage::Idle, 2),
            (Stage::Deciding, 3),
            (Stage::Delivering, 2),
        ] {
            let note = Note { stage, deaths: 2 };
            assert_eq!(Note::parse(&note.text()), Some(note));
            assert_eq!(note.deaths_by_now(), by_now);
        }
        for wrong in ["", "deciding", "deciding x", "2", "deciding -1", "done 0"] {
            assert_eq!(Note::parse(wrong), None, "{wrong}");
        }
    }
}
