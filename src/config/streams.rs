//! What a `[[stream]]` may not say, and what it says that does not fit the listeners and the law.
//!
//! Knows settings, never a message. The first problem ends the reading, named with line, key and repair; what is lawful and
//! odd is a remark.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::error::{ConfigError, Source, Step};
use super::file::File;
use crate::consent::{Purpose, StreamKind};
use crate::pixel::Spot;
use crate::relay::settings::{Enforcement, Stream, Tracker, WithdrawalLink};
use crate::relay::speaks::{Speaks, is_name};
use crate::relay::streams::plain_host;
use crate::server::ListenerSettings;

/// Longest name of a partner, in octets: every finding of theirs says it in the ledger.
const RECIPIENT_OCTETS: usize = 256;
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
            format!(
                "controller is empty, too long (128 octets), holds a control character or is `unassigned`: `{}`",
                controller.escape_debug()
            ),
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
    check_spots(source, index, stream)?;
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
        Some(WithdrawalLink::Checked(link)) if !names_a_host(&link.url_prefix) => wrong(
            &format!(
                "`{}` does not say where a link leads",
                link.url_prefix.escape_debug()
            ),
            "write scheme, host and path: \"https://www.example.com/privacy/\"",
        ),
        Some(_) => Ok(()),
    }
}

/// Whether a prefix fixes the host of every link that begins so.
fn names_a_host(prefix: &str) -> bool {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| prefix.strip_prefix(scheme));
    let host = rest.and_then(|rest| rest.split_once('/'));
    host.is_some_and(|(host, _)| {
        let strange = |c: char| c.is_whitespace() || c.is_control() || "@\\?#".contains(c);
        !host.is_empty() && !host.contains(strange)
    })
}

/// What never matches would leave an image alone that the operator meant, or blank one that has to load.
fn check_spots(source: &Source<'_>, index: usize, stream: &Stream) -> Result<(), ConfigError> {
    let parameters = stream.identity_parameters.iter();
    let at = parameters.map(|parameter| ("identity_parameters", &parameter.at));
    let functional = stream
        .functional_images
        .iter()
        .map(|spot| ("functional_images", spot));
    let endpoints = stream.endpoints.iter().map(|spot| ("endpoints", spot));
    let mut spots = at.chain(functional).chain(endpoints);
    match spots.find(|(_, spot)| Spot::parse(spot).is_none()) {
        None => Ok(()),
        Some((key, spot)) => Err(source.at_key(
            &[Step::Key("stream"), Step::Index(index), Step::Key(key)],
            format!("`{}` does not name a host", spot.escape_debug()),
            "write \"img.example.com\", \"*.example.com\" or \"img.example.com/tickets/\"",
        )),
    }
}

fn check_trackers(source: &Source<'_>, index: usize, stream: &Stream) -> Result<(), ConfigError> {
    let mut declared = BTreeSet::new();
    for (number, tracker) in stream.trackers.iter().enumerate() {
        let wrong =
            contradiction(stream.kind, tracker).or_else(|| declared_twice(&mut declared, tracker));
        let Some((key, what, repair)) = wrong else {
            continue;
        };
        let at = [
            Step::Key("stream"),
            Step::Index(index),
            Step::Key("tracker"),
            Step::Index(number),
            Step::Key(key),
        ];
        return Err(source.at_key(&at, what, repair));
    }
    Ok(())
}

/// Two entries about one host: its trackers are told apart by nothing else, and only one of the two would be asked.
fn declared_twice(
    declared: &mut BTreeSet<String>,
    tracker: &Tracker,
) -> Option<(&'static str, String, &'static str)> {
    let hosts: BTreeSet<String> = tracker
        .hosts
        .iter()
        .map(|host| plain_host(host).into_owned())
        .collect();
    if let Some(twice) = hosts.intersection(declared).next() {
        let what = format!("`{twice}` stands in two [[stream.tracker]] of one stream");
        let repair = "write one entry that names every purpose of that host";
        return Some(("hosts", what, repair));
    }
    declared.extend(hosts);
    None
}

/// Whether a pattern can name a host: what never matches would leave its trackers to the entry for `*`.
fn is_host(pattern: &str) -> bool {
    let name = pattern.strip_prefix("*.").unwrap_or(pattern);
    let literal = name.parse::<std::net::Ipv6Addr>().is_ok();
    let strange = |c: char| c.is_whitespace() || c.is_control() || "/\\:@*?#[]".contains(c);
    pattern == "*" || literal || !(name.trim_matches('.').is_empty() || name.contains(strange))
}

/// What one tracker may not say on this kind of stream: the key, what is wrong, and the repair.
fn contradiction(
    kind: StreamKind,
    tracker: &Tracker,
) -> Option<(&'static str, String, &'static str)> {
    if tracker.hosts.is_empty() || !tracker.hosts.iter().all(|host| is_host(host)) {
        let repair = "write \"open.example.com\", \"*.example.com\" or \"*\"";
        return Some(("hosts", "hosts has to name host names".to_owned(), repair));
    }
    let recipient = &tracker.recipient;
    let is_named = !recipient.trim().is_empty() && !recipient.chars().any(char::is_control);
    if !is_named || recipient.len() > RECIPIENT_OCTETS {
        let what = format!(
            "recipient is empty, holds a control character or is longer than {RECIPIENT_OCTETS} octets"
        );
        return Some((
            "recipient",
            what,
            "write \"us\", or the partner's name as people were shown it",
        ));
    }
    let purposes = &tracker.purposes;
    if purposes.is_empty() {
        let what = "a tracker without a purpose".to_owned();
        return Some((
            "purposes",
            what,
            "name what the opens are used for, or leave the tracker out",
        ));
    }
    if kind == StreamKind::Prospecting && purposes.contains(&Purpose::DeliverabilityHygiene) {
        let what = "deliverability_hygiene on prospecting: not requested, so not exempt (D6)";
        return Some((
            "purposes",
            what.to_owned(),
            "take it out, or declare what needs consent",
        ));
    }
    if kind != StreamKind::Authentication && purposes.contains(&Purpose::AuthSecurity) {
        let what =
            format!("auth_security on a stream of kind {kind}: only exempt on authentication (D4)");
        return Some((
            "purposes",
            what,
            "take it out, or give that mail a stream of its own",
        ));
    }
    let exempt = purposes.iter().find(|purpose| purpose.may_be_exempt());
    if let Some(exempt) = exempt.filter(|_| tracker.hosts.iter().any(|host| host == "*")) {
        let what =
            format!("{exempt} for every host: an exemption is for trackers that are known (D4)");
        return Some(("hosts", what, "name the hosts"));
    }
    None
}

/// Who may speak for whom, and what a stream says of it.
pub(super) fn check_controllers(source: &Source<'_>, file: &File) -> Result<(), ConfigError> {
    if file.streams.is_empty() {
        let says = |listener: &ListenerSettings| listener.controllers != Speaks::OfItsStreams;
        let Some(index) = file.listeners.iter().position(says) else {
            return Ok(());
        };
        return Err(source.at_key(
            &[
                Step::Key("listener"),
                Step::Index(index),
                Step::Key("controllers"),
            ],
            "controllers without any [[stream]]: the built-in stream is the controller `default`'s",
            "add a [[stream]] without controller: it serves all of them",
        ));
    }
    for (index, stream) in file.streams.iter().enumerate() {
        let at = |key| [Step::Key("stream"), Step::Index(index), Step::Key(key)];
        let doors = file.listeners.iter();
        let mut doors = doors.filter(|door| stream.is_open_to(&door.address.to_string()));
        let Some(controller) = &stream.controller else {
            if let Some(silent) = doors.find(|door| !speaks(file, door)) {
                let what = format!(
                    "stream `{}` names no controller, and neither does listener {}",
                    stream.name, silent.address
                );
                let repair = "set controller here, or controllers on that listener";
                return Err(source.at_key(&at("name"), what, repair));
            }
            continue;
        };
        let may = |door: &ListenerSettings| door.controllers.may(controller).unwrap_or(true);
        // A stream of every listener needs one; a stream that names its listeners means each of them.
        let wrong = match stream.listeners.is_empty() {
            true => (!doors.any(may)).then(|| "any listener".to_owned()),
            false => doors
                .find(|door| !may(door))
                .map(|door| format!("listener {}", door.address)),
        };
        if let Some(door) = wrong {
            let what = format!(
                "stream `{}` is controller `{controller}`'s, for which {door} may not speak",
                stream.name
            );
            let repair = "add the controller to the listener's controllers, or take the listener out of the stream";
            return Err(source.at_key(&at("controller"), what, repair));
        }
    }
    Ok(())
}

/// Whether mail of this listener can have any controller.
fn speaks(file: &File, door: &ListenerSettings) -> bool {
    let address = door.address.to_string();
    door.controllers != Speaks::OfItsStreams
        || file
            .streams
            .iter()
            .any(|stream| stream.is_open_to(&address) && stream.controller.is_some())
}

/// What is lawful and should not be overlooked.
pub(super) fn remarks(stream: &Stream, today: Date, remarks: &mut Vec<String>) {
    let name = &stream.name;
    if let Some(shadow) = stream.shadow(today) {
        remarks.push(format!(
            "stream `{name}` only LOOKS ON until {} (decided by {}): trackers leave without consent for {} percent of its recipients",
            shadow.shadow_until, shadow.by, 100 - shadow.share_percent.min(100)
        ));
    }
    let hosts = |tracker: &Tracker| tracker.hosts.iter().any(|host| host == "*");
    if stream.trackers.iter().any(hosts) {
        remarks.push(format!(
            "stream `{name}` declares the host \"*\": every tracker in its mail counts as declared"
        ));
    }
    if let Some(WithdrawalLink::Checked(link)) = &stream.withdrawal_link
        && link.url_prefix.split('/').skip(3).all(str::is_empty)
    {
        remarks.push(format!(
            "stream `{name}`: every link that begins with {} counts as the one to withdraw; name its path",
            link.url_prefix
        ));
    }
    if stream.kind == StreamKind::ConsentRequest {
        if stream.withdrawal_link.is_some() {
            remarks.push(format!(
                "stream `{name}` asks for consent: its withdrawal_link is never looked for"
            ));
        }
        let exempt = |tracker: &Tracker| {
            tracker
                .purposes
                .iter()
                .all(|purpose| purpose.may_be_exempt())
        };
        if !stream.trackers.iter().all(exempt) {
            remarks.push(format!(
                "stream `{name}` asks for consent: none of its trackers is ever kept (D9)"
            ));
        }
    }
    for tracker in &stream.trackers {
        let exempt = tracker
            .purposes
            .iter()
            .find(|purpose| purpose.may_be_exempt());
        let consent = tracker
            .purposes
            .iter()
            .find(|purpose| !purpose.may_be_exempt());
        if let (Some(exempt), Some(consent)) = (exempt, consent) {
            remarks.push(format!(
                "stream `{name}`, {}: {exempt} beside {consent} is not exempt; the tracker needs consent to both (F12)",
                tracker.hosts.join(", ")
            ));
        }
    }
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
