//! What declarations say of size and visibility: the properties that matter, under few names, with values reduced to what
//! can be compared.
//!
//! It knows no selector and no element. What it cannot reduce is [`Value::Other`], which proves nothing. Declarations that every
//! browser drops are dropped here, too: they must not hide the one before them.

/// The value of a declaration; all that is not understood is [`Value::Other`].
#[derive(Debug, Clone, PartialEq)]
pub(in crate::pixel) enum Value {
    /// A length in CSS pixels.
    Pixels(f32),
    /// A number without a unit that is not zero: a length in quirks mode, invalid otherwise.
    Unitless(f32),
    /// An identifier, lower case; or what a function comes to (see [`NOTHING`], [`AWAY`]).
    Keyword(String),
    /// A percentage, a relative length, a function, several tokens.
    Other,
}

/// The keyword for a transformation, clip or filter that leaves nothing to see.
pub(in crate::pixel) const NOTHING: &str = "nothing";
/// The keyword for a transformation that moves the element off the page.
pub(in crate::pixel) const AWAY: &str = "away";
/// This far to the left or the top nobody scrolls, in pixels.
pub(in crate::pixel) const AWAY_PX: f32 = -999.0;

/// One declaration that may set the size or the visibility of a box.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::pixel) struct Declaration {
    /// Lower-case name, `inline-size` and the like under their horizontal names.
    pub(in crate::pixel) name: &'static str,
    /// Its value.
    pub(in crate::pixel) value: Value,
    /// `!important`.
    pub(in crate::pixel) important: bool,
    /// It stands in no at-rule and in no nested rule: wherever its rule matches, it holds.
    pub(in crate::pixel) always: bool,
}

/// The properties by which a box can shrink, grow, vanish or appear, each under the names we know it by.
const PROPERTIES: [(&str, &[&str]); 44] = [
    ("width", &["width"]),
    ("height", &["height"]),
    ("min-width", &["min-width"]),
    ("min-height", &["min-height"]),
    ("max-width", &["max-width"]),
    ("max-height", &["max-height"]),
    ("inline-size", &["width"]),
    ("block-size", &["height"]),
    ("min-inline-size", &["min-width"]),
    ("min-block-size", &["min-height"]),
    ("max-inline-size", &["max-width"]),
    ("max-block-size", &["max-height"]),
    ("display", &["display"]),
    ("transform", &["transform"]),
    ("-webkit-transform", &["transform"]),
    ("zoom", &["zoom"]),
    ("scale", &["scale"]),
    ("translate", &["translate"]),
    ("all", &["all"]),
    ("visibility", &["visibility"]),
    ("opacity", &["opacity"]),
    ("filter", &["filter"]),
    ("position", &["position"]),
    ("left", &["left"]),
    ("top", &["top"]),
    ("inset-inline-start", &["left"]),
    ("inset-block-start", &["top"]),
    ("right", &["right"]),
    ("bottom", &["bottom"]),
    ("inset", &["top", "right", "bottom", "left"]),
    (
        "margin",
        &["margin-top", "margin-right", "margin-bottom", "margin-left"],
    ),
    ("margin-left", &["margin-left"]),
    ("margin-top", &["margin-top"]),
    ("margin-right", &["margin-right"]),
    ("clip", &["clip"]),
    ("clip-path", &["clip-path"]),
    ("-webkit-clip-path", &["clip-path"]),
    ("overflow", &["overflow-x", "overflow-y"]),
    ("overflow-x", &["overflow-x"]),
    ("overflow-y", &["overflow-y"]),
    ("animation", &["animation"]),
    ("animation-name", &["animation"]),
    ("padding-top", &["padding"]),
    ("padding-bottom", &["padding"]),
];

/// The same property, whatever is written for it.
const PADDINGS: [&str; 5] = [
    "padding",
    "padding-left",
    "padding-right",
    "padding-block",
    "padding-inline",
];

/// Words that are a size, or ask for one elsewhere; any other word is invalid and the declaration dropped.
const SIZES: [&str; 14] = [
    "auto",
    "none",
    "inherit",
    "initial",
    "unset",
    "revert",
    "revert-layer",
    "min-content",
    "max-content",
    "fit-content",
    "stretch",
    "contain",
    "intrinsic",
    "min-intrinsic",
];

/// What a declaration says, once for each property it stands for. `single` is its value where that is one token, `text` the value
/// as written.
pub(super) fn declarations(
    property: &str,
    single: Option<Value>,
    text: &str,
    important: bool,
    always: bool,
) -> Vec<Declaration> {
    let names: &[&'static str] = match PROPERTIES.iter().find(|(known, _)| *known == property) {
        Some((_, names)) => names,
        None if PADDINGS.contains(&property) => &["padding"],
        None => return Vec::new(),
    };
    if let ([name], Some(value)) = (names, &single) {
        // One token for one property, as almost always: what it says is known.
        let value = reduced(name, value.clone(), "");
        let declaration = value.map(|value| Declaration {
            name,
            value,
            important,
            always,
        });
        return declaration.into_iter().collect();
    }
    let text = bare(text);
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let count = words.len();
    let mut declared = Vec::with_capacity(names.len());
    for (number, name) in names.iter().enumerate() {
        // A shorthand names its sides clockwise, or fewer for several.
        let word = match (names.len(), count) {
            (1, _) | (_, 0..=1) => None,
            (2, _) => words.get(number),
            (_, 2) => words.get(number % 2),
            (_, 3) => words.get(if number == 3 { 1 } else { number }),
            _ => words.get(number),
        };
        let value = match word {
            Some(word) => one_word(word),
            None => single.clone().unwrap_or(Value::Other),
        };
        let Some(value) = reduced(name, value, word.map_or(text.as_str(), |word| word)) else {
            continue;
        };
        declared.push(Declaration {
            name,
            value,
            important,
            always,
        });
    }
    declared
}

/// Lower case, without comments and `!important`.
fn bare(text: &str) -> String {
    let mut pieces = text.split("/*");
    let mut bare = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        bare.push_str(piece.split_once("*/").map_or("", |(_, after)| after));
    }
    let bare = bare.split('!').next().unwrap_or_default();
    bare.trim().to_ascii_lowercase()
}

/// What a value comes to for one property; `None` where every browser drops it.
fn reduced(name: &str, value: Value, text: &str) -> Option<Value> {
    Some(match (name, value) {
        ("width" | "height" | "min-width" | "min-height" | "max-width" | "max-height", value) => {
            return size(value, text);
        }
        // No more than its own size, or what resets it.
        ("zoom", Value::Pixels(_)) => Value::Keyword("none".to_owned()),
        ("zoom", Value::Unitless(factor)) if (0.0..=1.0).contains(&factor) => {
            Value::Keyword("none".to_owned())
        }
        ("zoom", Value::Other) if percent(text).is_some_and(|percent| percent <= 100.0) => {
            Value::Keyword("none".to_owned())
        }
        ("scale", Value::Pixels(_)) => Value::Keyword(NOTHING.to_owned()),
        ("scale", Value::Unitless(factor)) if (0.0..=1.0).contains(&factor) => {
            Value::Keyword("none".to_owned())
        }
        ("transform", Value::Other) => transform(text),
        ("opacity", Value::Other) => match percent(text) {
            Some(percent) => Value::Unitless(percent / 100.0),
            None => Value::Other,
        },
        ("filter", Value::Other)
            if ["opacity(0)", "opacity(0%)", "opacity(0.0)"].contains(&text) =>
        {
            Value::Keyword(NOTHING.to_owned())
        }
        ("clip", Value::Other) if is_empty_rect(text) => Value::Keyword(NOTHING.to_owned()),
        ("clip-path", Value::Other) if is_empty_path(text) => Value::Keyword(NOTHING.to_owned()),
        (_, Value::Other) => relative(text).map_or(Value::Other, Value::Pixels),
        (_, value) => value,
    })
}

/// A width or a height.
fn size(value: Value, text: &str) -> Option<Value> {
    match value {
        Value::Keyword(word) => {
            let known = SIZES.contains(&word.as_str()) || word.starts_with('-');
            known.then_some(Value::Keyword(word))
        }
        Value::Other => {
            let inside = text
                .strip_prefix("calc(")
                .and_then(|rest| rest.strip_suffix(')'));
            Some(match inside.unwrap_or(text) {
                // Internet Explorer reads the pixels, everybody else drops the declaration.
                hack if hack.ends_with("\\9") || hack.ends_with("\\0") => {
                    let pixels = hack.get(..hack.len().saturating_sub(2)).and_then(pixels);
                    pixels.map_or(Value::Other, Value::Unitless)
                }
                text => match pixels(text).or_else(|| small_relative(text)) {
                    Some(pixels) => Value::Pixels(pixels),
                    None => Value::Other,
                },
            })
        }
        value => Some(value),
    }
}

fn one_word(word: &str) -> Value {
    match pixels(word) {
        Some(pixels) => Value::Pixels(pixels),
        None if word
            .bytes()
            .all(|octet| octet.is_ascii_alphabetic() || octet == b'-') =>
        {
            Value::Keyword(word.to_owned())
        }
        None => Value::Other,
    }
}

/// A number and the unit behind it.
fn dimension(text: &str) -> Option<(f32, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit))
}

/// An absolute length.
fn pixels(text: &str) -> Option<f32> {
    let (number, unit) = dimension(text)?;
    match absolute(unit) {
        Some(factor) => Some(number * factor),
        None => (number == 0.0).then_some(0.0),
    }
}

/// How many pixels an absolute unit has.
pub(super) fn absolute(unit: &str) -> Option<f32> {
    Some(match unit {
        "px" => 1.0,
        "pt" => 96.0 / 72.0,
        "pc" => 16.0,
        "in" => 96.0,
        "cm" => 96.0 / 2.54,
        "mm" => 96.0 / 25.4,
        "q" => 96.0 / 101.6,
        _ => return None,
    })
}

/// A length relative to a font or a window, taken for the ordinary one.
fn relative(text: &str) -> Option<f32> {
    let (number, unit) = dimension(text)?;
    matches!(unit, "em" | "rem" | "ex" | "ch").then_some(number * 16.0)
}

/// The same where it is tiny with any font and in any window that somebody reads with.
fn small_relative(text: &str) -> Option<f32> {
    let (number, unit) = dimension(text)?;
    let is_small = matches!(
        unit,
        "em" | "rem" | "ex" | "ch" | "vw" | "vh" | "vmin" | "vmax"
    ) && (0.0..=0.1).contains(&number);
    is_small.then_some(number * 16.0)
}

fn percent(text: &str) -> Option<f32> {
    let (number, unit) = dimension(text)?;
    (unit == "%").then_some(number)
}

/// The functions of a value with their arguments. `None` where it is something else.
fn functions(text: &str) -> Option<Vec<(&str, Vec<&str>)>> {
    let mut functions = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('(')?;
        let (arguments, after) = after.split_once(')')?;
        let arguments = arguments
            .split([',', ' '])
            .map(str::trim)
            .filter(|argument| !argument.is_empty());
        functions.push((name.trim(), arguments.collect()));
        rest = after.trim_start();
    }
    Some(functions)
}

/// What a transformation does: leaves nothing, moves off the page, keeps the size at most, or anything.
fn transform(text: &str) -> Value {
    let Some(functions) = functions(text) else {
        return Value::Other;
    };
    let number = |text: &&str| text.parse::<f32>().ok();
    let mut word = "none";
    for (name, arguments) in functions {
        match name {
            "scale" | "scalex" | "scaley" => {
                let factors: Option<Vec<f32>> = arguments.iter().map(number).collect();
                match factors {
                    Some(factors) if factors.contains(&0.0) => word = NOTHING,
                    Some(factors) if factors.iter().all(|factor| factor.abs() <= 1.0) => {}
                    _ => return Value::Other,
                }
            }
            "translate" | "translatex" | "translatey" => {
                let away = arguments
                    .iter()
                    .filter_map(|length| pixels(length).or_else(|| relative(length)))
                    .any(|length| length <= AWAY_PX);
                if away && word == "none" {
                    word = AWAY;
                }
            }
            "rotate" => {}
            _ => return Value::Other,
        }
    }
    Value::Keyword(word.to_owned())
}

/// `rect(top, right, bottom, left)` with nothing between two of its sides.
fn is_empty_rect(text: &str) -> bool {
    let sides = functions(text).and_then(|functions| match functions.as_slice() {
        [("rect", sides)] => sides.iter().map(|side| pixels(side)).collect(),
        _ => None::<Vec<f32>>,
    });
    matches!(sides.as_deref(), Some([top, right, bottom, left]) if bottom <= top || right <= left)
}

/// A clip path without an area.
fn is_empty_path(text: &str) -> bool {
    let Some(functions) = functions(text) else {
        return false;
    };
    match functions.as_slice() {
        [("inset", sides)] => match sides.as_slice() {
            [all] => percent(all).is_some_and(|percent| percent >= 50.0),
            _ => false,
        },
        [("circle", radius)] => radius
            .first()
            .is_some_and(|radius| pixels(radius) == Some(0.0) || percent(radius) == Some(0.0)),
        [("polygon", points)] => {
            !points.is_empty() && points.iter().all(|point| pixels(point) == Some(0.0))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(property: &str, text: &str) -> Vec<(&'static str, Value)> {
        declarations(property, None, text, false, true)
            .into_iter()
            .map(|declaration| (declaration.name, declaration.value))
            .collect()
    }

    fn word(text: &str) -> Value {
        Value::Keyword(text.to_owned())
    }

    #[test]
    fn shorthands_are_their_sides() {
        let sides = |text: &str| -> Vec<Value> {
            one("margin", text)
                .into_iter()
                .map(|(_, value)| value)
                .collect()
        };
        let px = Value::Pixels;
        assert_eq!(
            sides("0 auto"),
            [px(0.0), word("auto"), px(0.0), word("auto")]
        );
        assert_eq!(sides("0 0 0 -9999px").last(), Some(&px(-9999.0)));
        assert_eq!(sides("1px 2px 3px"), [px(1.0), px(2.0), px(3.0), px(2.0)]);
        assert_eq!(
            one("overflow", "hidden visible"),
            [
                ("overflow-x", word("hidden")),
                ("overflow-y", word("visible"))
            ]
        );
        assert_eq!(one("color", "red"), []);
    }

    #[test]
    fn sizes_are_read_or_dropped() {
        for (text, expected) in [
            ("calc(1px)", Some(Value::Pixels(1.0))),
            ("calc( 0px )", Some(Value::Pixels(0.0))),
            ("1px\\9", Some(Value::Unitless(1.0))),
            (".1em", Some(Value::Pixels(1.6))),
            ("0.1vw", Some(Value::Pixels(1.6))),
            ("1em", Some(Value::Other)),
            ("100%", Some(Value::Other)),
            ("calc(1px + 1px)", Some(Value::Other)),
            ("calc(100% - 1px)", Some(Value::Other)),
        ] {
            let value = one("width", text).pop().map(|(_, value)| value);
            assert_eq!(value, expected, "{text}");
        }
        let keyword = |text: &str| declarations("width", Some(word(text)), text, false, true);
        assert!(keyword("foo").is_empty());
        assert_eq!(keyword("auto").len(), 1);
        assert_eq!(keyword("-webkit-fill-available").len(), 1);
    }

    #[test]
    fn functions_come_to_words() {
        for (property, text, expected) in [
            ("transform", "scale(1)", word("none")),
            ("transform", "scale(.5) rotate(4deg)", word("none")),
            ("transform", "scale(0)", word(NOTHING)),
            ("transform", "scaleX(0)", word(NOTHING)),
            ("transform", "translateX(-9999px)", word(AWAY)),
            ("transform", "translate(-9999px, 3px)", word(AWAY)),
            ("transform", "translate(-50%)", word("none")),
            ("transform", "scale(100)", Value::Other),
            ("transform", "matrix(1,0,0,1,0,0)", Value::Other),
            ("transform", "scale(", Value::Other),
            ("zoom", "100%", word("none")),
            ("zoom", "300%", Value::Other),
            ("clip", "rect(0,0,0,0)", word(NOTHING)),
            ("clip", "rect(0 0 0 0)", word(NOTHING)),
            ("clip", "rect(1px,1px,1px,1px)", word(NOTHING)),
            ("clip", "rect(0,9px,9px,0)", Value::Other),
            ("clip", "rect(auto,auto,auto,auto)", Value::Other),
            ("clip-path", "inset(100%)", word(NOTHING)),
            ("clip-path", "inset(50%) /* x */", word(NOTHING)),
            ("clip-path", "inset(10%)", Value::Other),
            ("clip-path", "circle(0)", word(NOTHING)),
            ("clip-path", "polygon(0 0, 0 0, 0 0)", word(NOTHING)),
            ("clip-path", "polygon(0 0, 9px 0, 0 9px)", Value::Other),
            ("opacity", "1%", Value::Unitless(0.01)),
            ("filter", "opacity(0) !important", word(NOTHING)),
            ("left", "-100em", Value::Pixels(-1600.0)),
        ] {
            let value = one(property, text).pop().map(|(_, value)| value);
            assert_eq!(value, Some(expected), "{property}: {text}");
        }
    }
}
