//! Raw octets as the text a mail client sees: charset decoded, character references resolved, each octet of the text
//! still pointing at the raw octets it came from, so that an edit found in the text can be made in the raw.
//!
//! It knows neither HTML elements nor CSS. It never fails: what cannot be decoded becomes U+FFFD, as in a browser.

use std::ops::Range;

use encoding_rs::Encoding;
use memchr::memchr2;

/// Decoded text with its way back to raw offsets.
#[derive(Debug)]
pub(super) struct Text {
    text: String,
    start: usize,
    /// Raw offset of each octet of `text`, and of its end; empty where text and raw are the same octets.
    origin: Vec<usize>,
}

impl Text {
    /// The text of an attribute value: character references are resolved (HTML 13.2.5.73, "in attribute").
    pub(super) fn attribute(html: &[u8], range: Range<usize>, encoding: &'static Encoding) -> Self {
        Self::decode(html, range, encoding, true)
    }

    /// The text of a raw text element such as `<style>`: no character references there.
    pub(super) fn raw(html: &[u8], range: Range<usize>, encoding: &'static Encoding) -> Self {
        Self::decode(html, range, encoding, false)
    }

    fn decode(
        html: &[u8],
        range: Range<usize>,
        encoding: &'static Encoding,
        references: bool,
    ) -> Self {
        let start = range.start;
        let raw = html.get(range).unwrap_or_default();
        let plain = !(references && memchr2(b'&', b'&', raw).is_some());
        if plain
            && (raw.is_ascii() || encoding == encoding_rs::UTF_8)
            && let Ok(text) = std::str::from_utf8(raw)
        {
            return Self {
                text: text.to_owned(),
                start,
                origin: Vec::new(),
            };
        }
        let mut decoded = Self {
            text: String::with_capacity(raw.len()),
            start,
            origin: Vec::with_capacity(raw.len().saturating_add(1)),
        };
        let mut at = 0;
        while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
            let (piece, taken) = match rest.first() {
                Some(b'&') if references => reference(rest).unwrap_or(('&', 1)),
                Some(octet) if octet.is_ascii() => (char::from(*octet), 1),
                _ => character(rest, encoding),
            };
            decoded.text.push(piece);
            for _ in 0..piece.len_utf8() {
                decoded.origin.push(start.saturating_add(at));
            }
            at = at.saturating_add(taken.max(1));
        }
        decoded.origin.push(start.saturating_add(raw.len()));
        decoded
    }

    /// The text itself.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The raw octets that a range of the text came from.
    pub(super) fn raw_range(&self, range: Range<usize>) -> Range<usize> {
        if self.origin.is_empty() {
            return self.start.saturating_add(range.start)..self.start.saturating_add(range.end);
        }
        let last = self.origin.last().copied().unwrap_or(self.start);
        let raw = |at: usize| self.origin.get(at).copied().unwrap_or(last);
        raw(range.start)..raw(range.end)
    }
}

/// One character at the start of `rest`, which begins with a non-ASCII octet, and how many octets it took. The
/// shortest sequence that is well-formed wins: in the encodings we take no octet is both a whole character and a lead.
fn character(rest: &[u8], encoding: &'static Encoding) -> (char, usize) {
    for length in 1..=4 {
        let Some(piece) = rest.get(..length) else {
            break;
        };
        if let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(piece)
            && let Some(first) = text.chars().next()
        {
            return (first, length);
        }
    }
    (char::REPLACEMENT_CHARACTER, 1)
}

/// The named character references that stand for an ASCII character: URLs and CSS are made of those.
const NAMED: [(&str, char); 48] = [
    ("AMP;", '&'),
    ("amp;", '&'),
    ("LT;", '<'),
    ("lt;", '<'),
    ("GT;", '>'),
    ("gt;", '>'),
    ("QUOT;", '"'),
    ("quot;", '"'),
    ("apos;", '\''),
    ("Tab;", '\t'),
    ("NewLine;", '\n'),
    ("excl;", '!'),
    ("num;", '#'),
    ("dollar;", '$'),
    ("percnt;", '%'),
    ("lpar;", '('),
    ("rpar;", ')'),
    ("ast;", '*'),
    ("midast;", '*'),
    ("plus;", '+'),
    ("comma;", ','),
    ("period;", '.'),
    ("sol;", '/'),
    ("colon;", ':'),
    ("semi;", ';'),
    ("equals;", '='),
    ("quest;", '?'),
    ("commat;", '@'),
    ("lsqb;", '['),
    ("lbrack;", '['),
    ("bsol;", '\\'),
    ("rsqb;", ']'),
    ("rbrack;", ']'),
    ("Hat;", '^'),
    ("lowbar;", '_'),
    ("UnderBar;", '_'),
    ("grave;", '`'),
    ("DiacriticalGrave;", '`'),
    ("lcub;", '{'),
    ("lbrace;", '{'),
    ("verbar;", '|'),
    ("vert;", '|'),
    ("VerticalLine;", '|'),
    ("rcub;", '}'),
    ("rbrace;", '}'),
    ("nbsp;", '\u{a0}'),
    ("NonBreakingSpace;", '\u{a0}'),
    ("shy;", '\u{ad}'),
];

/// Those that browsers also take without a semicolon.
const LEGACY: [(&str, char); 8] = [
    ("AMP", '&'),
    ("amp", '&'),
    ("LT", '<'),
    ("lt", '<'),
    ("GT", '>'),
    ("gt", '>'),
    ("QUOT", '"'),
    ("quot", '"'),
];

/// The character reference at the start of `rest` (which begins with `&`) and its length.
fn reference(rest: &[u8]) -> Option<(char, usize)> {
    if rest.get(1) == Some(&b'#') {
        return numeric(rest);
    }
    let after = rest.get(1..)?;
    for (name, character) in NAMED {
        if after.starts_with(name.as_bytes()) {
            return Some((character, name.len().saturating_add(1)));
        }
    }
    for (name, character) in LEGACY {
        if after.starts_with(name.as_bytes()) {
            let next = after.get(name.len());
            // "&amp=1" and "&ltx" stay as they are inside an attribute, for old query strings.
            let part_of_query =
                next.is_some_and(|octet| *octet == b'=' || octet.is_ascii_alphanumeric());
            return (!part_of_query).then_some((character, name.len().saturating_add(1)));
        }
    }
    None
}

fn numeric(rest: &[u8]) -> Option<(char, usize)> {
    let (radix, start) = match rest.get(2) {
        Some(b'x' | b'X') => (16, 3),
        _ => (10, 2),
    };
    let digits = rest.get(start..)?;
    let mut value = 0_u32;
    let mut length = 0_usize;
    for octet in digits {
        let Some(digit) = char::from(*octet).to_digit(radix) else {
            break;
        };
        value = value.saturating_mul(radix).saturating_add(digit);
        length = length.saturating_add(1);
    }
    if length == 0 {
        return None;
    }
    let mut taken = start.saturating_add(length);
    if digits.get(length) == Some(&b';') {
        taken = taken.saturating_add(1);
    }
    let character = match value {
        0 => char::REPLACEMENT_CHARACTER,
        _ => char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER),
    };
    Some((character, taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(raw: &[u8], encoding: &'static Encoding) -> Text {
        Text::attribute(raw, 0..raw.len(), encoding)
    }

    #[test]
    fn references_are_resolved_and_point_back() {
        let text = attribute(
            b"a&amp;b&#x2f;&#47c&amp=1&copy=2&colon;&amp",
            encoding_rs::UTF_8,
        );
        assert_eq!(text.as_str(), "a&b//c&amp=1&copy=2:&");
        assert_eq!(text.raw_range(1..2), 1..6);
        assert_eq!(text.raw_range(3..4), 7..13);
        assert_eq!(text.raw_range(20..21), 38..42);
    }

    #[test]
    fn plain_text_is_itself() {
        let html = "xx\u{e9}t\u{e9}yy".as_bytes();
        let text = Text::raw(html, 2..7, encoding_rs::UTF_8);
        assert_eq!(text.as_str(), "\u{e9}t\u{e9}");
        assert_eq!(text.raw_range(2..3), 4..5);
    }

    #[test]
    fn a_trail_octet_that_looks_like_ascii_belongs_to_its_lead() {
        // Shift_JIS 0x83 0x5C is one katakana; its second octet is a backslash to whoever reads octets.
        let text = Text::raw(b"\x83\x5c(", 0..3, encoding_rs::SHIFT_JIS);
        assert_eq!(text.as_str(), "\u{30bd}(");
        assert_eq!(text.raw_range(3..4), 2..3);
        // A lead without its trail swallows nothing.
        let broken = Text::raw(b"\x83\"", 0..2, encoding_rs::SHIFT_JIS);
        assert_eq!(broken.as_str(), "\u{fffd}\"");
        // GB18030 has characters of four octets, two of them digits.
        let four = Text::raw(b"\x81\x30\x81\x30x", 0..5, encoding_rs::GB18030);
        assert_eq!(four.raw_range(2..3), 4..5);
    }

    #[test]
    fn broken_octets_become_replacements() {
        let text = Text::raw(b"a\xffb", 0..3, encoding_rs::UTF_8);
        assert_eq!(text.as_str(), "a\u{fffd}b");
        assert_eq!(text.raw_range(4..5), 2..3);
        let text = Text::raw(b"\xc0\x80", 0..2, encoding_rs::WINDOWS_1252);
        assert_eq!(text.as_str(), "\u{c0}\u{20ac}");
    }
}
