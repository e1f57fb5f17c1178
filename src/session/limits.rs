//! What one client, and all clients together, may take of us: named limits with their units (`[limits]`).
//!
//! Plain values filled by `config`. A value that makes no sense is refused by name before anything listens.

use std::time::Duration;

use serde::Deserialize;

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Sessions at the same time.
    pub sessions: usize,
    /// How many of them are kept for clients that may relay by their address; a tenth where nothing is said.
    pub sessions_reserved: Option<usize>,
    /// Sessions at the same time from one address (Unix sockets: no limit but `sessions`).
    pub sessions_per_address: usize,
    /// Octets of one message.
    pub message_octets: usize,
    /// Octets of all messages together that are being read or forwarded.
    pub memory_octets: u64,
    /// Octets of one message that are held in memory in any case while it is being read.
    pub session_memory_octets: usize,
    /// Octets of all messages together above which those that hold more than `session_memory_octets` go on in a file.
    pub reading_memory_octets: u64,
    /// Seconds that a message which went into a file waits for room in memory at its end.
    pub memory_wait_seconds: u64,
    /// Octets of one line of a message, without CRLF.
    pub line_octets: usize,
    /// Octets of the header section of a message.
    pub header_octets: usize,
    /// Octets of one command line, with CRLF.
    pub command_line_octets: usize,
    /// Accepted recipients of one message.
    pub recipients: usize,
    /// Wrong commands before the client is sent away; a message answered starts the count anew.
    pub bad_commands: usize,
    /// Commands that move no mail before the client is sent away; a message answered starts the count anew.
    pub idle_commands: usize,
    /// Failed logins of one session before the client is sent away.
    pub auth_failures: usize,
    /// Seconds for a TLS handshake, and for the PROXY header before it.
    pub handshake_timeout_seconds: u64,
    /// Seconds for the first command after the greeting.
    pub greeting_timeout_seconds: u64,
    /// Seconds for each further command (RFC 5321 4.5.3.2.7 asks for 300).
    pub command_timeout_seconds: u64,
    /// Seconds of silence within a message (RFC 5321 4.5.3.2.5 gives a client 180 for one block).
    pub data_timeout_seconds: u64,
    /// Seconds for a whole message, however steadily it drips.
    pub data_total_seconds: u64,
    /// Seconds in which a client must read what we wrote.
    pub write_timeout_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 1000,
            sessions_reserved: None,
            // Postfix as a client is one address: its default process limit of 100 must fit twice.
            sessions_per_address: 200,
            message_octets: 50 << 20,
            memory_octets: 512 << 20,
            session_memory_octets: 128 << 10,
            reading_memory_octets: 32 << 20,
            memory_wait_seconds: 10,
            line_octets: 1 << 20,
            header_octets: 512 << 10,
            command_line_octets: 4096,
            recipients: 1000,
            bad_commands: 20,
            idle_commands: 2000,
            auth_failures: 3,
            handshake_timeout_seconds: 20,
            greeting_timeout_seconds: 60,
            command_timeout_seconds: 300,
            data_timeout_seconds: 180,
            data_total_seconds: 3600,
            write_timeout_seconds: 60,
        }
    }
}

/// A limit that makes no sense. The operator is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("limits.{key} is {value}; it must be at least {least} ({why})")]
pub struct LimitError {
    /// The key in `[limits]`.
    pub key: &'static str,
    /// What was written.
    pub value: u64,
    /// The least that makes sense.
    pub least: u64,
    /// Why.
    pub why: &'static str,
}

impl Limits {
    /// Refuses values that make no sense.
    ///
    /// # Errors
    /// The first key that is wrong.
    pub fn check(&self) -> Result<(), LimitError> {
        const SOME: &str = "nothing would be taken";
        const LINE: &str = "a line of a message must fit, RFC 5322 2.1.1";
        const COMMAND: &str = "a RCPT with ORCPT must fit, RFC 5321 4.5.3.1 and RFC 3461 4.2";
        const LARGEST: &str = "a message of message_octets must fit";
        let largest = u64::try_from(self.message_octets).unwrap_or(u64::MAX);
        at_least("sessions", self.sessions, 1, SOME)?;
        let reserved = u64::try_from(self.reserved()).unwrap_or(u64::MAX);
        at_least(
            "sessions",
            self.sessions,
            reserved.saturating_add(1),
            "sessions_reserved are among them",
        )?;
        at_least("sessions_per_address", self.sessions_per_address, 1, SOME)?;
        at_least(
            "message_octets",
            self.message_octets,
            65_536,
            "RFC 5321 4.5.3.1.7",
        )?;
        at_least("memory_octets", self.memory_octets, largest, LARGEST)?;
        at_least("line_octets", self.line_octets, 998, LINE)?;
        at_least("header_octets", self.header_octets, 998, LINE)?;
        at_least(
            "command_line_octets",
            self.command_line_octets,
            1024,
            COMMAND,
        )?;
        at_least("recipients", self.recipients, 100, "RFC 5321 4.5.3.1.8")?;
        at_least("bad_commands", self.bad_commands, 1, SOME)?;
        at_least("idle_commands", self.idle_commands, 10, SOME)?;
        at_least("auth_failures", self.auth_failures, 1, SOME)?;
        at_least(
            "handshake_timeout_seconds",
            self.handshake_timeout_seconds,
            1,
            SOME,
        )?;
        at_least(
            "greeting_timeout_seconds",
            self.greeting_timeout_seconds,
            1,
            SOME,
        )?;
        at_least(
            "command_timeout_seconds",
            self.command_timeout_seconds,
            1,
            SOME,
        )?;
        at_least("data_timeout_seconds", self.data_timeout_seconds, 1, SOME)?;
        at_least("data_total_seconds", self.data_total_seconds, 1, SOME)?;
        at_least("write_timeout_seconds", self.write_timeout_seconds, 1, SOME)?;
        Ok(())
    }

    /// Every wait, by its key.
    pub(crate) fn waits(&self) -> [(&'static str, u64); 7] {
        [
            ("memory_wait_seconds", self.memory_wait_seconds),
            ("handshake_timeout_seconds", self.handshake_timeout_seconds),
            ("greeting_timeout_seconds", self.greeting_timeout_seconds),
            ("command_timeout_seconds", self.command_timeout_seconds),
            ("data_timeout_seconds", self.data_timeout_seconds),
            ("data_total_seconds", self.data_total_seconds),
            ("write_timeout_seconds", self.write_timeout_seconds),
        ]
    }

    /// `handshake_timeout_seconds`.
    pub(crate) fn handshake_timeout(&self) -> Duration {
        Duration::from_secs(self.handshake_timeout_seconds)
    }

    /// `sessions_reserved`.
    pub(crate) fn reserved(&self) -> usize {
        self.sessions_reserved.unwrap_or(self.sessions / 10)
    }

    pub(super) fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.write_timeout_seconds)
    }
}

fn at_least(
    key: &'static str,
    value: impl TryInto<u64>,
    least: u64,
    why: &'static str,
) -> Result<(), LimitError> {
    // What does not fit into 64 bits is more than enough of anything.
    let value = value.try_into().unwrap_or(u64::MAX);
    if value < least {
        return Err(LimitError {
            key,
            value,
            least,
            why,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_make_sense_and_nonsense_is_named() {
        assert_eq!(Limits::default().check(), Ok(()));
        let none: Limits = toml::from_str("").unwrap();
        assert_eq!(none, Limits::default());
        for (text, key) in [
            ("sessions = 0", "limits.sessions is 0"),
            ("memory_octets = 1000", "limits.memory_octets is 1000"),
            ("recipients = 99", "limits.recipients is 99"),
            ("data_total_seconds = 0", "limits.data_total_seconds is 0"),
        ] {
            let limits: Limits = toml::from_str(text).unwrap();
            let error = limits.check().unwrap_err().to_string();
            assert!(error.starts_with(key), "{error}");
        }
        let error = toml::from_str::<Limits>("recipient = 5").unwrap_err();
        assert!(error.message().contains("unknown field"), "{error}");
    }
}
