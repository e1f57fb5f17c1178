//! What a reference in a document would request: one place, one for each base that some client resolves it by, or what the
//! document inside it requests (`data:` and `srcdoc`).
//!
//! It passes no judgement. It fails where a URL is too long, or documents lie inside one another deeper than
//! [`DOCUMENTS_DEPTH_MAX`].

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::super::css::{self, Role};
use super::super::reading;
use super::super::size::OwnBox;
use super::super::text::Text;
use super::super::url::{Target, Url, clean, percent_decode_octets, target};
use super::super::{Document, Uninspectable};
use super::{Load, Surveyor, survey_within};

/// Where a URL is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pixel) enum Site {
    /// In this attribute of the tag (by its number).
    Attribute(usize),
    /// A CSS token: its raw octets, its role, and whether blanks may stand beside it.
    Token {
        /// Raw octets.
        range: Range<usize>,
        /// What the URL is for.
        role: Role,
        /// Not in an unquoted attribute value.
        blanks: bool,
    },
}

/// One URL that would be requested.
#[derive(Debug, Clone)]
pub(in crate::pixel) struct Request {
    /// References resolved and white space removed.
    pub(in crate::pixel) written: String,
    /// Where it goes.
    pub(in crate::pixel) url: Url,
    /// Where it is written.
    pub(in crate::pixel) site: Site,
    /// Whether it goes there by a base of the document.
    pub(in crate::pixel) relative: bool,
}

impl Request {
    /// The text in which a person may be named: as it is written, or where it goes where the base says half of that.
    pub(in crate::pixel) fn text(&self) -> Cow<'_, str> {
        match self.relative {
            true => Cow::Owned(self.url.text()),
            false => Cow::Borrowed(&self.written),
        }
    }
}

/// Documents inside one another. Each is escaped once more than the one around it; nobody writes three.
pub(super) const DOCUMENTS_DEPTH_MAX: usize = 4;

/// What `data:` may hold that loads something itself, by the end or the whole of its media type.
const DOCUMENTS: [&str; 5] = [
    "text/html",
    "image/svg+xml",
    "application/xhtml+xml",
    "application/xml",
    "text/xml",
];

/// Tolerant, as browsers are: with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

impl Surveyor<'_> {
    /// What one reference requests.
    pub(super) fn request(
        &mut self,
        reference: &str,
        site: &Site,
    ) -> Result<Vec<Request>, Uninspectable> {
        let written = clean(reference);
        if is_data(&written) {
            return self.data(&written, site);
        }
        if written.len() > self.limits.url_octets {
            return Err(Uninspectable::TokenLimit);
        }
        let (urls, relative) = match target(&written, None) {
            Target::Remote(url) => (vec![url], false),
            Target::Part(_) => (Vec::new(), false),
            Target::Local => (self.resolved(&written), true),
        };
        let request = |url| Request {
            written: written.clone(),
            url,
            site: site.clone(),
            relative,
        };
        Ok(urls.into_iter().map(request).collect())
    }

    fn resolved(&self, reference: &str) -> Vec<Url> {
        let urls = self.bases.iter();
        urls.filter_map(|base| match target(reference, Some(base)) {
            Target::Remote(url) => Some(url),
            Target::Part(_) | Target::Local => None,
        })
        .collect()
    }

    /// What a `data:` document requests, as if it were written where the document stands.
    fn data(&mut self, written: &str, site: &Site) -> Result<Vec<Request>, Uninspectable> {
        let Some((head, body)) = written.get(5..).and_then(|rest| rest.split_once(',')) else {
            return Ok(Vec::new());
        };
        let head = head.to_ascii_lowercase();
        let kind = head.split(';').next().unwrap_or_default().trim();
        let is_sheet = kind == "text/css";
        if !is_sheet && !DOCUMENTS.contains(&kind) {
            return Ok(Vec::new());
        }
        let mut octets = percent_decode_octets(body, |_| true);
        if head.split(';').any(|word| word.trim() == "base64") {
            octets.retain(|octet| !octet.is_ascii_whitespace());
            // What is no base64 is no document either: browsers show nothing.
            let Ok(decoded) = BASE64.decode(&octets) else {
                return Ok(Vec::new());
            };
            octets = decoded;
        }
        if is_sheet {
            return self.data_sheet(&octets, site);
        }
        let loads = self.document_within(&octets, &[])?;
        Ok(moved(loads, site))
    }

    fn data_sheet(&mut self, octets: &[u8], site: &Site) -> Result<Vec<Request>, Uninspectable> {
        let depth = self.deeper()?;
        let text = Text::raw(octets, 0..octets.len(), encoding_rs::UTF_8);
        let css = css::sheet(text.as_str()).map_err(|_| Uninspectable::TokenLimit)?;
        let outer = std::mem::replace(&mut self.depth, depth);
        let mut requests = Vec::new();
        for token in &css.urls {
            requests.extend(self.request(&token.url, site)?);
        }
        self.depth = outer;
        Ok(requests)
    }

    /// What the document in a `srcdoc` requests, and the box of what nobody would see in it.
    pub(super) fn srcdoc(
        &mut self,
        text: &str,
        site: &Site,
    ) -> Result<(Vec<Request>, Option<OwnBox>), Uninspectable> {
        let bases = self.bases.clone();
        let loads = self.document_within(text.as_bytes(), &bases)?;
        let own = loads
            .iter()
            .filter_map(|load| load.own)
            .find(OwnBox::is_tiny);
        Ok((moved(loads, site), own))
    }

    /// The loads of a document inside this one.
    fn document_within(
        &mut self,
        html: &[u8],
        bases: &[String],
    ) -> Result<Vec<Load>, Uninspectable> {
        if memchr::memchr(b'<', html).is_none() {
            return Ok(Vec::new());
        }
        let depth = self.deeper()?;
        let readings = reading::read(html, encoding_rs::UTF_8, self.limits)?;
        // The plain scan sees every tag that the parser sees.
        let spots = readings.scanned.as_ref().unwrap_or(&readings.parsed);
        let survey = survey_within(
            html,
            encoding_rs::UTF_8,
            Document::Html,
            bases,
            spots,
            self.limits,
            depth,
        )?;
        for part in survey.parts {
            self.part(&part)?;
        }
        Ok(survey.loads)
    }

    fn deeper(&self) -> Result<usize, Uninspectable> {
        self.depth.checked_sub(1).ok_or(Uninspectable::TokenLimit)
    }
}

fn moved(loads: Vec<Load>, site: &Site) -> Vec<Request> {
    let requests = loads.into_iter().flat_map(|load| load.requests);
    requests
        .map(|request| Request {
            site: site.clone(),
            ..request
        })
        .collect()
}

/// Written into the document: may be long, is never requested itself.
fn is_data(reference: &str) -> bool {
    reference
        .get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// The URL in the `content` of a refresh (HTML 4.2.5.3, "shared declarative refresh steps").
pub(super) fn refresh(content: &str) -> Option<&str> {
    let after = content.trim_start_matches(|c: char| {
        c.is_ascii_whitespace() || c.is_ascii_digit() || matches!(c, '.' | '+' | '-')
    });
    let after =
        after.trim_start_matches(|c: char| c.is_ascii_whitespace() || matches!(c, ';' | ','));
    let named = after
        .get(..3)
        .filter(|word| word.eq_ignore_ascii_case("url"))
        .and_then(|_| after.get(3..))
        .and_then(|rest| rest.trim_start().strip_prefix('='))
        .map_or(after, str::trim_start);
    let url = match named.chars().next() {
        Some(quote @ ('"' | '\'')) => named.get(1..)?.split(quote).next()?,
        _ => named,
    };
    (!url.trim().is_empty()).then_some(url)
}
