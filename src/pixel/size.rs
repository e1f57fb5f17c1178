//! How large an image is drawn, as far as its own attributes and its own style say: CSS beats attribute, a percentage
//! or one side alone is unknown, and unknown is never tiny.
//!
//! It knows no `<style>` and no URL. A size that cannot be read is unknown, which leaves the element alone.

use super::css::{Declaration, Value};
use super::style::scales;

/// Both sides at most this many CSS pixels: nobody sees it (DESIGN 4).
pub(super) const TINY_PX: f32 = 3.0;

/// Beside a weak rule a box of this area with one tiny side is signal enough: 20x1, 2x6 (detection survey 5.7).
const ALMOST_INVISIBLE_PX2: f32 = 25.0;

/// What fixes a side's length, which decides what a rule in `<style>` can do to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The attribute: any rule beats it.
    Attribute,
    /// The style attribute: only an important rule beats it.
    Inline,
    /// An important declaration in the style attribute: no rule beats it.
    InlineImportant,
    /// `max-width` or `max-height` in the style attribute.
    Cap,
    /// The same, important.
    CapImportant,
}

/// One side of the box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Side {
    /// Length in pixels where it is known.
    pub(super) pixels: Option<f32>,
    /// What fixes it.
    pub(super) source: Source,
}

impl Side {
    /// Known, and at most [`TINY_PX`].
    pub(super) fn is_tiny(self) -> bool {
        self.pixels.is_some_and(|pixels| pixels <= TINY_PX)
    }
}

/// The box of one element by its own words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct OwnBox {
    /// The horizontal side.
    pub(super) width: Side,
    /// The vertical side.
    pub(super) height: Side,
    /// `display: none` in its own style.
    pub(super) display_none: Option<Importance>,
}

/// Whether a declaration is important.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Importance {
    /// It is not.
    Normal,
    /// It is.
    Important,
}

impl OwnBox {
    /// Both sides known and tiny.
    pub(super) fn is_tiny(&self) -> bool {
        self.width.is_tiny() && self.height.is_tiny()
    }

    /// Tiny on one side and small in all. Never evidence by itself.
    pub(super) fn is_almost_invisible(&self) -> bool {
        match (self.width.pixels, self.height.pixels) {
            (Some(width), Some(height)) => {
                self.is_tiny()
                    || (width.min(height) <= TINY_PX && width * height <= ALMOST_INVISIBLE_PX2)
            }
            _ => false,
        }
    }

    /// From the two attributes and the declarations of the style attribute.
    pub(super) fn of(
        width: Option<&str>,
        height: Option<&str>,
        declarations: &[Declaration],
    ) -> Self {
        let last = |name: &str| winner(declarations, name);
        // Scaled or reset boxes are not worth computing: unknown.
        let scaled = ["transform", "zoom", "scale"]
            .into_iter()
            .filter_map(last)
            .any(|declaration| scales(&declaration.value));
        let side = |attribute: Option<&str>, names: [&str; 3], auto_keeps: bool| {
            let [size, min, max] = names.map(last);
            let side = side(attribute.and_then(dimension), size, auto_keeps);
            let side = at_least(at_most(side, max), min);
            if scaled {
                Side {
                    pixels: None,
                    ..side
                }
            } else {
                side
            }
        };
        let display = last("display").filter(
            |declaration| matches!(&declaration.value, Value::Keyword(word) if word == "none"),
        );
        Self {
            width: side(width, ["width", "min-width", "max-width"], false),
            height: side(height, ["height", "min-height", "max-height"], true),
            display_none: display.map(|declaration| {
                if declaration.important {
                    Importance::Important
                } else {
                    Importance::Normal
                }
            }),
        }
    }
}

/// The declaration that wins within one style attribute: the last important one, else the last.
pub(super) fn winner<'d>(declarations: &'d [Declaration], name: &str) -> Option<&'d Declaration> {
    let named = || {
        declarations
            .iter()
            .rev()
            .filter(|declaration| declaration.name == name)
    };
    named()
        .find(|declaration| declaration.important)
        .or_else(|| named().next())
}

fn side(attribute: Option<Dimension>, size: Option<&Declaration>, auto_keeps: bool) -> Side {
    let by_attribute = match attribute {
        Some(Dimension::Pixels(pixels)) => Some(pixels),
        Some(Dimension::Percent) | None => None,
    };
    let Some(size) = size else {
        return Side {
            pixels: by_attribute,
            source: Source::Attribute,
        };
    };
    let source = if size.important {
        Source::InlineImportant
    } else {
        Source::Inline
    };
    match &size.value {
        Value::Pixels(pixels) => Side {
            pixels: Some(pixels.max(0.0)),
            source,
        },
        // Quirks mode takes the number as pixels, standards mode drops the declaration: both must be small.
        Value::Unitless(pixels) => Side {
            pixels: by_attribute.map(|attribute| attribute.max(*pixels)),
            source: Source::Attribute,
        },
        // "height: auto" beside a small attribute does not make a pixel large (issue: first layer).
        Value::Keyword(word) if word == "auto" && auto_keeps => Side {
            pixels: by_attribute,
            source: Source::Attribute,
        },
        Value::Keyword(_) | Value::Other => Side {
            pixels: None,
            source,
        },
    }
}

fn at_most(side: Side, max: Option<&Declaration>) -> Side {
    match max {
        Some(Declaration {
            value: Value::Pixels(cap),
            important,
            ..
        }) if side.pixels.is_none_or(|pixels| pixels > *cap) && *cap >= 0.0 => Side {
            pixels: Some(*cap),
            source: if *important {
                Source::CapImportant
            } else {
                Source::Cap
            },
        },
        _ => side,
    }
}

fn at_least(side: Side, min: Option<&Declaration>) -> Side {
    let unknown = Side {
        pixels: None,
        ..side
    };
    match min.map(|declaration| &declaration.value) {
        None => side,
        Some(Value::Pixels(least)) => Side {
            pixels: side.pixels.map(|pixels| pixels.max(*least)),
            ..side
        },
        Some(Value::Unitless(least)) if *least <= TINY_PX => side,
        Some(Value::Keyword(word)) if word == "auto" => side,
        Some(_) => unknown,
    }
}

/// A `width` or `height` attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Dimension {
    /// Pixels.
    Pixels(f32),
    /// Per cent of something.
    Percent,
}

/// Reads a dimension attribute (HTML 2.3.4.4): white space, a number, then `%` or anything.
pub(super) fn dimension(text: &str) -> Option<Dimension> {
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let text = text.strip_prefix('+').unwrap_or(text);
    let whole = text
        .len()
        .saturating_sub(text.trim_start_matches(|c: char| c.is_ascii_digit()).len());
    if whole == 0 {
        return None;
    }
    let after = text.get(whole..).unwrap_or_default();
    let fraction = after.strip_prefix('.').map_or(0, |digits| {
        digits
            .len()
            .saturating_sub(
                digits
                    .trim_start_matches(|c: char| c.is_ascii_digit())
                    .len(),
            )
            .saturating_add(1)
    });
    let end = whole.saturating_add(fraction);
    if text.get(end..).unwrap_or_default().starts_with('%') {
        return Some(Dimension::Percent);
    }
    text.get(..end)?.parse().ok().map(Dimension::Pixels)
}

#[cfg(test)]
#[path = "size_tests.rs"]
mod tests;
