//! Whether octets look like HTML although no label says so.
//!
//! Clients guess where a label is missing, so must we; a wrong guess costs one examination and nothing else.
//! It must never decide against a label that is in order.

use memchr::memchr_iter;

/// Element names that count as HTML, lower case, one a line.
const TAGS: &str = include_str!("html_tags.txt");

/// How many octets of leading white space and byte-order mark are passed over.
const LEADING_OCTETS: usize = 4_096;

/// Whether a client that guesses from the first octets would take them for HTML.
pub(super) fn begins_like_html(octets: &[u8]) -> bool {
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    let start = octets
        .iter()
        .take(LEADING_OCTETS)
        .position(|octet| !octet.is_ascii_whitespace());
    let Some(rest) = start.and_then(|start| octets.get(start..)) else {
        return false;
    };
    rest.starts_with(b"<!--") || rest.starts_with(b"<?xml") || tag_at(rest)
}

/// Whether any HTML tag stands in the octets.
pub(super) fn contains_tag(octets: &[u8]) -> bool {
    memchr_iter(b'<', octets).any(|at| octets.get(at..).is_some_and(tag_at))
}

/// Whether the octets start with a tag of [`TAGS`], opening or closing.
fn tag_at(octets: &[u8]) -> bool {
    let Some(name) = octets.strip_prefix(b"<") else {
        return false;
    };
    let name = name.strip_prefix(b"/").unwrap_or(name);
    let length = name
        .iter()
        .take(12)
        .position(|octet| !octet.is_ascii_alphanumeric() && *octet != b'!')
        .unwrap_or(name.len().min(12));
    let (name, after) = name.split_at_checked(length).unwrap_or_default();
    let ends = after
        .first()
        .is_none_or(|octet| matches!(octet, b'>' | b'/' | b'=') || octet.is_ascii_whitespace());
    ends && !name.is_empty()
        && TAGS
            .lines()
            .any(|tag| tag.as_bytes().eq_ignore_ascii_case(name))
}
