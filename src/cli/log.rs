//! Logs to standard error, as text or JSON lines. No address of a person and no URL ever reaches them: callers log
//! subjects (keyed hashes), ids and counts.

use crate::config::LogFormat;

/// Starts logging; a second call changes nothing.
pub(super) fn start(format: LogFormat, level: tracing::Level) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_target(false)
        // Where standard error takes nothing (a full disk, a reader that is gone) the complaint about it would go to
        // standard error too, and panic: a lost log line must not cost a message.
        .log_internal_errors(false);
    // An error means that a subscriber is set already, which then stays.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
