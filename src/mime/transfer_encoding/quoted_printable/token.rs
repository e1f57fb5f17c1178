//! Quoted-printable as a row of tokens: which raw octets stand for which decoded ones.
//!
//! The same reading as encodify's `qp::BODY`, octet for octet; tests hold the two together.

use std::ops::Range;

/// What some raw octets stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// One octet for itself.
    Literal,
    /// A space or tab for itself.
    Blank,
    /// `=XX`.
    Escape,
    /// An `=` that begins no escape, for itself; the octet behind it is never one that begins an escape.
    Stray,
    /// CRLF or LF.
    Newline,
    /// `=` at the end of a line, for nothing.
    Soft,
    /// Blanks before a line end, or a bare CR, for nothing.
    Dropped,
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) what: What,
    pub(super) raw: Range<usize>,
    pub(super) decoded: Range<usize>,
}

/// Reads tokens one after the other.
pub(super) struct Tokens<'a> {
    raw: &'a [u8],
    next: Option<Token>,
    after_stray: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(raw: &'a [u8]) -> Self {
        let mut tokens = Self {
            raw,
            next: None,
            after_stray: false,
        };
        tokens.next = tokens.read(0, 0);
        tokens
    }

    /// The token that is next; `None` at the end.
    pub(super) fn peek(&self) -> Option<&Token> {
        self.next.as_ref()
    }

    /// Takes the token that is next.
    pub(super) fn take(&mut self) -> Option<Token> {
        let token = self.next.take()?;
        self.after_stray = token.what == What::Stray;
        self.next = self.read(token.raw.end, token.decoded.end);
        Some(token)
    }

    /// Everything from here, decoded.
    pub(super) fn decoded(mut self) -> Vec<u8> {
        let mut decoded = Vec::with_capacity(self.raw.len());
        while let Some(token) = self.take() {
            let raw = self.raw.get(token.raw).unwrap_or_default();
            match token.what {
                What::Escape => decoded.extend(escaped(raw)),
                What::Soft | What::Dropped => {}
                What::Literal | What::Blank | What::Stray | What::Newline => {
                    decoded.extend_from_slice(raw);
                }
            }
        }
        decoded
    }

    fn read(&self, at: usize, decoded: usize) -> Option<Token> {
        let rest = self.raw.get(at..)?;
        let (what, raw, octets) = match rest.first()? {
            b'\r' if rest.starts_with(b"\r\n") => (What::Newline, 2, 2),
            b'\r' => (What::Dropped, 1, 0),
            b'\n' => (What::Newline, 1, 1),
            b' ' | b'\t' => match blanks_to_line_end(rest) {
                Some(blanks) => (What::Dropped, blanks, 0),
                None => (What::Blank, 1, 1),
            },
            b'=' if self.after_stray => (What::Literal, 1, 1),
            b'=' if escaped(rest).is_some() => (What::Escape, 3, 1),
            b'=' => match soft_break(rest) {
                Some(octets) => (What::Soft, octets, 0),
                None => (What::Stray, 1, 1),
            },
            _ => (What::Literal, 1, 1),
        };
        Some(Token {
            what,
            raw: at..at + raw,
            decoded: decoded..decoded + octets,
        })
    }
}

/// How many blanks stand before a line end or the end of the body; `None` where something else follows them.
pub(super) fn blanks_to_line_end(rest: &[u8]) -> Option<usize> {
    let blanks = rest
        .iter()
        .position(|octet| !matches!(octet, b' ' | b'\t'))
        .unwrap_or(rest.len());
    let after = rest.get(blanks..).unwrap_or_default();
    let ends = after.is_empty() || after.starts_with(b"\n") || after.starts_with(b"\r\n");
    ends.then_some(blanks)
}

/// The octets of the soft break that `rest` starts with: `=`, blanks, line end.
fn soft_break(rest: &[u8]) -> Option<usize> {
    let after = rest.get(1..)?;
    let blanks = blanks_to_line_end(after)?;
    let newline = match after.get(blanks..)? {
        [b'\r', ..] => 2,
        [_, ..] => 1,
        [] => 0,
    };
    Some(1 + blanks + newline)
}

/// The octet that `=XX` at the start of `rest` stands for, hex digits of either case.
fn escaped(rest: &[u8]) -> Option<u8> {
    let (_, after) = rest.split_first()?;
    let [high, low] = after.first_chunk::<2>()?;
    let high = (*high as char).to_digit(16)?;
    let low = (*low as char).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}
