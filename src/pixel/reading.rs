//! Where the start tags of an HTML document are: in the document itself, inside the conditional comments that only
//! Word opens, and as a client without scripts sees `<noscript>`. lol_html finds them; a plain scanner finds them where
//! lol_html says that browsers disagree.
//!
//! It knows tag names only where they change the reading. It fails when a limit is reached or the readings disagree in
//! a way that hides tags; the caller then calls the document uninspectable.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;

use encoding_rs::Encoding;
use lol_html::errors::{RewritingError, SelectorError};
use lol_html::{
    AsciiCompatibleEncoding, DocumentContentHandlers, ElementContentHandlers, HtmlRewriter,
    MemorySettings, Selector, Settings,
};
use memchr::memmem;

use super::tag::{end_of_tag, is_space};
use super::{Limits, Place, Uninspectable};

/// What the parser sets aside at once for a tag that is not complete yet.
const PREALLOCATED_OCTETS: usize = 1024;
/// Conditional comments inside one another; each level lies strictly inside the one before.
const COMMENT_DEPTH_MAX: usize = 4;
/// What the parser may remember of elements that are open: about 300,000 of them. `<p>` and `<td>` that never close are
/// ordinary mail.
const OPEN_ELEMENTS_OCTETS: usize = 32 * 1024 * 1024;
/// The scanner, and the reader of style sheets, may look at each octet this many times before they give up: what begins
/// inside one another in a row is quadratic.
const SCAN_EFFORT_MAX: usize = 8;

/// A start tag and who sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    /// From `<` to the octet after `>`.
    pub(super) range: Range<usize>,
    /// Who sees it.
    pub(super) place: Place,
    /// Where the document or the comment that it stands in ends: no text of it goes further.
    pub(super) limit: usize,
    /// Its end tag, where it has one of its own and every reading agrees on it.
    pub(super) end: Option<Range<usize>>,
}

/// One way to read the document.
pub(super) type Spots = Vec<Spot>;
type Ranges = Vec<Range<usize>>;
/// The end tag of each start tag.
type Ends = Vec<Option<Range<usize>>>;

/// All readings that some client makes. The second is there only where browsers disagree on the first.
#[derive(Debug)]
pub(super) struct Readings {
    /// The tags as browsers see them, with and without scripts, conditional comments opened.
    pub(super) parsed: Spots,
    /// Every `<` and letter read as a tag, where the parser reported an ambiguity.
    pub(super) scanned: Option<Spots>,
}

/// Reads the document in every way that matters.
pub(super) fn read(
    html: &[u8],
    encoding: &'static Encoding,
    limits: &Limits,
) -> Result<Readings, Uninspectable> {
    let encoding = AsciiCompatibleEncoding::new(encoding).ok_or(Uninspectable::Charset)?;
    let parser = Parsing {
        encoding,
        memory: limits.token_octets.saturating_add(OPEN_ELEMENTS_OCTETS),
        tags: limits.tags,
    };
    let mut parsed = Vec::new();
    let mut ambiguous = parser.document(html, 0, Place::Body, COMMENT_DEPTH_MAX, &mut parsed)?;
    if let Some(scriptless) = without_noscript(html) {
        ambiguous |= parser.document(
            &scriptless,
            0,
            Place::Noscript,
            COMMENT_DEPTH_MAX,
            &mut parsed,
        )?;
    }
    // The same tag in several readings is one tag; the place that sorts first is the one most clients see.
    parsed.sort_by(|a, b| {
        (a.range.start, a.range.end, a.place).cmp(&(b.range.start, b.range.end, b.place))
    });
    parsed.dedup_by(|later, earlier| {
        let same = later.range == earlier.range;
        if same && later.end != earlier.end {
            earlier.end = None;
        }
        same
    });
    let scanned = ambiguous.then(|| scan(html, limits.tags)).transpose()?;
    if ambiguous {
        // Where browsers disagree on what is a tag, they disagree on what is inside what.
        for spot in &mut parsed {
            spot.end = None;
        }
    }
    Ok(Readings { parsed, scanned })
}

/// A tag that the text ends in the midst of. Browsers drop it, others close it, and what somebody appends to a message on
/// its way closes it for all.
fn unclosed(html: &[u8], tags: &[Range<usize>], comments: &[Range<usize>]) -> Option<Range<usize>> {
    let ends = tags.iter().chain(comments).map(|range| range.end);
    let behind = ends.max().unwrap_or(0);
    let rest = html.get(behind..)?;
    memchr::memchr_iter(b'<', rest)
        .map(|at| behind.saturating_add(at))
        .find(|at| {
            let name = html.get(at.saturating_add(1));
            name.is_some_and(u8::is_ascii_alphabetic) && end_of_tag(html, *at).is_none()
        })
        .map(|at| at..html.len())
}

struct Parsing {
    encoding: AsciiCompatibleEncoding,
    memory: usize,
    tags: usize,
}

impl Parsing {
    /// Notes all tags of a (part of a) document that begins at `offset`; says whether browsers may disagree on it.
    fn document(
        &self,
        html: &[u8],
        offset: usize,
        place: Place,
        depth: usize,
        spots: &mut Spots,
    ) -> Result<bool, Uninspectable> {
        let strictly = self.pass(html, true);
        let mut ambiguous = matches!(strictly, Err(RewritingError::ParsingAmbiguity(_)));
        let pass = match strictly {
            Err(RewritingError::ParsingAmbiguity(_)) => self.pass(html, false),
            result => result,
        };
        let (mut tags, ends, comments) = pass.map_err(|_| Uninspectable::TokenLimit)?;
        tags.extend(unclosed(html, &tags, &comments));
        if spots.len().saturating_add(tags.len()) > self.tags {
            return Err(Uninspectable::TokenLimit);
        }
        let moved = |range: Range<usize>| {
            offset.saturating_add(range.start)..offset.saturating_add(range.end)
        };
        let mut ends = ends.into_iter();
        spots.extend(tags.into_iter().map(|range| Spot {
            range: moved(range),
            place,
            limit: offset.saturating_add(html.len()),
            end: ends.next().flatten().map(moved),
        }));
        for comment in comments {
            let Some(inside) = conditional(html, comment) else {
                continue;
            };
            let depth = depth.checked_sub(1).ok_or(Uninspectable::TokenLimit)?;
            let text = html.get(inside.clone()).unwrap_or_default();
            ambiguous |= self.document(
                text,
                offset.saturating_add(inside.start),
                Place::Conditional,
                depth,
                spots,
            )?;
        }
        Ok(ambiguous)
    }

    /// One walk of lol_html over the text: the ranges of its start tags, of the end tag of each, and of its comments.
    fn pass(&self, html: &[u8], strict: bool) -> Result<(Ranges, Ends, Ranges), RewritingError> {
        let (mut tags, mut comments) = (Ranges::new(), Ranges::new());
        let ends = Rc::new(RefCell::new(Ends::new()));
        let length = html.len();
        let all: Selector = "*"
            .parse()
            .map_err(|error: SelectorError| RewritingError::ContentHandlerError(error.into()))?;
        let settings = Settings::new()
            .with_encoding(self.encoding)
            .with_strict(strict)
            // No graceful bail-out: a document past the limit is uninspectable, never passed on unread.
            .with_memory_settings(
                MemorySettings::new()
                    // More than the maximum would be a panic.
                    .with_preallocated_parsing_buffer_size(PREALLOCATED_OCTETS.min(self.memory))
                    .with_max_allowed_memory_usage(self.memory),
            )
            .append_element_content_handler((
                std::borrow::Cow::Borrowed(&all),
                ElementContentHandlers::default().element(
                    |element: &mut lol_html::html_content::Element<'_, '_>| {
                        let range = element.source_location().bytes();
                        // A tag that our own closing mark ended was left open: browsers drop it.
                        if range.end <= length {
                            note_end(element, &ends, length);
                            tags.push(range);
                        }
                        if tags.len() > self.tags {
                            return Err("more tags than the limit".into());
                        }
                        Ok(())
                    },
                ),
            ))
            .append_document_content_handler(DocumentContentHandlers::default().comments(
                |comment: &mut lol_html::html_content::Comment<'_>| {
                    comments.push(comment.source_location().bytes());
                    Ok(())
                },
            ));
        let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| ());
        rewriter.write(html)?;
        // Closes a comment that the document leaves open: Word reads what is inside one.
        rewriter.write(b"-->")?;
        rewriter.end()?;
        Ok((tags, ends.take(), comments))
    }
}

/// Asks to be told where the element ends. An end tag of another name closes it too, but not for everybody.
fn note_end(
    element: &mut lol_html::html_content::Element<'_, '_>,
    ends: &Rc<RefCell<Ends>>,
    length: usize,
) {
    let number = ends.borrow().len();
    ends.borrow_mut().push(None);
    let name = element.tag_name();
    let ends = Rc::clone(ends);
    if let Some(handlers) = element.end_tag_handlers() {
        handlers.push(Box::new(move |end| {
            let range = end.source_location().bytes();
            if range.end <= length
                && end.name() == name
                && let Some(noted) = ends.borrow_mut().get_mut(number)
            {
                *noted = Some(range);
            }
            Ok(())
        }));
    }
}

/// The inside of a downlevel-hidden conditional comment, `<!--[if ...]> ... <![endif]-->`. Other comments never render.
fn conditional(html: &[u8], comment: Range<usize>) -> Option<Range<usize>> {
    let comment = comment.start..comment.end.min(html.len());
    let text = html.get(comment.clone())?;
    let inside = text.strip_prefix(b"<!--")?;
    let word = inside.trim_ascii_start();
    let condition = word.strip_prefix(b"[")?.trim_ascii_start();
    let opens = condition
        .get(..2)
        .is_some_and(|word| word.eq_ignore_ascii_case(b"if"));
    // What is left of a comment that ended at once, as in "<!--[if !mso]><!-->", holds no tag.
    opens.then(|| comment.start.saturating_add(4)..comment.end)
}

/// The document with every `noscript` renamed, so that its inside is read as a client without scripts reads it. Same
/// length, same offsets. `None` where there is no `noscript`.
fn without_noscript(html: &[u8]) -> Option<Vec<u8>> {
    const NAME: &[u8] = b"noscript";
    let mut renamed: Option<Vec<u8>> = None;
    for open in memchr::memchr_iter(b'<', html) {
        let mut start = open.saturating_add(1);
        if html.get(start) == Some(&b'/') {
            start = start.saturating_add(1);
        }
        let end = start.saturating_add(NAME.len());
        let is_noscript = html
            .get(start..end)
            .is_some_and(|name| name.eq_ignore_ascii_case(NAME));
        if is_noscript
            && let Some(last) = renamed
                .get_or_insert_with(|| html.to_vec())
                .get_mut(end.saturating_sub(1))
        {
            *last = b'x';
        }
    }
    renamed
}

/// Reads every `<` and letter as the start of a tag, whatever stands around it: a superset of all readings.
fn scan(html: &[u8], tags: usize) -> Result<Spots, Uninspectable> {
    let mut effort = html.len().saturating_mul(SCAN_EFFORT_MAX);
    let mut spots = Vec::new();
    for start in memchr::memchr_iter(b'<', html) {
        let end = end_of_tag(html, start);
        let looked_at = end.unwrap_or(html.len()).saturating_sub(start);
        let opens = html
            .get(start.saturating_add(1))
            .is_some_and(u8::is_ascii_alphabetic);
        if opens {
            effort = effort
                .checked_sub(looked_at)
                .ok_or(Uninspectable::TokenLimit)?;
        }
        if let Some(end) = end {
            if spots.len() >= tags {
                return Err(Uninspectable::TokenLimit);
            }
            spots.push(Spot {
                range: start..end,
                place: Place::Body,
                limit: html.len(),
                end: None,
            });
        }
    }
    Ok(spots)
}

/// Where the text of each `<style>` stands: from its start tag to its end tag, or to the end of the document. They may lie
/// inside one another: foreign content nests them, and with scripts another `<style>` begins than without.
pub(super) fn style_texts<'s>(
    html: &[u8],
    styles: impl Iterator<Item = &'s Spot>,
) -> Result<Vec<(Range<usize>, Place)>, Uninspectable> {
    let ends: Vec<usize> = memmem::find_iter(html, b"</")
        .filter(|at| {
            let name = html.get(at.saturating_add(2)..at.saturating_add(7));
            // "</stylex" ends nothing (HTML 13.2.5.14).
            name.is_some_and(|name| name.eq_ignore_ascii_case(b"style"))
                && html
                    .get(at.saturating_add(7))
                    .is_none_or(|next| is_space(*next) || matches!(next, b'/' | b'>'))
        })
        .collect();
    let mut effort = html.len().saturating_mul(SCAN_EFFORT_MAX);
    let mut texts = Vec::new();
    for style in styles {
        let start = style.range.end;
        let after = ends.partition_point(|end| *end < start);
        let end = ends.get(after).copied().unwrap_or(style.limit);
        let end = end.min(style.limit);
        effort = effort
            .checked_sub(end.saturating_sub(start))
            .ok_or(Uninspectable::TokenLimit)?;
        texts.push((start..end, style.place));
    }
    Ok(texts)
}

/// Whether a finding's span lies across a tag of another reading: then an edit for one would be something else for the
/// other. `spots` are sorted; a span comes with whether it belongs to a tag (else to the text of a `<style>`).
pub(super) fn overlapping<'r>(
    spots: &[Spot],
    spans: impl Iterator<Item = (&'r Range<usize>, bool)>,
) -> bool {
    let mut furthest = Vec::with_capacity(spots.len());
    let mut disputed = HashSet::new();
    let mut holder: Option<&Range<usize>> = None;
    for spot in spots {
        match holder {
            Some(earlier) if spot.range.start < earlier.end => {
                disputed.insert(earlier);
                disputed.insert(&spot.range);
                if spot.range.end > earlier.end {
                    holder = Some(&spot.range);
                }
            }
            _ => holder = Some(&spot.range),
        }
        furthest.push(holder.map_or(0, |range| range.end));
    }
    for (span, of_tag) in spans {
        let before = spots.partition_point(|spot| spot.range.start < span.end);
        let Some(last) = before.checked_sub(1) else {
            continue;
        };
        let own = spots
            .get(last)
            .filter(|spot| of_tag && spot.range.start <= span.start && span.end <= spot.range.end);
        let clear = match own {
            Some(spot) => !disputed.contains(&spot.range),
            // Text between two tags: no tag may reach into it.
            None => furthest.get(last).is_none_or(|end| *end <= span.start),
        };
        if !clear {
            return true;
        }
    }
    false
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
