//! The charsets in which a tag need not be ASCII octets: decoding them, each character with its octets, and writing ASCII in them.
//!
//! What a charset with shift states leaves open, readers fill in differently and go on in different states; only what is
//! well-formed by its RFC is decoded. UTF-16 has no states: half a character is U+FFFD, as in a browser. All of it is linear
//! in the octets.

use std::ops::Range;

use encoding_rs::{EUC_JP, Encoding, GBK};

use super::Uninspectable;
use super::view::{State, Text};

/// U+FEFF at the start of UTF-16.
const MARK: u16 = 0xfeff;

/// Begins an escape of ISO 2022.
const ESCAPE: u8 = 0x1b;

/// Octets of every escape that is taken.
const ESCAPE_OCTETS: usize = 3;

/// Whether the octets are text as they stand.
pub(super) fn is_plain(raw: &[u8], drops_nul: bool) -> bool {
    mark_octets(raw) == 0 && !(drops_nul && raw.contains(&0))
}

/// The octets without a byte-order mark of UTF-16, and without NUL, which goes with the octet before it: in ASCII of two octets a
/// letter all of them are written alike then.
pub(super) fn octets(raw: &[u8], drops_nul: bool, text: &mut Text) {
    let mut at = mark_octets(raw);
    while let Some((octet, behind)) = raw.get(at..).and_then(<[u8]>::split_first) {
        let dropped = match drops_nul {
            true => behind.iter().take_while(|octet| **octet == 0).count(),
            false => 0,
        };
        let end = at.saturating_add(1).saturating_add(dropped);
        if !drops_nul || *octet != 0 {
            text.push_octets(&[*octet], at..end, State::Plain, false);
        }
        at = end;
    }
}

/// How long the byte-order mark of UTF-16 is that stands at the start, in either order.
pub(super) fn mark_octets(raw: &[u8]) -> usize {
    match raw.starts_with(b"\xff\xfe") || raw.starts_with(b"\xfe\xff") {
        true => 2,
        false => 0,
    }
}

/// UTF-16 (RFC 2781). Its byte-order mark is no character of the text; a surrogate alone, and an octet alone at the end, are
/// U+FFFD.
pub(super) fn utf_16(raw: &[u8], unit: fn([u8; 2]) -> u16, text: &mut Text) {
    let unit_at = |at: usize| match raw.get(at..at.saturating_add(2)) {
        Some([one, two]) => Some(unit([*one, *two])),
        _ => None,
    };
    let mut at = match unit_at(0) {
        Some(MARK) => 2,
        _ => 0,
    };
    while let Some(first) = unit_at(at) {
        let pair = [first, unit_at(at.saturating_add(2)).unwrap_or_default()];
        let (character, octets) = match char::decode_utf16(pair).next() {
            Some(Ok(character)) => (character, character.len_utf16().saturating_mul(2)),
            // Half a character and half of its other half, at the end, are one.
            _ if (0xd800..0xdc00).contains(&first) && raw.len() == at.saturating_add(3) => {
                (char::REPLACEMENT_CHARACTER, 3)
            }
            _ => (char::REPLACEMENT_CHARACTER, 2),
        };
        let end = at.saturating_add(octets);
        text.push(character, at..end, State::Plain);
        at = end;
    }
    if at < raw.len() {
        text.push(char::REPLACEMENT_CHARACTER, at..raw.len(), State::Plain);
    }
}

/// ISO-2022-JP (RFC 1468), with half-width katakana (ESC ( I) as browsers read it. Every line ends in ASCII or Roman, and the
/// text in ASCII: where one does not, some readers go back to ASCII and others do not. Of two escapes in a row browsers make
/// U+FFFD, others nothing.
pub(super) fn iso_2022_jp(
    raw: &[u8],
    roman_is_ascii: bool,
    text: &mut Text,
) -> Result<(), Uninspectable> {
    let mut state = State::Plain;
    let mut at = 0;
    while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
        let (character, length) = match (rest, state) {
            ([ESCAPE, _, _, ESCAPE, ..], _) => return Err(Uninspectable::Stateful),
            ([ESCAPE, ..], _) => {
                state = designated(rest)?;
                at = at.saturating_add(ESCAPE_OCTETS);
                continue;
            }
            // No other set is shifted to, and NUL is dropped by some.
            ([0 | 0x0e | 0x0f | 0x80.., ..], _) => return Err(Uninspectable::Stateful),
            // Not in RFC 1468: a reader without this set goes on in ASCII, where these are marks of HTML and CSS.
            ([b'<' | b'>' | b'"' | b'\'' | b'&' | b'=' | b'*' | b'\\', ..], State::Kana) => {
                return Err(Uninspectable::Stateful);
            }
            ([octet, ..], State::Plain) => (char::from(*octet), 1),
            ([octet, ..], State::Roman) if roman_is_ascii => (char::from(*octet), 1),
            ([octet, ..], State::Roman) => (roman(*octet), 1),
            ([octet @ 0x21..=0x5f, ..], State::Kana) => (kana(*octet), 1),
            ([lead @ 0x21..=0x7e, trail @ 0x21..=0x7e, ..], State::Double(_)) => {
                (double(EUC_JP, *lead, *trail), 2)
            }
            _ => return Err(Uninspectable::Stateful),
        };
        let end = at.saturating_add(length);
        text.push(character, at..end, state);
        at = end;
    }
    match state {
        State::Plain => Ok(()),
        State::Roman | State::Kana | State::Double(_) => Err(Uninspectable::Stateful),
    }
}

/// What an escape of ISO-2022-JP leads to. Those of other sets are known to some readers only.
fn designated(rest: &[u8]) -> Result<State, Uninspectable> {
    match rest.get(1..3) {
        Some(b"(B") => Ok(State::Plain),
        Some(b"(J") => Ok(State::Roman),
        Some(b"(I") => Ok(State::Kana),
        Some([b'$', last @ (b'@' | b'B')]) => Ok(State::Double(*last)),
        _ => Err(Uninspectable::Stateful),
    }
}

fn roman(octet: u8) -> char {
    match octet {
        0x5c => '\u{a5}',
        0x7e => '\u{203e}',
        other => char::from(other),
    }
}

fn kana(octet: u8) -> char {
    char::from_u32(0xff61_u32.saturating_add(u32::from(octet).saturating_sub(0x21)))
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A character of two octets that the encoding has with their high bits set.
fn double(encoding: &'static Encoding, lead: u8, trail: u8) -> char {
    encoding
        .decode_without_bom_handling_and_without_replacement(&[lead | 0x80, trail | 0x80])
        .and_then(|text| text.chars().next())
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// HZ-GB-2312 (RFC 1843). Every line ends in ASCII there; `~` is followed by `~`, `{` or `}`. The soft line end (`~` and LF) is
/// not taken: mail has CRLF.
pub(super) fn hz(raw: &[u8], text: &mut Text) -> Result<(), Uninspectable> {
    let mut state = State::Plain;
    let mut at = 0;
    while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
        let (character, length) = match (rest, state) {
            ([b'~', b'{', ..], State::Plain) => {
                state = State::Double(b'{');
                at = at.saturating_add(2);
                continue;
            }
            ([b'~', b'}', ..], State::Double(_)) => {
                state = State::Plain;
                at = at.saturating_add(2);
                continue;
            }
            ([b'~', b'~', ..], State::Plain) => ('~', 2),
            ([octet @ 1..=0x7d | octet @ 0x7f, ..], State::Plain) => (char::from(*octet), 1),
            ([lead @ 0x21..=0x77, trail @ 0x21..=0x7e, ..], State::Double(_)) => {
                (double(GBK, *lead, *trail), 2)
            }
            _ => return Err(Uninspectable::Stateful),
        };
        let end = at.saturating_add(length);
        text.push(character, at..end, state);
        at = end;
    }
    match state {
        State::Plain => Ok(()),
        State::Roman | State::Kana | State::Double(_) => Err(Uninspectable::Stateful),
    }
}

/// UTF-7 (RFC 2152). A run of base64 is whole characters and at most five bits of zero, ends before the next octet that is none
/// of its alphabet, and takes a hyphen along; an empty one is `+`, and only with its hyphen.
pub(super) fn utf_7(raw: &[u8], text: &mut Text) -> Result<(), Uninspectable> {
    let mut at = 0;
    while let Some(octet) = raw.get(at) {
        match octet {
            0 | 0x80.. => return Err(Uninspectable::Stateful),
            b'+' => {
                let digits = raw.get(at.saturating_add(1)..).unwrap_or_default();
                let digits = digits.iter().take_while(|octet| digit(**octet).is_some());
                let end = at.saturating_add(1).saturating_add(digits.count());
                let closed = raw.get(end) == Some(&b'-');
                let whole = at..end.saturating_add(usize::from(closed));
                match raw.get(at.saturating_add(1)..end) {
                    Some([]) if closed => text.push('+', whole.clone(), State::Plain),
                    Some(digits) => run(digits, &whole, text)?,
                    None => return Err(Uninspectable::Stateful),
                }
                at = whole.end;
            }
            octet => {
                let end = at.saturating_add(1);
                text.push(char::from(*octet), at..end, State::Plain);
                at = end;
            }
        }
    }
    Ok(())
}

/// The characters of one run: the first has all its octets, the others are tied to it.
fn run(digits: &[u8], whole: &Range<usize>, text: &mut Text) -> Result<(), Uninspectable> {
    let (mut bits, mut count) = (0_u32, 0_u32);
    let mut units = Vec::with_capacity(digits.len() / 2);
    for octet in digits {
        bits = bits << 6 & 0x3f_ffff | u32::from(digit(*octet).unwrap_or_default());
        count = count.saturating_add(6);
        if count >= 16 {
            count = count.saturating_sub(16);
            units.push(u16::try_from(bits >> count & 0xffff).unwrap_or_default());
        }
    }
    let left = bits & (1_u32 << count).saturating_sub(1);
    if units.is_empty() || count >= 6 || left != 0 {
        return Err(Uninspectable::Stateful);
    }
    for (number, character) in char::decode_utf16(units).enumerate() {
        let character = character.map_err(|_| Uninspectable::Stateful)?;
        match number {
            0 => text.push(character, whole.clone(), State::Plain),
            _ => text.push_tied(character, whole.end),
        }
    }
    Ok(())
}

/// The value of an octet of base64.
fn digit(octet: u8) -> Option<u8> {
    match octet {
        b'A'..=b'Z' => Some(octet.saturating_sub(b'A')),
        b'a'..=b'z' => Some(octet.saturating_sub(b'a').saturating_add(26)),
        b'0'..=b'9' => Some(octet.saturating_sub(b'0').saturating_add(52)),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// Whether an octet behind a run of UTF-7 would be taken for part of it.
pub(super) fn goes_on(octet: u8) -> bool {
    octet == b'-' || digit(octet).is_some()
}

/// Whether a run of UTF-7 that has no hyphen ends at this offset.
pub(super) fn ends_open(raw: &[u8], at: usize) -> bool {
    let before = raw.get(..at).unwrap_or_default();
    let digits = before
        .iter()
        .rev()
        .take_while(|octet| digit(**octet).is_some());
    let digits = digits.count();
    before
        .get(before.len().saturating_sub(digits)..)
        .is_some_and(|run| run.contains(&b'+'))
}

/// Text (UTF-8) in UTF-16.
pub(super) fn in_utf_16(text: &[u8], octets: fn(u16) -> [u8; 2]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    Some(text.encode_utf16().flat_map(octets).collect())
}

/// ASCII in ISO-2022-JP, from one state to the other; to whichever where what follows begins with an escape of its own.
pub(super) fn in_iso_2022_jp(text: &[u8], from: State, to: Option<State>) -> Option<Vec<u8>> {
    let in_roman = from == State::Roman && !text.iter().any(|octet| matches!(octet, 0x5c | 0x7e));
    let mut written = Vec::with_capacity(text.len().saturating_add(6));
    let mut state = from;
    if !(text.is_empty() || from == State::Plain || in_roman) {
        written.extend_from_slice(b"\x1b(B");
        state = State::Plain;
    }
    if !text.is_ascii() || text.contains(&ESCAPE) {
        return None;
    }
    written.extend_from_slice(text);
    if let Some(to) = to.filter(|to| *to != state) {
        written.push(ESCAPE);
        written.extend_from_slice(&match to {
            State::Plain => *b"(B",
            State::Roman => *b"(J",
            State::Kana => *b"(I",
            State::Double(last) => [b'$', last],
        });
    }
    Some(written)
}

/// Whether an escape begins at this offset.
pub(super) fn escapes(raw: &[u8], at: usize) -> bool {
    raw.get(at) == Some(&ESCAPE)
}

/// Where the escape begins that ends at this offset; the offset where none does.
pub(super) fn before_escape(raw: &[u8], at: usize) -> usize {
    let start = at.checked_sub(ESCAPE_OCTETS);
    start.filter(|start| escapes(raw, *start)).unwrap_or(at)
}

/// ASCII in HZ, from one state to the other.
pub(super) fn in_hz(text: &[u8], from: State, to: State) -> Option<Vec<u8>> {
    if !text.is_ascii() {
        return None;
    }
    let mut written = Vec::with_capacity(text.len().saturating_add(4));
    let mut state = from;
    if !text.is_empty() && from != State::Plain {
        written.extend_from_slice(b"~}");
        state = State::Plain;
    }
    for octet in text {
        written.push(*octet);
        if *octet == b'~' {
            written.push(b'~');
        }
    }
    if state != to {
        written.extend_from_slice(match to {
            State::Plain => b"~}",
            State::Roman | State::Kana | State::Double(_) => b"~{",
        });
    }
    Some(written)
}

/// ASCII in UTF-7.
pub(super) fn in_utf_7(text: &[u8]) -> Option<Vec<u8>> {
    if !text.is_ascii() {
        return None;
    }
    let mut written = Vec::with_capacity(text.len());
    for octet in text {
        written.push(*octet);
        if *octet == b'+' {
            written.push(b'-');
        }
    }
    Some(written)
}
