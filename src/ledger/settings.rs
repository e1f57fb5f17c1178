//! `[ledger]` of the configuration.
//!
//! Pure. A value that cannot be used is an error that names its key.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::LedgerError;

/// `[ledger]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where the ledger lies; made 0700 where it is missing. Default: `var/ledger`.
    pub directory: PathBuf,
    /// Name of this machine in every line: 1 to 64 letters, digits, `.`, `_`, `-`. Default: `local`.
    pub node: String,
    /// How long a message waits for its line to be written, in milliseconds, 1 to 60000. Default: 2000.
    pub write_timeout_ms: u64,
    /// How many lines may wait to be written, 1 to 65536. Default: 4096.
    pub queue_lines: usize,
    /// From this size on lines go into the next segment, in octets, 64 KiB to 1 GiB. Default: 256 MiB.
    pub segment_octets: u64,
    /// How many days a segment is held after its own, 0 to 36500; 0 is for ever. Default: 395, thirteen months.
    pub retention_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("var/ledger"),
            node: "local".to_owned(),
            write_timeout_ms: 2_000,
            queue_lines: 4_096,
            segment_octets: 256 * 1024 * 1024,
            retention_days: 395,
        }
    }
}

impl Settings {
    /// Checks every value without opening anything.
    ///
    /// # Errors
    /// Names the first key whose value cannot be used.
    pub fn check(&self) -> Result<(), LedgerError> {
        let letter = |octet: u8| octet.is_ascii_alphanumeric() || b"._-".contains(&octet);
        if self.node.is_empty() || self.node.len() > 64 || !self.node.bytes().all(letter) {
            let problem = "must be 1 to 64 letters, digits, `.`, `_` or `-`".to_owned();
            let key = "node";
            return Err(LedgerError::Setting { key, problem });
        }
        within("write_timeout_ms", self.write_timeout_ms, 1, 60_000)?;
        within("queue_lines", self.queue_lines as u64, 1, 65_536)?;
        within("segment_octets", self.segment_octets, 64 << 10, 1 << 30)?;
        within("retention_days", u64::from(self.retention_days), 0, 36_500)
    }
}

fn within(key: &'static str, value: u64, least: u64, most: u64) -> Result<(), LedgerError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let problem = format!("is {value}; it must lie between {least} and {most}");
    Err(LedgerError::Setting { key, problem })
}
