//! What a `[[stream]]` may not say, and what it says that does not fit the listeners and the law.
//!
//! Knows settings, never a message. The first problem ends the reading, named with line, key and repair; what is lawful and
//! odd is a remark.

use jiff::civil::Date;

use super::error::{ConfigError, Source, Step};
use super::file::File;
use crate::consent::{Purpose, StreamKind};
use crate::relay::settings::{Enforcement, Stream, WithdrawalLink};
use crate::relay::speaks::is_name;

/// Longest a stream may only look on, in days (DESIGN 5).
const SHADOW_DAYS: i64 = 31;

/// Checks one `[[stream]]`.
pub(super) fn check_stream(
    source: &Source<'_>,
    file: &File,
    index: usize,
    stream: &Stream,
    today: Date,
) -> Result<(), ConfigError> {
    let at = |key: &'static str| [Step::Key("stream"), Step::Index(index), Step::Key(key)];
    let wrong =
        |key: &'static str, what: String, repair: &str| Err(source.at_key(&at(key), what, repair));
    if !is_name(&stream.name) {
        return wrong(
            "name",
            format!("`{}` cannot be a stream's name", stream.name.escape_debug()),
            "give it a name of its own without control characters",
        );
    }
    if let Some(controller) = stream.controller.as_deref().filter(|name| !is_name(name)) {
        return wrong(
            "controller",
            format!("`{}` cannot be a controller's name", controller.escape_debug()),
            "name who sends the mail",
        );
    }
    if file
        .streams
        .iter()
        .take(index)
        .any(|other| other.name == stream.name)
    {
        return wrong(
            "name",
            format!("two streams are called `{}`", stream.name),
            "give one another name",
        );
    }
    for listener in &stream.listeners {
        if !file
            .listeners
            .iter()
            .any(|known| known.address.to_string() == *listener)
        {
            return wrong(
                "listeners",
                format!("no [[listener]] has the address `{listener}`"),
                "name the address of a listener as it stands there",
            );
        }
    }
    check_withdrawal(source, index, stream)?;
    check_trackers(source, index, stream)?;
    check_shadow(source, index, stream, today)
}

/// D10: a configured stream says how its recipients withdraw.
fn check_withdrawal(source: &Source<'_>, index: usize, stream: &Stream) -> Result<(), ConfigError> {
    let at = [
        Step::Key("stream"),
        Step::Index(index),
        Step::Key("withdrawal_link"),
    ];
    let wrong = |what: &str, repair: &str| Err(source.at_key(&at, what, repair));
    match &stream.withdrawal_link {
        None if stream.kind == StreamKind::ConsentRequest => Ok(()),
        None => wrong(
            &format!(
                "stream `{}` does not say how recipients withdraw (D10)",
                stream.name
            ),
            "set withdrawal_link = { url_prefix = \"https://…\" } or { elsewhere = \"where, and why that suffices\" }",
        ),
        Some(WithdrawalLink::Elsewhere(link)) if link.elsewhere.trim().is_empty() => wrong(
            "elsewhere is empty",
            "say where recipients withdraw, and why that suffices",
        ),
        Some(WithdrawalLink::Checked(link)) if link.url_prefix.trim().is_empty() => wrong(
            "url_prefix is empty: every link would do",
            "set how the withdrawal link begins",
        ),
        Some(_) => Ok(()),
    }
}

fn check_trackers(source: &Source<'_>, index: usize, stream: &Stream) -> Result<(), ConfigError> {
    for (number, tracker) in stream.trackers.iter().enumerate() {
        let at = |key: &'static str| {
            [
                Step::Key("stream"),
                Step::Index(index),
                Step::Key("tracker"),
                Step::Index(number),
                Step::Key(key),
            ]
        };
        if tracker.hosts.is_empty()
            || tracker
                .hosts
                .iter()
                .any(|host| host.is_empty() || host.contains('/'))
        {
            return Err(source.at_key(
                &at("hosts"),
                "hosts has to name host names",
                "write \"open.example.com\", \"*.example.com\" or \"*\"",
            ));
        }
        if tracker.purposes.is_empty() {
            return Err(source.at_key(
                &at("purposes"),
                "a tracker without a purpose",
                "name what the opens are used for, or leave the tracker out",
            ));
        }
        if stream.kind == StreamKind::Prospecting
            && tracker.purposes.contains(&Purpose::DeliverabilityHygiene)
        {
            return Err(source.at_key(
                &at("purposes"),
                "deliverability_hygiene on prospecting: not requested, so not exempt (D6)",
                "take it out, or declare what needs consent",
            ));
        }
    }
    Ok(())
}

fn check_shadow(
    source: &Source<'_>,
    index: usize,
    stream: &Stream,
    today: Date,
) -> Result<(), ConfigError> {
    let Enforcement::Shadow(shadow) = &stream.enforcement else {
        return Ok(());
    };
    let at = [
        Step::Key("stream"),
        Step::Index(index),
        Step::Key("enforcement"),
    ];
    let days = today
        .until(shadow.shadow_until)
        .map(|span| i64::from(span.get_days()));
    if days.is_ok_and(|days| days > SHADOW_DAYS) {
        return Err(source.at_key(
            &at,
            format!("shadow_until is more than {SHADOW_DAYS} days ahead"),
            "choose an earlier day; it can be set again then",
        ));
    }
    if shadow.by.trim().is_empty() {
        return Err(source.at_key(
            &at,
            "by is empty",
            "name who decided that this stream only looks on",
        ));
    }
    if shadow.share_percent > 100 {
        return Err(source.at_key(&at, "share_percent is more than 100", "0 to 100"));
    }
    Ok(())
}

