//! Where parts end, and what stands where no part should: preambles, epilogues, bodies that begin inside a header.

use std::ops::Range;

use super::super::meaning::Meaning;
use super::super::sniff::contains_tag;
use super::super::transfer_encoding::{Encoding, decode};
use super::super::tree::{
    Disorder, Disposition, Dispute, Kind, Labels, Part, PartPath, Scope, Unread,
};
use super::{Delimiter, Open, Pass};

impl Pass<'_> {
    /// Ends everything in front of a delimiter line.
    pub(super) fn end_at(&mut self, delimiter: &Delimiter) {
        let end = self.before_line_end(delimiter.line.start);
        let end = self.end_leaf(end);
        while self.open.len() > delimiter.open + 1 {
            if let Some(open) = self.open.pop() {
                self.close(&open, end);
            }
        }
        let Some(open) = self.open.last_mut() else {
            return;
        };
        let outside_from = match (open.closed_at, open.children) {
            (Some(closed_at), _) => Some(closed_at),
            (None, 0) => self.found.parts.get(open.part).map(|part| part.body.start),
            (None, _) => None,
        };
        let part = open.part;
        open.closed_at = delimiter.close.then_some(delimiter.line.end);
        if let Some(from) = outside_from {
            self.outside(part, from..end);
        }
    }

    /// Ends everything at the end of the message, and settles what was left open.
    pub(super) fn finish(&mut self) {
        let end = self.end_leaf(self.message.len());
        while let Some(open) = self.open.pop() {
            self.close(&open, end);
        }
        for pending in std::mem::take(&mut self.pending) {
            self.second_body(pending.part, pending.start);
        }
        let disputed = std::mem::take(&mut self.outside);
        let room = self.limits.parts.saturating_sub(self.found.parts.len());
        if disputed.len() > room {
            self.unread(Unread::Parts);
        }
        self.found.parts.extend(disputed.into_iter().take(room));
    }

    /// Ends the part being read, and says where: not before its header, where one delimiter follows another.
    fn end_leaf(&mut self, end: usize) -> usize {
        let leaf = self.leaf.take();
        let Some(part) = leaf.and_then(|leaf| self.found.parts.get_mut(leaf)) else {
            return end;
        };
        part.body.end = end.max(part.body.start);
        part.body.end
    }

    fn close(&mut self, open: &Open, end: usize) {
        let is_multipart = open.boundary.is_some();
        if let Some(part) = self.found.parts.get_mut(open.part) {
            part.body.end = end.max(part.body.start);
            if is_multipart && open.children == 0 {
                // Nothing was split: some readers decode the body, others show it as text.
                let encoded = part
                    .encodings
                    .iter()
                    .any(|encoding| *encoding != Encoding::Identity);
                part.kind = if encoded {
                    Kind::EncodedMessage
                } else {
                    Kind::Other
                };
                part.labels.unlabelled = true;
                part.labels.disputed = true;
                part.labels.undivided.clone_from(&open.boundary);
            }
        }
        if is_multipart && open.children == 0 {
            self.disorder(end, Dispute::NoDelimiter);
        }
        match open.closed_at {
            Some(closed_at) => self.outside(open.part, closed_at..end),
            None if is_multipart => self.disorder(end, Dispute::Unterminated),
            None => {}
        }
    }

    /// Octets of a multipart outside its parts: no client should show them, so HTML there is one more reading.
    fn outside(&mut self, container: usize, range: Range<usize>) {
        let octets = self.message.get(range.clone()).unwrap_or_default();
        let encoding = match (contains_tag(octets), quoted_tag(octets)) {
            (true, _) => Encoding::Identity,
            (false, true) => Encoding::QuotedPrintable,
            (false, false) => return,
        };
        self.disorder(range.start, Dispute::HtmlOutsideParts);
        let Some(part) = self.found.parts.get(container) else {
            return;
        };
        let mut disputed = part.clone();
        disputed.parent = Some(container);
        disputed.header = range.start..range.start;
        disputed.body = range;
        disputed.readings.clear();
        disputed.disposition = Disposition::Absent;
        disputed.encodings = vec![encoding];
        self.dispute(disputed);
    }

    /// The body that some readers see from `start` on, where that adds HTML to what the part holds anyway.
    fn second_body(&mut self, index: usize, start: usize) {
        let Some(part) = self.found.parts.get(index) else {
            return;
        };
        let is_container = matches!(part.kind, Kind::Multipart | Kind::Message);
        let in_header = start < part.body.start;
        let renders = part.labels.unlabelled
            || part
                .readings
                .iter()
                .any(|reading| reading.is_html() || reading.is_amp());
        if !renders || is_container == in_header {
            return;
        }
        let added = self.message.get(start..part.body.start).unwrap_or_default();
        let holds_tag = |encoding: &Encoding| {
            decode(added, *encoding).is_ok_and(|decoded| contains_tag(&decoded.bytes))
        };
        if in_header && !part.encodings.iter().any(holds_tag) {
            return;
        }
        let mut disputed = part.clone();
        if disputed.parent.is_none() {
            // Still the message itself: shown whatever it calls itself.
            disputed.parent = Some(index);
            disputed.disposition = Disposition::Absent;
        }
        disputed.header.end = start;
        disputed.body.start = start;
        disputed
            .readings
            .retain(|reading| !reading.is_multipart() && !reading.is_message());
        self.dispute(disputed);
    }

    fn dispute(&mut self, mut part: Part) {
        part.path.disputed = true;
        part.kind = Kind::Other;
        part.scope = Scope::NotRendered;
        part.content_id = None;
        part.labels.unlabelled |= part.readings.is_empty();
        part.labels.disputed = true;
        if self.outside.len() < self.limits.parts {
            self.outside.push(part);
        } else {
            self.unread(Unread::Parts);
        }
    }

    /// Adds a part whose body is still empty, under the innermost open container.
    pub(super) fn push(&mut self, header: Range<usize>, meaning: &Meaning) -> usize {
        let parent = self.open.last_mut().map(|open| {
            open.children += 1;
            (open.part, open.children)
        });
        let (index, ordinal) = parent.map_or((None, 1), |(part, ordinal)| (Some(part), ordinal));
        let around = index.and_then(|index| self.found.parts.get(index));
        let mut numbers = around.map_or_else(Vec::new, |part| part.path.numbers.clone());
        numbers.push(ordinal);
        let mut bases = around.map_or_else(Vec::new, |part| part.bases.clone());

        for base in &meaning.bases {
            if !bases.contains(base) {
                bases.push(base.clone());
            }
        }
        self.found.parts.push(Part {
            path: PartPath {
                numbers,
                disputed: false,
            },
            parent: index,
            body: header.end..header.end,
            header,
            kind: Kind::Other,
            scope: Scope::NotRendered,
            readings: meaning.readings.clone(),
            encodings: meaning.encodings.clone(),
            charsets: meaning.charsets.clone(),
            disposition: meaning.disposition,
            content_id: meaning.content_id.clone(),
            bases,
            labels: Labels {
                unlabelled: meaning.unlabelled,
                start: meaning.start.clone(),
                ordinal,
                ..Labels::default()
            },
        });
        self.found.parts.len() - 1
    }

    pub(super) fn set_kind(&mut self, part: usize, kind: Kind) {
        if let Some(part) = self.found.parts.get_mut(part) {
            part.kind = kind;
        }
    }

    pub(super) fn disorder(&mut self, at: usize, what: Dispute) {
        if self.found.disorders.len() < self.limits.disorders {
            self.found.disorders.push(Disorder { at, what });
        }
    }

    pub(super) fn unread(&mut self, unread: Unread) {
        if !self.found.unread.contains(&unread) {
            self.found.unread.push(unread);
        }
    }

    /// The end of what stands before the line at `line`: its line end belongs to the delimiter (RFC 2046 5.1.1).
    fn before_line_end(&self, line: usize) -> usize {
        let before = self.message.get(..line).unwrap_or_default();
        let before = before.strip_suffix(b"\n").unwrap_or(before);
        before.strip_suffix(b"\r").unwrap_or(before).len()
    }
}

/// Whether quoted-printable octets hold an escaped tag.
fn quoted_tag(octets: &[u8]) -> bool {
    let escaped = [b"=3C".as_slice(), b"=3c"];
    escaped
        .iter()
        .any(|escape| memchr::memmem::find(octets, escape).is_some())
        && decode(octets, Encoding::QuotedPrintable)
            .is_ok_and(|decoded| contains_tag(&decoded.bytes))
}
