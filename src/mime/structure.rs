//! One reading of a message's structure: a single pass over its lines, with an explicit stack.
//!
//! Time is linear in the message whatever it holds; nothing recurses. Where readers differ, this reading takes one way
//! (see [`Reading`]), and says that there was another. Limits end the pass and are named, never passed over.

use std::ops::Range;

use memchr::memmem::Finder;

use super::header::{Entry, line_at, next_entry, without_line_end};
use super::meaning::Meaning;
use super::transfer_encoding::Encoding;
use super::tree::{Disorder, Dispute, Kind, Limits, MediaType, Part, Unread};

mod ends;

/// Which way to take where readers of mail differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// Which of several boundaries of one multipart counts; the last one where there are fewer.
    pub(super) boundary: usize,
    /// Whether a line that only starts with a boundary is a delimiter, and a closed multipart may go on.
    pub(super) loose: bool,
}

/// What one reading found.
#[derive(Debug, Default)]
pub(super) struct Structure {
    pub(super) parts: Vec<Part>,
    pub(super) disorders: Vec<Disorder>,
    pub(super) unread: Vec<Unread>,
    /// The most boundaries that one multipart has.
    pub(super) boundaries: usize,
    /// A line was met that a loose reading takes for a delimiter.
    pub(super) possible_delimiter: bool,
}

/// Reads the structure of a message.
pub(super) fn read(message: &[u8], limits: &Limits, reading: Reading) -> Structure {
    let mut pass = Pass {
        message,
        limits,
        reading,
        found: Structure::default(),
        open: Vec::new(),
        leaf: None,
        carried: None,
        pending: Vec::new(),
        outside: Vec::new(),
        newline_hyphens: Finder::new(b"\n--"),
    };
    pass.run();
    pass.found
}

/// A container whose end has not been seen.
struct Open {
    part: usize,
    /// `None` for a message: it ends where the container around it goes on.
    boundary: Option<Vec<u8>>,
    digest: bool,
    children: u32,
    /// Behind the closing delimiter, or the end of the last delimiter line of a loose reading.
    closed_at: Option<usize>,
}

/// A delimiter line.
struct Delimiter {
    line: Range<usize>,
    open: usize,
    close: bool,
}

/// Some readers take other octets for the body of a part.
struct Pending {
    part: usize,
    /// Where their body begins: inside the header, or where the parts of a multipart begin.
    start: usize,
}

/// A header as far as it was read.
struct Header {
    range: Range<usize>,
    /// The first octet that some readers take for the body although the header goes on.
    disputed_body: Option<usize>,
    ends_with_blank: bool,
}

struct Pass<'a> {
    message: &'a [u8],
    limits: &'a Limits,
    reading: Reading,
    found: Structure,
    open: Vec<Open>,
    /// The part whose body is being read.
    leaf: Option<usize>,
    /// Fields of the part before, whose header nothing ended: some readers take them for the next part's.
    carried: Option<Meaning>,
    /// Parts with a second body, by some readers, whose end is not known yet.
    pending: Vec<Pending>,
    /// Disputed parts found so far; they go behind the others.
    outside: Vec<Part>,
    newline_hyphens: Finder<'static>,
}

impl Pass<'_> {
    fn run(&mut self) {
        let mut at = 0;
        let mut part_due = true;
        loop {
            while part_due {
                if self.found.parts.len() >= self.limits.parts {
                    self.unread(Unread::Parts);
                    return self.finish();
                }
                (at, part_due) = self.begin_part(at);
            }
            let Some(delimiter) = self.next_delimiter(at) else {
                return self.finish();
            };
            self.end_at(&delimiter);
            at = delimiter.line.end;
            part_due = !delimiter.close;
        }
    }

    /// Reads a header and opens what it announces. Gives where to go on, and whether a header stands there.
    fn begin_part(&mut self, at: usize) -> (usize, bool) {
        let header = self.header(at);
        let body = header.range.end;
        let mut meaning = Meaning::of(self.message, header.range.clone(), self.limits);
        if self.open.last().is_some_and(|open| open.digest)
            && meaning.readings.is_empty()
            && meaning.disputes.is_empty()
        {
            meaning
                .readings
                .push(MediaType("message/rfc822".to_owned()));
            meaning.unlabelled = false;
        }
        for dispute in std::mem::take(&mut meaning.disputes) {
            self.disorder(at, dispute);
        }
        if let Some(carried) = self.carried.take() {
            meaning = meaning.or(&carried, self.limits);
        }
        if !header.ends_with_blank && body < self.message.len() {
            self.disorder(body, Dispute::NoBlankLine);
            self.carried = Some(meaning.clone());
        }
        if meaning.overflows {
            self.unread(Unread::Readings);
        }
        let ended = header.ends_with_blank;
        let disputed = header.disputed_body;
        let part = self.push(header.range, &meaning);
        if let Some(start) = disputed {
            self.pending.push(Pending { part, start });
        }
        self.descend(part, &meaning, body, ended)
    }

    /// Opens a container, or leaves the part as a leaf.
    fn descend(
        &mut self,
        part: usize,
        meaning: &Meaning,
        body: usize,
        ended: bool,
    ) -> (usize, bool) {
        let multipart = meaning.is_multipart();
        let message = !multipart && meaning.is_message() && ended;
        let encoded = meaning
            .encodings
            .iter()
            .any(|encoding| *encoding != Encoding::Identity);
        if message && encoded {
            self.set_kind(part, Kind::EncodedMessage);
        }
        if !multipart && (!message || encoded) {
            self.leaf = Some(part);
            return (body, false);
        }
        if self.open.len() >= self.limits.depth {
            self.unread(Unread::Depth);
            if let Some(part) = self.found.parts.get_mut(part) {
                part.labels.unread = Some(Unread::Depth);
            }
            self.leaf = Some(part);
            return (body, false);
        }
        if multipart && meaning.is_message() {
            self.unread(Unread::Readings);
        }
        if meaning.unlabelled
            || meaning
                .readings
                .iter()
                .any(|reading| reading.is_html() || reading.is_amp())
        {
            self.pending.push(Pending { part, start: body });
        }
        if multipart && encoded {
            self.disorder(body, Dispute::EncodedMultipart);
        }
        let boundary = multipart.then(|| self.boundary_of(meaning, body));
        self.set_kind(
            part,
            if multipart {
                Kind::Multipart
            } else {
                Kind::Message
            },
        );
        self.leaf = None;
        self.open.push(Open {
            part,
            boundary,
            digest: meaning
                .readings
                .iter()
                .any(|reading| reading.as_str() == "multipart/digest"),
            children: 0,
            closed_at: None,
        });
        (body, message)
    }

    /// The boundary that counts for a multipart in this reading.
    fn boundary_of(&mut self, meaning: &Meaning, body: usize) -> Vec<u8> {
        self.found.boundaries = self.found.boundaries.max(meaning.boundaries.len());
        let last = meaning.boundaries.len().saturating_sub(1);
        let Some(boundary) = meaning.boundaries.get(self.reading.boundary.min(last)) else {
            return self.guessed_boundary(body);
        };
        // Readers that ask the outermost multipart first split such a message elsewhere.
        self.found.possible_delimiter |= self.open.iter().any(|open| {
            let around = open.boundary.as_ref().filter(|around| !around.is_empty());
            around.is_some_and(|around| boundary.starts_with(around))
        });
        boundary.clone()
    }

    /// The boundary of a multipart that declares none.
    fn guessed_boundary(&mut self, body: usize) -> Vec<u8> {
        // Some readers take the first line with two hyphens for the delimiter that was not declared.
        self.disorder(body, Dispute::NoBoundary);
        let rest = self
            .message
            .get(body.saturating_sub(1)..)
            .unwrap_or_default();
        let start = self
            .newline_hyphens
            .find(rest)
            .map(|found| body.saturating_sub(1) + found + 3);
        let line = start.map(|start| line_at(self.message, start, self.message.len()));
        let line = line
            .and_then(|line| self.message.get(line))
            .unwrap_or_default();
        let guess = without_line_end(line).trim_ascii_end();
        if self.loose_delimiter(guess).is_some() {
            // It belongs to a multipart around this one.
            return Vec::new();
        }
        guess
            .get(..self.limits.boundary_octets.min(guess.len()))
            .unwrap_or_default()
            .to_vec()
    }

    /// Reads a header up to its empty line, a delimiter, its limit or the end.
    fn header(&mut self, start: usize) -> Header {
        let limit = self
            .message
            .len()
            .min(start.saturating_add(self.limits.header_octets));
        let mut header = Header {
            range: start..start,
            disputed_body: None,
            ends_with_blank: false,
        };
        loop {
            let at = header.range.end;
            let hyphens = self
                .message
                .get(at..)
                .is_some_and(|rest| rest.starts_with(b"--"));
            if hyphens && self.delimiter_at(at).is_some() {
                break;
            }
            match next_entry(self.message, at, limit) {
                Some(Entry::Field(field, all_blank)) => {
                    header.disputed_body = header.disputed_body.or(all_blank);
                    header.range.end = field.whole.end;
                }
                Some(Entry::Junk(line)) => {
                    self.disorder(at, Dispute::JunkInHeader);
                    header.disputed_body = header.disputed_body.or(Some(line.start));
                    header.range.end = line.end;
                }
                Some(Entry::Blank(line)) => {
                    header.range.end = line.end;
                    header.ends_with_blank = true;
                    break;
                }
                None => break,
            }
        }
        if header.range.end == limit && limit < self.message.len() && !header.ends_with_blank {
            self.unread(Unread::Header);
        }
        header
    }

    /// The next delimiter line at or behind a line start.
    fn next_delimiter(&mut self, from: usize) -> Option<Delimiter> {
        let mut at = from;
        if self.message.get(at..)?.starts_with(b"--")
            && let Some(delimiter) = self.delimiter_at(at)
        {
            return Some(delimiter);
        }
        if self.open.iter().all(|open| open.boundary.is_none()) {
            return None;
        }
        loop {
            let rest = self.message.get(at..)?;
            at += self.newline_hyphens.find(rest)? + 1;
            if let Some(delimiter) = self.delimiter_at(at) {
                return Some(delimiter);
            }
        }
    }

    /// The delimiter that the line at `at`, which starts with two hyphens, is in this reading.
    fn delimiter_at(&mut self, at: usize) -> Option<Delimiter> {
        let line = line_at(self.message, at, self.message.len());
        let content = without_line_end(self.message.get(line.clone())?).strip_prefix(b"--")?;
        let loose = self.loose_delimiter(content);
        let found = match self.reading.loose {
            true => loose,
            false => self.strict_delimiter(content.trim_ascii_end()),
        };
        if found.is_none() && loose.is_some() {
            self.found.possible_delimiter = true;
            self.disorder(at, Dispute::PossibleDelimiter);
        }
        found.map(|(open, close)| Delimiter { line, open, close })
    }

    /// The whole line is a boundary, and the innermost multipart that goes on has it.
    fn strict_delimiter(&self, line: &[u8]) -> Option<(usize, bool)> {
        let open = self.open.iter().enumerate().rev();
        open.filter(|(_, open)| open.closed_at.is_none())
            .find_map(|(place, open)| {
                let boundary = open.boundary.as_deref()?;
                let after = line
                    .strip_prefix(boundary)
                    .filter(|_| !boundary.is_empty())?;
                (after.is_empty() || after == b"--").then_some((place, !after.is_empty()))
            })
    }

    /// The line starts with a boundary (RFC 2046 5.1.1 asks for no more), and the outermost multipart has it.
    fn loose_delimiter(&self, line: &[u8]) -> Option<(usize, bool)> {
        let open = self.open.iter().enumerate();
        open.filter_map(|(place, open)| Some((place, open.boundary.as_deref()?)))
            .filter(|(_, boundary)| !boundary.is_empty())
            .find_map(|(place, boundary)| {
                let after = line.strip_prefix(boundary)?;
                Some((place, after.starts_with(b"--")))
            })
    }
}
