//! Many lines folded into counts for each stream and day, for whoever has to show what a relay did.
//!
//! Lines go by once, in the order in which they were written, directory after directory; what is held in memory are
//! counts, names, and the messages that are still under way ([`UNDER_WAY_MESSAGES_MAX`]), never all messages. It must never
//! show a subject. It takes the lines as they are: whether the chain holds is `verify`'s question. What it had to forget
//! it counts.
//!
//! A message is counted once, on the day and in the stream of its first attempt, with what was decided last about each
//! recipient: the last intent before that recipient's fate was final. An intent that a gap declares void, or whose message
//! was first tried before the lines begin, is counted apart.

mod copies;
mod counts;
mod tally;
mod under_way;

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::read::{Body, Line};
use super::{Enforcement, Finding, Gap, Intent, Outcome};
use copies::copies;
pub use copies::without_masks;
use counts::note;
pub use counts::{Counts, Days, Missing, Place, Switched};
use tally::{Key, Names, key};
pub use tally::{Measure, Tally};
use under_way::{Copies, Open, UnderWay};

/// Most messages that are remembered between two attempts: more than a spool holds.
pub const UNDER_WAY_MESSAGES_MAX: usize = 100_000;
/// Most recipients of theirs.
pub const UNDER_WAY_COPIES_MAX: usize = 1_000_000;
/// Most vendors, and most hosts, that are told apart; the rest are `(others)`.
pub const NAMES_MAX: usize = 1_000;
/// Most rows (stream, controller and day) that are told apart; the rest are in one row of that day.
pub const ROWS_MAX: usize = 20_000;
/// Most gaps that are listed one by one; all are counted.
pub const GAPS_MAX: usize = 200;
/// What stands for names past a limit.
pub const OTHERS: &str = "(others)";

/// Says by whose name a finding is counted.
type Vendor<'a> = Box<dyn Fn(&Finding) -> String + 'a>;

/// Folds lines into [`Counts`].
pub struct Summary<'a> {
    vendor: Vendor<'a>,
    names: Names,
    rows: BTreeMap<Place, usize>,
    tallies: Vec<Tally>,
    under_way: UnderWay,
    last_seq: Option<u64>,
    counts: Counts,
}

impl std::fmt::Debug for Summary<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Summary({} lines)", self.counts.lines)
    }
}

impl<'a> Summary<'a> {
    /// Nothing yet. `vendor` says by whose name a finding is counted.
    pub fn new(vendor: impl Fn(&Finding) -> String + 'a) -> Self {
        Self {
            vendor: Box::new(vendor),
            names: Names::default(),
            rows: BTreeMap::new(),
            tallies: Vec::new(),
            under_way: UnderWay::new(UNDER_WAY_MESSAGES_MAX, UNDER_WAY_COPIES_MAX),
            last_seq: None,
            counts: Counts::default(),
        }
    }

    /// The lines of another directory follow: what is under way there has nothing to do with what was before.
    pub fn next_directory(&mut self) {
        let rest = self.under_way.take_all();
        rest.into_iter().for_each(|open| self.leave(&open));
        self.last_seq = None;
    }

    /// One line, in the order in which they were written.
    pub fn line(&mut self, line: &Line) {
        self.counts.lines += 1;
        let expected = self.last_seq.map_or(line.seq, |last| last + 1);
        if line.seq != expected {
            self.counts.jumps += 1;
        }
        self.last_seq = Some(line.seq);
        if !self.counts.nodes.contains(&line.node) {
            self.counts.nodes.insert(line.node.clone());
        }
        let day = line.at.to_zoned(TimeZone::UTC).date();
        match &line.body {
            Body::Intent(intent) => self.intent(line.seq, day, intent),
            Body::Outcome(outcome) => self.outcome(outcome),
            Body::Gap(gap) => self.gap(&line.node, gap),
            Body::Start(start) => {
                self.counts.starts += 1;
                let facts = &start.facts;
                self.switches_at(
                    day,
                    &facts.rules_disabled,
                    facts.strip_all,
                    facts.hold_edits,
                    0,
                );
                for shadow in &facts.shadows {
                    let switched = Switched {
                        stream: shadow.stream.clone(),
                        mode: "shadow".to_owned(),
                        shadow_until: Some(shadow.shadow_until.clone()),
                        by: Some(shadow.by.clone()),
                        share_percent: Some(shadow.share_percent),
                    };
                    note(&mut self.counts.switched, switched, day, 0);
                }
            }
            Body::Head(_) | Body::Other(_) => {}
        }
    }

    /// Everything that was counted.
    pub fn finish(mut self) -> Counts {
        self.next_directory();
        let Self {
            rows,
            tallies,
            names,
            mut counts,
            ..
        } = self;
        let mut tallies: Vec<Option<Tally>> = tallies
            .into_iter()
            .map(|tally| Some(tally.named(&names)))
            .collect();
        let rows = rows.into_iter().filter_map(|(place, row)| {
            let tally = tallies.get_mut(row).and_then(Option::take)?;
            Some((place, tally))
        });
        counts.rows = rows.collect();
        counts
    }

    fn intent(&mut self, seq: u64, day: Date, intent: &Intent) {
        let Some(mut open) = self.under_way.take(&intent.id) else {
            if intent.attempt > 1 {
                // Its message was counted on a day that was not read, or had to be forgotten.
                let row = self.row(day, intent);
                self.count(row, key(Measure::RetriesOfEarlier, []), 1);
                return;
            }
            self.switches(day, intent);
            let row = self.row(day, intent);
            self.count_message(row, intent);
            let decided = copies(&mut self.names, &self.vendor, intent);
            for copies in &decided {
                self.apply(row, copies, copies.subjects.len(), true);
            }
            self.keep(
                &intent.id,
                Open {
                    row,
                    attempt: intent.attempt,
                    seq,
                    concluded: false,
                    copies: decided,
                },
            );
            return;
        };
        if intent.attempt > open.attempt {
            self.count(open.row, key(Measure::Attempts, []), 1);
            self.count(open.row, key(Measure::Retries, []), 1);
        }
        let mut decided_again = copies(&mut self.names, &self.vendor, intent);
        for copies in &mut decided_again {
            // Only about those who were counted and wait for something; nobody is counted twice.
            copies.subjects.retain(|subject| {
                let Some(before) = open.take_subject(*subject) else {
                    return false;
                };
                self.apply(open.row, &before, 1, false);
                true
            });
            self.apply(open.row, copies, copies.subjects.len(), true);
        }
        open.copies.extend(
            decided_again
                .into_iter()
                .filter(|copies| !copies.subjects.is_empty()),
        );
        open.attempt = intent.attempt;
        open.seq = seq;
        self.keep(&intent.id, open);
    }

    /// What is counted once for a message, whoever gets it.
    fn count_message(&mut self, row: usize, intent: &Intent) {
        self.count(row, key(Measure::Messages, []), 1);
        self.count(row, key(Measure::Attempts, []), 1);
        if !intent.findings.is_empty() {
            self.count(row, key(Measure::MessagesWithTrackers, []), 1);
        }
        if !intent.uninspectable.is_empty() {
            self.count(row, key(Measure::UninspectableMessages, []), 1);
        }
        for part in &intent.uninspectable {
            let reason = self.names.word(&part.reason);
            self.count(row, key(Measure::UninspectableParts, [reason]), 1);
        }
        for (reason, parts) in &intent.out_of_scope {
            let reason = self.names.word(reason);
            self.count(row, key(Measure::OutOfScopeParts, [reason]), *parts);
        }
        for reported in &intent.reported {
            let kind = self.names.word(&reported.kind);
            self.count(row, key(Measure::Reported, [kind]), 1);
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        let Some(mut open) = self.under_way.take(&outcome.id) else {
            self.counts.without_intent += u64::from(outcome.attempt <= 1);
            return;
        };
        open.concluded = true;
        if outcome.attempt <= 1 {
            let word = self.names.word(answer(outcome.answered));
            self.count(open.row, key(Measure::Answers, [word]), 1);
        }
        // After the first attempt something is owed only if the client was told 250; later nobody waits.
        let owes = outcome.attempt > 1
            || outcome
                .answered
                .is_some_and(|code| (200..300).contains(&code));
        let mut waiting = Vec::new();
        for line in &outcome.fates {
            let fate = key(Measure::Fates, [self.names.word(&line.fate)]);
            let is_final = matches!(line.fate.as_str(), "taken" | "refused" | "rejected");
            for subject in &line.subjects {
                let Some(mut copies) = open.take_subject(under_way::subject(subject)) else {
                    continue;
                };
                if let Some(before) = copies.fate.replace(fate) {
                    self.discount(open.row, before);
                }
                self.count(open.row, fate, 1);
                if owes && !is_final {
                    waiting.push(copies);
                }
            }
        }
        // Whom the outcome does not name waits too: an attempt at some says nothing of the others.
        open.copies
            .retain(|copies| owes && !copies.subjects.is_empty());
        open.copies.extend(waiting);
        if !open.copies.is_empty() {
            self.keep(&outcome.id, open);
        }
    }

    /// A gap takes back the intents that it declares void.
    fn gap(&mut self, node: &str, gap: &Gap) {
        self.counts.gaps += 1;
        self.counts.missing_lines += gap.lines;
        if self.counts.missing.len() < GAPS_MAX {
            self.counts.missing.push(Missing {
                node: node.to_owned(),
                cause: gap.cause.clone(),
                lines: gap.lines,
                since: gap.since,
                until: gap.until,
            });
        }
        for mut open in self.under_way.take_seqs(&gap.seqs) {
            for copies in std::mem::take(&mut open.1.copies) {
                self.apply(open.1.row, &copies, copies.subjects.len(), false);
            }
            self.count(open.1.row, key(Measure::Void, []), 1);
            self.keep(&open.0, open.1);
        }
    }

    fn keep(&mut self, id: &str, open: Open) {
        for forgotten in self.under_way.put(id, open) {
            self.counts.forgotten += 1;
            self.leave(&forgotten);
        }
    }

    /// Nothing more will be heard of it.
    fn leave(&mut self, open: &Open) {
        if !open.concluded {
            self.count(open.row, key(Measure::WithoutOutcome, []), 1);
        }
    }

    fn apply(&mut self, row: usize, copies: &Copies, times: usize, add: bool) {
        let times = times as u64;
        for (key, count) in copies.each.iter() {
            match add {
                true => self.count(row, *key, count * times),
                false => self.take_back(row, *key, count * times),
            }
        }
        if !add && let Some(fate) = copies.fate {
            self.take_back(row, fate, times);
        }
    }

    fn count(&mut self, row: usize, key: Key, count: u64) {
        if let Some(tally) = self.tallies.get_mut(row) {
            tally.add(key, count);
        }
    }

    fn discount(&mut self, row: usize, key: Key) {
        self.take_back(row, key, 1);
    }

    fn take_back(&mut self, row: usize, key: Key, count: u64) {
        if let Some(tally) = self.tallies.get_mut(row) {
            tally.take(key, count);
        }
    }

    fn row(&mut self, day: Date, intent: &Intent) -> usize {
        let mut place = Place {
            day,
            stream: intent.stream.clone(),
            stream_kind: intent.stream_kind.clone(),
            controller: intent.controller.clone(),
        };
        if self.rows.len() >= ROWS_MAX && !self.rows.contains_key(&place) {
            let others = || OTHERS.to_owned();
            place = Place {
                day,
                stream: others(),
                stream_kind: others(),
                controller: others(),
            };
        }
        let next = self.tallies.len();
        let row = *self.rows.entry(place).or_insert(next);
        if row == next {
            self.tallies.push(Tally::default());
        }
        row
    }

    fn switches(&mut self, day: Date, intent: &Intent) {
        let Enforcement {
            mode,
            shadow_until,
            by,
            share_percent,
            strip_all,
            hold_edits,
            rules_disabled,
        } = &intent.enforcement;
        let switched = Switched {
            stream: intent.stream.clone(),
            mode: mode.clone(),
            shadow_until: shadow_until.clone(),
            by: by.clone(),
            share_percent: *share_percent,
        };
        note(&mut self.counts.switched, switched, day, 1);
        self.switches_at(day, rules_disabled, *strip_all, *hold_edits, 1);
    }

    fn switches_at(
        &mut self,
        day: Date,
        rules: &[String],
        strip_all: bool,
        hold_edits: bool,
        messages: u64,
    ) {
        for rule in rules {
            note(&mut self.counts.rules_disabled, rule.clone(), day, messages);
        }
        for (stop, on) in [("strip_all", strip_all), ("hold_edits", hold_edits)] {
            if on {
                note(&mut self.counts.stops, stop.to_owned(), day, messages);
            }
        }
    }
}

/// What the client was told, by class.
fn answer(code: Option<u16>) -> &'static str {
    match code {
        Some(200..=299) => "accepted",
        Some(400..=499) => "told_to_wait",
        Some(_) => "refused",
        None => "each_for_itself",
    }
}

#[cfg(test)]
#[path = "summary/tests.rs"]
mod tests;
