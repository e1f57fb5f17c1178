//! Edits of a body that is not encoded: raw and decoded octets are the same.
//!
//! Nothing can be escaped here. What would make a delimiter or a bare line end is refused; what would lengthen a line past
//! the limit gets a line end of its own, before or behind the replacement: white space in HTML, and the only octets that
//! no edit asked for.

use memchr::{memchr, memrchr};

use super::{Edit, LINE_OCTETS_HARD, SpliceError};
use crate::mime::splice::Splice;

/// Edits as splices of the same octets.
pub(super) fn splices(
    raw: &[u8],
    decoded: &[u8],
    edits: Vec<Edit>,
) -> Result<Vec<Splice>, SpliceError> {
    if raw != decoded {
        return Err(SpliceError::OtherBody);
    }
    let mut splices = Vec::with_capacity(edits.len());
    let mut column = Column::default();
    for (range, text) in edits {
        if text.contains(&0)
            || has_bare_newline(&text)
            || splits_newline(raw, range.start, range.end)
        {
            return Err(SpliceError::BareNewline);
        }
        let line = Line::around(raw, &range, &mut column);
        let text = line.broken_where_too_long(text, range.len())?;
        if line.starts_delimiter(&text) {
            return Err(SpliceError::Delimiter);
        }
        column.written(&range, &text, line.column);
        splices.push(Splice::new(range, text));
    }
    Ok(splices)
}

/// Whether a CR or LF stands alone.
fn has_bare_newline(text: &[u8]) -> bool {
    text.iter().enumerate().any(|(at, octet)| match octet {
        b'\r' => text.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || text.get(at - 1) != Some(&b'\r'),
        _ => false,
    })
}

/// Whether a range that is not empty begins or ends between a CR and its LF, or an insertion stands there.
fn splits_newline(raw: &[u8], start: usize, end: usize) -> bool {
    [start, end]
        .iter()
        .any(|place| *place > 0 && raw.get(place - 1..=*place) == Some(b"\r\n".as_slice()))
}

/// Where on its output line the next edit stands, given the edits before it.
#[derive(Default)]
struct Column {
    /// Raw end of the edit before, and the octets of its output line up to there.
    written: Option<(usize, usize)>,
}

impl Column {
    fn at(&self, place: usize, line_start: usize) -> usize {
        match self.written {
            Some((end, column)) if end >= line_start => column + place.saturating_sub(end),
            _ => place - line_start,
        }
    }

    fn written(&mut self, range: &std::ops::Range<usize>, text: &[u8], column: usize) {
        let column = match memrchr(b'\n', text) {
            Some(newline) => text.len() - newline - 1,
            None => column + text.len(),
        };
        self.written = Some((range.end, column));
    }
}

/// The line, or the two lines, that one edit touches.
struct Line<'a> {
    /// Octets of the output line in front of the edit.
    column: usize,
    /// Those octets, where no other edit stands among them.
    before: &'a [u8],
    /// What follows the edit, to the end of its line.
    after: &'a [u8],
    /// The longest line the client sent here.
    longest: usize,
    /// Whether the line starts like a delimiter already.
    was_delimiter: bool,
}

impl<'a> Line<'a> {
    fn around(raw: &'a [u8], range: &std::ops::Range<usize>, column: &mut Column) -> Self {
        let newline = memrchr(b'\n', raw.get(..range.start).unwrap_or_default());
        let line_start = newline.map_or(0, |newline| newline + 1);
        let to_end = |from: usize| {
            let rest = raw.get(from..).unwrap_or_default();
            let end = memchr(b'\n', rest).map_or(rest.len(), |newline| newline.saturating_sub(1));
            rest.get(..end).unwrap_or_default()
        };
        let after = to_end(range.end);
        let last_newline = memrchr(b'\n', raw.get(..range.end).unwrap_or_default());
        let last_start = last_newline.map_or(0, |newline| newline + 1);
        let first_line = to_end(line_start);
        Self {
            column: column.at(range.start, line_start),
            before: raw.get(line_start..range.start).unwrap_or_default(),
            after,
            longest: first_line.len().max(range.end - last_start + after.len()),
            was_delimiter: first_line.starts_with(b"--"),
        }
    }

    /// Breaks in front of or behind a replacement that would make a line both over 998 octets and longer than the client's.
    fn broken_where_too_long(&self, text: Vec<u8>, cut: usize) -> Result<Vec<u8>, SpliceError> {
        let over = |octets: usize| octets > LINE_OCTETS_HARD && octets > self.longest;
        let mut segments = text.split(|octet| *octet == b'\n').map(<[u8]>::len);
        if segments.by_ref().any(|octets| octets > LINE_OCTETS_HARD) {
            return Err(SpliceError::LineTooLong);
        }
        let last = memrchr(b'\n', &text).map(|newline| text.len() - newline - 1);
        let first = memchr(b'\n', &text).unwrap_or(text.len());
        let tail = last.unwrap_or(self.column + text.len()) + self.after.len();
        let break_behind = over(tail) && !self.after.is_empty();
        let head = self.column + first;
        let alone = last.is_some() || break_behind || self.after.is_empty();
        let break_before = alone && self.column > 0 && over(head) && (cut > 0 || first > 0);
        let mut broken = Vec::with_capacity(text.len() + 4);
        if break_before {
            broken.extend_from_slice(b"\r\n");
        }
        broken.extend_from_slice(&text);
        if break_behind {
            broken.extend_from_slice(b"\r\n");
        }
        Ok(broken)
    }

    /// Whether a line of the result starts with two hyphens where the client's did not.
    fn starts_delimiter(&self, text: &[u8]) -> bool {
        let mut window = match self.column {
            0 => Vec::new(),
            1 | 2 if self.before.len() == self.column => self.before.to_vec(),
            _ => b"..".to_vec(),
        };
        window.extend_from_slice(text);
        window.extend(self.after.iter().take(2));
        let first = window.starts_with(b"--") && !self.was_delimiter;
        first || memchr::memmem::find(&window, b"\n--").is_some()
    }
}
