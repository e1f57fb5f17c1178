//! Whose mail is it, and which purposes are declared for a host (DESIGN 5 "Streams").
//!
//! The connection fixes which controllers and streams a message may belong to; the message only picks among those, and may
//! narrow what its trackers are for. Pure. What is not clear is `unassigned`, which has no records: nothing is kept there.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::settings::{Enforcement, Shadow, Stream, Tracker};
use super::speaks::{Speaks, UNASSIGNED, is_well_formed};
use crate::consent::{Purpose, StreamKind};
use crate::pixel::{IndividualImages, Own, Spot};

/// All streams of a configuration, and who may speak for whom.
#[derive(Debug, Clone)]
pub struct Streams {
    configured: Vec<Stream>,
    built_in: Stream,
    unassigned: Stream,
    doors: BTreeMap<String, Speaks>,
    logins: BTreeMap<String, Speaks>,
}

/// By what a message came in: all that fixes for whom it may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection<'a> {
    /// The listener's address as configured.
    pub listener: &'a str,
    /// The name its client proved.
    pub login: Option<&'a str>,
}

impl<'a> From<&'a str> for Connection<'a> {
    fn from(listener: &'a str) -> Self {
        Self {
            listener,
            login: None,
        }
    }
}

/// What a message says of itself in fields of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Values of `Pixelgate-Stream`, as many as there are.
    pub streams: Vec<String>,
    /// Values of `Pixelgate-Controller`; `None` for one that is folded, which no two readers read alike.
    pub controllers: Vec<Option<String>>,
    /// Values of `Pixelgate-Purpose`.
    pub purposes: Vec<String>,
}

/// Whose mail a message is.
#[derive(Debug, Clone)]
pub struct Assignment<'a> {
    /// The stream.
    pub stream: &'a Stream,
    /// In whose name it is sent.
    pub controller: Cow<'a, str>,
    /// Whether stream and controller could be told; if not there are no records.
    pub assigned: bool,
    /// Why `Pixelgate-Purpose` was not heeded, where it was not.
    pub ignored: Option<&'static str>,
    /// What the message narrows its trackers to.
    pub(super) named: Option<BTreeSet<Purpose>>,
}

/// What is declared about a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared<'a> {
    /// Consent to all of them is needed; none at all: undeclared, consent to every purpose is needed (D2).
    pub purposes: Cow<'a, [Purpose]>,
    /// Who learns of the opens beside the controller (D19).
    pub partner: Option<&'a str>,
}

impl Streams {
    /// From the configured streams (none means the built-in default), and each listener's address with what it says.
    pub fn new(configured: Vec<Stream>, doors: impl IntoIterator<Item = (String, Speaks)>) -> Self {
        Self {
            configured,
            built_in: Stream::built_in(),
            unassigned: Stream::unassigned(),
            doors: doors.into_iter().collect(),
            logins: BTreeMap::new(),
        }
    }

    /// With what the configuration says of logins; who is not named there speaks as the listener does.
    #[must_use]
    pub fn with_logins(self, logins: impl IntoIterator<Item = (String, Speaks)>) -> Self {
        Self {
            logins: logins.into_iter().collect(),
            ..self
        }
    }

    /// Whether the configuration says anything of a login: for whom it speaks, or whose streams it is.
    pub fn names_login(&self, login: &str) -> bool {
        let of_stream = |stream: &Stream| stream.logins.iter().any(|name| name == login);
        self.logins.contains_key(login) || self.configured.iter().any(of_stream)
    }

    /// Every stream that mail can be assigned to.
    pub fn all(&self) -> &[Stream] {
        if self.configured.is_empty() {
            std::slice::from_ref(&self.built_in)
        } else {
            &self.configured
        }
    }

    /// Whose mail it is that came in so and says this of itself.
    pub fn assign<'c>(
        &self,
        connection: impl Into<Connection<'c>>,
        asked: &Asked,
    ) -> Assignment<'_> {
        let Some((stream, controller)) = self.pick(connection.into(), asked) else {
            return Assignment {
                stream: &self.unassigned,
                controller: Cow::Borrowed(UNASSIGNED),
                assigned: false,
                ignored: None,
                named: None,
            };
        };
        let (named, ignored) = match stream.narrowing(&asked.purposes) {
            Ok(named) => (named, None),
            Err(why) => (None, Some(why)),
        };
        Assignment {
            stream,
            controller,
            assigned: true,
            ignored,
            named,
        }
    }

    /// The one stream and controller that are meant; `None` where none is, or more than one could be.
    fn pick(&self, connection: Connection<'_>, asked: &Asked) -> Option<(&Stream, Cow<'_, str>)> {
        // A listener that is gone from the configuration speaks for nobody any more.
        let door = self.doors.get(connection.listener)?;
        let own = connection.login.and_then(|login| self.logins.get(login));
        let speaks = own.unwrap_or(door);
        let open = self.all().iter().filter(|stream| stream.takes(connection));
        let open: Vec<&Stream> = open.collect();
        let controllers = asked.among(speaks, &open)?;
        let meant = |controller: &str| -> Vec<&Stream> {
            let serving = open.iter().copied();
            match asked.streams.as_slice() {
                [name] => serving
                    .filter(|stream| stream.name == *name && stream.serves(controller))
                    .collect(),
                _ => most_exact(serving, controller),
            }
        };
        if asked.streams.len() > 1 {
            return None;
        }
        let mut pairs = controllers.into_iter().flat_map(|controller| {
            let streams = meant(&controller);
            streams
                .into_iter()
                .map(move |stream| (stream, controller.clone()))
        });
        match (pairs.next(), pairs.next()) {
            (Some((stream, controller)), None) => {
                let owned = || Cow::Owned(controller.clone());
                let controller = stream
                    .controller
                    .as_deref()
                    .map_or_else(owned, Cow::Borrowed);
                Some((stream, controller))
            }
            _ => None,
        }
    }
}

/// The streams that name the controller; where none does, those that serve everybody.
fn most_exact<'a>(open: impl Iterator<Item = &'a Stream>, controller: &str) -> Vec<&'a Stream> {
    let (own, others): (Vec<_>, Vec<_>) =
        open.partition(|stream| stream.controller.as_deref() == Some(controller));
    match own.is_empty() {
        true => others
            .into_iter()
            .filter(|stream| stream.controller.is_none())
            .collect(),
        false => own,
    }
}

impl Asked {
    /// The controllers that are left of those the connection may speak for; `None` where the message is not clear.
    fn among(&self, speaks: &Speaks, open: &[&Stream]) -> Option<BTreeSet<String>> {
        let named = match self.controllers.as_slice() {
            [] => None,
            [Some(name)] if is_well_formed(name) => Some(name),
            _ => return None,
        };
        let may: BTreeSet<String> = match speaks {
            Speaks::Named => named.into_iter().cloned().collect(),
            Speaks::Listed(names) => names.clone(),
            Speaks::OfItsStreams => open
                .iter()
                .filter_map(|stream| stream.controller.clone())
                .collect(),
        };
        Some(match named {
            Some(name) => may
                .into_iter()
                .filter(|controller| controller == name)
                .collect(),
            None => may,
        })
    }
}

impl Assignment<'_> {
    /// What is declared for a host (lower case), as far as the message does not narrow it.
    pub fn declared(&self, host: &str) -> Declared<'_> {
        match self.stream.tracker(host) {
            Some(tracker) => self.said_of(tracker),
            None => Declared {
                purposes: Cow::Borrowed(&[]),
                partner: None,
            },
        }
    }

    /// Everything that is declared for this stream, for what may be any of its trackers.
    pub fn every_declared(&self) -> impl Iterator<Item = Declared<'_>> {
        let trackers = self.stream.trackers.iter();
        trackers.map(|tracker| self.said_of(tracker))
    }

    fn said_of<'t>(&self, tracker: &'t Tracker) -> Declared<'t> {
        let purposes = match &self.named {
            None => Cow::Borrowed(tracker.purposes.as_slice()),
            Some(named) => narrowed(&tracker.purposes, named),
        };
        Declared {
            purposes,
            partner: tracker.partner(),
        }
    }
}

/// What both the operator declares and the message names. A tracker with a purpose that needs consent never becomes an
/// exempt one by leaving that purpose out (F12): then all that is declared stands.
fn narrowed<'a>(declared: &'a [Purpose], named: &BTreeSet<Purpose>) -> Cow<'a, [Purpose]> {
    let exempt = |purposes: &[Purpose]| purposes.iter().all(|purpose| purpose.may_be_exempt());
    let left: Vec<Purpose> = declared
        .iter()
        .copied()
        .filter(|purpose| named.contains(purpose))
        .collect();
    match !left.is_empty() && exempt(&left) && !exempt(declared) {
        true => Cow::Borrowed(declared),
        false => Cow::Owned(left),
    }
}

impl Stream {
    /// What becomes of visible images that are one person's own: where the kind makes tickets, codes and avatars the service
    /// itself they stay (DESIGN 4).
    pub fn images(&self) -> IndividualImages {
        self.individual_images.unwrap_or(match self.kind {
            StreamKind::Requested | StreamKind::Authentication => IndividualImages::Report,
            StreamKind::Marketing | StreamKind::Prospecting | StreamKind::ConsentRequest => {
                IndividualImages::Deidentify
            }
        })
    }

    /// What the operator says of its URLs.
    pub fn own(&self) -> Own {
        let spots = |texts: &[String]| texts.iter().filter_map(|text| Spot::parse(text)).collect();
        let identities = self.identity_parameters.iter();
        Own {
            endpoints: spots(&self.endpoints),
            markers: self.markers.clone(),
            functional: spots(&self.functional_images),
            identities: identities
                .filter_map(|identity| Some((Spot::parse(&identity.at)?, identity.name.clone())))
                .collect(),
        }
    }

    /// Whether mail of this listener may belong to it.
    pub fn is_open_to(&self, listener: &str) -> bool {
        self.listeners.is_empty() || self.listeners.iter().any(|address| address == listener)
    }

    /// Whether mail of this connection may belong to it.
    pub fn takes(&self, connection: Connection<'_>) -> bool {
        let named = |login: &str| self.logins.iter().any(|name| name == login);
        let logged_in = self.logins.is_empty() || connection.login.is_some_and(named);
        logged_in && self.is_open_to(connection.listener)
    }

    /// Whether mail of this controller may belong to it, where the connection may speak for the controller.
    pub fn serves(&self, controller: &str) -> bool {
        self.controller
            .as_deref()
            .is_none_or(|own| own == controller)
    }

    /// The most exact entry about a host: an exact name before the longest suffix before `*`; between equals the one that
    /// needs more purposes, then the one for a partner.
    fn tracker(&self, host: &str) -> Option<&Tracker> {
        let host = &plain_host(host);
        let entries = self.trackers.iter().flat_map(|tracker| {
            let patterns = tracker.hosts.iter();
            patterns.filter_map(move |pattern| Some((exactness(pattern, host)?, tracker)))
        });
        entries
            .max_by_key(|(exactness, tracker)| {
                (
                    *exactness,
                    tracker.purposes.len(),
                    tracker.partner().is_some(),
                )
            })
            .map(|(_, tracker)| tracker)
    }

    /// What `Pixelgate-Purpose` narrows this stream's trackers to, or why it is not heeded.
    fn narrowing(&self, fields: &[String]) -> Result<Option<BTreeSet<Purpose>>, &'static str> {
        let field = match fields {
            [] => return Ok(None),
            [field] => field,
            _ => return Err("it stands there more than once"),
        };
        let words = field.split(',').map(|word| word.trim().parse::<Purpose>());
        let named: BTreeSet<Purpose> = words
            .collect::<Result<_, _>>()
            .map_err(|_| "a word in it is no purpose")?;
        let declared = |purpose: &Purpose| {
            let mut trackers = self.trackers.iter();
            trackers.any(|tracker| tracker.purposes.contains(purpose))
        };
        match named.iter().all(declared) {
            true => Ok(Some(named)),
            false => Err("no tracker of the stream declares a purpose in it"),
        }
    }

    /// The shadow that is on, if any, on a day. Past its day enforcement is back by itself.
    pub fn shadow(&self, today: Date) -> Option<&Shadow> {
        match &self.enforcement {
            Enforcement::Shadow(shadow) if today <= shadow.shadow_until => Some(shadow),
            Enforcement::Shadow(_) | Enforcement::Enforce => None,
        }
    }
}

/// How exactly a pattern names a host; `None`: not at all.
fn exactness(pattern: &str, host: &str) -> Option<usize> {
    if pattern == "*" {
        return Some(0);
    }
    if let Some(suffix) = pattern.strip_prefix("*.") {
        let suffix = plain_host(suffix);
        let below = host.len() > suffix.len() && ends_with_label(host, &suffix);
        return below.then_some(suffix.len());
    }
    (*plain_host(pattern) == *host).then_some(usize::MAX)
}

/// Longest host that is brought into its one spelling, in octets: four for each that a name may have (RFC 1035 2.3.4).
const HOST_OCTETS: usize = 1024;

/// The one spelling of a host by which it is compared: A-labels (RFC 5890), lower case, no final dot (RFC 1034 3.1). A host
/// in another spelling than the operator's would fall to the entry for `*`, which may ask for less.
pub fn plain_host(host: &str) -> Cow<'_, str> {
    let host = host.trim_end_matches('.');
    let is_plain = |octet: u8| octet.is_ascii() && !octet.is_ascii_uppercase();
    if host.bytes().all(is_plain) {
        return Cow::Borrowed(host);
    }
    let labels = (host.len() <= HOST_OCTETS)
        .then(|| idna::domain_to_ascii(host).ok())
        .flatten();
    Cow::Owned(labels.unwrap_or_else(|| host.to_lowercase()))
}

fn ends_with_label(host: &str, suffix: &str) -> bool {
    let start = host.len() - suffix.len();
    host.get(start..)
        .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        && host.as_bytes().get(start - 1) == Some(&b'.')
}

#[cfg(test)]
mod tests;
