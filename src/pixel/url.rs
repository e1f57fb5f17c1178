//! A URL as a mail client would request it: what is stripped, folded and resolved before the request, so that no
//! spelling hides a host or a path (WHATWG URL, the parts that decide where a request goes).
//!
//! It knows no vendor. A text that names no remote place gives `None`: nothing would be requested.

use std::ops::Range;

/// Where a request would go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    /// Lower case, no user, no port, no final dot. Empty for schemes without a host.
    pub(super) host: String,
    /// Percent-decoded once (an encoded slash stays encoded), dots resolved, several slashes made one, without the first.
    pub(super) path: String,
    /// The query without `?`, as written but for unreserved characters, which are decoded.
    pub(super) query: Option<String>,
}

/// What a reference in a document points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Would be requested over the network.
    Remote(Url),
    /// Another part of the message (`cid:`), with the identifier as written.
    Part(String),
    /// In the document itself, or nowhere: `data:`, `about:`, empty, relative without a base.
    Local,
}

impl Url {
    /// The segments of the path; at least one, which may be empty.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.path.split('/').collect()
    }

    /// Host, path and query as one text, in which names are looked for.
    pub(super) fn text(&self) -> String {
        let query = self.query.as_deref().unwrap_or_default();
        format!("{}/{}?{query}", self.host, self.path)
    }

    /// The parameters of the query: name and value.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.query
            .as_deref()
            .unwrap_or_default()
            .split(['&', ';'])
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }
}

/// Reads a reference; `base` is the document's `<base href>`, where it has one that is remote.
pub(super) fn target(reference: &str, base: Option<&str>) -> Target {
    let cleaned = clean(reference);
    let (scheme, rest) = split_scheme(&cleaned);
    match scheme.as_deref() {
        // A script names no place.
        Some("data" | "about" | "javascript" | "vbscript") => Target::Local,
        Some("cid") => Target::Part(rest.to_owned()),
        // A special scheme ignores how many slashes of which kind follow it.
        Some("http" | "https" | "ftp" | "ws" | "wss") => {
            Target::Remote(after_slashes(rest.trim_start_matches(['/', '\\'])))
        }
        Some(_) => Target::Remote(other_scheme(rest)),
        None => {
            let slashes = rest.chars().take_while(|c| matches!(c, '/' | '\\')).count();
            if slashes >= 2 {
                return Target::Remote(after_slashes(rest.trim_start_matches(['/', '\\'])));
            }
            match base {
                Some(base) if !rest.is_empty() => Target::Remote(resolve(rest, base)),
                _ => Target::Local,
            }
        }
    }
}

/// Leading and trailing controls and blanks go, tabs and line ends go anywhere (WHATWG URL 4.4).
pub(super) fn clean(reference: &str) -> String {
    reference
        .trim_matches(|c: char| c <= ' ')
        .chars()
        .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
        .collect()
}

fn split_scheme(text: &str) -> (Option<String>, &str) {
    let Some((scheme, rest)) = text.split_once(':') else {
        return (None, text);
    };
    let starts = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if starts && scheme.chars().all(legal) {
        (Some(scheme.to_ascii_lowercase()), rest)
    } else {
        (None, text)
    }
}

/// Reads `authority/path?query#fragment`.
fn after_slashes(text: &str) -> Url {
    let end = text.find(['/', '\\', '?', '#']).unwrap_or(text.len());
    let (authority, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let (path, query) = path_and_query(rest, true);
    Url {
        host: host(authority),
        path,
        query,
    }
}

/// A scheme we do not know: whatever it names is elsewhere.
fn other_scheme(rest: &str) -> Url {
    match rest.strip_prefix("//") {
        Some(rest) => after_slashes(rest),
        None => {
            let (path, query) = path_and_query(rest, false);
            Url {
                host: String::new(),
                path,
                query,
            }
        }
    }
}

fn resolve(reference: &str, base: &str) -> Url {
    let base = clean(base);
    let after = split_scheme(&base).1.trim_start_matches(['/', '\\']);
    let path = after.find(['/', '\\', '?', '#']).unwrap_or(after.len());
    let (authority, base_path) = after.split_at_checked(path).unwrap_or((after, ""));
    let base_path = base_path.split(['?', '#']).next().unwrap_or_default();
    let directory = match base_path.rfind(['/', '\\']) {
        Some(slash) => base_path.get(..=slash).unwrap_or("/"),
        None => "/",
    };
    let joined = if reference.starts_with(['/', '\\']) {
        format!("{authority}{reference}")
    } else if reference.starts_with(['?', '#']) {
        format!("{authority}{base_path}{reference}")
    } else {
        format!("{authority}{directory}{reference}")
    };
    after_slashes(&joined)
}

fn host(authority: &str) -> String {
    let after_user = authority.rsplit('@').next().unwrap_or(authority);
    let name = match after_user.strip_prefix('[') {
        Some(literal) => literal.split(']').next().unwrap_or(literal),
        None => after_user.split(':').next().unwrap_or(after_user),
    };
    let decoded = percent_decode(name, |_| true);
    let dotted: String = decoded
        .chars()
        // The other dots of IDNA (UTS 46).
        .map(|c| match c {
            '\u{3002}' | '\u{ff0e}' | '\u{ff61}' => '.',
            other => other,
        })
        .collect();
    let dotted = dotted.trim_end_matches('.');
    if dotted.is_ascii() {
        return dotted.to_ascii_lowercase();
    }
    // Full-width letters, invisible ones and their like reach the plain name (UTS 46); what is no name at all is kept.
    let (mapped, _) = idna::domain_to_unicode(dotted);
    mapped.to_lowercase()
}

fn path_and_query(text: &str, special: bool) -> (String, Option<String>) {
    let without_fragment = text.split('#').next().unwrap_or_default();
    let (path, query) = match without_fragment.split_once('?') {
        Some((path, query)) => (path, Some(normal_query(query))),
        None => (without_fragment, None),
    };
    let slash = |c: char| c == '/' || (special && c == '\\');
    let mut segments: Vec<String> = Vec::new();
    for raw in path.strip_prefix(slash).unwrap_or(path).split(slash) {
        let segment = percent_decode(raw, |octet| octet != b'/' && octet != b'\\');
        match segment.as_str() {
            "." => {}
            ".." => {
                segments.pop();
            }
            _ => {
                // Of several slashes in a row most servers make one.
                if segments.last().is_some_and(String::is_empty) {
                    segments.pop();
                }
                segments.push(segment);
            }
        }
    }
    (segments.join("/"), query)
}

/// A query as it stands in a [`Url`].
pub(super) fn normal_query(query: &str) -> String {
    percent_decode(query, is_unreserved)
}

/// What may be written either way in a query and means the same (RFC 3986 6.2.2.2).
fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~')
}

/// Percent-decodes once, leaving what `wanted` does not want as it stands.
pub(super) fn percent_decode(text: &str, wanted: impl Fn(u8) -> bool) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    encoding_rs::UTF_8
        .decode_without_bom_handling(&percent_decode_octets(text, wanted))
        .0
        .into_owned()
}

/// The same, as octets: they need not be text.
pub(super) fn percent_decode_octets(text: &str, wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let octets = text.as_bytes();
    let mut decoded = Vec::with_capacity(octets.len());
    let mut at = 0_usize;
    while let Some(octet) = octets.get(at) {
        let pair = octets
            .get(at.saturating_add(1)..at.saturating_add(3))
            .filter(|_| *octet == b'%')
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match pair {
            Some(value) if wanted(value) => {
                decoded.push(value);
                at = at.saturating_add(3);
            }
            _ => {
                decoded.push(*octet);
                at = at.saturating_add(1);
            }
        }
    }
    decoded
}

/// The URLs of a `srcset` (HTML 4.8.4.3.4: candidates end at a comma that follows white space or a descriptor).
pub(super) fn srcset(value: &str) -> Vec<String> {
    candidates(value)
        .into_iter()
        .filter_map(|range| value.get(range))
        .map(str::to_owned)
        .collect()
}

/// Where they stand.
pub(super) fn candidates(value: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        if rest.is_empty() {
            return ranges;
        }
        let start = value.len().saturating_sub(rest.len());
        let end = rest
            .find(|c: char| c.is_ascii_whitespace())
            .unwrap_or(rest.len());
        let (url, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let bare = url.trim_end_matches(',');
        ranges.push(start..start.saturating_add(bare.len()));
        rest = after;
        if bare.len() == url.len() {
            rest = skip_descriptor(after);
        }
    }
}

/// Past the descriptor, to the comma outside parentheses that ends it.
fn skip_descriptor(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => return text.get(at..).unwrap_or_default(),
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
