//! An image that stays where it is and shows nothing: tag and box remain, a transparent GIF takes the place of its URL.
//!
//! It must never leave the image without a source or a side: a client that drops `data:` draws its broken-image icon in the box
//! it is told, else in 16 by 16. It cannot fail.

use super::super::Edit;
use super::super::look::rounded_up;
use super::super::size::{Side, dimension};
use super::super::tag::Tag;
use super::cut::in_place_of;
use super::{Subject, TRANSPARENT_GIF};

impl Subject<'_> {
    pub(super) fn blank_image(&self) -> Vec<Edit> {
        let Some(tag) = self.tag else {
            return Vec::new();
        };
        let stripped = self.named();
        let src = tag
            .attributes
            .iter()
            .position(|attribute| self.is_called(attribute, "src"));
        // Without any `src` the image came from `srcset` alone: then the blank one must get a `src`.
        let shown = match src {
            Some(first) => stripped.binary_search(&first).is_ok(),
            None => true,
        };
        let mut additions = String::new();
        let mut edits = Vec::new();
        if shown {
            if src.is_none() {
                additions = format!(" src=\"{TRANSPARENT_GIF}\"");
            }
            // In a picture they would shrink the source that is shown.
            if !self.load.in_picture {
                additions.push_str(&self.sides(tag, &mut edits));
            }
        }
        for (number, attribute) in tag.attributes.iter().enumerate() {
            let replacement = if self.is_called(attribute, "srcset") {
                if !shown && stripped.binary_search(&number).is_err() {
                    continue;
                }
                "srcset=\"\"".to_owned()
            } else if stripped.binary_search(&number).is_ok()
                // Once the image is blank, other copies of its URL are too: the box that is told now makes them tiny.
                || (shown && self.is_called(attribute, "src"))
            {
                format!("src=\"{TRANSPARENT_GIF}\"")
            } else {
                continue;
            };
            let replacement = format!("{replacement}{}", std::mem::take(&mut additions));
            edits.push(in_place_of(attribute, replacement.as_bytes()));
        }
        edits.sort_by_key(|edit| edit.range.start);
        edits
    }

    /// Both sides must be told. A missing one is returned for adding, one that says nothing is replaced.
    fn sides(&self, tag: &Tag, edits: &mut Vec<Edit>) -> String {
        let own = self.load.own;
        let mut additions = String::new();
        for (name, side) in [
            ("width", own.map(|own| own.width)),
            ("height", own.map(|own| own.height)),
        ] {
            let written = format!("{name}=\"{}\"", told(side));
            match tag.first(self.html, name) {
                None => {
                    additions.push(' ');
                    additions.push_str(&written);
                }
                Some(attribute) => {
                    let value = self.html.get(attribute.value.clone()).unwrap_or_default();
                    let says = std::str::from_utf8(value)
                        .ok()
                        .and_then(dimension)
                        .is_some();
                    // A reference in a number is not worth decoding twice: it says something.
                    if !says && !value.contains(&b'&') {
                        edits.push(in_place_of(attribute, written.as_bytes()));
                    }
                }
            }
        }
        additions
    }
}

/// The length to tell for a side that has no attribute: what its style says where that is a length (it keeps winning
/// over the attribute anyway), else that of the pixel that stood there.
fn told(side: Option<Side>) -> u8 {
    match side {
        Some(side) if side.pixels.is_some() => rounded_up(side),
        _ => 1,
    }
}
