//! Reads a peer's replies (RFC 5321 4.2) from octets as they come, without a socket and without a clock.
//!
//! It must never know which command a reply answers: one reply per command is the caller's count to keep. The text is
//! shown to our own client later, so controls become spaces and octets that are not UTF-8 are written as `\xNN`.
//! What is not a reply, or is past a limit, is a [`ReplyError`]; the peer is to blame, framing is lost, and the
//! connection must not be used again.

use memchr::memchr;

use super::reply::Reply;

#[cfg(test)]
mod tests;

/// What one reply may measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyLimits {
    /// Octets of one line, CRLF included. RFC 5321 4.5.3.1.5 says 512; long EHLO and policy texts are seen beyond it.
    pub line_octets: usize,
    /// Lines of one reply.
    pub lines: usize,
}

impl Default for ReplyLimits {
    /// 4096 octets, 100 lines.
    fn default() -> Self {
        Self {
            line_octets: 4096,
            lines: 100,
        }
    }
}

/// Why what a peer sent is no reply. The peer is to blame; another connection may do better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line does not start with a code of RFC 5321 4.2 (200 to 599) and a blank, a hyphen or nothing.
    #[error("a reply line does not start with a reply code")]
    NoCode,
    /// The lines of one reply carry two codes: neither can be believed.
    #[error("the lines of one reply disagree: {first} and {then}")]
    CodesDisagree {
        /// The code of the first line.
        first: u16,
        /// The code that differs.
        then: u16,
    },
    /// A line ended by LF alone. Never an end of line for us: two readings of where a reply ends are two replies.
    #[error("a reply line ends in a bare LF")]
    BareLf,
    /// Longer than [`ReplyLimits::line_octets`].
    #[error("a reply line is longer than {limit} octets")]
    LineTooLong {
        /// The limit passed.
        limit: usize,
    },
    /// More lines than [`ReplyLimits::lines`].
    #[error("a reply has more than {limit} lines")]
    TooManyLines {
        /// The limit passed.
        limit: usize,
    },
}

/// Reads one reply after the other.
#[derive(Debug, Default)]
pub struct ReplyReader {
    limits: ReplyLimits,
    /// The line being read, up to what has come of it.
    line: Vec<u8>,
    /// The code and the lines read so far of an unfinished reply.
    code: Option<u16>,
    lines: Vec<String>,
}

impl ReplyReader {
    /// A reader that stands before a reply.
    pub fn new(limits: ReplyLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Whether nothing of a next reply has come yet.
    pub fn is_between_replies(&self) -> bool {
        self.line.is_empty() && self.lines.is_empty()
    }

    /// Takes octets; returns how many were used and the reply that they complete, if any. Octets behind a complete
    /// reply are not used: they belong to the next one.
    pub fn push(&mut self, input: &[u8]) -> Result<(usize, Option<Reply>), ReplyError> {
        let mut used = 0;
        while let Some(rest) = input.get(used..).filter(|rest| !rest.is_empty()) {
            let taken = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            if self.line.len() + taken > self.limits.line_octets {
                return Err(ReplyError::LineTooLong {
                    limit: self.limits.line_octets,
                });
            }
            self.line
                .extend_from_slice(rest.get(..taken).unwrap_or_default());
            used += taken;
            if self.line.last() == Some(&b'\n') && self.end_line()? {
                let code = self.code.take().ok_or(ReplyError::NoCode)?;
                let reply = Reply::new(code, std::mem::take(&mut self.lines));
                return Ok((used, Some(reply)));
            }
        }
        Ok((used, None))
    }

    /// Reads the finished line; true when it is the last of its reply.
    fn end_line(&mut self) -> Result<bool, ReplyError> {
        let line = self.line.strip_suffix(b"\r\n").ok_or(ReplyError::BareLf)?;
        let (code, more, text) = split(line)?;
        match self.code {
            Some(first) if first != code => {
                return Err(ReplyError::CodesDisagree { first, then: code });
            }
            _ => self.code = Some(code),
        }
        if self.lines.len() >= self.limits.lines {
            return Err(ReplyError::TooManyLines {
                limit: self.limits.lines,
            });
        }
        self.lines.push(show(text));
        self.line.clear();
        Ok(!more)
    }
}

/// Parts a line into its code, whether more lines follow, and its text. A code alone is a whole line: servers send it
/// and RFC 5321 4.2 asks clients to take it.
fn split(line: &[u8]) -> Result<(u16, bool, &[u8]), ReplyError> {
    let (&[hundreds, tens, ones], rest) =
        line.split_first_chunk::<3>().ok_or(ReplyError::NoCode)?;
    // The second digit is 0 to 5 in the RFC; real servers also use others (e.g. 571), the first one decides.
    if !(b'2'..=b'5').contains(&hundreds) || !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return Err(ReplyError::NoCode);
    }
    let value = |digit: u8| u16::from(digit - b'0');
    let code = value(hundreds) * 100 + value(tens) * 10 + value(ones);
    match rest.split_first() {
        None => Ok((code, false, rest)),
        Some((b' ', text)) => Ok((code, false, text)),
        Some((b'-', text)) => Ok((code, true, text)),
        Some(_) => Err(ReplyError::NoCode),
    }
}

/// The text as our own client may read it. [`Reply::new`] replaces the controls.
fn show(text: &[u8]) -> String {
    let mut shown = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        shown.push_str(chunk.valid());
        for octet in chunk.invalid() {
            shown.push_str(&format!("\\x{octet:02X}"));
        }
    }
    shown
}
