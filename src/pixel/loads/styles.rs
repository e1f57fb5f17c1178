//! The loads of CSS: style elements, style attributes, SVG presentation attributes.
//!
//! It passes no judgement. It fails where CSS nests too deep or a limit is reached.

use std::collections::HashSet;

use super::super::css::{self, Css};
use super::super::reading::{Spot, style_texts};
use super::super::tag::{Quote, Tag};
use super::super::text::Text;
use super::super::url::{Target, target};
use super::super::{Place, Uninspectable, Vector};
use super::elements::is_presentation;
use super::{Load, Site, Surveyor};

impl Surveyor<'_> {
    /// All CSS of one tag.
    pub(super) fn tag_styles(
        &mut self,
        tag: &Tag,
        place: Place,
        loads: &mut Vec<Load>,
    ) -> Result<(), Uninspectable> {
        for attribute in &tag.attributes {
            let raw = self.html.get(attribute.value.clone()).unwrap_or_default();
            let name = self.html.get(attribute.name.clone()).unwrap_or_default();
            let is_style = name.eq_ignore_ascii_case(b"style");
            if !is_style && !is_presentation(name) {
                continue;
            }
            // Without a bracket, a reference or a custom property there is no URL.
            let may_name = memchr::memchr2(b'(', b'&', raw).is_some()
                || memchr::memmem::find(raw, b"--").is_some();
            if !may_name {
                continue;
            }
            let text = self.value(attribute.value.clone());
            let (css, vector) = match is_style {
                true => (css::attribute(text.as_str()), Vector::StyleAttribute),
                false => (css::reference(text.as_str()), Vector::SvgReference),
            };
            let css = css.map_err(|_| Uninspectable::TokenLimit)?;
            let blanks = attribute.quote == Quote::Quoted;
            self.css_loads(&text, &css, vector, place, blanks, loads)?;
        }
        Ok(())
    }

    /// All style elements of the document, and the rules in them.
    pub(super) fn styles(&mut self, styles: &[&Spot]) -> Result<(), Uninspectable> {
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
            let requests = self.request(&token.url, &site)?;
            if !requests.is_empty() {
                loads.push(Load::of_span(range, vector, place, requests));
            }
        }
        Ok(())
    }
}
