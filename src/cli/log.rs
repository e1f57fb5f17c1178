//! Logs to standard error, as text or JSON lines. No address of a person and no URL ever reaches them: callers log
//! subjects (keyed hashes), ids and counts.

use crate::config::LogFormat;

/// Starts logging; a second call changes nothing.
pub(super) fn start(format: LogFormat, level: tracing::Level) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_target(false);
    // An error means that a subscriber is set already, which then stays.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
