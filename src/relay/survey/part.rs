//! One HTML part, read in every plausible way: transfer encodings × charsets, and messages inside encodings.
//!
//! Where all readings come to the same edits of the same octets, it can be edited; where they do not, everything that any of
//! them finds counts and nothing is edited. What no reading decodes is blind. It must never prefer one reading in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::settings::Settings;
use super::super::work::Turn;
use super::agreement::{First, in_octets, nuls};
use super::{Uninspectable, limits};
use crate::mime;
use crate::mime::charset::{self, View, charset};
use crate::mime::transfer_encoding::{Encoding, decode_all};
use crate::mime::tree::{ExamineOnly, Kind, Part, Scope, Tree};
use crate::pixel::{self, Document, Examination, Finding, Knowledge, Slot, Whole};

/// Messages inside encodings inside messages that are followed.
const ENCODED_DEPTH: usize = 3;

/// What reading a part gave.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Why it, or a reading of it, could not be read.
    pub blind: Option<Uninspectable>,
    /// The transfer encoding by which it can be edited.
    pub encoding: Option<Encoding>,
    /// What would load.
    pub findings: Vec<Finding>,
    /// Why nothing in it can be edited.
    pub fixed: Option<Uninspectable>,
    /// Where links lead, as far as every reading sees them.
    pub links: Vec<String>,
    /// Content-IDs that it loads.
    pub cids: Vec<String>,
    /// Slots with their URLs.
    pub seen: Vec<(Slot, String)>,
    /// Recurring identifiers that stand in several URLs.
    pub spread: Vec<String>,
    /// What is known of it as a whole.
    pub whole: Whole,
}

/// What reading needs beside the part.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub knowledge: Knowledge<'a>,
    pub settings: &'a Settings,
    pub turn: &'a Turn<'a>,
    /// Of a variant: what is known of the parts of its original.
    pub wholes: &'a BTreeMap<usize, Arc<Whole>>,
}

impl Reader<'_> {
    /// Reads one part of a message, by its index in the tree.
    pub(super) fn read(self, message: &[u8], index: usize, part: &Part) -> Reading {
        let whole = self.wholes.get(&index).map(Arc::as_ref);
        // What lies in an encoding is never edited: its second look is the first.
        let whole = whole.filter(|_| part.kind != Kind::EncodedMessage);
        let knowledge = Knowledge {
            whole,
            ..self.knowledge
        };
        Self { knowledge, ..self }.read_at(message, part, 0)
    }

    fn read_at(self, message: &[u8], part: &Part, depth: usize) -> Reading {
        let raw = message.get(part.body.clone()).unwrap_or_default();
        match part.kind {
            Kind::Html => self.html(raw, part, Document::Html),
            Kind::Amp => self.html(raw, part, Document::Amp),
            Kind::EncodedMessage => self.encoded_message(raw, part, depth),
            Kind::Multipart | Kind::Message | Kind::Other => Reading::default(),
        }
    }

    fn html(self, raw: &[u8], part: &Part, document: Document) -> Reading {
        // Nothing is nothing in every transfer encoding and charset. A body that we emptied has to come out seen through.
        if raw.is_empty() {
            return Reading::default();
        }
        let mut reading = Reading {
            fixed: fixed(part),
            ..Reading::default()
        };
        let mut first = None;
        let mut settled = true;
        for encoding in &part.encodings {
            let Ok(readings) = decode_all(raw, *encoding) else {
                reading.blind = Some(Uninspectable::Cte);
                continue;
            };
            settled &= readings.settled;
            for octets in &readings.octets {
                self.octets(octets, *encoding, part, document, &mut reading, &mut first);
            }
        }
        if !settled && !reading.findings.is_empty() {
            reading.fixed = reading.fixed.or(Some(Uninspectable::ReadingsDiffer));
        }
        if settled && reading.fixed.is_none() && reading.blind.is_none() {
            reading.encoding = first.map(|first| first.encoding);
        }
        // A finding without an edit cannot be taken out, and one beside something unread is not the whole truth.
        if reading.fixed.is_none()
            && (reading.blind.is_some()
                || reading
                    .findings
                    .iter()
                    .any(|finding| finding.edits.is_empty()))
        {
            reading.fixed = Some(Uninspectable::ReadingsDiffer);
            reading.encoding = None;
        }
        if reading.blind.is_some() {
            reading.links.clear();
        }
        reading
    }

    /// One decoding of a part, in every charset it may be in.
    fn octets(
        self,
        octets: &[u8],
        encoding: Encoding,
        part: &Part,
        document: Document,
        reading: &mut Reading,
        first: &mut Option<First>,
    ) {
        if octets.len() > self.settings.html_octets {
            reading.blind = Some(Uninspectable::Size);
            return;
        }
        let charsets = match charset(&part.charsets, octets) {
            Ok(charsets) => charsets,
            Err(
                charset::Uninspectable::Wide
                | charset::Uninspectable::Stateful
                | charset::Uninspectable::Patchwork
                | charset::Uninspectable::NotAscii,
            ) => {
                reading.blind = Some(Uninspectable::Charset);
                return;
            }
        };
        let nuls = nuls(octets);
        for read in charsets.readings {
            if self.turn.is_over() {
                reading.blind = Some(Uninspectable::TokenLimit);
                return;
            }
            let Ok(view) = View::new(read.form, octets) else {
                reading.blind = Some(Uninspectable::Charset);
                continue;
            };
            let examined = pixel::examine_at(
                view.octets(),
                view.encoding(),
                document,
                &part.bases,
                &self.knowledge,
                &self.limits(),
            );
            match examined {
                Ok(mut examination) => {
                    if !in_octets(&mut examination, &view) {
                        reading.fixed = reading.fixed.or(Some(Uninspectable::Charset));
                    }
                    reading.take(encoding, examination, read.sure, &nuls, first);
                }
                Err(why) => reading.blind = Some(why.into()),
            }
        }
    }

    /// A message inside base64 or quoted-printable: examined, never edited.
    fn encoded_message(self, raw: &[u8], part: &Part, depth: usize) -> Reading {
        let mut reading = Reading {
            fixed: Some(Uninspectable::EncodedMessage),
            ..Reading::default()
        };
        if depth >= ENCODED_DEPTH {
            reading.blind = Some(Uninspectable::Depth);
            return reading;
        }
        for encoding in &part.encodings {
            let Ok(readings) = decode_all(raw, *encoding) else {
                reading.blind = Some(Uninspectable::Cte);
                continue;
            };
            for octets in &readings.octets {
                let Some(inner) = part.message(octets) else {
                    reading.blind = Some(Uninspectable::Cte);
                    continue;
                };
                let tree = mime::walk(&inner, &limits(self.settings));
                if tree.second_reading_differs {
                    reading.blind = Some(Uninspectable::ReadingsDiffer);
                }
                if let Some(why) = tree.unread.first() {
                    reading.blind = Some(super::unread(*why));
                }
                self.inner_parts(&inner, &tree, depth, &mut reading);
            }
        }
        reading
    }

    fn inner_parts(self, inner: &[u8], tree: &Tree, depth: usize, reading: &mut Reading) {
        for part in &tree.parts {
            match part.scope {
                Scope::Examine | Scope::ExamineOnly(_) => {
                    let found = self.read_at(inner, part, depth + 1);
                    reading.blind = reading.blind.or(found.blind);
                    // No links: which of the messages inside they belong to is not told apart.
                    reading.findings.extend(found.findings);
                    reading.seen.extend(found.seen);
                    reading.spread.extend(found.spread);
                }
                Scope::Unread(why) => reading.blind = Some(super::unread(why)),
                Scope::OutOfScope(_) | Scope::Container | Scope::NotRendered => {}
            }
        }
    }

    pub(super) fn limits(self) -> pixel::Limits {
        pixel::Limits {
            token_octets: self.settings.token_octets,
            html_octets: self.settings.html_octets,
            findings: self.settings.findings,
            ..pixel::Limits::default()
        }
    }
}

impl Reading {
    /// Takes what one reading gave. The first is what is edited by; of those that are not `sure` only what they would load beyond
    /// the others counts: what is in sight there and where a tag ends is nobody's page.
    fn take(
        &mut self,
        encoding: Encoding,
        mut examination: Examination,
        sure: bool,
        nuls: &[usize],
        first: &mut Option<First>,
    ) {
        self.cids.extend(examination.parts);
        self.whole.extend(examination.whole);
        let Some(known) = first else {
            self.links = examination.links;
            self.seen.extend(examination.seen);
            self.spread.extend(examination.spread);
            *first = Some(First::new(encoding, &examination.findings, nuls));
            self.findings = examination.findings;
            return;
        };
        if sure {
            let seen: BTreeSet<String> = examination.links.into_iter().collect();
            self.links.retain(|link| seen.contains(link));
            self.seen.extend(examination.seen);
            self.spread.extend(examination.spread);
        } else if self.loads_all(&examination.seen) {
            self.without_acquitted(&mut examination.findings);
        }
        if !known.agrees(encoding, &examination.findings, sure, nuls) {
            // Everything that any reading finds counts; no edit would be right in all of them.
            self.fixed = self.fixed.or(Some(Uninspectable::ReadingsDiffer));
            let beyond = known.beyond(examination.findings, nuls);
            self.findings.extend(beyond);
        }
    }

    /// Whether the sure readings load every URL that another one does.
    fn loads_all(&self, theirs: &[(Slot, String)]) -> bool {
        let loaded: BTreeSet<&str> = self.seen.iter().map(|(_, url)| url.as_str()).collect();
        theirs.iter().all(|(_, url)| loaded.contains(url.as_str()))
    }

    /// Takes out the findings in whose URL the sure readings, which load it, found nothing to take out.
    fn without_acquitted(&self, findings: &mut Vec<Finding>) {
        let found = self.findings.iter().map(|finding| finding.url.as_str());
        let found: BTreeSet<&str> = found.collect();
        findings.retain(|finding| found.contains(finding.url.as_str()));
    }
}

/// Why a part of this scope may not be edited.
fn fixed(part: &Part) -> Option<Uninspectable> {
    match part.scope {
        Scope::ExamineOnly(ExamineOnly::Signed) => Some(Uninspectable::Signed),
        Scope::ExamineOnly(ExamineOnly::Disputed) => Some(Uninspectable::ReadingsDiffer),
        Scope::ExamineOnly(ExamineOnly::Encoded) => Some(Uninspectable::EncodedMessage),
        Scope::Examine
        | Scope::OutOfScope(_)
        | Scope::Container
        | Scope::NotRendered
        | Scope::Unread(_) => None,
    }
}

impl From<pixel::Uninspectable> for Uninspectable {
    fn from(why: pixel::Uninspectable) -> Self {
        match why {
            pixel::Uninspectable::TokenLimit => Self::TokenLimit,
            pixel::Uninspectable::Charset => Self::Charset,
            pixel::Uninspectable::ReadingsDiffer => Self::ReadingsDiffer,
            pixel::Uninspectable::Size => Self::Size,
        }
    }
}
