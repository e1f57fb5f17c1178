//! What is done to a load that must not happen, in one table: the page must not move (DESIGN 4).
//!
//! | what                                   | treatment         | why                                                    |
//! |----------------------------------------|-------------------|--------------------------------------------------------|
//! | image, seen by all, with a box         | `blank_image`     | tag and box stay; a transparent GIF shows nothing      |
//! | image that truly has no box            | `cut_element`     | nothing to keep; Word would draw a box for its source  |
//! | anything in a conditional comment, VML | `cut_source`      | Word shows `data:` as a broken image, no source as none|
//! | `background` attribute                 | `cut_background`  | without it there is no background                      |
//! | CSS background                         | `css_none`        | the token goes, the declaration stays valid            |
//! | other CSS image                        | `css_blank_image` | `none` is not valid in every such place                |
//! | CSS import                             | `css_blank_sheet` | the same for a style sheet                             |
//! | visible image with a person in its URL | `deidentified`    | it loads without the parameter that is the person      |
//! | AMP                                    | `amp`             | a `data:` source would make the document invalid       |
//!
//! Width and height are both present after `blank_image`: a client that drops `data:` draws its broken-image icon in the
//! box it is told, else in 16 by 16. The replacement carries nothing of the old URL. No edit contains a line end or
//! leaves a blank before one; lengths stay equal modulo 3 where blanks may stand, so that base64 is patched in place.

use std::ops::Range;

use super::css::Role;
use super::deidentify::without_identity;
use super::loads::{Load, Site};
use super::look::rounded_up;
use super::size::{Side, dimension};
use super::tag::{Attribute, Quote, Tag, is_space};
use super::{Document, Edit, Knowledge, Place, Vector};

/// A transparent image of one pixel. No `=` in it: quoted-printable need not escape it.
pub const TRANSPARENT_GIF: &str =
    "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

/// What a finding's edits do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Treatment {
    /// The tag stays, its URL becomes a transparent GIF, its box is as before.
    BlankImage,
    /// The element becomes an empty comment.
    CutElement,
    /// The attribute with the URL goes.
    CutSource,
    /// The `background` attribute goes.
    CutBackground,
    /// The URL token becomes `none`.
    CssNone,
    /// The URL token becomes a transparent GIF.
    CssBlankImage,
    /// The URL token becomes an empty style sheet.
    CssBlankSheet,
    /// The parameter that is the person goes from the URL.
    Deidentified,
    /// None yet: AMP documents are found in, not edited.
    Amp,
}

impl Treatment {
    /// The name for ledger and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlankImage => "blank_image",
            Self::CutElement => "cut_element",
            Self::CutSource => "cut_source",
            Self::CutBackground => "cut_background",
            Self::CssNone => "css_none",
            Self::CssBlankImage => "css_blank_image",
            Self::CssBlankSheet => "css_blank_sheet",
            Self::Deidentified => "deidentified",
            Self::Amp => "amp",
        }
    }

    /// Whether a finding treated so carries edits. One that does not leaves its document uninspectable to whoever may
    /// not keep it.
    pub fn is_editable(self) -> bool {
        self != Self::Amp
    }
}

/// A load that is to be stripped.
pub(super) struct Subject<'s> {
    pub(super) html: &'s [u8],
    pub(super) kind: Document,
    pub(super) load: &'s Load,
    pub(super) tag: Option<&'s Tag>,
    /// Numbers of the load's requests that must not happen.
    pub(super) requests: &'s [usize],
    /// The element has no box and no other finding.
    pub(super) no_box: bool,
}

/// The table.
pub(super) fn treat(subject: &Subject<'_>) -> (Treatment, Vec<Edit>) {
    if subject.kind == Document::Amp {
        return (Treatment::Amp, Vec::new());
    }
    let word = subject.load.place == Place::Conditional;
    match subject.load.vector {
        Vector::StyleAttribute | Vector::StyleElement => css(subject),
        Vector::Background => (Treatment::CutBackground, subject.cut_sources()),
        Vector::VmlImage | Vector::VmlFill | Vector::VmlImagedata => {
            (Treatment::CutSource, subject.cut_sources())
        }
        Vector::Img | Vector::InputImage if word => (Treatment::CutSource, subject.cut_sources()),
        Vector::Img if subject.no_box => (
            Treatment::CutElement,
            vec![cut_element(subject.load.span.clone())],
        ),
        Vector::Img | Vector::InputImage => (Treatment::BlankImage, subject.blank_image()),
        Vector::AmpImg | Vector::AmpAnim | Vector::AmpPixel => (Treatment::Amp, Vec::new()),
    }
}

/// Takes the person out of every URL that names one. `None` where some URL is not one whole attribute value, or would not be safe
/// without its identity.
pub(super) fn deidentify(
    subject: &Subject<'_>,
    knowledge: &Knowledge<'_>,
) -> Option<(Treatment, Vec<Edit>)> {
    let tag = subject.tag.filter(|_| subject.kind == Document::Html)?;
    let sites = subject.requests.iter().map(|number| {
        let request = subject.load.requests.get(*number)?;
        match request.site {
            Site::Attribute(attribute) => Some(attribute),
            Site::Token { .. } => None,
        }
    });
    sites.collect::<Option<Vec<_>>>()?;
    let edits = subject.named().into_iter().map(|number| {
        let attribute = tag.attributes.get(number)?;
        if subject.is_called(attribute, "srcset") || attribute.quote != Quote::Quoted {
            return None;
        }
        let value = std::str::from_utf8(subject.html.get(attribute.value.clone())?).ok()?;
        let left = without_identity(value, knowledge)?;
        let before = subject
            .html
            .get(attribute.whole.start..attribute.value.start)?;
        let after = subject.html.get(attribute.value.end..attribute.whole.end)?;
        let whole = [before, left.as_bytes(), after].concat();
        let blanks = padding(attribute.whole.len(), whole.len());
        Some(Edit {
            range: attribute.whole.clone(),
            replacement: [" ".repeat(blanks).as_bytes(), &whole].concat(),
        })
    });
    Some((Treatment::Deidentified, edits.collect::<Option<Vec<_>>>()?))
}

impl Subject<'_> {
    /// The numbers of the attributes that name a request to be stripped, sorted, each once.
    fn named(&self) -> Vec<usize> {
        let mut numbers: Vec<usize> = self
            .requests
            .iter()
            .filter_map(|number| match self.load.requests.get(*number)?.site {
                Site::Attribute(attribute) => Some(attribute),
                Site::Token { .. } => None,
            })
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    fn is_called(&self, attribute: &Attribute, name: &str) -> bool {
        self.html
            .get(attribute.name.clone())
            .is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
    }

    fn cut_sources(&self) -> Vec<Edit> {
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

    fn blank_image(&self) -> Vec<Edit> {
        let Some(tag) = self.tag else {
            return Vec::new();
        };
        let stripped = self.named();
        let src = tag
            .attributes
            .iter()
            .position(|attribute| self.is_called(attribute, "src"));
        // Without any `src` the image came from `srcset` alone: then the blank one must get a `src`.
        let shown = match src {
            Some(first) => stripped.binary_search(&first).is_ok(),
            None => true,
        };
        let mut additions = String::new();
        let mut edits = Vec::new();
        if shown {
            if src.is_none() {
                additions = format!(" src=\"{TRANSPARENT_GIF}\"");
            }
            additions.push_str(&self.sides(tag, &mut edits));
        }
        for (number, attribute) in tag.attributes.iter().enumerate() {
            let replacement = if self.is_called(attribute, "srcset") {
                if !shown && stripped.binary_search(&number).is_err() {
                    continue;
                }
                "srcset=\"\"".to_owned()
            } else if stripped.binary_search(&number).is_ok()
                // Once the image is blank, other copies of its URL are too: the box that is told now makes them tiny.
                || (shown && self.is_called(attribute, "src"))
            {
                format!("src=\"{TRANSPARENT_GIF}\"")
            } else {
                continue;
            };
            let replacement = format!("{replacement}{}", std::mem::take(&mut additions));
            edits.push(in_place_of(attribute, &replacement));
        }
        edits.sort_by_key(|edit| edit.range.start);
        edits
    }

    /// Both sides must be told. A missing one is returned for adding, one that says nothing is replaced.
    fn sides(&self, tag: &Tag, edits: &mut Vec<Edit>) -> String {
        let own = self.load.own;
        let mut additions = String::new();
        for (name, side) in [
            ("width", own.map(|own| own.width)),
            ("height", own.map(|own| own.height)),
        ] {
            let written = format!("{name}=\"{}\"", told(side));
            match tag.first(self.html, name) {
                None => {
                    additions.push(' ');
                    additions.push_str(&written);
                }
                Some(attribute) => {
                    let value = self.html.get(attribute.value.clone()).unwrap_or_default();
                    let says = std::str::from_utf8(value)
                        .ok()
                        .and_then(dimension)
                        .is_some();
                    // A reference in a number is not worth decoding twice: it says something.
                    if !says && !value.contains(&b'&') {
                        edits.push(in_place_of(attribute, &written));
                    }
                }
            }
        }
        additions
    }
}

/// The length to tell for a side that has no attribute: what its style says where that is a length (it keeps winning
/// over the attribute anyway), else that of the pixel that stood there.
fn told(side: Option<Side>) -> u8 {
    match side {
        Some(side) if side.pixels.is_some() => rounded_up(side),
        _ => 1,
    }
}

/// Replaces a whole attribute. Blanks go before its name, where they cannot end a line.
fn in_place_of(attribute: &Attribute, replacement: &str) -> Edit {
    let blanks = padding(attribute.whole.len(), replacement.len());
    Edit {
        range: attribute.whole.clone(),
        replacement: [" ".repeat(blanks).as_bytes(), replacement.as_bytes()].concat(),
    }
}

/// How many octets to add to `new` for a length equal to `old` modulo 3.
fn padding(old: usize, new: usize) -> usize {
    let (old, new) = (old % 3, new % 3);
    old.saturating_add(3).saturating_sub(new) % 3
}

/// An empty comment: blanks alone could show as a blank.
fn cut_element(span: Range<usize>) -> Edit {
    let blanks = padding(span.len(), "<!---->".len());
    Edit {
        range: span,
        replacement: format!("<!--{}-->", " ".repeat(blanks)).into_bytes(),
    }
}

fn css(subject: &Subject<'_>) -> (Treatment, Vec<Edit>) {
    let mut treatment = Treatment::CssNone;
    let mut edits = Vec::new();
    for number in subject.requests {
        let Some(request) = subject.load.requests.get(*number) else {
            continue;
        };
        let Site::Token {
            range,
            role,
            blanks,
        } = &request.site
        else {
            continue;
        };
        // Several places behind one token, by several bases: it is cut once.
        if edits.last().is_some_and(|edit: &Edit| edit.range == *range) {
            continue;
        }
        let (named, token) = match role {
            Role::Background => (Treatment::CssNone, "none".to_owned()),
            Role::Image => (Treatment::CssBlankImage, format!("url({TRANSPARENT_GIF})")),
            Role::Import => (Treatment::CssBlankSheet, "url(data:text/css,)".to_owned()),
        };
        treatment = named;
        // An identifier must not grow together with what follows.
        let joins = subject.html.get(range.end).is_some_and(|next| {
            next.is_ascii_alphanumeric() || matches!(next, b'-' | b'_' | b'(' | b'\\' | 0x80..)
        });
        let separator = if joins { "/**/" } else { "" };
        let written = format!("{token}{separator}");
        let blanks = if *blanks {
            padding(range.len(), written.len())
        } else {
            0
        };
        edits.push(Edit {
            range: range.clone(),
            replacement: [" ".repeat(blanks).as_bytes(), written.as_bytes()].concat(),
        });
    }
    (treatment, edits)
}

#[cfg(test)]
#[path = "treatment_tests.rs"]
mod tests;
