//! `[learn]` of the configuration.
//!
//! Pure. A value that cannot be used is an error that names its key.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::LearnError;

/// `[learn]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether anything is learned, and what was learned counts. Default: true.
    pub enabled: bool,
    /// Where the table lies; made 0700 where it is missing. Default: `var/learn`.
    pub directory: PathBuf,
    /// The whole table in memory, in octets, 1 MiB to 1 GiB; full, what was seen longest ago goes. Default: 32 MiB.
    pub octets: usize,
    /// How long anything counts, in days, 2 to 366. Default: 30.
    pub expire_after_days: u32,
    /// How often the table is written to the disk when it has changed, in seconds, 1 to 3600. Default: 60.
    pub snapshot_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            directory: PathBuf::from("var/learn"),
            octets: 32 << 20,
            expire_after_days: 30,
            snapshot_seconds: 60,
        }
    }
}

impl Settings {
    /// Checks every value without opening anything.
    ///
    /// # Errors
    /// Names the first key whose value cannot be used.
    pub fn check(&self) -> Result<(), LearnError> {
        if self.directory.as_os_str().is_empty() {
            let problem = "is empty".to_owned();
            let key = "directory";
            return Err(LearnError::Setting { key, problem });
        }
        within("octets", self.octets as u64, 1 << 20, 1 << 30)?;
        let days = u64::from(self.expire_after_days);
        within("expire_after_days", days, 2, 366)?;
        let seconds = u64::from(self.snapshot_seconds);
        within("snapshot_seconds", seconds, 1, 3_600)
    }
}

fn within(key: &'static str, value: u64, least: u64, most: u64) -> Result<(), LearnError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let problem = format!("is {value}; it must lie between {least} and {most}");
    Err(LearnError::Setting { key, problem })
}
