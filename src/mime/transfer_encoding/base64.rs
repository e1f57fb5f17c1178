//! Base64 bodies (RFC 2045 6.8): lenient decoding, and edits patched by groups of four characters.
//!
//! Octets outside the alphabet are skipped as RFC 2045 asks. An edit rewrites the groups that carry it and nothing else
//! where the length modulo 3 fits; where it does not, everything from the first touched group to the end of the body.

use std::ops::Range;

use encodify::base64::{LENIENT, STANDARD};
use memchr::{memchr, memchr2, memrchr};

use super::{Edit, LINE_OCTETS, SpliceError, Undecodable};
use crate::mime::splice::Splice;

/// Decodes to the first padding, or to the end where what follows the padding says nothing.
pub(super) fn decode(raw: &[u8]) -> Result<Vec<u8>, Undecodable> {
    match to_padding(raw) {
        (decoded, true) => Ok(decoded),
        (_, false) => Err(Undecodable::Disagree),
    }
}

/// Decodes to the first padding, and says whether nothing that matters follows it.
pub(super) fn to_padding(raw: &[u8]) -> (Vec<u8>, bool) {
    let mut decoded = Vec::with_capacity(raw.len() / 4 * 3 + 3);
    let mut rest = decode_to_padding(raw, &mut decoded);
    while !rest.is_empty() {
        let mut more = Vec::new();
        rest = decode_to_padding(rest, &mut more);
        if !more.trim_ascii().is_empty() {
            return (decoded, false);
        }
    }
    (decoded, true)
}

/// What other readers decode: behind the padding, where something stands there, and in the other alphabet.
pub(super) fn other_readings(raw: &[u8], settled: bool) -> Vec<Vec<u8>> {
    let mut others = Vec::new();
    if !settled {
        let mut anew = Vec::new();
        let mut rest = raw;
        while !rest.is_empty() {
            rest = decode_to_padding(rest, &mut anew);
        }
        let symbols: Vec<u8> = raw.iter().copied().filter(|octet| *octet != b'=').collect();
        let mut skipped = Vec::new();
        decode_to_padding(&symbols, &mut skipped);
        others.extend([anew, skipped]);
    }
    if memchr2(b'-', b'_', raw).is_some() {
        let standard: Vec<u8> = raw
            .iter()
            .map(|octet| match octet {
                b'-' => b'+',
                b'_' => b'/',
                other => *other,
            })
            .collect();
        others.push(to_padding(&standard).0);
    }
    others
}

/// Decodes up to the first `=`, and gives what stands behind it and its like.
fn decode_to_padding<'a>(raw: &'a [u8], decoded: &mut Vec<u8>) -> &'a [u8] {
    let mut decoder = LENIENT.decoder();
    let mut rest = raw;
    loop {
        let taken = decoder.decode_symbols(rest, decoded);
        rest = rest.get(taken..).unwrap_or_default();
        match rest.split_first() {
            None => break,
            Some((b'=', _)) => {
                let end = rest.iter().position(|octet| *octet != b'=');
                rest = rest.get(end.unwrap_or(rest.len())..).unwrap_or_default();
                break;
            }
            Some((_, after)) => rest = after,
        }
    }
    decoder.finish(decoded);
    rest
}

/// Edits as splices, by groups.
pub(super) fn splices(
    raw: &[u8],
    decoded: &[u8],
    edits: Vec<Edit>,
) -> Result<Vec<Splice>, SpliceError> {
    let mut places = Places::new(raw);
    let mut splices: Vec<Splice> = Vec::new();
    // Raw end of the patch before, and the octets of its output line up to there.
    let mut written: Option<(usize, usize)> = None;
    for patch in patches(decoded, edits) {
        let mut range = places.of(&patch.groups).ok_or(SpliceError::OtherBody)?;
        if patch.to_end {
            range.end = places.end_of_symbols().max(range.start);
        }
        let line_start = line_start(raw, range.start);
        let before = match written {
            Some((end, column)) if end >= line_start => column + range.start.saturating_sub(end),
            _ => range.start - line_start,
        };
        let text = STANDARD.encode(&patch.decoded);
        let replacement = lay_out(raw, &range, before, text.as_bytes());
        let last_line = memrchr(b'\n', &replacement);
        let column = match last_line {
            Some(newline) => replacement.len() - newline - 1,
            None => before + replacement.len(),
        };
        let after = raw.get(range.end..).unwrap_or_default();
        if replacement.is_empty() && before == 0 && range.start > 0 && after.starts_with(b"\r\n") {
            // Nothing is left of the line: its end goes too, since some decoders stop at an empty line.
            range.end += 2;
        }
        written = Some((range.end, column));
        splices.push(Splice::new(range, replacement));
    }
    Ok(splices)
}

/// Whole groups and what they are to decode to.
struct Patch {
    groups: Range<usize>,
    decoded: Vec<u8>,
    to_end: bool,
}

/// Gathers edits that share a group, and runs to the end of the body from the first whose length does not fit.
fn patches(decoded: &[u8], edits: Vec<Edit>) -> Vec<Patch> {
    let total = decoded.len().div_ceil(3);
    let mut patches = Vec::new();
    let mut edits = edits.into_iter().peekable();
    // An insertion at the very end opens the last group.
    let group_of = |start: usize| start.min(decoded.len().saturating_sub(1)) / 3;
    while let Some((range, text)) = edits.next() {
        let first = group_of(range.start);
        let mut text_of_patch = decoded
            .get(first * 3..range.start)
            .unwrap_or_default()
            .to_vec();
        text_of_patch.extend_from_slice(&text);
        let mut end = range.end;
        let last_group = |end: usize| end.div_ceil(3).max(first + 1).min(total);
        while let Some((next, text)) = edits
            .next_if(|(next, _)| last_group(end) == total || group_of(next.start) < last_group(end))
        {
            text_of_patch.extend_from_slice(decoded.get(end..next.start).unwrap_or_default());
            text_of_patch.extend_from_slice(&text);
            end = next.end;
        }
        let last = last_group(end);
        let group_end = (last * 3).min(decoded.len());
        text_of_patch.extend_from_slice(decoded.get(end..group_end).unwrap_or_default());
        let replaced = group_end - (first * 3).min(group_end);
        let fits = text_of_patch.len() % 3 == replaced % 3;
        if fits || group_end == decoded.len() {
            patches.push(Patch {
                groups: first..last,
                decoded: text_of_patch,
                to_end: group_end == decoded.len(),
            });
            continue;
        }
        for (next, text) in edits.by_ref() {
            text_of_patch.extend_from_slice(
                decoded
                    .get(end.max(group_end)..next.start)
                    .unwrap_or_default(),
            );
            text_of_patch.extend_from_slice(&text);
            end = next.end;
        }
        text_of_patch.extend_from_slice(decoded.get(end.max(group_end)..).unwrap_or_default());
        patches.push(Patch {
            groups: first..total,
            decoded: text_of_patch,
            to_end: true,
        });
    }
    patches
}

/// Where groups stand in the raw body; asked in ascending order, so one pass over the body serves all.
struct Places<'a> {
    raw: &'a [u8],
    at: usize,
    symbols: usize,
}

impl<'a> Places<'a> {
    fn new(raw: &'a [u8]) -> Self {
        Self {
            raw,
            at: 0,
            symbols: 0,
        }
    }

    /// From the first symbol of the first group to behind the last symbol of the last one.
    fn of(&mut self, groups: &Range<usize>) -> Option<Range<usize>> {
        let start = self.of_symbol(groups.start * 4)?;
        if groups.is_empty() {
            return Some(start..start);
        }
        self.raw.get(start).filter(|octet| is_symbol(**octet))?;
        match self.of_symbol(groups.end * 4 - 1) {
            Some(last) => Some(start..last + 1),
            // The last group is padded or cut short.
            None => Some(start..self.end_of_symbols()),
        }
    }

    /// Where symbol number `wanted` stands; the end of the symbols for the one behind the last.
    fn of_symbol(&mut self, wanted: usize) -> Option<usize> {
        while let Some(octet) = self.raw.get(self.at).filter(|octet| **octet != b'=') {
            if is_symbol(*octet) {
                if self.symbols == wanted {
                    return Some(self.at);
                }
                self.symbols += 1;
            }
            self.at += 1;
        }
        (self.symbols == wanted && wanted == 0).then_some(self.at)
    }

    /// Behind the last symbol and the padding that follows it.
    fn end_of_symbols(&self) -> usize {
        let padding = memchr(b'=', self.raw);
        let symbols = self
            .raw
            .get(..padding.unwrap_or(self.raw.len()))
            .unwrap_or_default();
        let behind = symbols
            .iter()
            .rposition(|octet| is_symbol(*octet))
            .map_or(0, |last| last + 1);
        let Some(padding) = padding else {
            return behind;
        };
        let rest = self.raw.get(padding..).unwrap_or_default();
        padding
            + rest
                .iter()
                .position(|octet| *octet != b'=')
                .unwrap_or(rest.len())
    }
}

fn is_symbol(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/')
}

fn line_start(raw: &[u8], place: usize) -> usize {
    let newline = memrchr(b'\n', raw.get(..place).unwrap_or_default());
    newline.map_or(0, |newline| newline + 1)
}

/// Writes symbols in place of `range`: on the old lines where as many are needed, else wrapped as wide as the line was.
fn lay_out(raw: &[u8], range: &Range<usize>, before: usize, symbols: &[u8]) -> Vec<u8> {
    let old = raw.get(range.clone()).unwrap_or_default();
    let same = old
        .iter()
        .filter(|octet| is_symbol(**octet) || **octet == b'=')
        .count()
        == symbols.len();
    let moved = before != range.start - line_start(raw, range.start);
    if same && !moved {
        let mut next = symbols.iter();
        return old
            .iter()
            .map(|octet| match is_symbol(*octet) || *octet == b'=' {
                true => *next.next().unwrap_or(octet),
                false => *octet,
            })
            .collect();
    }
    let width = width_around(raw, range.start);
    let mut laid_out = Vec::with_capacity(symbols.len() + symbols.len() / 32 + 4);
    let mut column = before;
    for symbol in symbols {
        if column >= width {
            laid_out.extend_from_slice(b"\r\n");
            column = 0;
        }
        laid_out.push(*symbol);
        column += 1;
    }
    let after = raw.get(range.end..).unwrap_or_default();
    let rest = memchr(b'\n', after).map_or(after.len(), |newline| newline.saturating_sub(1));
    // The line that goes on behind the patch is the client's: it may not grow past what it was.
    if rest > 0 && column > 0 && column + rest > width {
        laid_out.extend_from_slice(b"\r\n");
    }
    laid_out
}

/// How wide the client wraps: the line the patch begins on, or the first line where that is the last; at most 76.
fn width_around(raw: &[u8], place: usize) -> usize {
    let first_line = memchr(b'\n', raw).map_or(raw.len(), |newline| newline.saturating_sub(1));
    let start = line_start(raw, place);
    let rest = raw.get(start..).unwrap_or_default();
    let line = memchr(b'\n', rest).map_or(0, |newline| newline.saturating_sub(1));
    line.max(first_line).clamp(4, LINE_OCTETS)
}
