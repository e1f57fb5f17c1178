//! The small language in which rules describe paths, hosts and parameters: literals and classes of characters, matched
//! in linear time. No regular expression ever runs over a URL.
//!
//! One segment is literal text with classes in angle brackets, at most one of them of variable length:
//! `<hex>` `<hexm>` (hex, digits and letters mixed) `<hexd>` (hex and dashes) `<n>` (digits) `<b64>` (base64, base64url
//! and what frames it) `<t>` (anything), each followed by nothing (one or more), a length (`<hex8>`) or a least length
//! (`<b64 40+>`); `<uuid>`. `*` is one whole segment, `**` any number of segments.
//! It knows no rule. A shape that cannot be read is an error naming the shape; the rules are compiled in, so a test sees it.

use thiserror::Error;

/// A shape that does not follow the language above. The author of the rule is to blame; never transient.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ShapeError {
    /// An angle bracket that is not closed or a class that does not exist.
    #[error("unknown class in shape {0:?}")]
    Class(String),
    /// Two classes of variable length in one segment would need backtracking.
    #[error("more than one class of variable length in a segment of {0:?}")]
    Variable(String),
    /// More than one `**` besides those at the ends.
    #[error("more than one inner ** in shape {0:?}")]
    Gaps(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Class { set: Set, least: usize, exact: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Hex,
    HexMixed,
    Digits,
    HexDash,
    Base64,
    Any,
}

impl Set {
    fn fits(self, text: &str) -> bool {
        let mixed = |text: &str| {
            text.contains(|c: char| c.is_ascii_digit())
                && text.contains(|c: char| c.is_ascii_alphabetic())
        };
        text.chars().all(|c| self.holds(c)) && (self != Self::HexMixed || mixed(text))
    }

    fn holds(self, c: char) -> bool {
        match self {
            Self::Hex | Self::HexMixed => c.is_ascii_hexdigit(),
            Self::Digits => c.is_ascii_digit(),
            Self::HexDash => c.is_ascii_hexdigit() || c == '-',
            Self::Base64 => {
                c.is_ascii_alphanumeric()
                    || matches!(c, '-' | '_' | '+' | '=' | '.' | '~' | '%' | ',')
            }
            Self::Any => true,
        }
    }
}

/// One segment, host label, parameter name or value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pieces: Vec<Piece>,
    fold: bool,
}

impl Segment {
    /// Reads a segment; `fold` makes its literals match either case.
    pub(super) fn parse(text: &str, fold: bool) -> Result<Self, ShapeError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let Some(open) = rest.find('<') else {
                pieces.push(Piece::Literal(rest.to_owned()));
                break;
            };
            let (literal, after) = rest.split_at_checked(open).unwrap_or((rest, ""));
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            let (class, after) = after
                .strip_prefix('<')
                .and_then(|after| after.split_once('>'))
                .ok_or_else(|| ShapeError::Class(text.to_owned()))?;
            pieces.extend(classes(class).ok_or_else(|| ShapeError::Class(text.to_owned()))?);
            rest = after;
        }
        let variable = |piece: &&Piece| matches!(piece, Piece::Class { exact: false, .. });
        if pieces.iter().filter(variable).count() > 1 {
            return Err(ShapeError::Variable(text.to_owned()));
        }
        Ok(Self { pieces, fold })
    }

    /// The text, where the segment is nothing but text.
    pub(super) fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether the whole of `text` has this shape.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut rest = text;
        for (at, piece) in self.pieces.iter().enumerate() {
            let taken = match piece {
                Piece::Literal(literal) => literal.len(),
                Piece::Class { least, exact, .. } if *exact => *least,
                Piece::Class { .. } => {
                    let after = self.pieces.iter().skip(at.saturating_add(1));
                    let fixed: usize = after
                        .map(|piece| match piece {
                            Piece::Literal(literal) => literal.len(),
                            Piece::Class { least, .. } => *least,
                        })
                        .sum();
                    match rest.len().checked_sub(fixed) {
                        Some(taken) => taken,
                        None => return false,
                    }
                }
            };
            let Some((head, tail)) = rest.split_at_checked(taken) else {
                return false;
            };
            let fits = match piece {
                Piece::Literal(literal) if self.fold => head.eq_ignore_ascii_case(literal),
                Piece::Literal(literal) => head == literal,
                Piece::Class { set, least, .. } => head.len() >= *least && set.fits(head),
            };
            if !fits {
                return false;
            }
            rest = tail;
        }
        rest.is_empty()
    }
}

fn classes(text: &str) -> Option<Vec<Piece>> {
    if text == "uuid" {
        let hex = |least| Piece::Class {
            set: Set::Hex,
            least,
            exact: true,
        };
        let dash = || Piece::Literal("-".to_owned());
        return Some(vec![
            hex(8),
            dash(),
            hex(4),
            dash(),
            hex(4),
            dash(),
            hex(4),
            dash(),
            hex(12),
        ]);
    }
    let (set, count) = [
        ("hexd", Set::HexDash),
        ("hexm", Set::HexMixed),
        ("hex", Set::Hex),
        ("b64", Set::Base64),
        ("n", Set::Digits),
        ("t", Set::Any),
    ]
    .into_iter()
    .find_map(|(name, set)| Some((set, text.strip_prefix(name)?)))?;
    let count = count.trim_start();
    let (digits, exact) = match count.strip_suffix('+') {
        Some(digits) => (digits, false),
        None => (count, !count.is_empty()),
    };
    let least = if digits.is_empty() {
        1
    } else {
        digits.parse().ok()?
    };
    Some(vec![Piece::Class { set, least, exact }])
}

/// The shape of a whole path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    /// Segments before and after the one gap (`**`) that may stand between them; `None` is `*`.
    head: Vec<Option<Segment>>,
    tail: Vec<Option<Segment>>,
    /// `**` at the start, in the middle (or the end), as written.
    open_start: bool,
    gap: bool,
    open_end: bool,
}

impl Path {
    /// Reads a path shape such as `/wf/open`, `**/open.aspx`, `/track/**`, `/a/**/pixel.gif`.
    pub(super) fn parse(text: &str, fold: bool) -> Result<Self, ShapeError> {
        let mut body = text.strip_prefix('/').unwrap_or(text);
        let open_start = body == "**" || body.starts_with("**/");
        if open_start {
            body = body.strip_prefix("**").unwrap_or(body);
            body = body.strip_prefix('/').unwrap_or(body);
        }
        let open_end = body == "**" || body.ends_with("/**");
        if open_end {
            body = body.strip_suffix("**").unwrap_or(body);
            body = body.strip_suffix('/').unwrap_or(body);
        }
        let mut groups = body.split("/**/");
        let (head, tail) = (groups.next().unwrap_or_default(), groups.next());
        if groups.next().is_some() {
            return Err(ShapeError::Gaps(text.to_owned()));
        }
        let nothing = body.is_empty() && (open_start || open_end);
        let segments = |group: &str| -> Result<Vec<Option<Segment>>, ShapeError> {
            group
                .split('/')
                .map(|segment| match segment {
                    "*" => Ok(None),
                    _ => Segment::parse(segment, fold).map(Some),
                })
                .collect()
        };
        Ok(Self {
            head: if nothing { Vec::new() } else { segments(head)? },
            tail: tail.map_or(Ok(Vec::new()), segments)?,
            open_start,
            gap: tail.is_some(),
            open_end,
        })
    }

    /// The literal segments, for an index: a path without any of them cannot match.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.head
            .iter()
            .chain(&self.tail)
            .filter_map(|segment| segment.as_ref()?.literal())
            .filter(|literal| !literal.is_empty())
    }

    /// Whether a path, given by its segments, has this shape.
    pub(super) fn matches(&self, segments: &[&str]) -> bool {
        let length = self.head.len();
        let last_start = segments.len().saturating_sub(length);
        let starts = if self.open_start {
            0..=last_start
        } else {
            0..=0
        };
        for start in starts {
            let Some(rest) = segments.get(start..) else {
                return false;
            };
            let Some((head, rest)) = rest.split_at_checked(length) else {
                return false;
            };
            if !fits(&self.head, head) {
                continue;
            }
            let ends = if self.gap {
                self.tail_fits(rest)
            } else {
                self.open_end || rest.is_empty()
            };
            if ends {
                return true;
            }
        }
        false
    }

    fn tail_fits(&self, rest: &[&str]) -> bool {
        let Some(last_start) = rest.len().checked_sub(self.tail.len()) else {
            return false;
        };
        if !self.open_end {
            return rest
                .get(last_start..)
                .is_some_and(|tail| fits(&self.tail, tail));
        }
        rest.windows(self.tail.len().max(1))
            .any(|window| fits(&self.tail, window))
    }
}

fn fits(shape: &[Option<Segment>], segments: &[&str]) -> bool {
    shape.len() == segments.len()
        && shape.iter().zip(segments).all(|(shape, text)| match shape {
            None => !text.is_empty(),
            Some(shape) => shape.matches(text),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(shape: &str, text: &str) -> bool {
        Segment::parse(shape, false).unwrap().matches(text)
    }

    fn path(shape: &str, text: &str) -> bool {
        let segments: Vec<&str> = text.trim_start_matches('/').split('/').collect();
        Path::parse(shape, false).unwrap().matches(&segments)
    }

    #[test]
    fn segments_match_whole() {
        assert!(segment("ho.gif", "ho.gif"));
        assert!(!segment("ho.gif", "ho.gifx"));
        assert!(segment("<hex8>", "0123abCD"));
        assert!(!segment("<hex8>", "0123abCDe"));
        assert!(segment("<hex8+>.gif", "0123abCDe.gif"));
        assert!(!segment("<hex8+>.gif", "0123abC.gif"));
        assert!(segment("<hexm 4+>.gif", "12ab.gif"));
        assert!(!segment("<hexm 4+>.gif", "1234.gif"));
        assert!(!segment("<hexm 4+>.gif", "abcd.gif"));
        assert!(segment("eJ<b64 5+>", "eJabcde"));
        assert!(!segment("eJ<b64 5+>", "ejabcde"));
        assert!(!segment("eJ<b64 5+>", "eJabcd"));
        assert!(segment("<t>~~", "x~~"));
        assert!(!segment("<t>~~", "~~"));
        assert!(segment("<n4>:<t>", "1234:x"));
        assert!(segment("<uuid>", "123e4567-e89b-12d3-a456-426614174000"));
        assert!(!segment("<uuid>", "123e4567-e89b-12d3-a456-42661417400"));
        assert!(!segment("<t>x", "\u{e9}"));
        assert!(
            Segment::parse("Open.ASPX", true)
                .unwrap()
                .matches("open.aspx")
        );
    }

    #[test]
    fn paths_with_gaps() {
        assert!(path("/wf/open", "/wf/open"));
        assert!(!path("/wf/open", "/wf/open/x"));
        assert!(path("**/open", "/a/b/open"));
        assert!(path("**/open", "/open"));
        assert!(!path("**/open", "/open/a"));
        assert!(path("/t/**", "/t"));
        assert!(path("/t/**", "/t/a/b"));
        assert!(!path("/t/**", "/a/t"));
        assert!(path("/s/**/pixel.gif", "/s/a/b/pixel.gif"));
        assert!(path("/s/**/pixel.gif", "/s/pixel.gif"));
        assert!(!path("/s/**/pixel.gif", "/s/pixel.gif/a"));
        assert!(path("**/a/**", "/x/a/y"));
        assert!(path("**", "/x/y"));
        assert!(path("/p/*/o", "/p/x/o"));
        assert!(!path("/p/*/o", "/p//o"));
        assert!(path("/r/", "/r/"));
        assert!(!path("/r/", "/r"));
    }

    #[test]
    fn what_is_no_shape() {
        assert!(matches!(
            Segment::parse("<hex", false),
            Err(ShapeError::Class(_))
        ));
        assert!(matches!(
            Segment::parse("<what>", false),
            Err(ShapeError::Class(_))
        ));
        assert!(matches!(
            Segment::parse("<t>-<t>", false),
            Err(ShapeError::Variable(_))
        ));
        assert!(matches!(
            Path::parse("/a/**/b/**/c", false),
            Err(ShapeError::Gaps(_))
        ));
    }
}
