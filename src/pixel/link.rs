//! Whether a recipient can see and follow a link, as far as its own tag and what follows it say (D10).
//!
//! A withdrawal link is there for people: one that is hidden, or that holds nothing to click on, offers nothing. What an
//! element around it or a style sheet hides is not seen here. When in doubt it says no, which permits nothing.

use super::tag::Tag;

/// Declarations that hide an element altogether, without blanks.
const HIDING: [&str; 5] = [
    "display:none",
    "visibility:hidden",
    "visibility:collapse",
    "font-size:0",
    "opacity:0",
];

/// Whether there is something to click on; `style` is the tag's own, as a client reads it.
pub(super) fn can_be_followed(html: &[u8], tag: &Tag, style: Option<&str>) -> bool {
    let hidden = tag.first(html, "hidden").is_some() || style.is_some_and(hides);
    let empty = tag.name == "a" && ends_at_once(html, tag.range.end);
    !hidden && !empty
}

fn hides(style: &str) -> bool {
    let bare: String = without_comments(style)
        .chars()
        .filter(|c| !c.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect();
    bare.split(';').any(|declaration| {
        HIDING.iter().any(|hiding| {
            let rest = declaration.strip_prefix(hiding);
            // `font-size:0.9em` hides nothing, `opacity:0.0` and `font-size:0px` do.
            rest.is_some_and(|rest| !rest.contains(|c: char| ('1'..='9').contains(&c)))
        })
    })
}

fn without_comments(style: &str) -> String {
    let mut pieces = style.split("/*");
    let mut bare = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        bare.push_str(piece.split_once("*/").map_or("", |(_, after)| after));
    }
    bare
}

/// Whether the element ends with nothing in it but blanks.
fn ends_at_once(html: &[u8], start: usize) -> bool {
    let mut rest = html.get(start..).unwrap_or_default().trim_ascii_start();
    while let Some(after) = BLANKS.iter().find_map(|blank| rest.strip_prefix(*blank)) {
        rest = after.trim_ascii_start();
    }
    let end = rest.get(..3).unwrap_or_default();
    rest.is_empty() || end.eq_ignore_ascii_case(b"</a")
}

/// What is written where nothing is to be seen: the entity, and U+00A0 in UTF-8.
const BLANKS: [&[u8]; 4] = [b"&nbsp;", b"&#160;", b"&zwnj;", b"\xc2\xa0"];
