//! `[ledger]` of the configuration.

use std::path::PathBuf;

use serde::Deserialize;

/// Where decisions are written down.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The directory; made 0700 when missing. One process writes to it.
    pub directory: PathBuf,
    /// The name of this node in every line, so that the ledgers of several can be read together.
    pub node: String,
    /// Lines waiting for the disk before callers are told that the ledger does not keep up.
    pub waiting_lines: usize,
    /// How long one line may take to be written, in milliseconds; then nothing is kept for that message.
    pub write_timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("var/ledger"),
            node: "node-1".to_owned(),
            waiting_lines: 4096,
            write_timeout_ms: 5_000,
        }
    }
}
