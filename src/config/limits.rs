//! Numbers and names of a configuration that no module could work with, each refused by its key.
//!
//! Asks every module for its own bounds and adds those that concern all. Opens nothing.

use super::error::{ConfigError, Source, Step};
use super::file::File;

/// Longest wait that may be configured, in seconds: 366 days. Far past it a timer's clock overflows.
const WAIT_SECONDS_MOST: u64 = 366 * 24 * 3600;

/// Checks them all.
pub(super) fn check_limits(source: &Source<'_>, file: &File) -> Result<(), ConfigError> {
    file.limits.check().map_err(|error| {
        source.at_key(
            &[Step::Key("limits"), Step::Key(error.key)],
            error.to_string(),
            "raise it",
        )
    })?;
    check_seconds(source, file)?;
    if let Some(problem) = file.spool.problem() {
        return Err(source.at_key(&[Step::Key("spool")], problem, "correct it"));
    }
    let name = &file.server.name;
    if name.is_empty()
        || name.len() > 255
        || !name
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b".-[]:".contains(&octet))
    {
        return Err(source.at_key(
            &[Step::Key("server"), Step::Key("name")],
            format!("`{}` is not a host name", name.escape_debug()),
            "set the name this relay goes by",
        ));
    }
    let relay = &file.relay;
    let milliseconds = usize::try_from(relay.examine_cpu_ms).unwrap_or(usize::MAX);
    for (key, value) in [
        ("examine_cpu_ms", milliseconds),
        ("parts", relay.parts),
        ("depth", relay.depth),
        ("token_octets", relay.token_octets),
        ("html_octets", relay.html_octets),
        ("findings", relay.findings),
        ("received_fields", relay.received_fields),
        ("own_received_fields", relay.own_received_fields),
    ] {
        if value == 0 {
            return Err(source.at_key(
                &[Step::Key("relay"), Step::Key(key)],
                format!("{key} is 0: nothing would pass"),
                "set it to at least 1, or leave it out",
            ));
        }
    }
    Ok(())
}

/// No wait is longer than [`WAIT_SECONDS_MOST`].
fn check_seconds(source: &Source<'_>, file: &File) -> Result<(), ConfigError> {
    let too_long = |at: &[Step<'_>], (key, seconds): (&str, u64)| {
        let what = format!("{key} is {seconds}; at most {WAIT_SECONDS_MOST} (366 days)");
        source.at_key(at, what, "lower it")
    };
    let server = ("drain_seconds", file.server.drain_seconds);
    if server.1 > WAIT_SECONDS_MOST {
        let at = [Step::Key("server"), Step::Key(server.0)];
        return Err(too_long(&at, server));
    }
    let long = |wait: &(&'static str, u64)| wait.1 > WAIT_SECONDS_MOST;
    if let Some(wait) = file.limits.waits().into_iter().find(long) {
        let at = [Step::Key("limits"), Step::Key(wait.0)];
        return Err(too_long(&at, wait));
    }
    for (index, hop) in file.next_hops.iter().enumerate() {
        if let Some(wait) = hop.limits.waits().into_iter().find(long) {
            let at = [
                Step::Key("next_hop"),
                Step::Index(index),
                Step::Key("limits"),
                Step::Key(wait.0),
            ];
            return Err(too_long(&at, wait));
        }
    }
    Ok(())
}
