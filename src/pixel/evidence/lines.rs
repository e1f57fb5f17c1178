//! Line numbers of growing offsets, in one walk over the document.
//!
//! It knows octets. It never fails: an offset outside keeps the last line.

/// The walk.
pub(super) struct Lines<'h> {
    html: &'h [u8],
    at: usize,
    line: usize,
}

impl<'h> Lines<'h> {
    pub(super) fn new(html: &'h [u8]) -> Self {
        Self {
            html,
            at: 0,
            line: 1,
        }
    }

    /// The line of an offset, from 1.
    pub(super) fn of(&mut self, offset: usize) -> usize {
        if let Some(between) = self.html.get(self.at..offset) {
            self.line = self
                .line
                .saturating_add(memchr::memchr_iter(b'\n', between).count());
            self.at = offset;
        }
        self.line
    }
}
