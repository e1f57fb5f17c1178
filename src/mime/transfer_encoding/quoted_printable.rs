//! Quoted-printable bodies (RFC 2045 6.7): lenient decoding, and edits patched between whole escapes and soft breaks.
//!
//! What the client wrote left and right of an edit must go on meaning what it meant: an edit takes a neighbour along only
//! where that octet would change its meaning (a blank that would end a line, a stray `=`, a hyphen that would begin one).

use std::borrow::Cow;
use std::ops::Range;

use encodify::qp;
use memchr::{memchr, memrchr};

use super::{Edit, LINE_OCTETS, SpliceError};
use crate::mime::splice::Splice;

mod token;

/// The most octets an edit takes along on its right: the rest of a CRLF, a literal `=`, a hyphen.
const TAKEN_ALONG: usize = 3;

use token::{Token, Tokens, What};

/// Decodes as clients do: lower-case escapes, blanks before line ends dropped, broken escapes literal.
pub(super) fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    match qp::BODY.decode(raw) {
        Ok(decoded) => decoded,
        Err(_) => Cow::Owned(Tokens::new(raw).decoded()),
    }
}

/// The decoded octets as our tokens see them.
#[cfg(test)]
pub(super) fn tokens_decoded(raw: &[u8]) -> Vec<u8> {
    Tokens::new(raw).decoded()
}

/// Edits as splices between tokens.
pub(super) fn splices(
    raw: &[u8],
    decoded: &[u8],
    edits: Vec<Edit>,
) -> Result<Vec<Splice>, SpliceError> {
    let mut patcher = Patcher {
        raw,
        decoded,
        tokens: Tokens::new(raw),
        before: Before::default(),
        written: None,
    };
    joined(decoded, edits)
        .into_iter()
        .map(|(range, text)| patcher.patch(&range, &text))
        .collect()
}

/// Edits that nearly touch become one: what one takes along on its right must not be what the next one edits.
fn joined(decoded: &[u8], edits: Vec<Edit>) -> Vec<Edit> {
    let mut joined: Vec<Edit> = Vec::with_capacity(edits.len());
    for (range, text) in edits {
        match joined.last_mut() {
            Some((last, whole)) if range.start - last.end <= TAKEN_ALONG => {
                let between = decoded.get(last.end..range.start);
                whole.extend_from_slice(between.unwrap_or_default());
                whole.extend_from_slice(&text);
                last.end = range.end;
            }
            _ => joined.push((range, text)),
        }
    }
    joined
}

/// The tokens in front of an edit that the edit could change the meaning of.
#[derive(Default)]
struct Before {
    /// The last token that decodes to something.
    last: Option<Token>,
    /// Blanks dropped behind it.
    dropped: Option<Token>,
    /// The last stray `=` of the line.
    stray: Option<Token>,
}

impl Before {
    fn pass(&mut self, token: Token, raw: &[u8]) {
        // A soft break without its line end, at the very end: behind it nothing may be written.
        let is_open = token.what == What::Soft && raw.get(token.raw.end - 1) != Some(&b'\n');
        let is_dropped = token.what == What::Dropped || is_open;
        match token.what {
            What::Soft if is_open => {}
            What::Newline | What::Soft => self.stray = None,
            What::Stray => self.stray = Some(token.clone()),
            What::Literal | What::Blank | What::Escape | What::Dropped => {}
        }
        self.dropped = is_dropped.then(|| token.clone());
        if !token.decoded.is_empty() {
            self.last = Some(token);
        }
    }
}

/// The tokens an edit replaces: raw and decoded.
struct Site {
    raw: Range<usize>,
    decoded: Range<usize>,
}

impl Site {
    fn widen_to(&mut self, token: &Token) {
        self.raw.start = token.raw.start;
        self.decoded.start = token.decoded.start;
    }
}

struct Patcher<'a> {
    raw: &'a [u8],
    decoded: &'a [u8],
    tokens: Tokens<'a>,
    before: Before,
    /// Raw end of the last splice, and how many octets of its output line stand before that.
    written: Option<(usize, usize)>,
}

impl Patcher<'_> {
    fn patch(&mut self, edit: &Range<usize>, text: &[u8]) -> Result<Splice, SpliceError> {
        let mut site = self.site(edit)?;
        let octets = |range: Range<usize>| self.decoded.get(range).unwrap_or_default();
        let kept = octets(site.decoded.start..edit.start);
        let whole = [kept, text, octets(edit.end..site.decoded.end)].concat();
        let start = site.decoded.start;
        self.widen_left(&mut site, &whole);
        let whole = [octets(site.decoded.start..start), &whole].concat();
        Ok(self.write(site.raw, &whole))
    }

    /// The whole tokens that hold the edit.
    fn site(&mut self, edit: &Range<usize>) -> Result<Site, SpliceError> {
        self.before = Before::default();
        loop {
            self.tokens.skip_lines(edit.start);
            // What is left of a line that is not plain, token by token; then plain lines again.
            let odd = self
                .tokens
                .peek()
                .filter(|next| next.decoded.end <= edit.start);
            let Some(mut newline) = odd.map(|_| false) else {
                break;
            };
            while !newline
                && self
                    .tokens
                    .peek()
                    .is_some_and(|next| next.decoded.end <= edit.start)
            {
                if let Some(token) = self.tokens.take() {
                    newline = matches!(token.what, What::Newline | What::Soft);
                    self.before.pass(token, self.raw);
                }
            }
        }
        let mut raw_at = self
            .tokens
            .peek()
            .map_or(self.raw.len(), |next| next.raw.start);
        while self
            .tokens
            .peek()
            .is_some_and(|next| next.decoded.end <= edit.start)
        {
            if let Some(token) = self.tokens.take() {
                raw_at = token.raw.end;
                self.before.pass(token, self.raw);
            }
        }
        let mut site = Site {
            raw: raw_at..raw_at,
            decoded: edit.clone(),
        };
        // An `=` that was literal only for the stray one in front of it goes along.
        let goes_along = |token: &Token| {
            token.decoded.start < edit.end
                || token.what == What::Literal && self.raw.get(token.raw.start) == Some(&b'=')
        };
        while self.tokens.peek().is_some_and(goes_along) {
            if let Some(token) = self.tokens.take() {
                site.raw.end = token.raw.end;
                site.decoded.start = site.decoded.start.min(token.decoded.start);
                site.decoded.end = site.decoded.end.max(token.decoded.end);
            }
        }
        // The octets that the edit means are not there: another body was decoded.
        let short = self.tokens.peek().is_none() && site.decoded.end != self.decoded.len();
        if short || site.decoded.end > self.decoded.len() {
            return Err(SpliceError::OtherBody);
        }
        // Blanks that were dropped before a line end would come back if that line end went.
        if let Some(dropped) = &self.before.dropped {
            site.raw.start = dropped.raw.start;
        }
        Ok(site)
    }

    /// Takes along what stands in front of the edit and would mean something else behind it.
    fn widen_left(&self, site: &mut Site, text: &[u8]) {
        let after = self.raw.get(site.raw.end..).unwrap_or_default();
        let line_ends = match text {
            [] => token::blanks_to_line_end(after).is_some(),
            _ => text.starts_with(b"\r\n"),
        };
        if let Some(last) = &self.before.last {
            // A blank at the end of a line would be dropped (RFC 2045 6.7 rule 3).
            let blank = last.what == What::Blank && last.raw.end == site.raw.start && line_ends;
            // A full line has no room for the `=` of a soft break.
            let starts_at_line_end =
                token::blanks_to_line_end(self.raw.get(site.raw.start..).unwrap_or_default());
            let full = starts_at_line_end.is_some()
                && self.column(site.raw.start) >= LINE_OCTETS
                && last.what != What::Newline;
            if blank || full {
                site.widen_to(last);
            }
        }
        if let Some(stray) = &self.before.stray {
            // `=` and what follows it would become an escape or a soft break.
            let between = self
                .raw
                .get(stray.raw.end..site.raw.start)
                .unwrap_or_default();
            let blanks = between.iter().all(|octet| matches!(octet, b' ' | b'\t'));
            if stray.raw.start < site.raw.start && (between.len() < 2 || blanks) {
                site.widen_to(stray);
            }
        }
    }

    /// How many octets of its output line stand before a raw place.
    fn column(&self, place: usize) -> usize {
        let before = self.raw.get(..place).unwrap_or_default();
        let line_start = memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        match self.written {
            Some((end, column)) if end >= line_start => column + place.saturating_sub(end),
            _ => place - line_start,
        }
    }

    /// Octets from a raw place to the end of its line.
    fn rest_of_line(&self, place: usize) -> &[u8] {
        let rest = self.raw.get(place..).unwrap_or_default();
        let end = memchr(b'\n', rest).map_or(rest.len(), |newline| {
            let cr = newline > 0 && rest.get(newline - 1) == Some(&b'\r');
            newline - usize::from(cr)
        });
        rest.get(..end).unwrap_or_default()
    }

    /// Encodes `text` in place of `range`, which begins and ends between tokens.
    fn write(&mut self, mut range: Range<usize>, text: &[u8]) -> Splice {
        let mut encoder = Encoder {
            out: Vec::with_capacity(text.len() + text.len() / 16 + 8),
            column: self.column(range.start),
        };
        let longest = encoder.column + self.rest_of_line(range.start).len();
        let rest = self.rest_of_line(range.end);
        let after = self.raw.get(range.end..).unwrap_or_default();
        encoder.encode(text, token::blanks_to_line_end(after).is_some());
        let joined = encoder.column + rest.len();
        let grown = !text.is_empty() || joined > longest;
        if !rest.is_empty() && joined > LINE_OCTETS && grown && encoder.column > 0 {
            encoder.soft_break();
        }
        // What followed in the middle of a line may now begin one: never as a delimiter (RFC 2046 5.1.1). The escape is
        // two octets longer than the hyphen, and may be what makes a full line 78 octets long.
        let began_line = encoder.column == 0 && self.column(range.end) == 0;
        let moved = !(began_line || range.is_empty() && encoder.out.is_empty());
        let hyphen_before = encoder.column == 1
            && encoder.out.is_empty()
            && self
                .raw
                .get(..range.start)
                .is_some_and(|before| before.ends_with(b"-"));
        let delimits = match encoder.column {
            0 => rest.starts_with(b"--"),
            _ => hyphen_before && rest.starts_with(b"-"),
        };
        if delimits && moved {
            encoder.escape(b'-');
            range.end += 1;
            self.tokens.take();
        }
        self.written = Some((range.end, encoder.column));
        Splice::new(range, encoder.out)
    }
}

/// Writes quoted-printable of our own, lines of at most 76 octets.
struct Encoder {
    out: Vec<u8>,
    column: usize,
}

impl Encoder {
    fn encode(&mut self, text: &[u8], line_ends_after: bool) {
        let mut rest = text;
        while let Some((octet, after)) = rest.split_first() {
            if let Some(after) = rest.strip_prefix(b"\r\n") {
                self.out.extend_from_slice(b"\r\n");
                self.column = 0;
                rest = after;
                continue;
            }
            let line_ends = after.starts_with(b"\r\n") || after.is_empty() && line_ends_after;
            match octet {
                b' ' | b'\t' if !line_ends => self.literal(*octet),
                // Two hyphens at the start of a line may be a delimiter.
                b'-' if self.column <= 1 || self.column >= LINE_OCTETS - 1 => self.escape(*octet),
                b'=' => self.escape(*octet),
                b'!'..=b'~' => self.literal(*octet),
                _ => self.escape(*octet),
            }
            rest = after;
        }
    }

    fn literal(&mut self, octet: u8) {
        self.make_room(1);
        self.out.push(octet);
        self.column += 1;
    }

    fn escape(&mut self, octet: u8) {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        self.make_room(3);
        let digit = |value: u8| HEX.get(usize::from(value & 15)).copied().unwrap_or(b'0');
        self.out
            .extend_from_slice(&[b'=', digit(octet >> 4), digit(octet)]);
        self.column += 3;
    }

    /// Breaks the line where `octets` more and the `=` of a later soft break do not fit.
    fn make_room(&mut self, octets: usize) {
        if self.column + octets >= LINE_OCTETS {
            self.soft_break();
        }
    }

    fn soft_break(&mut self) {
        self.out.extend_from_slice(b"=\r\n");
        self.column = 0;
    }
}
