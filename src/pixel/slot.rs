//! The slot of a load: what stays the same in it over the messages of one template (DESIGN 4 "learning").
//!
//! Host, the shape of the path, the names of the parameters, the kind of element; no ordinals and no skeleton of the document, which
//! templates change from message to message. Nothing that could name a person stays in it. It never fails.

use super::identifier::segment_identifies;
use super::url::Url;
use super::{Slot, Vector};

/// Octets of a literal segment that is kept as it is.
const LITERAL_OCTETS: usize = 40;
/// Segments and parameters that are told apart.
const PIECES_MAX: usize = 32;

/// The slot of a URL.
pub(super) fn slot(url: &Url, vector: Vector) -> Slot {
    let mut shape = String::new();
    for segment in url.segments().into_iter().take(PIECES_MAX) {
        shape.push('/');
        shape.push_str(&told(segment));
    }
    let mut names: Vec<String> = url
        .parameters()
        .take(PIECES_MAX)
        .map(|(name, _)| told(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    for (number, name) in names.iter().enumerate() {
        shape.push(if number == 0 { '?' } else { '&' });
        shape.push_str(name);
    }
    Slot {
        host: url.host.split('.').map(told).collect::<Vec<_>>().join("."),
        shape,
        vector,
    }
}

/// A piece of a URL as it is in every message: words stay, what may be an identifier becomes its kind.
fn told(piece: &str) -> String {
    let (stem, ending) = match piece.rsplit_once('.') {
        Some((stem, ending)) if (1..=5).contains(&ending.len()) => (stem, Some(ending)),
        _ => (piece, None),
    };
    let is_word = stem.len() <= LITERAL_OCTETS
        && !segment_identifies(stem)
        && !stem.bytes().any(|octet| octet.is_ascii_digit());
    let stem = match is_word {
        true => stem.to_lowercase(),
        false if stem.bytes().all(|octet| octet.is_ascii_digit()) => "0".to_owned(),
        false
            if stem
                .bytes()
                .all(|octet| octet.is_ascii_hexdigit() || octet == b'-') =>
        {
            "h".to_owned()
        }
        false => "b".to_owned(),
    };
    match ending {
        Some(ending) => format!("{stem}.{}", ending.to_lowercase()),
        None => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::url::{Target, target};

    fn shape(reference: &str) -> String {
        match target(reference, None) {
            Target::Remote(url) => {
                let slot = slot(&url, Vector::Img);
                format!("{} {}", slot.host, slot.shape)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_changes_from_message_to_message_is_not_told_apart() {
        let one = shape("https://t.brand.example/o/a8f3k2c9x1/123?u=17&c=spring");
        assert_eq!(
            one,
            shape("https://t.brand.example/o/q7d0z5m2y8/4?c=autumn&u=18")
        );
        assert_eq!(one, "t.brand.example /o/b/0?c&u");
        assert_eq!(
            shape("https://i.brand.example/0123abcd4567ef89.gif"),
            "i.brand.example /h.gif"
        );
        assert_ne!(
            shape("https://i.brand.example/a/logo.png"),
            shape("https://i.brand.example/b/logo.png")
        );
    }
}
