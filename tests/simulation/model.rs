//! What is true of a run whatever the relay does: what clients were told, what the next hop took, what lies on disk. And what
//! promises 3 and 6 say about the three. It must never ask the relay anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{Letter, consent_of};

/// What a client meant to send.
#[derive(Debug, Clone)]
pub(crate) enum Sent {
    Letter(Box<Letter>),
    /// Nothing of it may ever be seen.
    Smuggler,
}

/// One transaction of a client.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    pub(crate) sender: String,
    pub(crate) sent: Sent,
    /// The forward-paths that were accepted, with what was said of each behind the dot.
    pub(crate) told: BTreeMap<String, Option<u16>>,
    /// Whether its last octet was sent.
    pub(crate) whole: bool,
    /// Whether the disk failed while it was on its way or owed: then a copy may come twice (ARCHITECTURE.md, last rows).
    pub(crate) disk_failed: bool,
}

/// One copy that the next hop has.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    pub(crate) number: usize,
    pub(crate) rcpt: String,
    /// Whether the relay must know: it was answered 250, in time, on a connection that stood.
    pub(crate) confirmed: bool,
    /// Which life of the relay brought it.
    pub(crate) life: usize,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) submissions: BTreeMap<usize, Submission>,
    pub(crate) copies: Vec<Copy>,
    /// Who was reported as not served: submission and forward-path.
    pub(crate) reports: Vec<(usize, String)>,
    /// The same, of what lies in `dead/` at the end.
    pub(crate) dead: BTreeSet<(usize, String)>,
    /// How often a relay ended with this copy in its hands.
    pub(crate) killed_over: BTreeMap<(usize, String), usize>,
    /// What was neither owed nor written ahead as owed when a life ended: it is over, whatever its client was told.
    over: BTreeSet<(usize, String)>,
    /// How many lives of the relay are over.
    dead_lives: usize,
    /// What contradicts a promise, as it was seen.
    pub(crate) violations: Vec<String>,
    /// What happened, for whoever reads a failure.
    pub(crate) trace: Vec<String>,
    pub(crate) counts: Counts,
}

/// What runs came to, so that it can be seen that something happened.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) submissions: usize,
    pub(crate) acknowledged: usize,
    pub(crate) copies: usize,
    pub(crate) kept: usize,
    pub(crate) kept_less: usize,
    pub(crate) unconfirmed: usize,
    pub(crate) twice: usize,
    pub(crate) reports: usize,
    pub(crate) delayed: usize,
    pub(crate) dead: usize,
    pub(crate) kills: usize,
    pub(crate) owed: usize,
    pub(crate) faults: usize,
    pub(crate) smuggled: usize,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.submissions += other.submissions;
        self.acknowledged += other.acknowledged;
        self.copies += other.copies;
        self.kept += other.kept;
        self.kept_less += other.kept_less;
        self.unconfirmed += other.unconfirmed;
        self.twice += other.twice;
        self.reports += other.reports;
        self.delayed += other.delayed;
        self.dead += other.dead;
        self.kills += other.kills;
        self.owed += other.owed;
        self.faults += other.faults;
        self.smuggled += other.smuggled;
    }
}

impl Model {
    pub(crate) fn say(&mut self, text: String) {
        tracing::info!("{text}");
        self.trace.push(text);
    }

    #[track_caller]
    pub(crate) fn violate(&mut self, text: String) {
        self.trace.push(format!("VIOLATION {text}"));
        self.violations.push(text);
    }

    pub(crate) fn by_sender(&self, sender: &str) -> Option<usize> {
        self.submissions
            .iter()
            .find(|(_, submission)| submission.sender == sender)
            .map(|(number, _)| *number)
    }

    /// A message came to its dot. `octets` without its stuffing; `rcpts` whoever was accepted.
    pub(crate) fn seen(
        &mut self,
        number: usize,
        sender: &str,
        rcpts: &[String],
        octets: Option<&[u8]>,
    ) {
        let Some(submission) = self.submissions.get(&number).cloned() else {
            return self.violate(format!("{number}: nobody sent that"));
        };
        let Some(octets) = octets else {
            return self.violate(format!("{number}: no Received: field of ours on top"));
        };
        if submission.sender != sender {
            self.violate(format!("{number}: from {sender}"));
        }
        for rcpt in rcpts {
            if !submission.told.contains_key(rcpt) {
                self.violate(format!("{number}: {rcpt} was not named by its client"));
            }
        }
        if !submission.whole {
            self.violate(format!("{number}: its client never sent it to the end"));
        }
        let Sent::Letter(letter) = &submission.sent else {
            return self.violate(format!("{number}: a message that had to be refused"));
        };
        let Some(kept) = letter.kept_in(octets) else {
            let shown = octets.escape_ascii().to_string();
            return self.violate(format!(
                "{number}: not what its client sent: {}",
                &shown[..shown.len().min(4000)]
            ));
        };
        for rcpt in rcpts {
            let consent = consent_of(rcpt).unwrap_or(0);
            if kept & !consent != 0 {
                self.violate(format!("{number}: {rcpt} got a tracker without consent"));
            }
            if letter.tracks() && consent != 0 {
                match kept == consent {
                    true => self.counts.kept += 1,
                    false => self.counts.kept_less += 1,
                }
            }
        }
    }

    /// A failed report was taken.
    pub(crate) fn reported(&mut self, number: usize, failed: Vec<String>) {
        self.say(format!("a report about {number}: {failed:?}"));
        self.reports
            .extend(failed.into_iter().map(|path| (number, path)));
    }

    /// A delayed report was taken: true of those whom the client named, and who are not served as far as the relay can know.
    /// It ends nothing.
    pub(crate) fn said_late(&mut self, number: usize, delayed: &[String]) {
        self.say(format!("a report that {number} is late: {delayed:?}"));
        self.counts.delayed += delayed.len();
        for rcpt in delayed {
            let named = |submission: &Submission| submission.told.contains_key(rcpt);
            if !self.submissions.get(&number).is_some_and(named) {
                self.violate(format!("{number}: late for {rcpt}, whom nobody named"));
            }
            if self
                .copies_of(number, rcpt)
                .any(|copy| copy.confirmed && copy.life >= self.dead_lives)
            {
                self.violate(format!("{number}: late for {rcpt}, who has it"));
            }
        }
    }

    fn copies_of(&self, number: usize, rcpt: &str) -> impl Iterator<Item = &Copy> {
        self.copies
            .iter()
            .filter(move |copy| copy.number == number && copy.rcpt == rcpt)
    }

    /// A relay was killed or stopped. `owed` is what its spool still says of copies, `prepared` what was written ahead and is
    /// to be forgotten.
    pub(crate) fn ended(
        &mut self,
        life: usize,
        owed: &BTreeSet<(usize, String)>,
        prepared: &BTreeSet<(usize, String)>,
    ) {
        for (number, submission) in &self.submissions {
            let named = submission.told.keys().map(|rcpt| (*number, rcpt.clone()));
            self.over.extend(named.filter(|copy| !owed.contains(copy)));
        }
        let brought: BTreeSet<(usize, String)> = self
            .copies
            .iter()
            .filter(|copy| copy.life == life)
            .map(|copy| (copy.number, copy.rcpt.clone()))
            .collect();
        for copy in brought {
            let told = |submission: &Submission| submission.told.get(&copy.1).copied().flatten();
            let answered = self.submissions.get(&copy.0).and_then(told).is_some();
            if !answered || owed.contains(&copy) || prepared.contains(&copy) {
                *self.killed_over.entry(copy).or_default() += 1;
            }
        }
        self.dead_lives = life + 1;
    }

    /// A copy was taken. One that a dead relay's socket still held is nobody's knowledge.
    pub(crate) fn took(&mut self, copy: Copy) {
        let confirmed = copy.confirmed && copy.life >= self.dead_lives;
        self.say(format!("took {copy:?}"));
        let pair = (copy.number, copy.rcpt.clone());
        if copy.life >= self.dead_lives && self.over.contains(&pair) {
            self.violate(format!("CAME BACK {pair:?}"));
        }
        self.copies.push(Copy { confirmed, ..copy });
    }

    /// The promises, once every next hop was polite and time has passed.
    pub(crate) fn check(&mut self) {
        let mut found = Vec::new();
        let mut counts = Counts::default();
        for (number, submission) in &self.submissions {
            counts.submissions += 1;
            for (rcpt, told) in &submission.told {
                let copies = self.copies_of(*number, rcpt).count();
                let confirmed = self
                    .copies_of(*number, rcpt)
                    .filter(|c| c.confirmed)
                    .count();
                let unconfirmed = copies - confirmed;
                let pair = (*number, rcpt.clone());
                let killed = self.killed_over.get(&pair).copied().unwrap_or(0);
                let reports = self
                    .reports
                    .iter()
                    .filter(|report| **report == pair)
                    .count();
                let dead = self.dead.contains(&pair);
                let shown = format!(
                    "{number} {rcpt}: told {told:?}, {copies} copies ({confirmed} confirmed), {reports} reports, dead {dead}, killed over it {killed}"
                );
                let taken = told.is_some_and(|code| code / 100 == 2);
                counts.copies += copies;
                counts.unconfirmed += unconfirmed;
                counts.twice += copies.saturating_sub(1);
                counts.reports += reports;
                counts.dead += usize::from(dead);
                counts.acknowledged += usize::from(taken);
                if taken && copies == 0 && reports == 0 && !dead {
                    found.push(format!("LOST {shown}"));
                }
                if taken && matches!(submission.sent, Sent::Smuggler) {
                    found.push(format!("SMUGGLED {shown}"));
                }
                if submission.disk_failed {
                    continue;
                }
                if told.is_some_and(|code| code / 100 != 2) && confirmed > 0 {
                    found.push(format!("REFUSED AND DELIVERED {shown}"));
                }
                if copies > 1 + unconfirmed + killed {
                    found.push(format!("TOO MANY COPIES {shown}"));
                }
            }
        }
        for text in found {
            self.violate(text);
        }
        let seen = std::mem::take(&mut self.counts);
        self.counts = Counts {
            kills: seen.kills,
            owed: seen.owed,
            faults: seen.faults,
            kept: seen.kept,
            kept_less: seen.kept_less,
            smuggled: seen.smuggled,
            delayed: seen.delayed,
            ..counts
        };
    }
}
