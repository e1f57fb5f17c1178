//! How an element looks: how large it is drawn, and whether anybody can see it.
//!
//! By its own attributes and style, by what rules of `<style>` do to it for sure or could do to it, and by what stands around it.
//! Style sheets that a client would have to fetch are not asked: few fetch them. It knows no URL and passes no judgement: hidden is a
//! fact, not evidence (DESIGN 4). What cannot be told may be visible.

mod cover;
mod hiding;

use std::collections::HashMap;

pub(super) use self::cover::{Cover, Covers};
use self::hiding::{Declared, Hiding};
use super::css::{self, Declaration, Value};
use super::loads::{Load, Survey};
use super::size::{OwnBox, Side, Source};
use super::style::{Element, Sheet};
use super::tag::Tag;
use super::text::Text;

/// Attributes that decide how an element looks, whatever selectors ask for.
const LOOKS: [&str; 6] = ["class", "id", "style", "hidden", "width", "height"];

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

/// How elements look that were looked at before, by all that decides it: a class with many rules is asked once, not once for each of
/// thousands of images.
#[derive(Debug, Default)]
pub(super) struct Looks(HashMap<Vec<u8>, Look>);

impl<'s> Looker<'s> {
    /// How the element of a load looks.
    pub(super) fn look(self, load: &Load, known: &mut Looks) -> Look {
        let Some(key) = self.key(load) else {
            return self.look_anew(load);
        };
        *known.0.entry(key).or_insert_with(|| self.look_anew(load))
    }

    /// All that decides how the element of a load looks. `None` where no rule has to be asked: then it costs nothing to look.
    fn key(self, load: &Load) -> Option<Vec<u8>> {
        let sheet = &self.survey.sheet;
        if sheet.is_empty() {
            return None;
        }
        let tag = self.shown_by(load)?;
        let (own, cover, shows) = (load.own, load.cover, load.vector.shows());
        let mut key = format!("{} {own:?} {cover:?} {shows}", tag.name).into_bytes();
        for name in LOOKS.into_iter().chain(sheet.attributes()) {
            // No octet of an attribute, and told apart from an empty one.
            key.push(0);
            if let Some(attribute) = tag.first(self.html, name) {
                key.push(b'=');
                key.extend_from_slice(self.html.get(attribute.value.clone())?);
            }
        }
        Some(key)
    }

    fn look_anew(self, load: &Load) -> Look {
        Look {
            tiny: self.tiny(load),
            // What shows nothing anyway is not hidden.
            hidden: load.vector.shows().then(|| self.hidden(load)).flatten(),
        }
    }

    /// Both sides at most 3 px by the element's own words or by a rule that surely holds, and no rule that could say otherwise.
    fn tiny(self, load: &Load) -> Option<(u8, u8)> {
        let own = load.own.as_ref()?;
        let ruled = self.with_element(load, |element| self.ruled(element, *own));
        let own = ruled.as_ref().unwrap_or(own);
        if !own.is_tiny() {
            return None;
        }
        let spared = self.with_element(load, |element| {
            self.survey.sheet.spares(element, own, &self.survey.names)
        });
        if spared == Some(true) {
            return None;
        }
        Some((rounded_up(own.width), rounded_up(own.height)))
    }

    /// The box with the sides that the element does not tell and a rule does. A rule that could make one larger is asked later.
    fn ruled(self, element: &Element<'_>, own: OwnBox) -> OwnBox {
        let told = |side: Side| side.pixels.is_some() || side.source != Source::Attribute;
        if told(own.width) && told(own.height) {
            return own;
        }
        let said = self.survey.sheet.said(element, Some(&self.survey.names));
        let said = said.unwrap_or_default();
        let side = |side: Side, name: &str| {
            let lengths = said
                .iter()
                .filter(|(declared, sure)| *sure && declared.name == name)
                .filter_map(|(declared, _)| match declared.value {
                    Value::Pixels(length) => Some(length.max(0.0)),
                    _ => None,
                });
            match lengths.fold(None, |most: Option<f32>, length| {
                Some(most.map_or(length, |most| most.max(length)))
            }) {
                Some(length) if !told(side) => Side {
                    pixels: Some(length),
                    ..side
                },
                _ => side,
            }
        };
        OwnBox {
            width: side(own.width, "width"),
            height: side(own.height, "height"),
            ..own
        }
    }

    /// Why nobody sees it in any state of any client.
    fn hidden(self, load: &Load) -> Option<&'static str> {
        let tag = self.shown_by(load)?;
        let own = own_style(self.html, tag);
        let names = Some(&self.survey.names);
        // Where there are elements with a parser of their own nothing is known of what lies in what.
        let cover = match self.survey.other_rules {
            true => Cover::default(),
            false => load.cover,
        };
        element_of(self.html, tag, |element| {
            let sheet = &self.survey.sheet;
            let declared = Declared::of(element, load.own.is_some(), &own, sheet, names);
            let around = around(cover, &declared);
            declared
                .hiding()
                .reason()
                .or_else(|| declared.has_no_side(load.own?).then_some("zero_side"))
                .or(around.reason())
        })
    }

    pub(super) fn tag(self, load: &Load) -> Option<&'s Tag> {
        self.survey.tags.get(load.tag?)
    }

    /// The tag in whose box the load is shown.
    fn shown_by(self, load: &Load) -> Option<&'s Tag> {
        self.survey.tags.get(load.shown_by.or(load.tag)?)
    }

    /// Calls `ask` with the element as selectors see it. `None` without a tag or without rules: nothing to ask.
    fn with_element<T>(self, load: &Load, ask: impl FnOnce(&Element<'_>) -> T) -> Option<T> {
        if self.survey.sheet.is_empty() {
            return None;
        }
        Some(element_of(self.html, self.shown_by(load)?, ask))
    }

    /// Whether the element truly has no box: its own style says so and no rule could say otherwise. Where an image tag
    /// changes how the rest is parsed (it ends `svg`, it rules `frameset` out) it must stay in any case.
    pub(super) fn has_no_box(self, load: &Load, own: Option<&OwnBox>) -> bool {
        // Without the image of a picture the next one would be it.
        !self.survey.other_rules
            && !load.in_picture
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

/// Calls `ask` with a tag's element as selectors see it.
fn element_of<T>(html: &[u8], tag: &Tag, ask: impl FnOnce(&Element<'_>) -> T) -> T {
    let attribute = |name: &str| -> Option<String> {
        let attribute = tag.first(html, name)?;
        // Selectors compare names, sizes and the like: read as UTF-8, whatever the charset.
        let text = Text::attribute(html, attribute.value.clone(), encoding_rs::UTF_8);
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
    ask(&Element {
        tag: name,
        id: id.as_deref(),
        classes: &classes,
        attribute: &attribute,
    })
}

/// What the style attribute of a tag declares.
fn own_style(html: &[u8], tag: &Tag) -> Vec<Declaration> {
    let Some(style) = tag.first(html, "style") else {
        return Vec::new();
    };
    let text = Text::attribute(html, style.value.clone(), encoding_rs::UTF_8);
    css::attribute(text.as_str())
        .unwrap_or_default()
        .own()
        .to_vec()
}

/// What hides an element from outside, less what it undoes itself.
fn around(cover: Cover, declared: &Declared<'_>) -> Cover {
    Cover {
        by_visibility: cover.by_visibility && !declared.shows_itself(),
        by_place: cover.by_place.filter(|_| !declared.places_itself()),
        ..cover
    }
}

/// What hides the children of an element that `cover` hides: the first for itself, the second what it adds. Asked of every element
/// that has an end, so first whether there is anything to ask.
pub(super) fn of_container(html: &[u8], tag: &Tag, sheet: &Sheet, cover: Cover) -> (Cover, Hiding) {
    let soft = cover.by_visibility || cover.by_place.is_some();
    let by_rule = sheet.may_hide() && {
        let named = ["class", "id"]
            .iter()
            .any(|name| tag.first(html, name).is_some());
        named || sheet.may_hide_any()
    };
    let by_itself = tag.first(html, "hidden").is_some()
        || tag
            .first(html, "style")
            .is_some_and(|style| may_hide(html.get(style.value.clone()).unwrap_or_default()));
    if !soft && !by_rule && !by_itself {
        return (cover, Hiding::default());
    }
    let own = own_style(html, tag);
    element_of(html, tag, |element| {
        let declared = Declared::of(element, false, &own, sheet, None);
        (around(cover, &declared), declared.hiding())
    })
}

/// Whether a style could hide something: a cheap question, whose yes is asked again properly.
fn may_hide(style: &[u8]) -> bool {
    const WORDS: [&[u8]; 6] = [b"display", b"visib", b"opac", b"clip", b"overfl", b"scale"];
    let lower = style.to_ascii_lowercase();
    let far = lower
        .windows(4)
        .any(|piece| matches!(piece, [b'-', rest @ ..] if rest.iter().all(u8::is_ascii_digit)));
    far || lower.contains(&b'\\')
        || lower.contains(&b'&')
        || WORDS
            .iter()
            .any(|word| memchr::memmem::find(&lower, word).is_some())
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

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
