//! `[consent]` of the configuration: which engine, where, how long to wait for it.
//!
//! It must never open anything. A value out of its range is an error that names the key.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::RegisterError;

/// `[consent]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which engine and where: `sqlite:PATH`. Default: `sqlite:var/consent.db`.
    pub register: String,
    /// How long one message waits for the register before it is stripped, in milliseconds, 1 to 60000. Default: 1000.
    pub lookup_timeout_ms: u64,
    /// How many look-ups run at once, 1 to 64. Default: 4.
    pub lookup_connections: usize,
    /// How long a write waits for another process's write, in milliseconds, 1 to 600000. Default: 10000.
    pub write_timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            register: "sqlite:var/consent.db".to_owned(),
            lookup_timeout_ms: 1_000,
            lookup_connections: 4,
            write_timeout_ms: 10_000,
        }
    }
}

impl Settings {
    /// Checks every value without opening anything.
    ///
    /// # Errors
    /// Names the first key whose value cannot be used.
    pub fn check(&self) -> Result<(), RegisterError> {
        self.path()?;
        let ranges: [(&'static str, u64, u64); 3] = [
            ("lookup_timeout_ms", self.lookup_timeout_ms, 60_000),
            (
                "lookup_connections",
                u64::try_from(self.lookup_connections).unwrap_or(u64::MAX),
                64,
            ),
            ("write_timeout_ms", self.write_timeout_ms, 600_000),
        ];
        for (key, value, most) in ranges {
            if value == 0 || value > most {
                let problem = format!("is {value}; it must lie between 1 and {most}");
                return Err(RegisterError::Setting { key, problem });
            }
        }
        Ok(())
    }

    /// Whether there is a file where the register should be; opening it would make one.
    ///
    /// # Errors
    /// When the setting names no file.
    pub fn is_there(&self) -> Result<bool, RegisterError> {
        Ok(self.path()?.exists())
    }

    pub(super) fn path(&self) -> Result<PathBuf, RegisterError> {
        let problem = match self.register.strip_prefix("sqlite:") {
            Some("") => "names no file after `sqlite:`",
            Some(path) => return Ok(PathBuf::from(path)),
            None => "names an engine that is not known; this version knows `sqlite:PATH`",
        };
        Err(RegisterError::Setting {
            key: "register",
            problem: problem.to_owned(),
        })
    }
}
