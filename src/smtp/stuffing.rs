//! Dot-stuffing (RFC 5321 4.5.2) of a message in pieces, as slices for vectored writes.
//!
//! It must never know what the pieces are or where they go. No octet of the message is copied: between the client's
//! slices stand static dots, and behind them the one `CRLF . CRLF` that ends the data.
//! It cannot fail: every sequence of octets has exactly one stuffed form.

use memchr::memchr_iter;

#[cfg(test)]
mod tests;

/// The dot-stuffed wire form of a message, ended by `CRLF . CRLF`. A message that does not end in CRLF gets one.
///
/// A line start is what follows *any* LF. The message holds no bare LF (promise 6); if one ever came here, stuffing
/// behind it is what keeps a next hop that ends lines at LF from taking our octets for an end of data.
pub fn stuff<'a, P>(pieces: P) -> Stuffed<'a, P::IntoIter>
where
    P: IntoIterator<Item = &'a [u8]>,
{
    Stuffed {
        pieces: pieces.into_iter(),
        rest: &[],
        at: Place::LineStart,
        dot_due: false,
        ended: false,
    }
}

/// Where the last octet left us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Behind CRLF, or before the first octet.
    LineStart,
    /// Behind a LF that had no CR before it.
    BehindBareLf,
    /// Behind a CR.
    BehindCr,
    /// Anywhere else.
    InLine,
}

/// The slices of one stuffed message, in order. Made by [`stuff`].
#[derive(Debug)]
pub struct Stuffed<'a, I> {
    pieces: I,
    /// What is left of the current piece; when `dot_due` it starts with a dot at a line start.
    rest: &'a [u8],
    at: Place,
    dot_due: bool,
    ended: bool,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Iterator for Stuffed<'a, I> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while self.rest.is_empty() {
            match self.pieces.next() {
                Some(piece) => self.rest = piece,
                None => return self.end(),
            }
        }
        if self.starts_line() && self.rest.first() == Some(&b'.') && !self.dot_due {
            self.dot_due = true;
            return Some(b".");
        }
        self.dot_due = false;
        let run = run_octets(self.rest);
        let (taken, rest) = self.rest.split_at_checked(run).unwrap_or((self.rest, &[]));
        self.at = place_behind(self.at, taken);
        self.rest = rest;
        Some(taken)
    }
}

impl<'a, I> Stuffed<'a, I> {
    fn starts_line(&self) -> bool {
        matches!(self.at, Place::LineStart | Place::BehindBareLf)
    }

    fn end(&mut self) -> Option<&'a [u8]> {
        if self.ended {
            return None;
        }
        self.ended = true;
        Some(match self.at {
            Place::LineStart => b".\r\n",
            Place::BehindBareLf | Place::BehindCr | Place::InLine => b"\r\n.\r\n",
        })
    }
}

/// How much of `piece` goes out before a dot must: up to and with the first LF that a dot follows. A dot at the very
/// start is the caller's business.
fn run_octets(piece: &[u8]) -> usize {
    memchr_iter(b'\n', piece)
        .find(|at| piece.get(at + 1) == Some(&b'.'))
        .map_or(piece.len(), |at| at + 1)
}

/// Where `taken` leaves us; an empty slice leaves us where we were.
fn place_behind(before: Place, taken: &[u8]) -> Place {
    match taken {
        [] => before,
        [.., b'\r', b'\n'] => Place::LineStart,
        [b'\n'] if before == Place::BehindCr => Place::LineStart,
        [.., b'\n'] => Place::BehindBareLf,
        [.., b'\r'] => Place::BehindCr,
        _ => Place::InLine,
    }
}
