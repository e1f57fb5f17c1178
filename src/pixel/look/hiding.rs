//! Whether nobody can see an element in any state of any client, by what is declared of it: its own style, its `hidden`
//! attribute, the rules that could match it.
//!
//! Each property is asked for every value that it could have: in a media query, under the pointer, by a rule that may or may not
//! match. Only where all of them hide is it hidden; what could be anything may be visible. It knows no URL and passes no judgement.

use super::super::css::{AWAY, AWAY_PX, Declaration, NOTHING, Value};
use super::super::size::{OwnBox, Side, Source, winner};
use super::super::style::{Element, Name, Sheet};
use std::collections::HashSet;

/// As good as transparent.
const TRANSPARENT: f32 = 0.01;
/// Less than this brings nothing back that lies beyond [`AWAY_PX`].
const NEAR_PX: f32 = 100.0;

/// Elements that are blocks unless something else is declared.
const BLOCKS: [&str; 12] = [
    "div",
    "section",
    "center",
    "article",
    "header",
    "footer",
    "main",
    "aside",
    "figure",
    "blockquote",
    "nav",
    "address",
];

/// Whether an element by this name is a block by itself.
pub(super) fn is_block(name: &str) -> bool {
    BLOCKS.contains(&name)
}

/// How an element hides itself and what is inside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::pixel) struct Hiding {
    /// In a way that nothing inside can undo.
    pub(super) wholly: Option<&'static str>,
    /// What is inside may be visible again.
    pub(super) by_visibility: bool,
    /// What is inside may be placed elsewhere.
    pub(super) by_place: Option<&'static str>,
}

impl Hiding {
    /// The reason, if there is one.
    pub(super) fn reason(self) -> Option<&'static str> {
        let visibility = self.by_visibility.then_some("visibility");
        self.wholly.or(visibility).or(self.by_place)
    }
}

/// All that is declared of one element.
pub(super) struct Declared<'s> {
    tag: &'s str,
    /// It is drawn from elsewhere: an image, a frame. Otherwise it holds other elements.
    replaced: bool,
    hidden_attribute: bool,
    own: &'s [Declaration],
    /// By rules, each with whether it surely holds; `None`: anything.
    said: Option<Vec<(&'s Declaration, bool)>>,
}

impl<'s> Declared<'s> {
    pub(super) fn of(
        element: &Element<'s>,
        replaced: bool,
        own: &'s [Declaration],
        sheet: &'s Sheet,
        names: Option<&HashSet<Name>>,
    ) -> Self {
        Self {
            tag: element.tag,
            replaced,
            hidden_attribute: (element.attribute)("hidden").is_some(),
            own,
            said: sheet.said(element, names),
        }
    }

    /// How it hides.
    pub(super) fn hiding(&self) -> Hiding {
        let anything = self.said.is_none() && !self.own.iter().any(|own| own.important);
        if anything || self.could("all", |_| true) || self.is_animated() {
            return Hiding::default();
        }
        if self.always("display", |value| is_word(value, "none")) {
            return Hiding {
                wholly: Some("display_none"),
                ..Hiding::default()
            };
        }
        if self.could("display", |value| is_word(value, "contents")) {
            // It has no box of its own that could hide anything.
            return Hiding::default();
        }
        Hiding {
            wholly: self.wholly(),
            by_visibility: self.always("visibility", is_invisible),
            by_place: self.by_place(),
        }
    }

    fn wholly(&self) -> Option<&'static str> {
        let nothing = |value: &Value| is_word(value, NOTHING);
        let transparent = |value: &Value| matches!(value, Value::Pixels(part) | Value::Unitless(part) if *part <= TRANSPARENT);
        if self.always("opacity", transparent) || self.always("filter", nothing) {
            return Some("opacity");
        }
        let lifted = self.always("position", is_lifted);
        if self.always("clip-path", nothing) || (lifted && self.always("clip", nothing)) {
            return Some("clipped");
        }
        // Nothing inline is transformed, except what is drawn from elsewhere.
        let has_box = self.replaced || lifted || self.has_block_box();
        (has_box && (self.always("transform", nothing) || self.always("scale", nothing)))
            .then_some("scaled_to_nothing")
    }

    fn by_place(&self) -> Option<&'static str> {
        let away = |value: &Value| matches!(value, Value::Pixels(length) if *length <= AWAY_PX);
        let moved = self.always("position", |value| {
            is_lifted(value) || is_word(value, "relative")
        });
        let offset = self.always("left", away) || self.always("top", away);
        let margin = self.always("margin-left", away) || self.always("margin-top", away);
        let has_box = self.replaced || moved || self.has_block_box();
        let transformed = self.always("transform", |value| is_word(value, AWAY));
        if (moved && offset) || margin || (has_box && transformed) {
            return Some("off_screen");
        }
        let clips = |name| {
            self.always(name, |value| {
                is_word(value, "hidden") || is_word(value, "clip")
            })
        };
        let zero = |value: &Value| matches!(value, Value::Pixels(length) if *length <= 0.0);
        let grows = |value: &Value| !zero(value) && !is_word(value, "auto");
        let flat = |size, max, min| {
            (self.always(size, zero) || self.always(max, zero)) && !self.could(min, grows)
        };
        let empty = (clips("overflow-x") && flat("width", "max-width", "min-width"))
            || (clips("overflow-y") && flat("height", "max-height", "min-height"));
        // What has padding shows what overflows into it.
        let padded = self.could("padding", |value| !zero(value));
        (!self.replaced && empty && !padded && self.has_block_box()).then_some("zero_box")
    }

    /// Whether one side of its box is nothing, and nothing could make it more.
    pub(super) fn has_no_side(&self, own: OwnBox) -> bool {
        let more = |value: &Value| !matches!(value, Value::Pixels(length) if *length <= 0.0);
        let stays = |side: Side, [size, min, max]: [&str; 3]| {
            let capped = matches!(side.source, Source::Cap | Source::CapImportant);
            let by_size = !capped && self.could(size, more);
            let by_max = capped && self.could(max, more);
            let by_min = self.could(min, |value| more(value) && !is_word(value, "auto"));
            side.pixels.is_some_and(|pixels| pixels <= 0.0) && !by_size && !by_max && !by_min
        };
        let known = self.said.is_some() && !self.could("all", |_| true) && !self.is_animated();
        known
            && (stays(own.width, ["width", "min-width", "max-width"])
                || stays(own.height, ["height", "min-height", "max-height"]))
    }

    /// Whether its sides and its overflow count: an inline element has none.
    fn has_block_box(&self) -> bool {
        let block = |value: &Value| {
            ["block", "inline-block", "flow-root", "flex", "grid"]
                .iter()
                .any(|word| is_word(value, word))
        };
        match is_block(self.tag) {
            true => !self.could("display", |value| !block(value) && !is_word(value, "none")),
            false => self.always("display", block),
        }
    }

    /// An animation may show what is declared away: they begin invisible.
    fn is_animated(&self) -> bool {
        let declared = self.own.iter();
        let said = self.said.iter().flatten().map(|(declared, _)| *declared);
        declared
            .chain(said)
            .any(|declared| declared.name == "animation" && !is_word(&declared.value, "none"))
    }

    /// Whether it could make itself visible inside something invisible.
    pub(super) fn shows_itself(&self) -> bool {
        self.could("visibility", |value| {
            !is_invisible(value) && !is_word(value, "inherit")
        }) || self.could("all", |_| true)
            || self.is_animated()
    }

    /// Whether it could place itself elsewhere than what it is inside of.
    pub(super) fn places_itself(&self) -> bool {
        let far = |value: &Value| match value {
            Value::Pixels(length) => length.abs() > NEAR_PX,
            Value::Keyword(word) => word != "auto",
            Value::Unitless(_) | Value::Other => true,
        };
        let sides = [
            "left",
            "top",
            "right",
            "bottom",
            "margin-left",
            "margin-top",
            "margin-right",
            "translate",
        ];
        self.could("position", |value| {
            !is_word(value, "static") && !is_word(value, "relative")
        }) || sides.into_iter().any(|side| self.could(side, far))
            || self.could("transform", |value| !is_word(value, "none"))
            || self.could("all", |_| true)
            || self.is_animated()
    }

    /// Whether a property has, whatever holds, a value that is so.
    fn always(&self, name: &str, asked: impl Fn(&Value) -> bool) -> bool {
        let own = winner(self.own, name);
        if let Some(own) = own.filter(|own| own.important) {
            return asked(&own.value);
        }
        let Some(said) = &self.said else {
            return false;
        };
        let mut some = match own {
            Some(own) if !asked(&own.value) => return false,
            Some(_) => true,
            None => name == "display" && self.hidden_attribute,
        };
        for (declared, sure) in said.iter().filter(|(declared, _)| declared.name == name) {
            if own.is_some() && !declared.important {
                continue;
            }
            if !asked(&declared.value) {
                return false;
            }
            some |= sure;
        }
        some
    }

    /// Whether a property could have a declared value that is so.
    fn could(&self, name: &str, asked: impl Fn(&Value) -> bool) -> bool {
        let own = winner(self.own, name);
        let settled = own.is_some_and(|own| own.important);
        let Some(said) = &self.said else {
            return !settled || own.is_some_and(|own| asked(&own.value));
        };
        own.is_some_and(|own| asked(&own.value))
            || (!settled
                && said.iter().any(|(declared, _)| {
                    declared.name == name
                        && (own.is_none() || declared.important)
                        && asked(&declared.value)
                }))
    }
}

fn is_word(value: &Value, word: &str) -> bool {
    matches!(value, Value::Keyword(found) if found == word)
}

fn is_invisible(value: &Value) -> bool {
    is_word(value, "hidden") || is_word(value, "collapse")
}

/// Out of the flow.
fn is_lifted(value: &Value) -> bool {
    is_word(value, "absolute") || is_word(value, "fixed")
}
