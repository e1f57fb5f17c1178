//! The attributes of one start tag with the ranges of their raw octets (HTML 13.2.5.32 to 13.2.5.40).
//!
//! lol_html says where a tag stands but not where an attribute does; an edit needs the latter. Duplicates are all
//! reported: browsers take the first, others do not. It knows no element and no URL. It never fails: what does not
//! look like an attribute is read the way a browser reads it.

use std::ops::Range;

/// How an attribute's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quote {
    /// `name` or `name=` without a value.
    Absent,
    /// `name=value`.
    Unquoted,
    /// `name="value"` or `name='value'`.
    Quoted,
}

/// One attribute as it stands in the tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    /// From the first octet of the name to the last of the value, closing quote included.
    pub(super) whole: Range<usize>,
    /// The name.
    pub(super) name: Range<usize>,
    /// The value without its quotes; empty where there is none.
    pub(super) value: Range<usize>,
    /// How the value is written.
    pub(super) quote: Quote,
}

/// A start tag: its range in the document, its name, its attributes.
#[derive(Debug)]
pub(super) struct Tag {
    /// From `<` to the octet after `>`.
    pub(super) range: Range<usize>,
    /// Lower-case name.
    pub(super) name: String,
    /// All attributes in order, duplicates included.
    pub(super) attributes: Vec<Attribute>,
}

impl Tag {
    /// Reads the tag at `range`, which begins with `<` and a letter. `None` where it does not, or has no `>` at its end.
    pub(super) fn read(html: &[u8], range: Range<usize>) -> Option<Self> {
        let mut reader = Reader::at(html, range.clone())?;
        let (name, attributes) = reader.tag();
        Some(Self {
            range,
            name,
            attributes,
        })
    }

    /// All copies of the attribute called `name` (lower-case).
    pub(super) fn all<'a>(
        &'a self,
        html: &'a [u8],
        name: &'a str,
    ) -> impl Iterator<Item = &'a Attribute> + 'a {
        self.attributes.iter().filter(move |attribute| {
            html.get(attribute.name.clone())
                .is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
        })
    }

    /// The copy that a browser takes: the first.
    pub(super) fn first<'a>(&'a self, html: &'a [u8], name: &'a str) -> Option<&'a Attribute> {
        self.all(html, name).next()
    }
}

/// Where the tag that begins at `start` ends (the octet after its `>`), reading quotes as a browser does.
pub(super) fn end_of_tag(html: &[u8], start: usize) -> Option<usize> {
    let mut reader = Reader::at(html, start..html.len())?;
    reader.tag();
    reader.closed.then_some(reader.at)
}

struct Reader<'a> {
    html: &'a [u8],
    at: usize,
    end: usize,
    closed: bool,
}

impl<'a> Reader<'a> {
    fn at(html: &'a [u8], range: Range<usize>) -> Option<Self> {
        let opens = html.get(range.start) == Some(&b'<')
            && html
                .get(range.start.saturating_add(1))
                .is_some_and(u8::is_ascii_alphabetic);
        opens.then_some(Self {
            html,
            at: range.start.saturating_add(1),
            end: range.end.min(html.len()),
            closed: false,
        })
    }

    fn peek(&self) -> Option<u8> {
        (self.at < self.end)
            .then(|| self.html.get(self.at).copied())
            .flatten()
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) -> Range<usize> {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.at = self.at.saturating_add(1);
        }
        start..self.at
    }

    fn tag(&mut self) -> (String, Vec<Attribute>) {
        let name = self.skip_while(|octet| !is_space(octet) && octet != b'/' && octet != b'>');
        let name: String = self
            .html
            .get(name)
            .unwrap_or_default()
            .iter()
            .map(|octet| char::from(octet.to_ascii_lowercase()))
            .collect();
        let mut attributes = Vec::new();
        loop {
            self.skip_while(|octet| is_space(octet) || octet == b'/');
            match self.peek() {
                None => break,
                Some(b'>') => {
                    self.at = self.at.saturating_add(1);
                    self.closed = true;
                    break;
                }
                Some(_) => attributes.push(self.attribute()),
            }
        }
        (name, attributes)
    }

    fn attribute(&mut self) -> Attribute {
        let start = self.at;
        // An equals sign at the very start belongs to the name (13.2.5.32).
        if self.peek() == Some(b'=') {
            self.at = self.at.saturating_add(1);
        }
        self.skip_while(|octet| !is_space(octet) && !matches!(octet, b'/' | b'>' | b'='));
        let name = start..self.at;
        self.skip_while(is_space);
        if self.peek() != Some(b'=') {
            self.at = name.end;
            return Attribute {
                whole: name.clone(),
                value: name.end..name.end,
                name,
                quote: Quote::Absent,
            };
        }
        self.at = self.at.saturating_add(1);
        self.skip_while(is_space);
        match self.peek() {
            Some(quote @ (b'"' | b'\'')) => {
                self.at = self.at.saturating_add(1);
                let value = self.skip_while(|octet| octet != quote);
                self.at = self.at.saturating_add(1).min(self.end);
                Attribute {
                    whole: start..self.at,
                    name,
                    value,
                    quote: Quote::Quoted,
                }
            }
            _ => {
                let value = self.skip_while(|octet| !is_space(octet) && octet != b'>');
                let quote = if value.is_empty() {
                    Quote::Absent
                } else {
                    Quote::Unquoted
                };
                Attribute {
                    whole: start..self.at,
                    name,
                    value,
                    quote,
                }
            }
        }
    }
}

/// HTML's white space.
pub(super) fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(html: &str) -> Vec<(String, String, Quote)> {
        let tag = Tag::read(html.as_bytes(), 0..html.len()).unwrap();
        tag.attributes
            .iter()
            .map(|a| {
                (
                    html.get(a.name.clone()).unwrap().to_owned(),
                    html.get(a.value.clone()).unwrap().to_owned(),
                    a.quote,
                )
            })
            .collect()
    }

    fn one(name: &str, value: &str, quote: Quote) -> (String, String, Quote) {
        (name.to_owned(), value.to_owned(), quote)
    }

    #[test]
    fn every_way_to_write_an_attribute() {
        assert_eq!(
            read("<img/src=a/b/alt='x y' width = \"1\" HIDDEN height=1>"),
            [
                one("src", "a/b/alt='x", Quote::Unquoted),
                one("y'", "", Quote::Absent),
                one("width", "1", Quote::Quoted),
                one("HIDDEN", "", Quote::Absent),
                one("height", "1", Quote::Unquoted),
            ]
        );
        assert_eq!(
            read("<img src=\"a\"src='b'/width=1/>"),
            [
                one("src", "a", Quote::Quoted),
                one("src", "b", Quote::Quoted),
                one("width", "1/", Quote::Unquoted),
            ]
        );
        assert_eq!(
            read("<img =x=1 src=>"),
            [
                one("=x", "1", Quote::Unquoted),
                one("src", "", Quote::Absent)
            ]
        );
    }

    #[test]
    fn whole_covers_name_and_closing_quote() {
        let html = b"<img src = 'a' x>";
        let tag = Tag::read(html, 0..html.len()).unwrap();
        assert_eq!(tag.name, "img");
        assert_eq!(
            &html[tag.first(html, "src").unwrap().whole.clone()],
            b"src = 'a'"
        );
        assert_eq!(&html[tag.first(html, "x").unwrap().whole.clone()], b"x");
    }

    #[test]
    fn the_end_of_a_tag_is_outside_quotes() {
        assert_eq!(end_of_tag(b"<a b='>'>x", 0), Some(9));
        assert_eq!(end_of_tag(b"<a b='>x", 0), None);
        assert_eq!(end_of_tag(b"<a b=x'>y", 0), Some(8));
        assert_eq!(end_of_tag(b"< a>", 0), None);
        assert_eq!(end_of_tag(b"<", 0), None);
    }
}
