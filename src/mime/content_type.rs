//! Every plausible reading of a field of the shape `token; name=value; ...` (RFC 2045 5.1, RFC 2183 2, RFC 2231).
//!
//! Two readers look at each value: mail-parser, and a lenient one of ours that takes what clients take (quoted types,
//! missing semicolons, comments, unterminated quotes). The union counts. It must never choose between readings for good:
//! the first is only the likeliest. A value too long for the second reader is read by ours alone, and said to be disputed.

use mail_parser::parsers::MessageStream;

/// Octets of a value that mail-parser may see: some of its loops are quadratic in the number of parameters.
const SECOND_READER_OCTETS: usize = 8 * 1024;

/// Parameters that anyone here asks for; others are not kept.
const ASKED_FOR: [&str; 3] = ["boundary", "charset", "start"];

/// Readings of parameters kept of one value; more is [`Value::overflows`].
const PARAMETERS: usize = 64;

/// Octets of a parameter looked at for readings that run on behind a blank.
const TAIL_OCTETS: usize = 512;

/// One field value, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Value {
    /// What stands before the parameters, lower case, comments and quotes removed; one per reading.
    pub(super) tokens: Vec<String>,
    /// Parameters by lower-case name, one entry per reading.
    parameters: Vec<(String, Vec<u8>)>,
    /// The readers disagree, or only one of them has looked.
    pub(super) disputed: bool,
    /// More readings than are kept.
    pub(super) overflows: bool,
}

impl Value {
    /// Every reading of a parameter, in order, without repetition.
    pub(super) fn parameter<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.parameters
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_slice())
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        let base = name.split('*').next().unwrap_or_default();
        let known = |(known, old): &(String, Vec<u8>)| known == name && old == value;
        if value.is_empty() || !ASKED_FOR.contains(&base) || self.parameters.iter().any(known) {
            return;
        }
        if self.parameters.len() == PARAMETERS {
            self.overflows = true;
            return;
        }
        self.parameters.push((name.to_owned(), value.to_vec()));
    }
}

/// Reads one value.
pub(super) fn read(value: &[u8]) -> Value {
    let mut read = Reader {
        rest: value,
        found: Value::default(),
        comment_open: false,
    }
    .run();
    join_continuations(&mut read);
    second_reading(value, &mut read);
    read
}

/// Adds what mail-parser reads, and marks where it differs in what decides: token, boundary, charset.
fn second_reading(value: &[u8], read: &mut Value) {
    if value.len() > SECOND_READER_OCTETS {
        read.disputed = true;
        return;
    }
    let mut terminated = value.to_vec();
    terminated.extend_from_slice(b"\r\n");
    let theirs = MessageStream::new(&terminated).parse_content_type();
    let Some(theirs) = theirs.as_content_type() else {
        return;
    };
    let token = match theirs.subtype() {
        Some(subtype) => format!("{}/{subtype}", theirs.ctype()),
        None => theirs.ctype().to_owned(),
    };
    let token = token.to_ascii_lowercase();
    if !read.tokens.contains(&token) {
        read.tokens.push(token);
        read.disputed = true;
    }
    for attribute in theirs.attributes().unwrap_or_default() {
        let name = attribute.name.to_ascii_lowercase();
        let value = attribute.value.trim_end().as_bytes();
        let decides = matches!(name.as_str(), "boundary" | "charset");
        read.disputed |= decides && !read.parameter(&name).any(|ours| ours == value);
        read.add(&name, value);
    }
}

/// Our reader. It stops at nothing.
struct Reader<'a> {
    rest: &'a [u8],
    found: Value,
    /// A comment was found that nothing closes: from there on a parenthesis is an octet like others.
    comment_open: bool,
}

impl<'a> Reader<'a> {
    fn run(mut self) -> Value {
        self.skip_blanks();
        let token = self.token();
        if !token.is_empty() {
            self.found.tokens.push(token);
        }
        loop {
            self.skip(|octet| matches!(octet, b';' | b',') || octet.is_ascii_whitespace());
            self.skip_blanks();
            if self.rest.is_empty() {
                return self.found;
            }
            self.parameter();
        }
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    fn take_until(&mut self, stop: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.rest.iter().position(|octet| stop(*octet));
        self.take(length.unwrap_or(self.rest.len()))
    }

    fn skip(&mut self, skipped: impl Fn(u8) -> bool) {
        self.take_until(|octet| !skipped(octet));
    }

    /// Passes over white space and comments, nested ones included (RFC 5322 3.2.2).
    fn skip_blanks(&mut self) {
        loop {
            self.skip(|octet| octet.is_ascii_whitespace());
            if self.rest.first() != Some(&b'(') {
                return;
            }
            if self.comment_open {
                self.take(1);
                continue;
            }
            let mut depth = 0_usize;
            let mut escaped = false;
            let end = self.rest.iter().position(|octet| {
                match octet {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'(' => depth += 1,
                    b')' => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            // A comment that is never closed: clients read on behind its opening.
            self.comment_open = end.is_none();
            self.take(end.map_or(1, |end| end + 1));
        }
    }

    /// `type/subtype` or a disposition; comments, quotes and blanks around the slash do not count.
    fn token(&mut self) -> String {
        let mut token = Vec::new();
        loop {
            let stop = |octet: u8| {
                matches!(octet, b';' | b',' | b'(' | b'"') || octet.is_ascii_whitespace()
            };
            token.extend_from_slice(self.take_until(stop));
            let had_blank = self.rest.first().is_some_and(u8::is_ascii_whitespace);
            self.skip_blanks();
            match self.rest.first() {
                Some(b'"') => {
                    self.take(1);
                }
                Some(b';' | b',') | None => break,
                Some(b'/') => {}
                Some(_) if had_blank && token.last() != Some(&b'/') && !token.is_empty() => break,
                Some(_) => {}
            }
        }
        super::header::readable(&token).to_ascii_lowercase()
    }

    /// One `name=value`; a stray word is passed over.
    fn parameter(&mut self) {
        let name = self.take_until(|octet| {
            matches!(octet, b'=' | b';' | b'(' | b'"') || octet.is_ascii_whitespace()
        });
        let name = super::header::readable(name).to_ascii_lowercase();
        self.skip_blanks();
        if self.rest.first() != Some(&b'=') {
            if name.is_empty() {
                self.take(1);
            }
            return;
        }
        self.take(1);
        let as_written = self.rest;
        self.skip_blanks();
        if self.rest.first() == Some(&b'"') {
            self.quoted(&name);
        } else {
            self.unquoted(&name, as_written);
        }
    }

    fn quoted(&mut self, name: &str) {
        self.take(1);
        let inside = self.rest;
        let mut plain = Vec::new();
        let mut escaped = false;
        let mut end = None;
        for (place, octet) in inside.iter().enumerate() {
            match octet {
                b'\r' | b'\n' => {}
                _ if escaped => {
                    plain.push(*octet);
                    escaped = false;
                }
                b'\\' => escaped = true,
                b'"' => {
                    end = Some(place);
                    break;
                }
                _ => plain.push(*octet),
            }
        }
        self.found.add(name, plain.trim_ascii_end());
        let raw = inside
            .get(..end.unwrap_or(inside.len()))
            .unwrap_or_default();
        if raw.contains(&b'\\') {
            self.found.disputed = true;
            self.found.add(name, raw.trim_ascii_end());
        }
        if end.is_none() {
            // The quote is never closed: some readers go on to the end, others stop at the next separator.
            self.found.disputed = true;
            let short = self.take_until(|octet| matches!(octet, b';' | b'\r' | b'\n'));
            self.found.add(name, short.trim_ascii_end());
            return;
        }
        self.take(raw.len() + 1);
    }

    fn unquoted(&mut self, name: &str, as_written: &[u8]) {
        let start = self.rest;
        let word = self.take_until(|octet| octet == b';' || octet.is_ascii_whitespace());
        self.found.add(name, word);
        let to_separator = |octets: &[u8]| -> Vec<u8> {
            let near = octets.len().min(TAIL_OCTETS);
            let near = octets.get(..near).unwrap_or_default();
            let end = memchr::memchr(b';', near).unwrap_or(near.len());
            near.get(..end).unwrap_or_default().trim_ascii().to_vec()
        };
        // `boundary=a b`, `boundary=a(b)`, `boundary=(a)b`: with the blanks, without the comment, with the comment.
        let whole = to_separator(start);
        let assigns_again = whole
            .get(word.len()..)
            .is_some_and(|tail| tail.contains(&b'='));
        let uncommented = word
            .split(|octet| *octet == b'(')
            .next()
            .unwrap_or_default();
        // `boundary='a'`: some take single quotes for quotes.
        let unquoted = word
            .strip_prefix(b"'")
            .and_then(|inside| inside.strip_suffix(b"'"))
            .unwrap_or_default();
        let as_written = to_separator(as_written);
        for other in [whole.as_slice(), uncommented, unquoted, &as_written] {
            if other != word && !other.is_empty() && !assigns_again {
                self.found.disputed = true;
                self.found.add(name, other);
            }
        }
    }
}

/// RFC 2231 3 and 4: `name*0*=..; name*1=..` and `name*=charset'language'text` give one more reading of `name`.
fn join_continuations(value: &mut Value) {
    let mut pieces: Vec<(String, u32, bool, Vec<u8>)> = Vec::new();
    for (name, text) in &value.parameters {
        let Some((base, rest)) = name.split_once('*') else {
            continue;
        };
        let (number, encoded) = match rest.strip_suffix('*') {
            Some(number) => (number, true),
            None => (rest, rest.is_empty()),
        };
        let number = if number.is_empty() {
            Some(0)
        } else {
            number.parse().ok()
        };
        let Some(number) = number else { continue };
        pieces.push((base.to_owned(), number, encoded, text.clone()));
    }
    pieces.sort_by(|left, right| (&left.0, left.1).cmp(&(&right.0, right.1)));
    for run in pieces.chunk_by(|left, right| left.0 == right.0) {
        let mut whole = Vec::new();
        for (_, number, encoded, text) in run {
            match encoded {
                true => whole.extend(percent_decoded(text, *number == 0)),
                false => whole.extend_from_slice(text),
            }
        }
        if let Some((base, ..)) = run.first() {
            value.disputed = true;
            value.add(base, whole.trim_ascii_end());
        }
    }
}

/// Octets with their `%XX` replaced; of a first RFC 2231 piece, what follows charset and language.
pub(super) fn percent_decoded(text: &[u8], first: bool) -> Vec<u8> {
    let text = match first {
        true => text.splitn(3, |octet| *octet == b'\'').last(),
        false => Some(text),
    };
    let mut rest = text.unwrap_or_default();
    let mut plain = Vec::with_capacity(rest.len());
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        let hex = after.first_chunk::<2>().filter(|_| *octet == b'%');
        let value = hex.and_then(|[high, low]| {
            let high = (*high as char).to_digit(16)?;
            let low = (*low as char).to_digit(16)?;
            u8::try_from(high * 16 + low).ok()
        });
        match value {
            Some(value) => {
                plain.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            None => plain.push(*octet),
        }
    }
    plain
}

#[cfg(test)]
mod tests;
