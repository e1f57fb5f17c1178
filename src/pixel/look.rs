//! How an element looks: how large it is drawn, and whether anybody can see it.
//!
//! By its own attributes and style, and by what rules of `<style>` could do to it. It knows no URL and passes no judgement:
//! hidden is a fact, not evidence (DESIGN 4). What cannot be told may be visible.

use super::loads::{Load, Survey};
use super::size::{OwnBox, Side};
use super::style::Element;
use super::tag::Tag;
use super::text::Text;

/// Looks at the elements of one document.
#[derive(Clone, Copy)]
pub(super) struct Looker<'s> {
    pub(super) html: &'s [u8],
    pub(super) survey: &'s Survey,
}

/// How one element looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Its sides, where both are at most 3 px; rounded up.
    pub(super) tiny: Option<(u8, u8)>,
    /// Why nobody sees it, whatever its size; `None`: somebody may.
    pub(super) hidden: Option<&'static str>,
}

impl Look {
    /// Why nobody can see it.
    pub(super) fn unseen(&self) -> Option<&'static str> {
        self.tiny.map(|_| "tiny").or(self.hidden)
    }
}

impl<'s> Looker<'s> {
    /// How the element of a load looks.
    pub(super) fn look(self, load: &Load) -> Look {
        Look {
            tiny: self.tiny(load),
            hidden: None,
        }
    }

    /// Both sides at most 3 px by the element's own words, and no rule that could say otherwise.
    fn tiny(self, load: &Load) -> Option<(u8, u8)> {
        let own = load.own.as_ref().filter(|own| own.is_tiny())?;
        let spared = self.with_element(load, |element| {
            self.survey.sheet.spares(element, own, &self.survey.names)
        });
        if spared == Some(true) {
            return None;
        }
        Some((rounded_up(own.width), rounded_up(own.height)))
    }

    pub(super) fn tag(self, load: &Load) -> Option<&'s Tag> {
        self.survey.tags.get(load.tag?)
    }

    /// Calls `ask` with the element as selectors see it. `None` without a tag or without rules: nothing to ask.
    fn with_element<T>(self, load: &Load, ask: impl FnOnce(&Element<'_>) -> T) -> Option<T> {
        if self.survey.sheet.is_empty() {
            return None;
        }
        let tag = self.tag(load)?;
        let attribute = |name: &str| -> Option<String> {
            let attribute = tag.first(self.html, name)?;
            // Selectors compare names, sizes and the like: read as UTF-8, whatever the charset.
            let text = Text::attribute(self.html, attribute.value.clone(), encoding_rs::UTF_8);
            Some(text.as_str().to_owned())
        };
        let classes: Vec<String> = attribute("class")
            .unwrap_or_default()
            .to_lowercase()
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect();
        let id = attribute("id").map(|id| id.to_lowercase());
        // Browsers take `image` for `img`.
        let name = if tag.name == "image" {
            "img"
        } else {
            &tag.name
        };
        Some(ask(&Element {
            tag: name,
            id: id.as_deref(),
            classes: &classes,
            attribute: &attribute,
        }))
    }

    /// Whether the element truly has no box: its own style says so and no rule could say otherwise. Where an image tag
    /// changes how the rest is parsed (it ends `svg`, it rules `frameset` out) it must stay in any case.
    pub(super) fn has_no_box(self, load: &Load, own: Option<&OwnBox>) -> bool {
        !self.survey.other_rules
            && own.is_some_and(|own| own.display_none.is_some())
            && self
                .with_element(load, |element| {
                    own.is_none_or(|own| {
                        self.survey.sheet.may_show(element, own, &self.survey.names)
                    })
                })
                .is_none_or(|shown| !shown)
    }
}

/// Whole pixels, 0 to 255: the sides of a tiny box are at most 3.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of u8 first"
)]
pub(super) fn rounded_up(side: Side) -> u8 {
    side.pixels.unwrap_or(0.0).ceil().clamp(0.0, 255.0) as u8
}
