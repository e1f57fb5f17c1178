//! Where is HTML in this message, and what would load from it? (DESIGN 2 "survey")
//!
//! Takes octets, gives findings with their places; no recipient, no consent, no verdict about what may stay. A part that no
//! reading sees through is recorded as blind, a finding in a part that cannot be edited as fixed; neither is skipped in
//! silence, and a survey that broke off says that it saw nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decide::{Matter, Place, Sight};
use super::settings::Settings;
use super::withdrawal::Offered;
use crate::mime;
use crate::mime::transfer_encoding::Encoding;
use crate::mime::tree::{Disposition, Kind, OutOfScope, Part, Scope, Tree, Unread};
use crate::pixel::{Evidence, Finding, Slot, Whole};

mod agreement;
mod header;
mod lens;
mod part;
mod reported;

pub use header::{Header, header};
pub use lens::{Lens, People};
use part::{Reader, Reading};
pub use reported::{Reported, ReportedKind};

/// Why a part cannot be inspected, or a finding in it not be taken out (DESIGN 4, closed).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Uninspectable {
    /// A transfer encoding that cannot be read.
    Cte,
    /// A charset that cannot be read.
    Charset,
    /// Readers disagree on what is there.
    ReadingsDiffer,
    /// Parts inside one another past `depth`, or more of them than `parts`.
    Depth,
    /// A part past `html_octets`, a header past its limit, or more than `findings`.
    Size,
    /// A message inside base64 or quoted-printable.
    EncodedMessage,
    /// An HTML token past `token_octets`.
    TokenLimit,
    /// Under multipart/signed.
    Signed,
}

impl Uninspectable {
    /// Every word of the list.
    pub const ALL: &'static [Self] = &[
        Self::Cte,
        Self::Charset,
        Self::ReadingsDiffer,
        Self::Depth,
        Self::Size,
        Self::EncodedMessage,
        Self::TokenLimit,
        Self::Signed,
    ];

    /// The word as it stands in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cte => "cte",
            Self::Charset => "charset",
            Self::ReadingsDiffer => "readings_differ",
            Self::Depth => "depth",
            Self::Size => "size",
            Self::EncodedMessage => "encoded_message",
            Self::TokenLimit => "token_limit",
            Self::Signed => "signed",
        }
    }
}

/// What one message holds.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// Its parts.
    pub tree: Tree,
    /// What its header says to us.
    pub header: Header,
    /// HTML parts that were read and can be edited.
    pub parts: Vec<Surveyed>,
    /// What would load.
    pub findings: Vec<Found>,
    /// What could not be read.
    pub blind: Vec<Blind>,
    /// For each finding, then for each blind part: where it stands.
    pub places: Vec<Place>,
    /// Parts that were not examined, by reason.
    pub out_of_scope: BTreeMap<&'static str, usize>,
    /// What tells of a reader and stays as it is.
    pub reported: Vec<Reported>,
    /// Where links lead, for the withdrawal link check.
    pub links: Vec<Link>,
    /// Every load's slot with its URL, for whoever learns.
    pub seen: Vec<(Slot, String)>,
    /// Recurring identifiers that stand in several URLs.
    pub spread: Vec<String>,
    /// What is known of each HTML part as a whole, by its index in the tree.
    pub wholes: BTreeMap<usize, Arc<Whole>>,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Index of its part in the tree.
    pub part: usize,
    /// Where it leads.
    pub target: String,
}

/// One HTML part that can be edited.
#[derive(Debug, Clone)]
pub struct Surveyed {
    /// Index in the tree.
    pub part: usize,
    /// The transfer encoding it was read by.
    pub encoding: Encoding,
}

/// One finding and where it is.
#[derive(Debug, Clone)]
pub struct Found {
    /// The part, in words.
    pub path: String,
    /// Index of the part in the tree.
    pub part: usize,
    /// Index in [`Survey::parts`]; `None` where it cannot be edited.
    pub surveyed: Option<usize>,
    /// What it is.
    pub finding: Finding,
    /// Why it cannot be taken out.
    pub fixed: Option<Uninspectable>,
}

/// One part that was not read.
#[derive(Debug, Clone)]
pub struct Blind {
    /// The part, in words.
    pub path: String,
    /// Index in the tree.
    pub part: usize,
    /// Why.
    pub why: Uninspectable,
}

/// Surveys one message. Never fails: what goes wrong is in the answer.
pub fn survey(message: &[u8], lens: &Lens) -> Survey {
    let seen = survey_by(message, lens);
    if !seen.rests_on_spread() {
        return seen;
    }
    // What stands in several URLs of one part is the sender's in every part, and of no variant either.
    Survey {
        spread: seen.spread.clone(),
        ..survey_by(message, &lens.without(&seen.spread))
    }
}

fn survey_by(message: &[u8], lens: &Lens) -> Survey {
    let settings = lens.settings.as_ref();
    let turn = lens.work.turn();
    let mut tree = mime::walk(message, &limits(settings));
    let mut survey = Survey {
        header: header(message),
        ..Survey::default()
    };
    let reader = Reader {
        knowledge: lens.knowledge(),
        settings,
        turn: &turn,
        wholes: &lens.wholes,
    };
    let mut cids = survey.read(message, &tree, reader, 0..tree.parts.len());
    // An attachment that the HTML loads by `cid:` is rendered; it may load others in turn, each once.
    let mut attached = mime::Attached::of(&tree);
    while !cids.is_empty() {
        let promoted = attached.promote(&mut tree, cids.iter().map(String::as_str));
        cids = survey.read(message, &tree, reader, promoted.into_iter());
    }
    for part in &tree.parts {
        if let Scope::OutOfScope(why) = part.scope {
            *survey.out_of_scope.entry(word(why)).or_default() += 1;
        }
    }
    survey.reported = reported::reported(message, &tree, reader);
    survey.finish(tree, settings);
    survey
}

/// The bounds of a walk by `[relay]`.
pub fn limits(settings: &Settings) -> mime::tree::Limits {
    mime::tree::Limits {
        parts: settings.parts,
        depth: settings.depth,
        ..mime::tree::Limits::default()
    }
}

fn word(why: OutOfScope) -> &'static str {
    match why {
        OutOfScope::Attachment => "attachment",
        OutOfScope::Encrypted => "encrypted",
        OutOfScope::Report => "report",
    }
}

fn unread(why: Unread) -> Uninspectable {
    match why {
        Unread::Depth | Unread::Parts => Uninspectable::Depth,
        Unread::Header => Uninspectable::Size,
        Unread::Readings => Uninspectable::ReadingsDiffer,
    }
}

impl Survey {
    /// A message of which nothing is examined, and why.
    pub fn out_of_scope(message: &[u8], settings: &Settings, why: &'static str) -> Self {
        let mut survey = Self {
            header: header(message),
            out_of_scope: BTreeMap::from([(why, 1)]),
            ..Self::default()
        };
        survey.tree = mime::walk(message, &limits(settings));
        survey
    }

    /// A message whose survey broke off: blind altogether.
    pub fn failed(message: &[u8], settings: &Settings) -> Self {
        let mut survey = Self {
            header: header(message),
            ..Self::default()
        };
        survey.blind.push(Blind {
            path: "1".to_owned(),
            part: 0,
            why: Uninspectable::Size,
        });
        let tree = mime::walk(message, &limits(settings));
        survey.finish(tree, settings);
        survey
    }

    /// What decisions are about: every finding, then every blind part, in the order of `places`.
    pub fn matters(&self, offered: &Offered) -> impl Iterator<Item = Matter<'_>> {
        let findings = self.findings.iter().map(|found| Matter {
            sight: match found.fixed {
                None => Sight::Finding(&found.finding.host),
                Some(why) => Sight::Fixed(&found.finding.host, why),
            },
            others: &found.finding.other_hosts,
            image: found.finding.image,
            withdrawal: offered.to(Some(found.part)),
        });
        let blind = self.blind.iter().map(|blind| Matter {
            sight: Sight::Blind(blind.why),
            others: &[],
            image: None,
            withdrawal: offered.to(None),
        });
        findings.chain(blind)
    }

    /// Whether an identifier that names nobody counts against some load: it may stand once in one part, and often in another.
    fn rests_on_spread(&self) -> bool {
        let recurs = |evidence: &Evidence| matches!(evidence, Evidence::Recurring { .. });
        let mut found = self.findings.iter().map(|found| &found.finding.evidence);
        !self.spread.is_empty() && found.any(|evidence| evidence.iter().any(recurs))
    }

    /// Parts that were not read or hold what cannot be taken out, with the reason.
    pub fn uninspectable(&self) -> impl Iterator<Item = (&str, Uninspectable)> {
        let fixed = self
            .findings
            .iter()
            .filter_map(|found| found.fixed.map(|why| (found.path.as_str(), why)));
        self.blind
            .iter()
            .map(|blind| (blind.path.as_str(), blind.why))
            .chain(fixed)
    }

    /// Reads these parts; answers with the Content-IDs that they load.
    fn read(
        &mut self,
        message: &[u8],
        tree: &Tree,
        reader: Reader<'_>,
        parts: impl Iterator<Item = usize>,
    ) -> Vec<String> {
        let mut cids = Vec::new();
        for (index, part) in
            parts.filter_map(|index| tree.parts.get(index).map(|part| (index, part)))
        {
            match part.scope {
                Scope::Examine | Scope::ExamineOnly(_) => {
                    let mut reading = reader.read(message, index, part);
                    cids.append(&mut reading.cids);
                    self.add(index, part, reading);
                }
                Scope::Unread(why) => self.add_blind(index, part, unread(why)),
                Scope::OutOfScope(_) | Scope::Container | Scope::NotRendered => {}
            }
        }
        cids
    }

    fn add(&mut self, index: usize, part: &Part, reading: Reading) {
        let path = part.path.to_string();
        if let Some(why) = reading.blind {
            self.add_blind(index, part, why);
        }
        let surveyed = reading.encoding.map(|encoding| {
            self.parts.push(Surveyed {
                part: index,
                encoding,
            });
            self.parts.len() - 1
        });
        self.seen.extend(reading.seen);
        self.spread.extend(reading.spread);
        self.wholes.insert(index, Arc::new(reading.whole));
        let links = reading.links.into_iter();
        self.links.extend(links.map(|target| Link {
            part: index,
            target,
        }));
        for finding in reading.findings {
            self.findings.push(Found {
                path: path.clone(),
                part: index,
                surveyed,
                finding,
                fixed: reading.fixed,
            });
        }
    }

    fn add_blind(&mut self, index: usize, part: &Part, why: Uninspectable) {
        self.blind.push(Blind {
            path: part.path.to_string(),
            part: index,
            why,
        });
    }

    /// What concerns the message as a whole, once every part is read.
    fn finish(&mut self, tree: Tree, settings: &Settings) {
        for why in &tree.unread {
            let why = unread(*why);
            if !self.blind.iter().any(|blind| blind.why == why) {
                self.blind.push(Blind {
                    path: "1".to_owned(),
                    part: 0,
                    why,
                });
            }
        }
        if tree.second_reading_differs {
            self.blind.push(Blind {
                path: "1".to_owned(),
                part: 0,
                why: Uninspectable::ReadingsDiffer,
            });
        }
        if self.findings.len() > settings.findings {
            self.findings.truncate(settings.findings);
            self.blind.push(Blind {
                path: "1".to_owned(),
                part: 0,
                why: Uninspectable::Size,
            });
        }
        let plain = plain_parts(&tree);
        let findings = self
            .findings
            .iter()
            .enumerate()
            .map(|(index, found)| match found.fixed {
                None => Place::Finding(index),
                Some(why) => Place::Part {
                    part: found.part,
                    emptiable: why != Uninspectable::Signed && emptiable(&tree, &plain, found.part),
                },
            });
        let blind = self.blind.iter().map(|blind| Place::Part {
            part: blind.part,
            emptiable: emptiable(&tree, &plain, blind.part),
        });
        self.places = findings.chain(blind).collect();
        self.tree = tree;
    }
}

/// Whether a reader loses nothing but the look when this HTML body is empty: an undisputed leaf inside an alternative that
/// offers text/plain (DESIGN 4).
fn emptiable(tree: &Tree, plain: &BTreeMap<usize, Vec<usize>>, index: usize) -> bool {
    let Some(part) = tree.parts.get(index) else {
        return false;
    };
    if part.scope != Scope::Examine || !matches!(part.kind, Kind::Html | Kind::Amp) {
        return false;
    }
    let mut child = index;
    let mut parent = part.parent;
    while let Some(above) = parent {
        let Some(container) = tree.parts.get(above) else {
            return false;
        };
        let beside = plain
            .get(&above)
            .into_iter()
            .flatten()
            .any(|other| *other != child);
        if beside && container.reads_as("multipart/alternative") {
            return true;
        }
        child = above;
        parent = container.parent;
    }
    false
}

/// For each container the parts in it that are surely text/plain and shown.
fn plain_parts(tree: &Tree) -> BTreeMap<usize, Vec<usize>> {
    let mut plain: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, part) in tree.parts.iter().enumerate() {
        let is_plain = part.readings.len() == 1
            && part.reads_as("text/plain")
            && part.disposition != Disposition::Attachment
            && !part.body.is_empty();
        if let Some(parent) = part.parent.filter(|_| is_plain) {
            plain.entry(parent).or_default().push(index);
        }
    }
    plain
}
