//! The end of data, and the way there (RFC 5321 4.1.1.4, 4.5.2): from octets of the wire to the octets of the message.
//!
//! Only CRLF, dot, CRLF ends it, with the start of data counting as the start of a line. A bare CR, a bare LF, a NUL or
//! an exceeded limit does not stop the reading: the message is read to its true end and then refused, so that nothing
//! behind a false end is ever taken for commands. It must never know what a message is but lines and a header section.
//! Of several violations the first one in the octets is told, whatever the chunks they came in.
//!
//! The same reader checks the content of BDAT (RFC 3030), where no dot means anything and the end is known from outside.
//! Where the operator says so a bare LF stands for CRLF; even then only CRLF, dot, CRLF ends the data.

use serde::Deserialize;

use super::replies;
use super::reply::Reply;

/// How long a message may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataLimits {
    /// Octets of the whole message.
    pub message_octets: usize,
    /// Octets of one line without its CRLF.
    pub line_octets: usize,
    /// Octets of the header section: everything before the first empty line.
    pub header_octets: usize,
}

/// What becomes of an LF that no CR precedes (`bare_newlines`). A bare CR is refused in any case: some read it as a line end
/// and some do not, so either reading may be a header field that nobody wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BareNewlines {
    /// The message is refused.
    #[default]
    Refuse,
    /// It becomes CRLF, and is counted.
    Normalize,
}

/// Why a message is refused. The client is to blame; repeating it does not help, except for [`Violation::Memory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A CR that no LF follows.
    #[error("bare CR in the message")]
    BareCr,
    /// An LF that no CR precedes.
    #[error("bare LF in the message")]
    BareLf,
    /// A NUL octet.
    #[error("NUL in the message")]
    Nul,
    /// More than `message_octets`.
    #[error("message longer than {0} octets")]
    TooLarge(usize),
    /// A line longer than `line_octets`.
    #[error("line longer than {0} octets")]
    LineTooLong(usize),
    /// A header section longer than `header_octets`.
    #[error("header section longer than {0} octets")]
    HeaderTooLarge(usize),
    /// All sessions together hold as much as they may; told from outside by [`DataReader::refuse`]. Ours, transient.
    #[error("all messages together longer than {0} octets")]
    Memory(u64),
    /// Refused long ago and still no end: more than [`ENDLESS_FACTOR`] times `message_octets` were read. The reader is
    /// not at an end of data, so the connection must be closed.
    #[error("message longer than {0} octets and without an end")]
    Endless(usize),
}

/// How many times `message_octets` are read, dots and all, in search of the end of a message that is refused already.
pub const ENDLESS_FACTOR: usize = 4;
/// What is read in any case before a message counts as endless, in octets.
const ENDLESS_FLOOR: usize = 1 << 20;

impl Violation {
    /// Whether the connection is still at a known place: the end of data was seen.
    pub fn end_was_seen(self) -> bool {
        !matches!(self, Self::Endless(_))
    }
}

impl From<Violation> for Reply {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::BareCr => replies::bare_cr(),
            Violation::BareLf => replies::bare_lf(),
            Violation::Nul => replies::nul(),
            Violation::TooLarge(limit) | Violation::Endless(limit) => {
                replies::message_too_large(limit)
            }
            Violation::LineTooLong(limit) => replies::line_too_long(limit),
            Violation::HeaderTooLarge(limit) => replies::header_too_large(limit),
            Violation::Memory(limit) => replies::memory_full(limit),
        }
    }
}

/// Where in a line the reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing of this line was read yet. `true` behind CRLF (or nothing), `false` behind a bare LF: the end of data does
    /// not start there.
    LineStart(bool),
    /// Within a line.
    Inside,
    /// Behind a CR, which `dot` says stood alone behind a dot at the line start.
    Cr { dot: bool },
    /// Behind a dot at the line start, which does not belong to the message unless it is all of a line that is not the end.
    Dot(bool),
}

/// Reads one message. Sans-io: it is given octets and says how many of them were the message's.
#[derive(Debug)]
pub struct DataReader {
    limits: DataLimits,
    place: Place,
    /// Octets of the message so far.
    message_octets: usize,
    line_octets: usize,
    in_header: bool,
    wire_octets: usize,
    violation: Option<Violation>,
    newlines: BareNewlines,
    normalized: u64,
    /// Whether this is DATA: dots are stuffed, and the end is among the octets.
    dots: bool,
}

impl DataReader {
    /// A reader at the start of data.
    pub fn new(limits: DataLimits) -> Self {
        Self {
            limits,
            newlines: BareNewlines::Refuse,
            normalized: 0,
            dots: true,
            place: Place::LineStart(true),
            message_octets: 0,
            line_octets: 0,
            in_header: true,
            wire_octets: 0,
            violation: None,
        }
    }

    /// A reader of chunks: every octet is content, and [`DataReader::end`] says where it ends.
    pub fn chunked(limits: DataLimits) -> Self {
        Self {
            dots: false,
            ..Self::new(limits)
        }
    }

    /// The same reader, with another rule for bare LFs.
    #[must_use]
    pub fn with_newlines(self, newlines: BareNewlines) -> Self {
        Self { newlines, ..self }
    }

    /// How many bare LFs became CRLF.
    pub fn normalized(&self) -> u64 {
        self.normalized
    }

    /// The last chunk is read. A last line without CRLF gets one: by DATA, which is how the message goes on, nothing else
    /// can be sent. A CR at the very end stands alone.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Violation> {
        match self.place {
            Place::Cr { .. } => self.violate(Violation::BareCr),
            Place::Inside | Place::Dot(_) => self.end_line(true, out),
            Place::LineStart(_) => {}
        }
        self.finish()
    }

    /// Octets of the message so far, refused or not.
    pub fn message_octets(&self) -> usize {
        self.message_octets
    }

    /// Whether it is refused already and only read to its end.
    pub fn is_refused(&self) -> bool {
        self.violation.is_some()
    }

    /// Refuses the message for a reason that does not lie in it; it is still read to its end.
    pub fn refuse(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// Consumes from `input` and appends the octets of the message to `out`, which the caller may empty between two calls
    /// and throws away once the message is refused. Says how many octets were consumed and, once, that the message is whole
    /// or why it is refused. Octets behind the end are not consumed: they are the client's next commands.
    pub fn push(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> (usize, Option<Result<(), Violation>>) {
        let mut at = 0;
        while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
            let run = match self.place {
                Place::LineStart(_) | Place::Inside => self.take_run(rest, out),
                Place::Cr { .. } | Place::Dot(_) => 0,
            };
            at += run;
            let Some(octet) = input.get(at).copied() else {
                break;
            };
            at += 1;
            if self.step(octet, out) {
                return (at, Some(self.finish()));
            }
        }
        self.wire_octets = self.wire_octets.saturating_add(at);
        let enough = self
            .limits
            .message_octets
            .saturating_mul(ENDLESS_FACTOR)
            .max(ENDLESS_FLOOR);
        // How long a chunk is was said before it; somebody else bounds that.
        if self.dots && self.violation.is_some() && self.wire_octets > enough {
            return (
                at,
                Some(Err(Violation::Endless(self.limits.message_octets))),
            );
        }
        (at, None)
    }

    /// Takes the ordinary octets at the front: none that could end a line, none that is refused, and no dot at a line start.
    fn take_run(&mut self, rest: &[u8], out: &mut Vec<u8>) -> usize {
        let at_start = matches!(self.place, Place::LineStart(_));
        if self.dots && at_start && rest.first() == Some(&b'.') {
            return 0;
        }
        let run = memchr::memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
        if run > 0 {
            self.place = Place::Inside;
            self.append(rest.get(..run).unwrap_or_default(), out);
        }
        run
    }

    /// One octet that is special, or stands behind one; `true` at the end of data.
    fn step(&mut self, octet: u8, out: &mut Vec<u8>) -> bool {
        match (self.place, octet) {
            (Place::Cr { dot: true }, b'\n') => return true,
            (Place::Cr { dot: false }, b'\n') => {
                self.end_line(true, out);
                return false;
            }
            (Place::Cr { .. }, _) => self.violate(Violation::BareCr),
            (Place::Dot(true), b'\r') => {
                self.place = Place::Cr { dot: true };
                return false;
            }
            // A dot alone on a line that is not the end is that line's content.
            (Place::Dot(_), b'\r' | b'\n') if self.newlines == BareNewlines::Normalize => {
                self.append(b".", out);
            }
            (Place::LineStart(hard), b'.') if self.dots => {
                self.place = Place::Dot(hard);
                return false;
            }
            (Place::LineStart(_) | Place::Inside | Place::Dot(_), _) => {}
        }
        self.place = match octet {
            b'\r' => Place::Cr { dot: false },
            b'\n' if self.newlines == BareNewlines::Normalize => {
                self.normalized += 1;
                self.end_line(false, out);
                return false;
            }
            b'\n' => {
                self.violate(Violation::BareLf);
                Place::Inside
            }
            0 => {
                self.violate(Violation::Nul);
                Place::Inside
            }
            ordinary => {
                self.append(&[ordinary], out);
                Place::Inside
            }
        };
        false
    }

    /// `hard`: by CRLF.
    fn end_line(&mut self, hard: bool, out: &mut Vec<u8>) {
        if self.line_octets == 0 {
            self.in_header = false;
        }
        self.count(2);
        if self.violation.is_none() {
            out.extend_from_slice(b"\r\n");
        }
        self.line_octets = 0;
        self.place = Place::LineStart(hard);
    }

    fn append(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let before = self.line_octets;
        self.line_octets = before.saturating_add(octets.len());
        // Which limit a run breaks first must not depend on where the run was cut, so their distances are compared.
        let line_room = self.limits.line_octets.saturating_sub(before);
        let message_room = self
            .limits
            .message_octets
            .saturating_sub(self.message_octets);
        if octets.len() > line_room && line_room <= message_room && line_room <= self.header_room()
        {
            self.violate(Violation::LineTooLong(self.limits.line_octets));
        }
        self.count(octets.len());
        if self.violation.is_none() {
            out.extend_from_slice(octets);
        }
    }

    fn header_room(&self) -> usize {
        if self.in_header {
            self.limits
                .header_octets
                .saturating_sub(self.message_octets)
        } else {
            usize::MAX
        }
    }

    fn count(&mut self, octets: usize) {
        let message_room = self
            .limits
            .message_octets
            .saturating_sub(self.message_octets);
        let header_room = self.header_room();
        if octets > header_room && header_room <= message_room {
            self.violate(Violation::HeaderTooLarge(self.limits.header_octets));
        }
        if octets > message_room {
            self.violate(Violation::TooLarge(self.limits.message_octets));
        }
        self.message_octets = self.message_octets.saturating_add(octets);
    }

    fn violate(&mut self, violation: Violation) {
        if self.violation.is_none() {
            self.refuse(violation);
        }
    }

    fn finish(&self) -> Result<(), Violation> {
        self.violation.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
#[path = "data_tests.rs"]
mod tests;
