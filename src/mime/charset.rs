//! In which charsets octets can be read as HTML: by label, by byte-order mark, and by what clients do without a label.
//!
//! Where ASCII octets mean ASCII, tags stand in clear and the octets are read as they are. UTF-16 and the charsets with shift
//! states are read as a [`View`]: text that points back at the octets. Everything else is [`Uninspectable`], never "no
//! finding". Every reading that some client makes is named; which of them count for what is the caller's to heed.

use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

mod decode;
#[cfg(test)]
mod tests;
mod view;

pub use view::{RawEdit, View};

/// Labels that encoding_rs does not know, of charsets in which a tag need not be ASCII; one a line.
const REFUSED: &str = include_str!("charsets_refused.txt");

/// Labels of UTF-7 (RFC 2152, the draft before it, and names without a standard).
const UTF_7: [&str; 7] = [
    "utf-7",
    "utf7",
    "x-utf-7",
    "csutf7",
    "unicode-1-1-utf-7",
    "csunicode11utf7",
    "x-unicode-2-0-utf-7",
];

/// Labels of HZ-GB-2312 (RFC 1842).
const HZ: [&str; 3] = ["hz-gb-2312", "hz", "hz-gb2312"];

/// How far into the HTML a `<meta>` charset is looked for (as in the HTML standard).
const META_OCTETS: usize = 1024;

/// How octets become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As they are, in a charset in which ASCII octets mean ASCII; a byte-order mark of UTF-16 is passed over.
    Octets(&'static Encoding),
    /// The same without NUL: some readers drop it, and ASCII in two or four octets a letter is itself again without it.
    WithoutNul(&'static Encoding),
    /// UTF-16, the low octet first.
    Utf16Le,
    /// UTF-16, the high octet first.
    Utf16Be,
    /// ISO-2022-JP (RFC 1468) with the half-width katakana of the WHATWG's.
    Iso2022Jp,
    /// The same as Windows reads it: JIS Roman is ASCII, so that its yen is a backslash, which ends strings of CSS elsewhere.
    Iso2022JpWindows,
    /// HZ-GB-2312 (RFC 1843).
    Hz,
    /// UTF-7 (RFC 2152).
    Utf7,
}

/// One reading, and what it weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// How the octets are read.
    pub form: Form,
    /// Some client in use reads them so. Otherwise it is the refuge of a reader who does not know the charset, and what it
    /// gives is no page: what it sees more than the others counts, what it misses does not.
    pub sure: bool,
}

/// The charsets to examine a part in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charsets {
    /// Every plausible one, those that are sure first, the likeliest at the top; never empty.
    pub readings: Vec<Reading>,
    /// A label is unknown, or labels and byte-order mark disagree.
    pub doubtful: bool,
}

/// Why octets cannot be examined as HTML; the sender's mail is to blame, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uninspectable {
    /// UTF-32, by label.
    #[error("wide charset")]
    Wide,
    /// A charset with shift states, in which tags can hide: one that is not known here, or one whose octets are not well-formed,
    /// so that readers go on in different states.
    #[error("charset with shift states")]
    Stateful,
    /// More changes between ways to write a character than are followed.
    #[error("more changes between ways to write a character than are followed")]
    Patchwork,
    /// A charset that is known to be another alphabet altogether, or that encoding_rs replaces.
    #[error("charset that is not ASCII-compatible")]
    NotAscii,
}

/// What a label says.
enum Label {
    /// One way to read.
    One(Form),
    /// UTF-16, and not which octet is first.
    Utf16,
}

/// The readings that a part's labels, and its decoded octets, stand for.
pub fn charset<S: AsRef<str>>(labels: &[S], decoded: &[u8]) -> Result<Charsets, Uninspectable> {
    let mut found = Charsets {
        readings: Vec::new(),
        doubtful: labels.len() > 1,
    };
    let marked = mark(decoded);
    if let Some(form) = marked {
        // A byte-order mark beats every label (WHATWG Encoding 6).
        found.add(form, true);
    }
    for label in labels {
        match by_label(label.as_ref())? {
            Some(Label::One(form)) => found.add(form, true),
            Some(Label::Utf16) if marked.is_some() => {}
            Some(Label::Utf16) => {
                // The WHATWG has the low octet first, RFC 2781 4.3 the high one.
                found.add(Form::Utf16Le, true);
                found.add(Form::Utf16Be, true);
            }
            None => found.doubtful = true,
        }
    }
    let labelled = !found.readings.is_empty();
    found.doubtful |= marked.is_some() && found.readings.len() > 1;
    if decoded.starts_with(b"\xef\xbb\xbf") {
        let known = found.holds(Form::Octets(UTF_8));
        found.doubtful |= labelled && !known;
        found.add(Form::Octets(UTF_8), true);
    }
    found.by_meta(decoded, labelled)?;
    if !labelled && holds_shift(decoded) && !found.holds(Form::Iso2022Jp) {
        // Without a label some readers guess ISO-2022-JP by its escapes.
        found.add(Form::Octets(default(decoded)), true);
        found.add(Form::Iso2022Jp, true);
    }
    found.finish(decoded);
    Ok(found)
}

impl Charsets {
    fn add(&mut self, form: Form, sure: bool) {
        if !self.holds(form) {
            self.readings.push(Reading { form, sure });
        }
    }

    fn holds(&self, form: Form) -> bool {
        self.readings.iter().any(|known| known.form == form)
    }

    /// What a `<meta>` adds. With a label in the header clients go by that, unless they are handed the HTML alone.
    fn by_meta(&mut self, decoded: &[u8], labelled: bool) -> Result<(), Uninspectable> {
        let Some(meta) = meta_label(decoded) else {
            return Ok(());
        };
        match by_label(&meta) {
            Ok(Some(Label::One(form @ Form::Octets(_)))) => {
                self.doubtful |= labelled && !self.holds(form);
                self.add(form, true);
            }
            // UTF-16 in ASCII octets: the HTML standard reads it as UTF-8.
            Ok(Some(Label::One(Form::Utf16Le | Form::Utf16Be) | Label::Utf16) | None)
            | Err(Uninspectable::Wide) => {}
            Ok(Some(Label::One(form))) if labelled => {
                self.doubtful |= !self.holds(form);
                let shifts = form.shifts().unwrap_or_default();
                let shifted = decoded.iter().any(|octet| shifts.contains(octet));
                match View::new(form, decoded) {
                    Ok(_) => self.add(form, true),
                    // Who goes by it reads on in a state of his own. What has eight bits is another charset.
                    Err(why) if shifted && decoded.is_ascii() => return Err(why),
                    Err(_) => {}
                }
            }
            Ok(Some(Label::One(form))) => self.add(form, true),
            Err(_) if labelled => self.doubtful = true,
            Err(refused) => return Err(refused),
        }
        Ok(())
    }

    /// Adds what readers see who do not know the charset, and weighs them all.
    fn finish(&mut self, decoded: &[u8]) {
        let octets = Form::Octets(default(decoded));
        // Without a single shift these are ASCII.
        let shifts = |form: Form| {
            let shifts = form.shifts();
            shifts.is_none_or(|shifts| decoded.iter().any(|octet| shifts.contains(octet)))
        };
        let before = self.readings.len();
        self.readings
            .retain(|reading| shifts(reading.form) || !decoded.is_ascii());
        let unshifted = self.readings.len() < before;
        // Browsers know neither HZ nor UTF-7, and who knows them reads other tags.
        let disputed = self.holds(Form::Hz) || self.holds(Form::Utf7);
        if self.readings.is_empty() || disputed || unshifted {
            self.add(octets, true);
        } else if !self.readings.iter().any(|known| known.form.of_octets()) {
            self.add(octets, false);
        }
        let has = |octets: &[u8]| memchr::memmem::find(decoded, octets).is_some();
        if self.holds(Form::Iso2022Jp) && has(b"\x1b(J") && has(b"\\") {
            self.add(Form::Iso2022JpWindows, true);
        }
        self.weigh_wide(decoded);
        if memchr::memchr(0, decoded).is_some() {
            for Reading { form, .. } in self.readings.clone() {
                if let Form::Octets(encoding) = form {
                    self.add(Form::WithoutNul(encoding), false);
                }
            }
        }
        self.readings.sort_by_key(|reading| !reading.sure);
        if let Some(first) = self.readings.first_mut() {
            first.sure = true;
        }
    }

    /// Octets that hold a tag in two octets a letter are no page in one, and the other way round: whoever reads them so sees
    /// no HTML.
    fn weigh_wide(&mut self, decoded: &[u8]) {
        let is_wide = |form: Form| matches!(form, Form::Utf16Le | Form::Utf16Be);
        if !self.readings.iter().any(|known| is_wide(known.form)) {
            return;
        }
        let tagged = |form: Form| is_wide(form) && holds_wide_tag(form, decoded);
        let any = self.readings.iter().any(|known| tagged(known.form));
        for known in &mut self.readings {
            known.sure = match any {
                true => tagged(known.form),
                false => !is_wide(known.form),
            };
        }
    }
}

impl Form {
    fn of_octets(self) -> bool {
        matches!(self, Self::Octets(_))
    }

    /// The octets without which a charset with shift states is ASCII, to whoever reads it.
    fn shifts(self) -> Option<&'static [u8]> {
        match self {
            // Escape, and the shifts of other members of ISO 2022.
            Self::Iso2022Jp | Self::Iso2022JpWindows => Some(b"\x1b\x0e\x0f"),
            Self::Hz => Some(b"~"),
            Self::Utf7 => Some(b"+"),
            Self::Octets(_) | Self::WithoutNul(_) | Self::Utf16Le | Self::Utf16Be => None,
        }
    }
}

/// What octets without a label are.
fn default(decoded: &[u8]) -> &'static Encoding {
    match std::str::from_utf8(decoded).is_ok() {
        true => UTF_8,
        false => WINDOWS_1252,
    }
}

/// UTF-16 by its byte-order mark.
fn mark(decoded: &[u8]) -> Option<Form> {
    if decoded.starts_with(b"\xff\xfe") {
        Some(Form::Utf16Le)
    } else if decoded.starts_with(b"\xfe\xff") {
        Some(Form::Utf16Be)
    } else {
        None
    }
}

/// What one label says; `None` for a label nobody knows.
fn by_label(label: &str) -> Result<Option<Label>, Uninspectable> {
    let bare =
        label.trim_matches(|octet: char| octet.is_whitespace() || matches!(octet, '"' | '\''));
    let bare = bare.split([';', ' ', '\t', '"']).next().unwrap_or(bare);
    let lower = bare.to_ascii_lowercase();
    if let Some(label) = without_standard(&lower) {
        return Ok(Some(label));
    }
    let Some(encoding) = Encoding::for_label(bare.as_bytes()) else {
        return match REFUSED.lines().any(|refused| refused == lower) {
            true if lower.contains("32") || lower.contains("ucs") => Err(Uninspectable::Wide),
            true if lower.starts_with("ibm") || lower.contains("ebcdic") => {
                Err(Uninspectable::NotAscii)
            }
            true => Err(Uninspectable::Stateful),
            false => Ok(None),
        };
    };
    let one = |form| Ok(Some(Label::One(form)));
    if encoding == UTF_16BE {
        one(Form::Utf16Be)
    } else if encoding == UTF_16LE && lower.ends_with("le") {
        one(Form::Utf16Le)
    } else if encoding == UTF_16LE {
        Ok(Some(Label::Utf16))
    } else if encoding == ISO_2022_JP {
        one(Form::Iso2022Jp)
    } else if encoding.is_ascii_compatible() {
        one(Form::Octets(encoding))
    } else {
        Err(Uninspectable::NotAscii)
    }
}

/// Labels that encoding_rs does not know or replaces, of charsets that are read here.
fn without_standard(lower: &str) -> Option<Label> {
    match lower {
        "utf16" | "utf_16" => Some(Label::Utf16),
        "utf16le" | "utf_16le" => Some(Label::One(Form::Utf16Le)),
        "utf16be" | "utf_16be" => Some(Label::One(Form::Utf16Be)),
        _ if UTF_7.contains(&lower) => Some(Label::One(Form::Utf7)),
        _ if HZ.contains(&lower) => Some(Label::One(Form::Hz)),
        _ => None,
    }
}

/// ISO 2022 designations (ESC $, ESC paren): readers that guess a charset go by them.
fn holds_shift(decoded: &[u8]) -> bool {
    memchr::memchr_iter(0x1b, decoded)
        .any(|escape| matches!(decoded.get(escape + 1), Some(b'$' | b'(' | b')')))
}

/// Whether a tag begins anywhere in the octets, two a letter: `<` and a letter.
fn holds_wide_tag(form: Form, decoded: &[u8]) -> bool {
    let letter = |pair: &[u8]| match (form, pair) {
        (Form::Utf16Le, [low, 0]) | (Form::Utf16Be, [0, low]) => Some(*low),
        _ => None,
    };
    let mut pairs = decoded.chunks_exact(2).map(letter);
    let mut before = pairs.next().flatten();
    pairs.any(|now| {
        let opens = before == Some(b'<') && now.is_some_and(|now| now.is_ascii_alphabetic());
        before = now;
        opens
    })
}

/// What a `<meta>` at the start of the HTML names as charset; NUL is passed over, as by those who drop it.
fn meta_label(decoded: &[u8]) -> Option<String> {
    let start = decoded.iter().filter(|octet| **octet != 0);
    let lower: Vec<u8> = start
        .take(META_OCTETS)
        .map(u8::to_ascii_lowercase)
        .collect();
    let meta = memchr::memmem::find(&lower, b"<meta")?;
    let after = lower.get(meta..)?;
    let label = memchr::memmem::find(after, b"charset")?;
    let value = after.get(label + b"charset".len()..)?.trim_ascii_start();
    let value = value.strip_prefix(b"=")?.trim_ascii_start();
    let value = value
        .strip_prefix(b"\"")
        .or_else(|| value.strip_prefix(b"'"))
        .unwrap_or(value);
    let end = value.iter().position(|octet| {
        matches!(octet, b'"' | b'\'' | b'>' | b';' | b'/') || octet.is_ascii_whitespace()
    });
    String::from_utf8(value.get(..end?)?.to_vec()).ok()
}
