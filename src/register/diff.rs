//! A mail service's list beside the register: where the two say different things about a person.
//!
//! The dangerous differences come first: a withdrawal that one of the two does not know. The list is held as 32 octets a
//! row (320 MB for ten million), never as addresses; a second reading finds what the first left open. It must never
//! change the register or decide who is right. A row that is not understood stops the comparison, because the person in
//! it would be counted as missing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};
use std::ops::ControlFlow;

use jiff::Timestamp;
use serde::Serialize;

use super::history::Person;
use super::import::{Evidence, Format, ImportError, List, ROWS_NAMED_MAX, RowError, Understood};
use super::{Keys, Register};
use crate::consent::{ChangeKind, Purpose, Standing, State, Subject};

/// People whose standing is asked for at once, of those the first reading left open.
const ASKED_AT_ONCE: usize = 1_000;

/// How to compare.
pub struct Options<'a> {
    /// How the list is written.
    pub format: Format,
    /// What its rows do not say.
    pub evidence: &'a Evidence,
    /// Only people of this controller.
    pub controller: Option<&'a str>,
    /// How many of each difference to name.
    pub show: usize,
}

/// How the two differ about one person. The most dangerous first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Refused, withdrawn, objected or erased here; granted there.
    RestrictedHere,
    /// Granted here; refused, withdrawn, objected or erased there.
    RestrictedThere,
    /// Granted there; here only a claim without proof.
    ClaimedHere,
    /// Granted there; here something is recorded, but nothing of that purpose.
    OtherPurposesHere,
    /// Granted there; not in the register at all.
    GrantedThereUnknownHere,
    /// Restricted there; nothing of it here.
    RestrictedThereUnknownHere,
    /// Granted here; the list has the person and no answer.
    NoAnswerThere,
    /// In the register; not in the list.
    OnlyHere,
}

impl Difference {
    /// Every difference, the most dangerous first.
    pub const ALL: [Self; 8] = [
        Self::RestrictedHere,
        Self::RestrictedThere,
        Self::ClaimedHere,
        Self::OtherPurposesHere,
        Self::GrantedThereUnknownHere,
        Self::RestrictedThereUnknownHere,
        Self::NoAnswerThere,
        Self::OnlyHere,
    ];

    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RestrictedHere => "withdrawn here, still granted there",
            Self::RestrictedThere => "withdrawn there, still granted here",
            Self::ClaimedHere => "granted there, here a claim without proof",
            Self::OtherPurposesHere => "granted there, here not for that purpose",
            Self::GrantedThereUnknownHere => "granted there, not in the register",
            Self::RestrictedThereUnknownHere => "withdrawn there, not recorded here",
            Self::NoAnswerThere => "granted here, no answer there",
            Self::OnlyHere => "only in the register",
        }
    }
}

/// One person about whom the two differ; for the operator's own terminal.
#[derive(Clone, PartialEq, Eq)]
pub struct Example {
    /// The line of the list, where it has the person.
    pub line: Option<u32>,
    /// The name under which ledger and logs know the person.
    pub subject: Subject,
    /// The address, where the register holds it.
    pub address: Option<String>,
}

/// The address stays out of logs and panics.
impl std::fmt::Debug for Example {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Example({:?}, {}, ..)", self.line, self.subject)
    }
}

/// What the comparison found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiffReport {
    /// Rows of the list that were compared.
    pub rows: u64,
    /// People in it.
    pub people: u64,
    /// People about whom both say the same.
    pub same: u64,
    /// People in the list without an answer, of whom the register knows nothing.
    pub no_answer: u64,
    /// People in the list whom the register does not have, whatever the list says of them.
    pub only_there: u64,
    /// People by how the two differ.
    pub differences: BTreeMap<Difference, u64>,
    /// The first of each.
    pub examples: BTreeMap<Difference, Vec<Example>>,
}

impl DiffReport {
    /// Whether both say the same about everybody.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }

    fn found(&mut self, difference: Difference, show: usize, example: impl FnOnce() -> Example) {
        *self.differences.entry(difference).or_default() += 1;
        let named = self.examples.entry(difference).or_default();
        if named.len() < show {
            named.push(example());
        }
    }
}

/// One row of the list. 32 octets.
#[derive(Clone, Copy)]
struct There {
    /// The first half of the subject; two people with the same half are one in 10^24.
    subject: [u8; 16],
    /// Microseconds; the end of all time for a restriction without a date, which is of now.
    at: i64,
    line: u32,
    purposes: u16,
    state: u8,
}

const NO_ANSWER: u8 = u8::MAX;

impl Register {
    /// Compares a list with the register. Blocks; the reader is read from its beginning twice.
    ///
    /// # Errors
    /// When a row is wrong, or reading fails.
    pub fn diff(
        &self,
        reader: &mut (impl Read + Seek),
        options: &Options<'_>,
    ) -> Result<DiffReport, ImportError> {
        let keys = self.keys();
        let mut report = DiffReport::default();
        let (mut list, controllers) = gather(reader, options, &keys, &mut report)?;
        list.sort_unstable_by_key(|there| (there.subject, there.line));
        let mut met = vec![false; list.len()];
        report.people = people(&list);
        for controller in &controllers {
            let flow = self.each(Some(controller), |person| {
                let subject = keys.identity(controller, &person.address).current();
                match range(&list, &subject) {
                    Some((from, rows)) => {
                        if let Some(met) = met.get_mut(from) {
                            *met = true;
                        }
                        compare_with(&person, rows, options, &mut report);
                    }
                    None => report.found(Difference::OnlyHere, options.show, || Example {
                        line: None,
                        subject,
                        address: Some(person.address.clone()),
                    }),
                }
                ControlFlow::<()>::Continue(())
            })?;
            debug_assert!(flow.is_continue());
        }
        self.left_open(reader, options, &list, &mut met, &mut report)?;
        Ok(report)
    }

    /// Who is in the list and not among the living of the register: unknown, or erased.
    fn left_open(
        &self,
        reader: &mut (impl Read + Seek),
        options: &Options<'_>,
        list: &[There],
        met: &mut [bool],
        report: &mut DiffReport,
    ) -> Result<(), ImportError> {
        let keys = self.keys();
        let mut rows = List::of(reader, options.format, options.evidence)?;
        let mut open: Vec<(String, String)> = Vec::new();
        loop {
            let next = rows.next_row()?;
            let ended = next.is_none();
            if let Some((_, understood)) = next {
                let understood = understood.map_err(|_| ImportError::Changed)?;
                let subject = keys
                    .identity(&understood.controller, &understood.address)
                    .current();
                if let Some((from, _)) = range(list, &subject)
                    && let Some(met) = met.get_mut(from)
                    && !std::mem::replace(met, true)
                {
                    open.push((understood.controller, understood.address));
                }
            }
            if open.len() >= ASKED_AT_ONCE || ended {
                let standings = self.standings(&open)?;
                for ((controller, address), standing) in open.drain(..).zip(standings) {
                    let subject = keys.identity(&controller, &address).current();
                    let Some((_, rows)) = range(list, &subject) else {
                        continue;
                    };
                    report.only_there += u64::from(standing.is_unknown());
                    compare(rows, subject, &standing, None, options, report);
                }
            }
            if ended {
                return Ok(());
            }
        }
    }
}

/// Reads the whole list into 32 octets a row.
fn gather(
    reader: &mut (impl Read + Seek),
    options: &Options<'_>,
    keys: &Keys,
    report: &mut DiffReport,
) -> Result<(Vec<There>, BTreeSet<String>), ImportError> {
    let mut list = Vec::new();
    let mut controllers: BTreeSet<String> =
        options.controller.map(str::to_owned).into_iter().collect();
    let (mut faulty, mut total) = (Vec::new(), 0);
    let mut rows = List::of(reader, options.format, options.evidence)?;
    while let Some((line, understood)) = rows.next_row()? {
        let understood = match understood {
            Ok(understood) => understood,
            Err(problem) => {
                total += 1;
                if faulty.len() < ROWS_NAMED_MAX {
                    faulty.push(RowError { line, problem });
                }
                continue;
            }
        };
        if options
            .controller
            .is_some_and(|controller| controller != understood.controller)
        {
            continue;
        }
        report.rows += 1;
        let subject = keys
            .identity(&understood.controller, &understood.address)
            .current();
        list.push(there(&subject, line, &understood));
        controllers.insert(understood.controller);
    }
    if total > 0 {
        return Err(ImportError::Rows {
            rows: faulty,
            total,
        });
    }
    Ok((list, controllers))
}

fn there(subject: &Subject, line: u64, row: &Understood) -> There {
    let restriction = row.kind.is_some_and(|kind| kind != ChangeKind::Granted);
    let undated = if restriction { i64::MAX } else { i64::MIN };
    There {
        subject: half(subject),
        at: row.at.map_or(undated, Timestamp::as_microsecond),
        line: u32::try_from(line).unwrap_or(u32::MAX),
        purposes: mask(row.purposes.iter().copied()),
        state: row.kind.map_or(NO_ANSWER, |kind| {
            let at = ChangeKind::ALL.iter().position(|known| *known == kind);
            at.and_then(|at| u8::try_from(at).ok()).unwrap_or(NO_ANSWER)
        }),
    }
}

fn half(subject: &Subject) -> [u8; 16] {
    let mut half = [0; 16];
    for (to, from) in half.iter_mut().zip(subject.as_bytes()) {
        *to = *from;
    }
    half
}

fn mask(purposes: impl Iterator<Item = Purpose>) -> u16 {
    let bit = |purpose| Purpose::ALL.iter().position(|known| *known == purpose);
    purposes
        .filter_map(bit)
        .fold(0, |mask, bit| mask | (1 << bit))
}

fn people(list: &[There]) -> u64 {
    list.chunk_by(|one, other| one.subject == other.subject)
        .count() as u64
}

/// The rows of one person, and where they begin.
fn range<'a>(list: &'a [There], subject: &Subject) -> Option<(usize, &'a [There])> {
    let wanted = half(subject);
    let from = list.partition_point(|there| there.subject < wanted);
    let rest = list.get(from..)?;
    let count = rest.partition_point(|there| there.subject == wanted);
    (count > 0).then(|| rest.get(..count).map(|rows| (from, rows)))?
}

fn compare_with(person: &Person, rows: &[There], options: &Options<'_>, report: &mut DiffReport) {
    compare(
        rows,
        person.subject,
        &person.standing,
        Some(&person.address),
        options,
        report,
    );
}

fn compare(
    rows: &[There],
    subject: Subject,
    here: &Standing,
    address: Option<&String>,
    options: &Options<'_>,
    report: &mut DiffReport,
) {
    let said = add_up(rows);
    let difference = Purpose::ALL
        .iter()
        .filter_map(|purpose| differ(said.get(purpose).copied(), here, *purpose))
        .min();
    match difference {
        Some(difference) => report.found(difference, options.show, || Example {
            line: rows.last().map(|there| there.line),
            subject,
            address: address.cloned(),
        }),
        None if said.is_empty() && here.is_unknown() => report.no_answer += 1,
        None => report.same += 1,
    }
}

/// What the list says of each purpose: the latest wins, at the same moment the more restrictive, as in the register.
fn add_up(rows: &[There]) -> BTreeMap<Purpose, ChangeKind> {
    let mut said: BTreeMap<Purpose, (i64, State, ChangeKind)> = BTreeMap::new();
    for there in rows {
        let Some(kind) = ChangeKind::ALL.get(usize::from(there.state)).copied() else {
            continue;
        };
        // A yes that names no purpose is taken for every purpose that needs one, a no for all.
        let reach: Vec<Purpose> = match (there.purposes, kind) {
            (0, ChangeKind::Granted) => Purpose::CONSENT.to_vec(),
            (0, _) | (_, ChangeKind::Erased) => Purpose::ALL.to_vec(),
            (mask, _) => (0..)
                .zip(Purpose::ALL)
                .filter_map(|(bit, purpose)| (mask & (1 << bit) != 0).then_some(*purpose))
                .collect(),
        };
        let entry = (there.at, State::from(kind), kind);
        for purpose in reach {
            let held = said.entry(purpose).or_insert(entry);
            if (entry.0, entry.1) > (held.0, held.1) {
                *held = entry;
            }
        }
    }
    said.into_iter()
        .map(|(purpose, (_, _, kind))| (purpose, kind))
        .collect()
}

fn differ(there: Option<ChangeKind>, here: &Standing, purpose: Purpose) -> Option<Difference> {
    let restricted = |state| {
        matches!(
            state,
            State::Refused | State::Withdrawn | State::Objected | State::Erased
        )
    };
    match (there, here.state(purpose)) {
        (Some(ChangeKind::Granted), State::Granted) => None,
        (Some(ChangeKind::Granted), state) if restricted(state) => Some(Difference::RestrictedHere),
        (Some(ChangeKind::Granted), _) if here.is_claimed(purpose) => Some(Difference::ClaimedHere),
        (Some(ChangeKind::Granted), _) if here.is_unknown() => {
            Some(Difference::GrantedThereUnknownHere)
        }
        (Some(ChangeKind::Granted), _) => Some(Difference::OtherPurposesHere),
        (Some(_), State::Granted) => Some(Difference::RestrictedThere),
        (Some(_), state) if restricted(state) => None,
        (Some(_), _) => Some(Difference::RestrictedThereUnknownHere),
        (None, State::Granted) => Some(Difference::NoAnswerThere),
        (None, _) => None,
    }
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
