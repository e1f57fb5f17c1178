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

    /// Passes whole lines that stand before `decoded`, all but the last that decodes to something: what is in front of an
    /// edit matters only for its neighbours. A line that is not plain is left to [`Tokens::take`].
    pub(super) fn skip_lines(&mut self, decoded: usize) {
        let Some(next) = self.next.as_ref() else {
            return;
        };
        let (mut raw_at, mut decoded_at) = (next.raw.start, next.decoded.start);
        if self.after_stray || raw_at > 0 && self.raw.get(raw_at - 1) != Some(&b'\n') {
            return;
        }
        let mut anchor = (raw_at, decoded_at);
        while let Some((raw, octets)) = plain_line(self.raw.get(raw_at..).unwrap_or_default()) {
            if decoded_at + octets > decoded {
                break;
            }
            if octets > 0 {
                anchor = (raw_at, decoded_at);
            }
            (raw_at, decoded_at) = (raw_at + raw, decoded_at + octets);
        }
        self.next = self.read(anchor.0, anchor.1);
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

/// The raw and decoded length of the line that `rest` starts with, line end included, where it is plain: it ends in CRLF,
/// has no blank before that, no other CR, and nothing but whole escapes and a soft break begins with `=`.
fn plain_line(rest: &[u8]) -> Option<(usize, usize)> {
    let newline = memchr::memchr(b'\n', rest)?;
    let line = rest.get(..newline)?.strip_suffix(b"\r")?;
    if memchr::memchr(b'\r', line).is_some() || matches!(line.last(), Some(b' ' | b'\t')) {
        return None;
    }
    let (line, end) = match line.strip_suffix(b"=") {
        Some(line) => (line, 0),
        None => (line, 2),
    };
    let mut escapes = 0;
    let mut behind = 0;
    for at in memchr::memchr_iter(b'=', line) {
        // An `=` inside an escape is none of its own: `==3D` is not plain.
        if at < behind || escaped(line.get(at..)?).is_none() {
            return None;
        }
        behind = at + 3;
        escapes += 1;
    }
    Some((newline + 1, line.len() - 2 * escapes + end))
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
