//! Every place in a document from which a client would fetch something, with the URL as it would be requested and the
//! raw octets that name it.
//!
//! Which attributes of which elements load is a table in `elements`, CSS is in `styles`, what a reference leads to in `requests`.
//!
//! It passes no judgement and knows no rule. It fails where CSS nests too deep or a limit is reached.

mod elements;
mod requests;
mod styles;

use std::collections::HashSet;
use std::ops::Range;

use encoding_rs::Encoding;

use self::elements::{Form, Sources, sources};
use self::requests::{DOCUMENTS_DEPTH_MAX, refresh};
pub(super) use self::requests::{Request, Site};
use super::css;
use super::link::can_be_followed;
use super::look::{Cover, Covers, of_container};
use super::reading::Spot;
use super::size::OwnBox;
use super::style::{Name, Sheet};
use super::tag::{Quote, Tag, is_space};
use super::text::Text;
use super::url::{Target, clean, percent_decode, srcset, target};
use super::{Document, Limits, Place, Uninspectable, Vector};

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
    /// The tag in whose box it is shown, where that is another: the `<img>` of a `<picture>`.
    pub(super) shown_by: Option<usize>,
    /// The end tag, where it is known for sure.
    pub(super) end: Option<Range<usize>>,
    /// It is, or may be, the image of a `<picture>` with sources that load: its sides are theirs, too.
    pub(super) in_picture: bool,
    /// What stands around it and hides it.
    pub(super) cover: Cover,
    /// At least one.
    pub(super) requests: Vec<Request>,
    /// The element's box by its own words, where a box is evidence.
    pub(super) own: Option<OwnBox>,
}

impl Load {
    fn of_span(
        span: Range<usize>,
        vector: Vector,
        place: Place,
        mut requests: Vec<Request>,
    ) -> Self {
        // One mostly, with room for four; there may be tens of thousands of loads.
        requests.shrink_to_fit();
        Self {
            span,
            vector,
            place,
            tag: None,
            shown_by: None,
            end: None,
            in_picture: false,
            cover: Cover::default(),
            requests,
            own: None,
        }
    }
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

/// Where AMP's own scripts come from.
const AMP_RUNTIME: &str = "cdn.ampproject.org";

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
    survey_within(
        html,
        charset,
        kind,
        bases,
        spots,
        limits,
        DOCUMENTS_DEPTH_MAX,
    )
}

/// Surveys a document that so many more may lie in.
fn survey_within(
    html: &[u8],
    charset: &'static Encoding,
    kind: Document,
    bases: &[String],
    spots: &[Spot],
    limits: &Limits,
    depth: usize,
) -> Result<Survey, Uninspectable> {
    let mut surveyor = Surveyor {
        html,
        charset,
        kind,
        limits,
        depth,
        bases: Vec::new(),
        wanted: HashSet::new(),
        pictures: Vec::new(),
        picture_end: None,
        covers: Covers::default(),
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
            let cover = surveyor.cover(&tag, spot);
            surveyor.tag(tag, spot, cover)?;
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
    /// How many documents may lie inside one another here.
    depth: usize,
    /// Every one, since clients differ in which they take: the first, none in a comment, one from the header.
    bases: Vec<String>,
    /// Classes and ids that selectors ask for on other elements.
    wanted: HashSet<Name>,
    /// Loads, by number, that the next `<img>` shows.
    pictures: Vec<usize>,
    /// Where the last `<picture>` ends, as far as it is known.
    picture_end: Option<usize>,
    /// What stands around the tag that is looked at.
    covers: Covers,
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

    /// What hides the element of a tag from outside; what it hides itself is noted for those inside.
    fn cover(&mut self, tag: &Tag, spot: &Spot) -> Cover {
        if self.kind == Document::Amp {
            // Its elements are cut, and where they are not nested well that would change what is around the others.
            return Cover::default();
        }
        // Tables that only Word sees close nothing for anybody else.
        let closes = spot.place != Place::Conditional;
        let cover = self.covers.come_to(spot.range.start, &tag.name, closes);
        if let Some(end) = &spot.end {
            let (left, hiding) = of_container(self.html, tag, &self.survey.sheet, cover);
            self.covers.open(&tag.name, end.start, left, hiding);
        }
        cover
    }

    fn tag(&mut self, tag: Tag, spot: &Spot, cover: Cover) -> Result<(), Uninspectable> {
        let place = spot.place;
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
        self.elements(&tag, place, &mut loads)?;
        self.tag_styles(&tag, place, &mut loads)?;
        let shows_picture = self.shows_picture(&tag, spot);
        // Another reading may have this one for the picture's.
        let in_picture = tag.name == "img" && !self.pictures.is_empty();
        if shows_picture {
            self.picture(&tag, number, place);
        }
        if loads.is_empty() && !shows_picture {
            return Ok(());
        }
        for (offset, load) in loads.iter_mut().enumerate() {
            load.tag = Some(number);
            load.end.clone_from(&spot.end);
            load.cover = cover;
            load.in_picture = in_picture;
            if load.vector == Vector::PictureSource {
                let place = self.survey.loads.len().saturating_add(offset);
                self.pictures.push(place);
            }
        }
        self.survey.tags.push(tag);
        self.keep(loads)
    }

    /// Whether this is the image of a `<picture>` whose sources load.
    fn shows_picture(&mut self, tag: &Tag, spot: &Spot) -> bool {
        let ended = self.picture_end.is_some_and(|end| end <= spot.range.start);
        if ended || tag.name == "picture" {
            self.pictures.clear();
            self.picture_end = match tag.name.as_str() {
                "picture" => spot.end.as_ref().map(|end| end.start),
                _ => None,
            };
        }
        tag.name == "img"
            && self
                .pictures
                .iter()
                .any(|source| self.stands_in(*source, spot.place))
    }

    /// Whether a load is for these clients: what only Word sees in a picture is not what a browser shows.
    fn stands_in(&self, load: usize, place: Place) -> bool {
        let load = self.survey.loads.get(load);
        load.is_some_and(|load| load.place == place)
    }

    /// The image of a `<picture>`: its box is that of whatever source is chosen (HTML 4.8.1).
    fn picture(&mut self, tag: &Tag, number: usize, place: Place) {
        let own = self.own_box(tag, Vector::Img);
        let sources = std::mem::take(&mut self.pictures).into_iter();
        let (shown, others) = sources.partition(|source| self.stands_in(*source, place));
        self.pictures = others;
        let shown: Vec<usize> = shown;
        for source in shown {
            if let Some(load) = self.survey.loads.get_mut(source) {
                load.own = own;
                load.shown_by = Some(number);
            }
        }
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

    /// What the attributes of one tag load, by the table.
    fn elements(
        &mut self,
        tag: &Tag,
        place: Place,
        loads: &mut Vec<Load>,
    ) -> Result<(), Uninspectable> {
        let amp = self.kind == Document::Amp;
        let mut sources = sources(&tag.name, amp, |name| self.first(tag, name));
        sources.push((Vector::Background, &[("background", Form::Url)]));
        for (vector, sources) in sources {
            let (mut requests, inner) = self.requests(tag, sources)?;
            if amp && vector == Vector::Script {
                // What makes AMP work is fetched once, and is the same for everybody.
                requests.retain(|request| request.url.host != AMP_RUNTIME);
            }
            if requests.is_empty() {
                continue;
            }
            loads.push(Load {
                own: inner.or_else(|| self.own_box(tag, vector)),
                ..Load::of_span(tag.range.clone(), vector, place, requests)
            });
        }
        Ok(())
    }

    /// All that these attributes request, every copy of them; with the box of what a document inside does not show.
    fn requests(
        &mut self,
        tag: &Tag,
        sources: Sources,
    ) -> Result<(Vec<Request>, Option<OwnBox>), Uninspectable> {
        let mut requests = Vec::new();
        let mut inner = None;
        for (number, attribute) in tag.attributes.iter().enumerate() {
            let name = self.html.get(attribute.name.clone()).unwrap_or_default();
            let source = sources
                .iter()
                .find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
            let Some((_, form)) = source.filter(|_| attribute.quote != Quote::Absent) else {
                continue;
            };
            let text = self.value(attribute.value.clone());
            let site = Site::Attribute(number);
            match form {
                Form::Url => requests.extend(self.request(text.as_str(), &site)?),
                Form::Srcset => {
                    for candidate in srcset(text.as_str()) {
                        requests.extend(self.request(&candidate, &site)?);
                    }
                }
                Form::Refresh => {
                    if let Some(url) = refresh(text.as_str()) {
                        requests.extend(self.request(url, &site)?);
                    }
                }
                Form::Document => {
                    let (inside, own) = self.srcdoc(text.as_str(), &site)?;
                    requests.extend(inside);
                    inner = inner.or(own);
                }
            }
        }
        Ok((requests, inner))
    }

    fn own_box(&self, tag: &Tag, vector: Vector) -> Option<OwnBox> {
        match vector {
            Vector::AmpPixel => Some(OwnBox::of(Some("1"), Some("1"), &[])),
            Vector::Img
            | Vector::InputImage
            | Vector::Iframe
            | Vector::Frame
            | Vector::Embed
            | Vector::Object
            | Vector::Video
            | Vector::Poster
            | Vector::VmlImage
            | Vector::AmpImg
            | Vector::AmpAnim
            | Vector::AmpVideo
            | Vector::AmpIframe => {
                let css = self
                    .first(tag, "style")
                    .and_then(|style| css::attribute(&style).ok())
                    .unwrap_or_default();
                Some(OwnBox::of(
                    self.first(tag, "width").as_deref(),
                    self.first(tag, "height").as_deref(),
                    css.own(),
                ))
            }
            _ => None,
        }
    }
}
