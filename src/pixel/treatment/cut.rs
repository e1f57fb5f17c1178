//! Edits that take an attribute, a value or a tag away, whatever it was.
//!
//! None contains a line end or leaves a blank before one; lengths stay equal modulo 3 where blanks may stand. They cannot fail.

use std::ops::Range;

use super::super::Edit;
use super::super::tag::{Attribute, Tag, is_space};
use super::Subject;

impl Subject<'_> {
    pub(super) fn cut_sources(&self) -> Vec<Edit> {
        let Some(tag) = self.tag else {
            return Vec::new();
        };
        self.named()
            .into_iter()
            .filter_map(|number| tag.attributes.get(number))
            .map(|attribute| self.cut_attribute(tag, attribute))
            .collect()
    }

    /// Removes an attribute. Blanks take its place where that leaves none before a line end.
    fn cut_attribute(&self, tag: &Tag, attribute: &Attribute) -> Edit {
        let mut range = attribute.whole.clone();
        let next = self.html.get(range.end);
        if !matches!(next, Some(b'\r' | b'\n')) {
            let blanks = range.len() % 3;
            return Edit {
                range,
                replacement: vec![b' '; blanks],
            };
        }
        // The attribute ends its line: the white space before it goes too, and nothing takes its place.
        while range.start > tag.range.start
            && self
                .html
                .get(range.start.saturating_sub(1))
                .is_some_and(|octet| is_space(*octet))
        {
            range.start = range.start.saturating_sub(1);
        }
        Edit {
            range,
            replacement: Vec::new(),
        }
    }

    /// Puts `value` in the place of every value that names a request to be stripped. It must need no quoting.
    pub(super) fn replace_values(&self, value: &str) -> Vec<Edit> {
        let Some(tag) = self.tag else {
            return Vec::new();
        };
        self.named()
            .into_iter()
            .filter_map(|number| tag.attributes.get(number))
            .map(|attribute| {
                let name = self.html.get(attribute.name.clone()).unwrap_or_default();
                let written = [name, b"=\"", value.as_bytes(), b"\""].concat();
                in_place_of(attribute, &written)
            })
            .collect()
    }

    /// Start and end tag become empty comments; what lies between stays, each load in it with a treatment of its own.
    pub(super) fn cut_tags(&self) -> Vec<Edit> {
        let tags = [Some(self.load.span.clone()), self.load.end.clone()];
        tags.into_iter().flatten().map(cut_tag).collect()
    }
}

/// Replaces a whole attribute. Blanks go before its name, where they cannot end a line.
pub(super) fn in_place_of(attribute: &Attribute, replacement: &[u8]) -> Edit {
    let blanks = padding(attribute.whole.len(), replacement.len());
    Edit {
        range: attribute.whole.clone(),
        replacement: [" ".repeat(blanks).as_bytes(), replacement].concat(),
    }
}

/// How many octets to add to `new` for a length equal to `old` modulo 3.
pub(super) fn padding(old: usize, new: usize) -> usize {
    let (old, new) = (old % 3, new % 3);
    old.saturating_add(3).saturating_sub(new) % 3
}

/// An empty comment: blanks alone could show as a blank.
pub(super) fn cut_tag(span: Range<usize>) -> Edit {
    let blanks = padding(span.len(), "<!---->".len());
    Edit {
        range: span,
        replacement: format!("<!--{}-->", " ".repeat(blanks)).into_bytes(),
    }
}
