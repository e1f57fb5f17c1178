//! Header fields as spans: where a name, a value and the whole field stand (RFC 5322 2.2).
//!
//! Nothing is unfolded, decoded or lower-cased here: a field must be removable octet for octet. It must never know what a
//! field means. A line that is no field is handed on as such; no line is skipped in silence.

use std::ops::Range;

use memchr::memchr;

/// One header field of a message; all ranges are offsets in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name, without the colon and without blanks before it.
    pub name: Range<usize>,
    /// What follows the colon, folded lines included, without the last line end.
    pub value: Range<usize>,
    /// The whole field with its line ends: what to cut to remove it.
    pub whole: Range<usize>,
}

impl Field {
    /// Whether the field is called `name`, whatever the case.
    pub fn is(&self, message: &[u8], name: &str) -> bool {
        self.name_octets(message)
            .eq_ignore_ascii_case(name.as_bytes())
    }

    /// The name as written.
    pub fn name_octets<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        message.get(self.name.clone()).unwrap_or_default()
    }

    /// The value as written, blanks and folding included.
    pub fn value_octets<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        message.get(self.value.clone()).unwrap_or_default()
    }

    /// The value on one line, without blanks at its ends; octets that are not UTF-8 are shown as U+FFFD. For reading only.
    pub fn value_text(&self, message: &[u8]) -> String {
        let unfolded: Vec<u8> = self
            .value_octets(message)
            .iter()
            .copied()
            .filter(|octet| !matches!(octet, b'\r' | b'\n'))
            .collect();
        readable(unfolded.trim_ascii())
    }
}

/// Text for reading: what is not UTF-8 becomes U+FFFD.
pub(super) fn readable(octets: &[u8]) -> String {
    octets
        .utf8_chunks()
        .flat_map(|chunk| {
            let broken = if chunk.invalid().is_empty() {
                ""
            } else {
                "\u{fffd}"
            };
            [chunk.valid(), broken]
        })
        .collect()
}

/// What stands next in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// A field, and the end of a line inside it that holds nothing but blanks: some readers end the header there.
    Field(Field, Option<usize>),
    /// A line that is no field, nor the continuation of one.
    Junk(Range<usize>),
    /// The empty line that ends the header.
    Blank(Range<usize>),
}

/// The fields of a header, in order; lines that are none are passed over, an empty line ends it.
pub fn fields(message: &[u8], header: Range<usize>) -> impl Iterator<Item = Field> {
    let mut at = header.start;
    std::iter::from_fn(move || {
        loop {
            let entry = next_entry(message, at, header.end)?;
            match entry {
                Entry::Field(field, _) => {
                    at = field.whole.end;
                    return Some(field);
                }
                Entry::Junk(line) => at = line.end,
                Entry::Blank(_) => return None,
            }
        }
    })
}

/// Where the header of a message ends: past its empty line, or at the end of the message where it has none.
pub fn end_of_header(message: &[u8]) -> usize {
    let mut at = 0;
    while let Some(entry) = next_entry(message, at, message.len()) {
        match entry {
            Entry::Field(field, _) => at = field.whole.end,
            Entry::Junk(line) => at = line.end,
            Entry::Blank(line) => return line.end,
        }
    }
    message.len()
}

/// The line that starts at `at`, its line end included; empty at `end`.
pub(super) fn line_at(message: &[u8], at: usize, end: usize) -> Range<usize> {
    let rest = message.get(at..end).unwrap_or_default();
    let length = memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
    at..at + length
}

/// The octets of a line without its line end.
pub(super) fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Reads the entry that starts at `at`; `None` at `end`.
pub(super) fn next_entry(message: &[u8], at: usize, end: usize) -> Option<Entry> {
    let first = line_at(message, at, end);
    let line = message.get(first.clone()).filter(|line| !line.is_empty())?;
    let content = without_line_end(line);
    if content.is_empty() {
        return Some(Entry::Blank(first));
    }
    let Some(colon) = colon_of(content) else {
        return Some(Entry::Junk(first));
    };
    let name = content.get(..colon).unwrap_or_default().trim_ascii_end();
    let mut whole = first.clone();
    let mut all_blank = None;
    loop {
        let next = line_at(message, whole.end, end);
        let line = message.get(next.clone()).unwrap_or_default();
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            break;
        }
        if all_blank.is_none() && line.trim_ascii().is_empty() {
            all_blank = Some(next.end);
        }
        whole.end = next.end;
    }
    let octets = message.get(whole.clone()).unwrap_or_default();
    let field = Field {
        name: at..at + name.len(),
        value: at + colon + 1..at + without_line_end(octets).len().max(colon + 1),
        whole,
    };
    Some(Entry::Field(field, all_blank))
}

/// Where the colon after a field name stands: printable ASCII (RFC 5322 3.6.8), blanks before the colon allowed (4.5.8).
fn colon_of(line: &[u8]) -> Option<usize> {
    let colon = memchr(b':', line)?;
    let name = line.get(..colon)?.trim_ascii_end();
    let printable = name.iter().all(|octet| (33..=126).contains(octet));
    (printable && !name.is_empty()).then_some(colon)
}

#[cfg(test)]
mod tests;
