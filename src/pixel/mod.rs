//! What in an HTML document would tell somebody that it was opened, and the edits that stop it.
//!
//! [`examine`] states facts: which loads stand where, what evidence speaks against each, what edit would strip exactly
//! it. Whether to strip is not decided here: this module knows no recipient, no consent, no message. It sees octets that
//! are decoded from their transfer encoding, and never changes one itself.
//!
//! When it fails, the document could not be read as a mail client reads it ([`Uninspectable`]); nothing is guessed.

mod css;
mod deidentify;
mod evidence;
mod finding;
mod identifier;
mod knowledge;
mod link;
mod loads;
mod look;
mod needles;
mod own;
mod reading;
mod recurring;
mod rules;
mod shape;
mod size;
mod slot;
mod style;
mod tag;
mod text;
mod treatment;
mod url;
mod vector;
mod whole;

use std::ops::Range;

use thiserror::Error;

/// The charsets that [`examine`] takes.
pub use encoding_rs::Encoding;
pub use finding::{Edit, Evidence, Finding, Verdict};
pub use knowledge::{IndividualImages, Knowledge, Learned, Memory, Mode, Slot};
pub use needles::{Form, Needles};
pub use own::{Own, Spot};
pub use recurring::{Named, Recurring};
pub use rules::{Class, Rule, Rules, RulesError, UnknownRule};
pub use shape::ShapeError;
pub use treatment::{TRANSPARENT_GIF, Treatment};
pub use vector::Vector;
pub use whole::Whole;

/// What bounds the work on one document. Past a bound the document is [`Uninspectable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the whole document.
    pub html_octets: usize,
    /// Octets of one tag, and of what the parser may hold back. Images written into their tag count.
    pub token_octets: usize,
    /// Octets of one URL that would be requested.
    pub url_octets: usize,
    /// Start tags.
    pub tags: usize,
    /// Loads over the network.
    pub loads: usize,
    /// Findings.
    pub findings: usize,
    /// Links and `cid:` references. More links are not reported, which permits nothing; more references are an error.
    pub references: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            html_octets: 8 * 1024 * 1024,
            token_octets: 4 * 1024 * 1024,
            url_octets: 64 * 1024,
            tags: 1_000_000,
            loads: 50_000,
            findings: 10_000,
            references: 5_000,
        }
    }
}

/// What kind of document the octets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// `text/html`, `application/xhtml+xml`.
    Html,
    /// `text/x-amp-html`: a `data:` source would invalidate the document, so elements are cut.
    Amp,
}

/// Why a document could not be examined. Whoever wrote the document is to blame; it is never transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Uninspectable {
    /// Any limit but `html_octets` exceeded, or CSS or comments nested too deep.
    #[error("a tag, a URL, the style or the number of them is past its limit")]
    TokenLimit,
    /// Not an ASCII-compatible charset.
    #[error("the charset is not one we can read tags in")]
    Charset,
    /// Mail clients disagree on where the tags are, and it matters.
    #[error("mail clients would read this document differently")]
    ReadingsDiffer,
    /// `html_octets` exceeded.
    #[error("the document is larger than html_octets")]
    Size,
}

/// Who sees an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Every client.
    Body,
    /// Clients that run no scripts.
    Noscript,
    /// Word, that is classic Outlook: inside a conditional comment.
    Conditional,
}

/// What a document holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examination {
    /// In order of `span`.
    pub findings: Vec<Finding>,
    /// Targets of links as a client would follow them, at most `references`: for the check of withdrawal links.
    pub links: Vec<String>,
    /// Identifiers of other parts that this document shows (`cid:`), percent-decoded, in no order.
    pub parts: Vec<String>,
    /// All loads over the network, harmless ones included.
    pub remote_loads: usize,
    /// Every load's slot with its URL, for whoever learns; each once.
    pub seen: Vec<(Slot, String)>,
    /// Recurring identifiers that stand in more than one URL, so that none of them is one person's.
    pub spread: Vec<String>,
    /// What is known of the document as a whole: for the examination of its variants.
    pub whole: Whole,
}

/// Examines one document by the rules alone. The charset is the part's; the octets are free of their transfer encoding.
pub fn examine(
    html: &[u8],
    charset: &'static Encoding,
    kind: Document,
    rules: &Rules,
    limits: &Limits,
) -> Result<Examination, Uninspectable> {
    examine_at(html, charset, kind, &[], &Knowledge::of(rules), limits)
}

/// Examines one document that relative references lead out of: `bases` are where, by the header of its part (RFC 2557 4).
pub fn examine_at(
    html: &[u8],
    charset: &'static Encoding,
    kind: Document,
    bases: &[String],
    knowledge: &Knowledge<'_>,
    limits: &Limits,
) -> Result<Examination, Uninspectable> {
    if html.len() > limits.html_octets {
        return Err(Uninspectable::Size);
    }
    if html.starts_with(b"\xfe\xff") || html.starts_with(b"\xff\xfe") {
        // A byte order mark beats every label (WHATWG Encoding 6).
        return Err(Uninspectable::Charset);
    }
    let readings = reading::read(html, charset, limits)?;
    let judge = |spots: &[reading::Spot]| {
        let survey = loads::survey(html, charset, kind, bases, spots, limits)?;
        evidence::judge(html, kind, survey, knowledge, limits)
    };
    let mut examination = judge(&readings.parsed)?;
    if let Some(scanned) = &readings.scanned {
        let other = judge(scanned)?;
        let spans = |examination: &Examination| -> Vec<Range<usize>> {
            examination
                .findings
                .iter()
                .map(|finding| finding.span.clone())
                .collect()
        };
        if spans(&examination) != spans(&other) {
            return Err(Uninspectable::ReadingsDiffer);
        }
        examination.whole.extend(other.whole);
    }
    let spans = examination
        .findings
        .iter()
        .map(|finding| (&finding.span, finding.vector != Vector::StyleElement));
    // The end tag of an element that is cut is no start tag of another reading either.
    let ends = examination.findings.iter().flat_map(|finding| {
        let edits = finding.edits.iter().map(|edit| &edit.range);
        edits.filter(|range| range.start >= finding.span.end)
    });
    let spans = spans.chain(ends.map(|range| (range, false)));
    if reading::overlapping(&readings.parsed, spans) {
        return Err(Uninspectable::ReadingsDiffer);
    }
    Ok(examination)
}

/// The octets with the edits made: what a test, or a look at one document, needs. Mail in transit is spliced by the
/// transfer-encoded octets instead. `None` where edits overlap or lie outside.
pub fn edited<'e>(html: &[u8], edits: impl IntoIterator<Item = &'e Edit>) -> Option<Vec<u8>> {
    let mut edits: Vec<&Edit> = edits.into_iter().collect();
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut output = Vec::with_capacity(html.len());
    let mut at = 0;
    for edit in edits {
        output.extend_from_slice(html.get(at..edit.range.start)?);
        output.extend_from_slice(&edit.replacement);
        at = edit.range.end.max(edit.range.start);
    }
    output.extend_from_slice(html.get(at..)?);
    Some(output)
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
