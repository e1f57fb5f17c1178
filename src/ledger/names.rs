//! The names of a ledger's files, and which of them there are.
//!
//! A segment is `DAY.NODE.NNNN` (numbers from 0001 within a day, whatever the node), or `DAY` alone where version 0.1 wrote
//! it. Its lines lie in `.jsonl` while it grows and in `.jsonl.zst` afterwards, its index in `.idx`. Names tell the order of
//! lines. It must never open a file; what has another name is nobody's segment and is passed over.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::LedgerError;
use super::segments::disk;

/// `2026-05-02`.
const DAY_OCTETS: usize = 10;
/// Digits of a segment's number at the least.
const NUMBER_DIGITS: usize = 4;
const PLAIN: &str = ".jsonl";
const PACKED: &str = ".jsonl.zst";
const INDEX: &str = ".idx";
/// What a file is called until it is whole.
const UNFINISHED: &str = ".tmp";

/// Which segment; ordered as the lines are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SegmentName {
    pub(super) day: Date,
    /// From 1; 0 is the file of version 0.1.
    pub(super) number: u32,
    /// Empty for version 0.1.
    pub(super) node: String,
}

impl SegmentName {
    /// The one that follows `last`, for lines of a day. A clock that was set back does not go back to an earlier day.
    pub(super) fn following(last: Option<&Self>, day: Date, node: &str) -> Self {
        let (day, number) = match last {
            Some(last) if last.day >= day => (last.day, last.number + 1),
            _ => (day, 1),
        };
        Self {
            day,
            number,
            node: node.to_owned(),
        }
    }

    /// Reads a name without its ending.
    pub(super) fn parse(stem: &str) -> Option<Self> {
        let (day, rest) = stem.split_at_checked(DAY_OCTETS)?;
        // jiff takes more spellings of a day than we write.
        let spelt = |at: usize, octet: u8| match at {
            4 | 7 => octet == b'-',
            _ => octet.is_ascii_digit(),
        };
        if !day.bytes().enumerate().all(|(at, octet)| spelt(at, octet)) {
            return None;
        }
        let day = day.parse().ok()?;
        if rest.is_empty() {
            let node = String::new();
            return Some(Self {
                day,
                number: 0,
                node,
            });
        }
        let (node, digits) = rest.strip_prefix('.')?.rsplit_once('.')?;
        let number: u32 = digits.parse().ok()?;
        let node = node.to_owned();
        let name = Self { day, number, node };
        (number > 0 && !name.node.is_empty() && name.to_string() == stem).then_some(name)
    }

    pub(super) fn plain_file(&self) -> String {
        format!("{self}{PLAIN}")
    }

    pub(super) fn packed_file(&self) -> String {
        format!("{self}{PACKED}")
    }

    pub(super) fn plain(&self, directory: &Path) -> PathBuf {
        directory.join(self.plain_file())
    }

    pub(super) fn packed(&self, directory: &Path) -> PathBuf {
        directory.join(self.packed_file())
    }

    pub(super) fn index(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{self}{INDEX}"))
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.day)?;
        match self.number {
            0 => Ok(()),
            number => write!(f, ".{}.{number:0NUMBER_DIGITS$}", self.node),
        }
    }
}

/// A file until it is whole and gets its own name.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    PathBuf::from(name)
}

/// In which forms a segment is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Forms {
    pub(super) plain: bool,
    pub(super) packed: bool,
    pub(super) index: bool,
}

impl Forms {
    fn add(&mut self, more: Self) {
        self.plain |= more.plain;
        self.packed |= more.packed;
        self.index |= more.index;
    }
}

/// What lies in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Listing {
    /// Segments in order; without lines, in either form, an index is none.
    pub(super) segments: BTreeMap<SegmentName, Forms>,
    /// Files that were never finished.
    pub(super) unfinished: Vec<PathBuf>,
}

impl Listing {
    pub(super) fn of(directory: &Path) -> Result<Self, LedgerError> {
        let failed = |error: io::Error| disk(directory, &error);
        let mut listing = Self::default();
        for entry in directory.read_dir().map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if let Some(name) = name.to_str() {
                listing.note(directory, name);
            }
        }
        listing
            .segments
            .retain(|_, forms| forms.plain || forms.packed);
        Ok(listing)
    }

    fn note(&mut self, directory: &Path, name: &str) {
        let form = |plain, packed, index| Forms {
            plain,
            packed,
            index,
        };
        let endings = [
            (PACKED, form(false, true, false)),
            (PLAIN, form(true, false, false)),
            (INDEX, form(false, false, true)),
        ];
        let (whole, is_unfinished) = match name.strip_suffix(UNFINISHED) {
            Some(whole) => (whole, true),
            None => (name, false),
        };
        for (ending, form) in endings {
            let stem = whole.strip_suffix(ending);
            let Some(segment) = stem.and_then(SegmentName::parse) else {
                continue;
            };
            match is_unfinished {
                true => self.unfinished.push(directory.join(name)),
                false => self.segments.entry(segment).or_default().add(form),
            }
            return;
        }
    }

    /// The segment that grows, or grew last.
    pub(super) fn last(&self) -> Option<&SegmentName> {
        self.segments.keys().next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(stem: &str) -> Option<SegmentName> {
        SegmentName::parse(stem)
    }

    #[test]
    fn names_are_read_as_they_are_written_and_nothing_else_is_one() {
        for stem in [
            "2026-05-02",
            "2026-05-02.local.0001",
            "2026-05-02.relay-1.example_x.0042",
            "2026-05-02.9999.10000",
        ] {
            assert_eq!(name(stem).unwrap().to_string(), stem);
        }
        for stem in [
            "",
            "2026-05-0",
            "2026-13-02",
            "2026/05/02",
            "20260502xx",
            "2026-05-02.",
            "2026-05-02.local",
            "2026-05-02..0001",
            "2026-05-02.local.0000",
            "2026-05-02.local.1",
            "2026-05-02.local.00001",
            "2026-05-02.local.0001.",
            "2026-05-02xlocal.0001",
        ] {
            assert_eq!(name(stem), None, "{stem}");
        }
    }

    #[test]
    fn the_order_of_names_is_the_order_of_lines() {
        let mut stems = [
            "2026-05-03.a.0001",
            "2026-05-02.b.10000",
            "2026-05-02.z.0001",
            "2026-05-02",
            "2026-05-02.a.0002",
        ]
        .map(|stem| name(stem).unwrap());
        stems.sort();
        let sorted = stems.map(|name| name.to_string());
        assert_eq!(
            sorted,
            [
                "2026-05-02",
                "2026-05-02.z.0001",
                "2026-05-02.a.0002",
                "2026-05-02.b.10000",
                "2026-05-03.a.0001",
            ]
        );
    }

    #[test]
    fn what_follows_is_always_later() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let cases = [
            (None, "2026-05-02", "2026-05-02.n.0001"),
            (Some("2026-05-02"), "2026-05-02", "2026-05-02.n.0001"),
            (Some("2026-05-02.x.0007"), "2026-05-02", "2026-05-02.n.0008"),
            (Some("2026-05-02.x.0007"), "2026-05-03", "2026-05-03.n.0001"),
            (Some("2026-05-02.x.0007"), "2026-04-01", "2026-05-02.n.0008"),
        ];
        for (last, today, expected) in cases {
            let last = last.map(|stem| name(stem).unwrap());
            let next = SegmentName::following(last.as_ref(), day(today), "n");
            assert_eq!(next.to_string(), expected);
            assert!(last.is_none_or(|last| last < next));
        }
    }
}
