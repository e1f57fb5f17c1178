//! Whose mail is it, and which purposes are declared for a host (DESIGN 5 "Streams").
//!
//! The connection fixes which streams a message may belong to; the message only picks among those. Pure. What is not
//! clear is `unassigned`, which has no records: nothing is kept there.

use jiff::civil::Date;

use super::settings::{Enforcement, Shadow, Stream};
use crate::consent::purpose::Purpose;

/// All streams of a configuration.
#[derive(Debug, Clone)]
pub struct Streams {
    configured: Vec<Stream>,
    built_in: Stream,
    unassigned: Stream,
}

/// What a stream declares about a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared<'a> {
    /// The most exact entry's purposes; consent to all of them is needed.
    Purposes(&'a [Purpose]),
    /// No entry: consent to every purpose is needed.
    Undeclared,
}

impl Streams {
    /// From the configured ones; none means the built-in default.
    pub fn new(configured: Vec<Stream>) -> Self {
        Self {
            configured,
            built_in: Stream::built_in(),
            unassigned: Stream::unassigned(),
        }
    }

    /// Every stream that mail can be assigned to.
    pub fn all(&self) -> &[Stream] {
        if self.configured.is_empty() {
            std::slice::from_ref(&self.built_in)
        } else {
            &self.configured
        }
    }

    /// Whether a stream is the one of mail that belongs to nobody known.
    pub fn is_unassigned(&self, stream: &Stream) -> bool {
        std::ptr::eq(stream, &raw const self.unassigned)
    }

    /// The stream of a message that came in at `listener` and carries these `Pixelgate-Stream` values.
    pub fn pick(&self, listener: &str, asked: &[String]) -> &Stream {
        let mut open = self.all().iter().filter(|stream| {
            stream.listeners.is_empty()
                || stream.listeners.iter().any(|address| address == listener)
        });
        match asked {
            [] => match (open.next(), open.next()) {
                (Some(only), None) => only,
                _ => &self.unassigned,
            },
            [name] => open
                .find(|stream| stream.name == *name)
                .unwrap_or(&self.unassigned),
            _ => &self.unassigned,
        }
    }
}

impl Stream {
    /// What is declared for a host (lower case): the most exact matching entry wins, an exact name before the longest
    /// suffix before `*`; between equals the one that needs more purposes.
    pub fn declared(&self, host: &str) -> Declared<'_> {
        self.trackers
            .iter()
            .flat_map(|tracker| {
                tracker
                    .hosts
                    .iter()
                    .map(move |pattern| (exactness(pattern, host), tracker))
            })
            .filter_map(|(exactness, tracker)| {
                exactness.map(|exactness| (exactness, tracker.purposes.len(), tracker))
            })
            .max_by_key(|(exactness, purposes, _)| (*exactness, *purposes))
            .map_or(Declared::Undeclared, |(_, _, tracker)| {
                Declared::Purposes(&tracker.purposes)
            })
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
        let below = host.len() > suffix.len() && ends_with_label(host, suffix);
        return below.then_some(suffix.len());
    }
    pattern.eq_ignore_ascii_case(host).then_some(usize::MAX)
}

fn ends_with_label(host: &str, suffix: &str) -> bool {
    let start = host.len() - suffix.len();
    host.get(start..)
        .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        && host.as_bytes().get(start - 1) == Some(&b'.')
}

#[cfg(test)]
mod tests {
    use super::super::settings::Tracker;
    use super::*;

    fn stream(name: &str, listeners: &[&str], hosts: &[(&[&str], &[Purpose])]) -> Stream {
        Stream {
            name: name.to_owned(),
            listeners: listeners.iter().map(|l| (*l).to_owned()).collect(),
            trackers: hosts
                .iter()
                .map(|(hosts, purposes)| Tracker {
                    hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
                    purposes: purposes.to_vec(),
                    recipient: "us".to_owned(),
                })
                .collect(),
            ..Stream::built_in()
        }
    }

    #[test]
    fn the_most_exact_entry_declares() {
        use Purpose::{CampaignPerformance as A, FraudDetection as B, Personalisation as C};
        let stream = stream(
            "s",
            &[],
            &[
                (&["*.example.com"], &[A]),
                (&["open.example.com"], &[B]),
                (&["*.deep.example.com"], &[C]),
            ],
        );
        assert_eq!(
            stream.declared("open.example.com"),
            Declared::Purposes(&[B])
        );
        assert_eq!(stream.declared("x.example.com"), Declared::Purposes(&[A]));
        assert_eq!(
            stream.declared("x.deep.example.com"),
            Declared::Purposes(&[C])
        );
        assert_eq!(stream.declared("example.com"), Declared::Undeclared);
        assert_eq!(stream.declared("evilexample.com"), Declared::Undeclared);
        assert_eq!(
            Stream::built_in().declared("anything.test"),
            Declared::Purposes(&[A])
        );
        assert_eq!(
            Stream::unassigned().declared("anything.test"),
            Declared::Undeclared
        );
    }

    #[test]
    fn the_connection_decides_and_the_message_only_picks() {
        let streams = Streams::new(vec![
            stream("a", &["l1"], &[]),
            stream("b", &["l1", "l2"], &[]),
            stream("c", &["l3"], &[]),
        ]);
        assert_eq!(streams.pick("l2", &[]).name, "b");
        assert_eq!(
            streams.pick("l1", &[]).name,
            "unassigned",
            "two could be meant"
        );
        assert_eq!(streams.pick("l1", &["a".to_owned()]).name, "a");
        assert_eq!(
            streams.pick("l1", &["c".to_owned()]).name,
            "unassigned",
            "not this listener's"
        );
        assert_eq!(
            streams.pick("l2", &["b".to_owned(), "b".to_owned()]).name,
            "unassigned",
            "two fields"
        );
        assert_eq!(Streams::new(vec![]).pick("x", &[]).name, "default");
    }
}
