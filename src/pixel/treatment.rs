//! What is done to a load that must not happen, in one table: the page must not move (DESIGN 4).
//!
//! | what                                       | treatment         | why                                                    |
//! |--------------------------------------------|-------------------|--------------------------------------------------------|
//! | image, seen by all, with a box             | `blank_image`     | tag and box stay; a transparent GIF shows nothing      |
//! | image that truly has no box                | `cut_element`     | nothing to keep; Word would draw a box for its source  |
//! | AMP element                                | `cut_element`     | a `data:` source would make the document invalid       |
//! | AMP element, `noscript` and comments about | `cut_source`      | the comment in its place could end one of some readers |
//! | image in a conditional comment, VML        | `cut_source`      | Word shows `data:` as a broken image, no source as none|
//! | SVG, media, `link`, `lowsrc`, `bgsound`    | `cut_source`      | nothing is fetched, what has a box keeps it            |
//! | `background` attribute                     | `cut_background`  | without it there is no background                      |
//! | frame, embedded object, script             | `neutral_url`     | box and fallback stay as they are; nothing is shown    |
//! | `source` in `picture`, `srcdoc`, refresh   | `empty_attribute` | the next choice is taken, or nothing                   |
//! | CSS background                             | `css_none`        | the token goes, the declaration stays valid            |
//! | font, pointer, filter, clip path           | `css_empty_url`   | the next font or pointer is taken, or no filter        |
//! | other CSS image                            | `css_blank_image` | `none` is not valid in every such place                |
//! | CSS import                                 | `css_blank_sheet` | the same for a style sheet                             |
//! | visible image with a person in its URL     | `deidentified`    | it loads without the parameter that is the person      |
//!
//! Width and height are both present after `blank_image`: a client that drops `data:` draws its broken-image icon in the
//! box it is told, else in 16 by 16. The replacement carries nothing of the old URL. No edit contains a line end or
//! leaves a blank before one; lengths stay equal modulo 3 where blanks may stand, so that base64 is patched in place.

mod cut;
mod images;
mod persons;
mod styles;

use self::cut::cut_tag;
pub(super) use self::persons::deidentify;
use self::styles::css;
use super::loads::{Load, Site};
use super::tag::{Attribute, Tag};
use super::{Document, Edit, Place, Vector};

/// A transparent image of one pixel. No `=` in it: quoted-printable need not escape it.
pub const TRANSPARENT_GIF: &str =
    "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
/// What a frame shows that leads nowhere (RFC 6694). It needs no quoted-printable.
const NOWHERE: &str = "about:blank";
/// A script that does nothing. Without a source, what stands between the tags would begin to run.
const NO_SCRIPT: &str = "data:,";

/// What a finding's edits do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Treatment {
    /// The tag stays, its URL becomes a transparent GIF, its box is as before. Clients that drop `data:` (Gmail, Outlook) draw
    /// nothing or their icon inside that box.
    BlankImage,
    /// Start and end tag become empty comments. Only where there is no box, or in AMP, where a client shows the HTML part instead
    /// of a document with a source that the format forbids.
    CutElement,
    /// The attribute with the URL goes. Word draws no box for a shape without a source; browsers fetch nothing for an element
    /// without its source and keep the box that CSS or its sides give it.
    CutSource,
    /// The `background` attribute goes.
    CutBackground,
    /// The URL becomes one that leads nowhere. A frame without a source, and an object without data, would be laid out otherwise
    /// (an object falls back to what stands inside it), a script would run what stands inside it.
    NeutralUrl,
    /// The attribute's value becomes empty. A browser passes over a `source` without candidates and takes the `img`, which is
    /// treated by itself (HTML 4.8.4.3); an empty `srcdoc` is an empty document in the same box, an empty refresh none.
    EmptyAttribute,
    /// The URL token becomes `none`.
    CssNone,
    /// The URL token becomes one that leads nowhere: the next font or pointer in the list is taken, a filter or a clip path that
    /// does not exist does nothing (Filter Effects 5, CSS Masking 5.1).
    CssEmptyUrl,
    /// The URL token becomes a transparent GIF.
    CssBlankImage,
    /// The URL token becomes an empty style sheet.
    CssBlankSheet,
    /// The parameter that is the person goes from the URL.
    Deidentified,
}

impl Treatment {
    /// The name for ledger and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlankImage => "blank_image",
            Self::CutElement => "cut_element",
            Self::CutSource => "cut_source",
            Self::CutBackground => "cut_background",
            Self::NeutralUrl => "neutral_url",
            Self::EmptyAttribute => "empty_attribute",
            Self::CssNone => "css_none",
            Self::CssEmptyUrl => "css_empty_url",
            Self::CssBlankImage => "css_blank_image",
            Self::CssBlankSheet => "css_blank_sheet",
            Self::Deidentified => "deidentified",
        }
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
    /// The tag has no other finding.
    pub(super) alone: bool,
    /// The element has no box, and no other finding.
    pub(super) no_box: bool,
    /// There are elements whose inside is parsed by other rules, which an `<img>` ends.
    pub(super) other_rules: bool,
    /// Comments may begin or end elsewhere for some readers, so that one of ours could end one of theirs.
    pub(super) comments_differ: bool,
}

/// The table.
pub(super) fn treat(subject: &Subject<'_>) -> (Treatment, Vec<Edit>) {
    let word = subject.load.place == Place::Conditional;
    let amp = subject.kind == Document::Amp;
    match subject.load.vector {
        Vector::StyleAttribute | Vector::StyleElement | Vector::SvgReference => css(subject),
        Vector::Background => (Treatment::CutBackground, subject.cut_sources()),
        vector if goes_whole(vector, amp) && subject.may_go() => {
            (Treatment::CutElement, subject.cut_tags())
        }
        Vector::Img | Vector::InputImage if word || amp => {
            (Treatment::CutSource, subject.cut_sources())
        }
        Vector::Img if subject.no_box => (
            Treatment::CutElement,
            vec![cut_tag(subject.load.span.clone())],
        ),
        Vector::Img | Vector::InputImage => (Treatment::BlankImage, subject.blank_image()),
        Vector::Iframe | Vector::Frame | Vector::Embed | Vector::Object => {
            (Treatment::NeutralUrl, subject.replace_values(NOWHERE))
        }
        Vector::Script => (Treatment::NeutralUrl, subject.replace_values(NO_SCRIPT)),
        Vector::PictureSource | Vector::Srcdoc | Vector::MetaRefresh => {
            (Treatment::EmptyAttribute, subject.replace_values(""))
        }
        _ => (Treatment::CutSource, subject.cut_sources()),
    }
}

/// In AMP what shows a source must have one, so the element goes.
fn goes_whole(vector: Vector, amp: bool) -> bool {
    vector.is_amp()
        || (amp
            && matches!(
                vector,
                Vector::Img | Vector::InputImage | Vector::MediaSource | Vector::Track
            ))
}

impl Subject<'_> {
    /// Whether its tags may go without a change to anything else.
    fn may_go(&self) -> bool {
        let parsed_alike = self.load.vector.is_amp() || !self.other_rules;
        self.alone && parsed_alike && !self.load.in_picture && !self.comments_differ
    }

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
}

#[cfg(test)]
#[path = "treatment_tests.rs"]
mod tests;
