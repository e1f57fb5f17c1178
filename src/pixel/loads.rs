//! Every place in a document from which a client would fetch an image, with the URL as it would be requested and the
//! raw octets that name it.
//!
//! It passes no judgement and knows no rule. It fails where CSS nests too deep or a limit is reached.

use std::collections::HashSet;
use std::ops::Range;

use encoding_rs::Encoding;

use super::css::{self, Css, Role};
use super::link::can_be_followed;
use super::reading::{Spot, style_texts};
use super::size::OwnBox;
use super::style::{Name, Sheet};
use super::tag::{Quote, Tag, is_space};
use super::text::Text;
use super::url::{Target, Url, clean, percent_decode, srcset, target};
use super::{Document, Limits, Place, Uninspectable, Vector};

/// Where a URL is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Site {
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
pub(super) struct Request {
    /// References resolved and white space removed.
    pub(super) written: String,
    /// Where it goes.
    pub(super) url: Url,
    /// Where it is written.
    pub(super) site: Site,
}

/// One element or CSS token that would load something.
#[derive(Debug)]
pub(super) struct Load {
    /// The tag, or the CSS token.
    pub(super) span: Range<usize>,
    /// What loads.
    pub(super) vector: Vector,
    /// Who sees it.
    pub(super) place: Place,
    /// The tag, by its number in the survey; `None` for `<style>`.
    pub(super) tag: Option<usize>,
    /// At least one.
    pub(super) requests: Vec<Request>,
    /// The element's box by its own words, where a box is evidence.
    pub(super) own: Option<OwnBox>,
}

/// All that matters of a document.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Tags that load something.
    pub(super) tags: Vec<Tag>,
    /// All loads over the network.
    pub(super) loads: Vec<Load>,
    /// The rules of all `<style>` elements.
    pub(super) sheet: Sheet,
    /// Of the classes and ids that selectors ask for on other elements: those in use, lower case.
    pub(super) names: HashSet<Name>,
    /// Targets of links.
    pub(super) links: Vec<String>,
    /// `cid:` references.
    pub(super) parts: Vec<String>,
    /// There are elements whose inside is parsed by other rules, which an image tag ends: `svg`, `math`, `frameset`.
    pub(super) other_rules: bool,
}

/// Places that relative references may be relative to, in one document.
const BASES_MAX: usize = 8;

/// Surveys a document of which the start tags are known. `bases` are those that the document itself does not name.
pub(super) fn survey(
    html: &[u8],
    charset: &'static Encoding,
    kind: Document,
    bases: &[String],
    spots: &[Spot],
    limits: &Limits,
) -> Result<Survey, Uninspectable> {
    let mut surveyor = Surveyor {
        html,
        charset,
        kind,
        limits,
        bases: Vec::new(),
        wanted: HashSet::new(),
        survey: Survey::default(),
    };
    for base in bases {
        surveyor.add_base(base.clone())?;
    }
    let mut styles = Vec::new();
    // The base and the style sheets first: both speak about tags that may stand before them.
    for spot in spots {
        if spot.range.len() > limits.token_octets {
            return Err(Uninspectable::TokenLimit);
        }
        if is_called(html, spot, b"style") {
            styles.push(spot);
        } else if is_called(html, spot, b"base")
            && let Some(tag) = Tag::read(html, spot.range.clone())
        {
            surveyor.base(&tag)?;
        }
    }
    surveyor.styles(&styles)?;
    surveyor.wanted = surveyor.survey.sheet.names();
    for spot in spots {
        if let Some(tag) = Tag::read(html, spot.range.clone()) {
            surveyor.tag(tag, spot.place)?;
        }
    }
    Ok(surveyor.survey)
}

fn is_called(html: &[u8], spot: &Spot, name: &[u8]) -> bool {
    let start = spot.range.start.saturating_add(1);
    let end = start.saturating_add(name.len());
    html.get(start..end)
        .is_some_and(|found| found.eq_ignore_ascii_case(name))
        && html
            .get(end)
            .is_some_and(|next| is_space(*next) || matches!(next, b'/' | b'>'))
}

struct Surveyor<'h> {
    html: &'h [u8],
    charset: &'static Encoding,
    kind: Document,
    limits: &'h Limits,
    /// Every one, since clients differ in which they take: the first, none in a comment, one from the header.
    bases: Vec<String>,
    /// Classes and ids that selectors ask for on other elements.
    wanted: HashSet<Name>,
    survey: Survey,
}

impl Surveyor<'_> {
    fn value(&self, range: Range<usize>) -> Text {
        Text::attribute(self.html, range, self.charset)
    }

    fn first(&self, tag: &Tag, name: &str) -> Option<String> {
        let attribute = tag.first(self.html, name)?;
        Some(self.value(attribute.value.clone()).as_str().to_owned())
    }

    fn base(&mut self, tag: &Tag) -> Result<(), Uninspectable> {
        match self.first(tag, "href") {
            Some(href) => self.add_base(href),
            None => Ok(()),
        }
    }

    fn add_base(&mut self, base: String) -> Result<(), Uninspectable> {
        let remote = matches!(target(&base, None), Target::Remote(_));
        if !remote || self.bases.contains(&base) {
            return Ok(());
        }
        if self.bases.len() >= BASES_MAX {
            return Err(Uninspectable::TokenLimit);
        }
        self.bases.push(base);
        Ok(())
    }

    fn tag(&mut self, tag: Tag, place: Place) -> Result<(), Uninspectable> {
        self.survey.other_rules |= matches!(tag.name.as_str(), "svg" | "math" | "frameset");
        self.names(&tag);
        self.parts(&tag)?;
        if matches!(tag.name.as_str(), "a" | "area")
            && place != Place::Conditional
            && self.survey.links.len() < self.limits.references
            && let Some(href) = self.first(&tag, "href")
            && can_be_followed(self.html, &tag, self.first(&tag, "style").as_deref())
        {
            self.survey.links.push(clean(&href));
        }
        let number = self.survey.tags.len();
        let mut loads = Vec::new();
        loads.extend(self.image(&tag, place)?);
        loads.extend(self.background(&tag, place)?);
        self.style_attributes(&tag, place, &mut loads)?;
        if loads.is_empty() {
            return Ok(());
        }
        for load in &mut loads {
            load.tag = Some(number);
        }
        self.survey.tags.push(tag);
        self.keep(loads)
    }

    fn keep(&mut self, loads: Vec<Load>) -> Result<(), Uninspectable> {
        self.survey.loads.extend(loads);
        if self.survey.loads.len() > self.limits.loads {
            return Err(Uninspectable::TokenLimit);
        }
        Ok(())
    }

    /// Notes which of the wanted classes and ids the tag bears.
    fn names(&mut self, tag: &Tag) {
        if self.wanted.is_empty() {
            return;
        }
        let mut names = Vec::new();
        for class in tag.all(self.html, "class") {
            let text = self.value(class.value.clone()).as_str().to_lowercase();
            let classes = text.split_ascii_whitespace();
            names.extend(classes.map(|name| Name::Class(name.to_owned())));
        }
        for id in tag.all(self.html, "id") {
            let text = self.value(id.value.clone()).as_str().to_lowercase();
            names.push(Name::Id(text));
        }
        let wanted = &self.wanted;
        self.survey
            .names
            .extend(names.into_iter().filter(|name| wanted.contains(name)));
    }

    /// Any attribute may show another part: `src`, `data`, `href`, `background`, `poster` and what comes.
    fn parts(&mut self, tag: &Tag) -> Result<(), Uninspectable> {
        for attribute in &tag.attributes {
            let raw = self.html.get(attribute.value.clone()).unwrap_or_default();
            let candidate = raw.trim_ascii_start();
            let begins = candidate
                .first()
                .is_some_and(|octet| matches!(octet, b'c' | b'C' | b'&' | 0..=b' '));
            if !begins {
                continue;
            }
            if let Target::Part(id) = target(self.value(attribute.value.clone()).as_str(), None) {
                self.part(&id)?;
            }
        }
        Ok(())
    }

    fn part(&mut self, id: &str) -> Result<(), Uninspectable> {
        if self.survey.parts.len() >= self.limits.references {
            return Err(Uninspectable::TokenLimit);
        }
        self.survey.parts.push(percent_decode(id, |_| true));
        Ok(())
    }

    fn image(&self, tag: &Tag, place: Place) -> Result<Option<Load>, Uninspectable> {
        let Some(vector) = self.vector(tag) else {
            return Ok(None);
        };
        let mut requests = self.requests(tag, "src")?;
        if matches!(vector, Vector::Img | Vector::AmpImg | Vector::AmpAnim) {
            requests.extend(self.srcset_requests(tag)?);
        }
        Ok((!requests.is_empty()).then(|| Load {
            span: tag.range.clone(),
            vector,
            place,
            tag: None,
            requests,
            own: self.own_box(tag, vector),
        }))
    }

    fn vector(&self, tag: &Tag) -> Option<Vector> {
        let amp = self.kind == Document::Amp;
        Some(match tag.name.as_str() {
            "img" | "image" => Vector::Img,
            "input" => {
                let kind = self.first(tag, "type")?;
                kind.trim()
                    .eq_ignore_ascii_case("image")
                    .then_some(Vector::InputImage)?
            }
            "v:image" => Vector::VmlImage,
            "v:fill" => Vector::VmlFill,
            "v:imagedata" => Vector::VmlImagedata,
            "amp-img" if amp => Vector::AmpImg,
            "amp-anim" if amp => Vector::AmpAnim,
            "amp-pixel" if amp => Vector::AmpPixel,
            _ => return None,
        })
    }

    /// All copies of an attribute that hold one URL.
    fn requests(&self, tag: &Tag, name: &str) -> Result<Vec<Request>, Uninspectable> {
        let mut requests = Vec::new();
        for (number, attribute) in tag.attributes.iter().enumerate() {
            let named = self
                .html
                .get(attribute.name.clone())
                .is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()));
            if !named || attribute.quote == Quote::Absent {
                continue;
            }
            let text = self.value(attribute.value.clone());
            requests.extend(self.request(text.as_str(), Site::Attribute(number))?);
        }
        Ok(requests)
    }

    fn srcset_requests(&self, tag: &Tag) -> Result<Vec<Request>, Uninspectable> {
        let mut requests = Vec::new();
        for (number, attribute) in tag.attributes.iter().enumerate() {
            let named = self
                .html
                .get(attribute.name.clone())
                .is_some_and(|found| found.eq_ignore_ascii_case(b"srcset"));
            if named {
                let text = self.value(attribute.value.clone());
                for candidate in srcset(text.as_str()) {
                    requests.extend(self.request(&candidate, Site::Attribute(number))?);
                }
            }
        }
        Ok(requests)
    }

    /// What a reference would request: one place, or one for each base that some client resolves it by.
    fn request(&self, reference: &str, site: Site) -> Result<Vec<Request>, Uninspectable> {
        let written = clean(reference);
        if written.len() > self.limits.url_octets && !is_data(&written) {
            return Err(Uninspectable::TokenLimit);
        }
        let urls = match target(&written, None) {
            Target::Remote(url) => vec![url],
            Target::Part(_) => Vec::new(),
            Target::Local => self.resolved(&written),
        };
        let request = |url| Request {
            written: written.clone(),
            url,
            site: site.clone(),
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

    fn own_box(&self, tag: &Tag, vector: Vector) -> Option<OwnBox> {
        match vector {
            Vector::AmpPixel => Some(OwnBox::of(Some("1"), Some("1"), &[])),
            Vector::Img | Vector::InputImage | Vector::AmpImg | Vector::AmpAnim => {
                let css = self
                    .first(tag, "style")
                    .and_then(|style| css::attribute(&style).ok())
                    .unwrap_or_default();
                let declarations = css.rules.first().map(|rule| rule.declarations.as_slice());
                Some(OwnBox::of(
                    self.first(tag, "width").as_deref(),
                    self.first(tag, "height").as_deref(),
                    declarations.unwrap_or_default(),
                ))
            }
            _ => None,
        }
    }

    fn background(&self, tag: &Tag, place: Place) -> Result<Option<Load>, Uninspectable> {
        let requests = self.requests(tag, "background")?;
        Ok((!requests.is_empty()).then(|| Load {
            span: tag.range.clone(),
            vector: Vector::Background,
            place,
            tag: None,
            requests,
            own: None,
        }))
    }

    fn style_attributes(
        &mut self,
        tag: &Tag,
        place: Place,
        loads: &mut Vec<Load>,
    ) -> Result<(), Uninspectable> {
        for attribute in tag.all(self.html, "style") {
            let raw = self.html.get(attribute.value.clone()).unwrap_or_default();
            if memchr::memchr2(b'(', b'&', raw).is_none() {
                continue;
            }
            let text = self.value(attribute.value.clone());
            let css = css::attribute(text.as_str()).map_err(|_| Uninspectable::TokenLimit)?;
            let blanks = attribute.quote == Quote::Quoted;
            self.css_loads(&text, &css, Vector::StyleAttribute, place, blanks, loads)?;
        }
        Ok(())
    }

    fn styles(&mut self, styles: &[&Spot]) -> Result<(), Uninspectable> {
        // A sheet inside another one: the same octets load once.
        let mut seen = HashSet::new();
        for (range, place) in style_texts(self.html, styles.iter().copied())? {
            let text = Text::raw(self.html, range, self.charset);
            let css = css::sheet(text.as_str()).map_err(|_| Uninspectable::TokenLimit)?;
            let mut loads = Vec::new();
            self.css_loads(&text, &css, Vector::StyleElement, place, true, &mut loads)?;
            loads.retain(|load| seen.insert(load.span.clone()));
            self.keep(loads)?;
            self.survey
                .sheet
                .add(&css.rules)
                .map_err(|_| Uninspectable::TokenLimit)?;
        }
        Ok(())
    }

    fn css_loads(
        &mut self,
        text: &Text,
        css: &Css,
        vector: Vector,
        place: Place,
        blanks: bool,
        loads: &mut Vec<Load>,
    ) -> Result<(), Uninspectable> {
        for token in &css.urls {
            let range = text.raw_range(token.range.clone());
            let site = Site::Token {
                range: range.clone(),
                role: token.role,
                blanks,
            };
            if let Target::Part(id) = target(&token.url, None) {
                self.part(&id)?;
            }
            let requests = self.request(&token.url, site)?;
            if !requests.is_empty() {
                loads.push(Load {
                    span: range,
                    vector,
                    place,
                    tag: None,
                    requests,
                    own: None,
                });
            }
        }
        Ok(())
    }
}

/// Written into the document: may be long, is never requested.
fn is_data(reference: &str) -> bool {
    reference
        .get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}
