//! Octets read as text, each character of which points back at the octets it came from, so that an edit found in the text can
//! be made in the octets.
//!
//! An edit begins and ends where the octets are in the same shift state, or writes the shift back that it took away: what
//! follows means what it meant. It never guesses: octets whose state readers would take differently are no view, and an edit
//! that cannot be written in the charset is none. It knows nothing of HTML.

use std::borrow::Cow;
use std::ops::Range;

use encoding_rs::{Encoding, UTF_8};

use super::decode;
use super::{Form, Uninspectable};

/// Runs of characters that are written alike in one document. A letter of 200 kB in Japanese has some ten thousand; each takes 20
/// octets of memory, so that what is made of nothing but changes stays below 40 MiB.
const PIECES_MOST: usize = 1 << 20;

/// Octets to replace, and what stands in their place.
pub type RawEdit = (Range<usize>, Vec<u8>);

/// A reading of octets.
#[derive(Debug)]
pub struct View<'a> {
    raw: &'a [u8],
    form: Form,
    octets: Cow<'a, [u8]>,
    encoding: &'static Encoding,
    /// In order of place; none where the octets are read as they stand.
    pieces: Option<Vec<Piece>>,
}

/// What the octets at one place mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// ASCII, or whatever has no states.
    Plain,
    /// JIS X 0201 Roman: ASCII but for two characters.
    Roman,
    /// JIS X 0201 katakana.
    Kana,
    /// Two octets a character; the last octet of the escape that led here.
    Double(u8),
}

/// Characters in a row of the same length in text and octets, without a gap between their octets.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Offset in the text, and how long a character is there.
    text: u32,
    text_step: u32,
    /// Offset in the octets, and how long a character is there.
    raw: u32,
    raw_step: u32,
    state: State,
    /// Its octets are those of the character before it: none may be touched without the other.
    tied: bool,
}

/// Text in the making.
#[derive(Debug, Default)]
pub(super) struct Text {
    octets: Vec<u8>,
    pieces: Vec<Piece>,
    /// There were more pieces than [`PIECES_MOST`].
    too_many: bool,
}

impl Text {
    /// Adds a character.
    pub(super) fn push(&mut self, character: char, raw: Range<usize>, state: State) {
        let mut room = [0; 4];
        let text = character.encode_utf8(&mut room).as_bytes();
        self.push_octets(text, raw, state, false);
    }

    /// Adds a character whose octets were given with the one before.
    pub(super) fn push_tied(&mut self, character: char, at: usize) {
        let mut room = [0; 4];
        let text = character.encode_utf8(&mut room).as_bytes();
        self.push_octets(text, at..at, State::Plain, true);
    }

    /// Adds one character as it is written in the text.
    pub(super) fn push_octets(&mut self, text: &[u8], raw: Range<usize>, state: State, tied: bool) {
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let piece = Piece {
            text: narrow(self.octets.len()),
            text_step: narrow(text.len()),
            raw: narrow(raw.start),
            raw_step: narrow(raw.len()),
            state,
            tied,
        };
        self.octets.extend_from_slice(text);
        if !self.pieces.last().is_some_and(|last| last.goes_on(&piece)) {
            self.too_many |= self.pieces.len() >= PIECES_MOST;
            if !self.too_many {
                self.pieces.push(piece);
            }
        }
    }
}

impl Piece {
    /// Whether the next character is one more of the same.
    fn goes_on(&self, next: &Self) -> bool {
        let count = next.text.saturating_sub(self.text) / self.text_step.max(1);
        self.text_step == next.text_step
            && self.raw_step == next.raw_step
            && self.state == next.state
            && self.tied == next.tied
            && next.raw == self.raw.saturating_add(count.saturating_mul(self.raw_step))
    }

    /// The octets of the character that stands at this offset of the text; `None` where none begins.
    fn octets_at(&self, text: usize) -> Option<Range<usize>> {
        let wide = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let inside = text.checked_sub(wide(self.text))?;
        let step = wide(self.text_step).max(1);
        if inside % step != 0 {
            return None;
        }
        let start =
            wide(self.raw).saturating_add((inside / step).saturating_mul(wide(self.raw_step)));
        Some(start..start.saturating_add(wide(self.raw_step)))
    }
}

/// A place in the octets where an edit may begin or end, and what the octets mean there.
#[derive(Debug, Clone, Copy)]
struct Edge {
    at: usize,
    state: State,
}

impl<'a> View<'a> {
    /// Reads the octets.
    ///
    /// # Errors
    /// A charset with shift states whose octets are not well-formed; more octets, or changes between ways to write a character,
    /// than are followed.
    pub fn new(form: Form, raw: &'a [u8]) -> Result<Self, Uninspectable> {
        // No octet becomes more than three of text.
        if u32::try_from(raw.len().saturating_mul(3)).is_err() {
            return Err(Uninspectable::Wide);
        }
        let mut view = Self {
            raw,
            form,
            octets: Cow::Borrowed(raw),
            encoding: UTF_8,
            pieces: None,
        };
        let mut text = Text::default();
        match form {
            Form::Octets(encoding) | Form::WithoutNul(encoding) => {
                view.encoding = encoding;
                let drops_nul = matches!(form, Form::WithoutNul(_));
                if !decode::is_plain(raw, drops_nul) {
                    decode::octets(raw, drops_nul, &mut text);
                } else {
                    return Ok(view);
                }
            }
            Form::Utf16Le => decode::utf_16(raw, u16::from_le_bytes, &mut text),
            Form::Utf16Be => decode::utf_16(raw, u16::from_be_bytes, &mut text),
            Form::Iso2022Jp => decode::iso_2022_jp(raw, false, &mut text)?,
            Form::Iso2022JpWindows => decode::iso_2022_jp(raw, true, &mut text)?,
            Form::Hz => decode::hz(raw, &mut text)?,
            Form::Utf7 => decode::utf_7(raw, &mut text)?,
        }
        if text.too_many {
            return Err(Uninspectable::Patchwork);
        }
        view.octets = Cow::Owned(text.octets);
        view.pieces = Some(text.pieces);
        Ok(view)
    }

    /// The text, in [`View::encoding`].
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The charset of the text, in which ASCII octets mean ASCII.
    pub fn encoding(&self) -> &'static Encoding {
        self.encoding
    }

    /// The octets that a range of the text came from, without the shifts around it.
    pub fn raw_range(&self, range: Range<usize>) -> Range<usize> {
        if self.pieces.is_none() {
            return range;
        }
        let start = self
            .character(range.start)
            .map_or(self.raw.len(), |found| found.0.start);
        let end = self
            .character_before(range.end)
            .map_or(start, |found| found.0.end);
        start..end.max(start)
    }

    /// An edit of the text as an edit of the octets; `None` where it would part what belongs together, or holds what the
    /// charset cannot write.
    pub fn raw_edit(&self, range: Range<usize>, replacement: &[u8]) -> Option<RawEdit> {
        if self.pieces.is_none() {
            return Some((range, replacement.to_vec()));
        }
        if self.parts_a_character(range.start) || self.parts_a_character(range.end) {
            return None;
        }
        let (start, end) = self.edges(&range)?;
        let raw = start.at..end.at;
        let rest = self.raw.get(raw.end..).unwrap_or_default();
        if raw.start == 0 && replacement.is_empty() && decode::mark_octets(rest) != 0 {
            // What comes to stand first would be a byte-order mark.
            return None;
        }
        match self.form {
            Form::Octets(_) | Form::WithoutNul(_) => Some((raw, replacement.to_vec())),
            // Behind an octet too many, at the end, there is no place for a letter.
            Form::Utf16Le | Form::Utf16Be if raw.start % 2 != 0 => None,
            Form::Utf16Le => Some((raw, decode::in_utf_16(replacement, u16::to_le_bytes)?)),
            Form::Utf16Be => Some((raw, decode::in_utf_16(replacement, u16::to_be_bytes)?)),
            Form::Iso2022Jp | Form::Iso2022JpWindows => {
                self.in_iso_2022_jp(replacement, start, end)
            }
            Form::Hz => Some((raw, decode::in_hz(replacement, start.state, end.state)?)),
            Form::Utf7 => self.in_utf_7(replacement, raw),
        }
    }

    /// The characters among which this offset of the text is.
    fn piece(&self, text: usize) -> Option<&Piece> {
        let pieces = self.pieces.as_deref()?;
        let starts = |piece: &Piece| usize::try_from(piece.text).is_ok_and(|start| start <= text);
        pieces.get(pieces.partition_point(starts).checked_sub(1)?)
    }

    /// The character at this offset of the text.
    fn character(&self, text: usize) -> Option<(Range<usize>, Piece)> {
        let piece = self.piece(text).filter(|_| text < self.octets.len())?;
        Some((piece.octets_at(text)?, *piece))
    }

    /// The character that ends at this offset of the text.
    fn character_before(&self, text: usize) -> Option<(Range<usize>, Piece)> {
        let piece = self.piece(text.checked_sub(1)?)?;
        let step = usize::try_from(piece.text_step).ok()?;
        Some((piece.octets_at(text.checked_sub(step)?)?, *piece))
    }

    /// Whether the offset lies inside a character, or between two that share their octets.
    fn parts_a_character(&self, text: usize) -> bool {
        match self.character(text) {
            Some((_, piece)) => piece.tied,
            None => text < self.octets.len(),
        }
    }

    /// Where an edit of this range begins and ends in the octets: in one shift state where that can be had by taking a shift
    /// along or leaving it.
    fn edges(&self, range: &Range<usize>) -> Option<(Edge, Edge)> {
        let behind = |text: usize| {
            self.character_before(text).map(|(raw, piece)| Edge {
                at: raw.end,
                state: piece.state,
            })
        };
        let ahead = |text: usize| match self.character(text) {
            Some((raw, piece)) => Some(Edge {
                at: raw.start,
                state: piece.state,
            }),
            None => (text == self.octets.len()).then_some(Edge {
                at: self.raw.len(),
                state: State::Plain,
            }),
        };
        if range.is_empty() {
            let edge = behind(range.start).or_else(|| ahead(range.start))?;
            return Some((edge, edge));
        }
        let starts = [ahead(range.start), behind(range.start)];
        let ends = [behind(range.end), ahead(range.end)];
        let pairs = starts
            .iter()
            .flatten()
            .flat_map(|start| ends.iter().flatten().map(move |end| (*start, *end)));
        let same = |plain: bool| {
            let mut pairs = pairs.clone();
            pairs.find(|(start, end)| {
                start.state == end.state && (!plain || start.state == State::Plain)
            })
        };
        same(true)
            .or_else(|| same(false))
            .or_else(|| pairs.clone().next())
    }

    /// Of two escapes in a row, of which browsers make a character, the first goes.
    fn in_iso_2022_jp(&self, replacement: &[u8], start: Edge, end: Edge) -> Option<RawEdit> {
        let escapes = decode::escapes(self.raw, end.at);
        let to = (!escapes).then_some(end.state);
        let written = decode::in_iso_2022_jp(replacement, start.state, to)?;
        let first = match written.is_empty() {
            true => escapes,
            false => decode::escapes(&written, 0),
        };
        let start = match first {
            true => decode::before_escape(self.raw, start.at),
            false => start.at,
        };
        Some((start..end.at, written))
    }

    /// Behind a run of base64 that ends without its hyphen the next octet must not go on with it.
    fn in_utf_7(&self, replacement: &[u8], raw: Range<usize>) -> Option<RawEdit> {
        let mut written = decode::in_utf_7(replacement)?;
        let next = written.first().or_else(|| self.raw.get(raw.end)).copied();
        if decode::ends_open(self.raw, raw.start) && next.is_some_and(decode::goes_on) {
            written.insert(0, b'-');
        }
        Some((raw, written))
    }
}
