//! Writing a checked list: short transactions, each whole or not at all, and everybody else's turn between them.
//!
//! Records name the import and the line they came from; what is there already stays as it is, so a killed import is
//! finished by running it again. A restriction without a date that the register knows from before is a statement of
//! today all the same: where the person consented since, it is recorded anew, as of this receipt. It must never decide
//! what a row is worth. When the register does not take a batch nothing of that batch is written.

use std::io::{Read, Seek};
use std::time::{Duration, Instant};

use super::reading::Rows;
use super::tally::{Contents, ahead_of};
use super::{ImportError, ImportReport, Options, Progress};
use crate::consent::{Assertion, Change, ChangeKind, Purpose, State};
use crate::register::announce::{GIVE_WAY_MAX, give_way};
use crate::register::{Recorded, Register, RegisterError, Row, RowEntry};

/// The most rows of one transaction.
pub const BATCH_ROWS_MAX: usize = 1_000;
/// The fewest, on however slow a disk.
const BATCH_ROWS_MIN: usize = 20;
/// How long one transaction should take: so long does a withdrawal wait that comes in the middle of one.
pub const BATCH_TIME_MAX: Duration = Duration::from_millis(100);
/// Between two transactions others get their turn at the write lock, announced or not.
const PAUSE: Duration = Duration::from_millis(2);
/// How often a batch is tried again when the keys were rotated meanwhile.
const ROTATIONS_MAX: usize = 3;

impl Register {
    /// Restrictions first, then all else; in a dry run what would become of each.
    pub(super) fn write_import(
        &self,
        reader: &mut (impl Read + Seek),
        options: &Options<'_>,
        report: &mut ImportReport,
    ) -> Result<(), ImportError> {
        let mut writing = Writing {
            register: self,
            options,
            report,
            batch: Vec::new(),
            rows_max: BATCH_ROWS_MAX / 5,
            seen: Contents::default(),
            done: 0,
        };
        for restrictions in [true, false] {
            writing.pass(reader, restrictions)?;
        }
        Ok(())
    }
}

struct Writing<'a, 'b> {
    register: &'a Register,
    options: &'a Options<'b>,
    report: &'a mut ImportReport,
    batch: Vec<Row>,
    /// How many rows the next transaction may have, by how long the last one took.
    rows_max: usize,
    /// In a dry run, what would be written by now.
    seen: Contents,
    done: u64,
}

impl Writing<'_, '_> {
    fn pass(
        &mut self,
        reader: &mut (impl Read + Seek),
        restrictions: bool,
    ) -> Result<(), ImportError> {
        let mut rows = Rows::of(reader, self.options.format, self.options.evidence)?;
        while let Some((line, judged)) = rows.next_row()? {
            let judged = judged.map_err(|_| ImportError::Changed)?;
            for mut row in judged.rows(restrictions) {
                if let Some(refusal) = ahead_of(&row, self.options.received_at) {
                    self.report.refuse(line, &refusal);
                    self.done += 1;
                    continue;
                }
                if let RowEntry::Change(assertion) = &mut row.entry {
                    assertion.source = Some(format!("{}:{line}", self.report.id));
                }
                self.batch.push(row);
            }
            if self.batch.len() >= self.rows_max {
                self.write()?;
            }
        }
        self.write()
    }

    fn write(&mut self) -> Result<(), ImportError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let recorded = self.recorded()?;
        let took = begun.elapsed();
        self.rows_max = if took > BATCH_TIME_MAX {
            (self.rows_max / 2).max(BATCH_ROWS_MIN)
        } else if took < BATCH_TIME_MAX / 2 {
            (self.rows_max + self.rows_max / 4).min(BATCH_ROWS_MAX)
        } else {
            self.rows_max
        };
        for (row, outcome) in std::mem::take(&mut self.batch).iter().zip(recorded) {
            // Nothing is written in a dry run, so the second of two equal rows does not find the first, nor what that
            // had renewed.
            let again = self.options.dry_run && !self.seen.add(row);
            let outcome = match outcome {
                Recorded::New if again => Recorded::AlreadyThere,
                other => other,
            };
            self.report.wrote(outcome);
            if outcome == Recorded::AlreadyThere && !again {
                self.renew(row)?;
            }
            self.done += 1;
        }
        let of = self.report.grants
            + self.report.claims
            + self.report.restrictions
            + self.report.contacts;
        (self.options.progress)(Progress::Written {
            done: self.done,
            of,
        });
        if !self.options.dry_run {
            give_way(&self.register.database.path, GIVE_WAY_MAX);
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn recorded(&self) -> Result<Vec<Recorded>, RegisterError> {
        let received_at = self.options.received_at;
        let mut rotations = 0;
        loop {
            let tried = if self.options.dry_run {
                self.register.would_record(&self.batch, received_at)
            } else {
                self.register.write_batch(&self.batch, received_at)
            };
            match tried {
                Err(RegisterError::KeysRotated) if rotations < ROTATIONS_MAX => rotations += 1,
                other => return other,
            }
        }
    }

    /// A list that says `withdrawn` without saying since when says so of today. The register knows that content since an
    /// earlier list; had the person not consented in between, there would be nothing to do.
    fn renew(&mut self, row: &Row) -> Result<(), ImportError> {
        let RowEntry::Change(said) = &row.entry else {
            return Ok(());
        };
        if said.kind == ChangeKind::Granted || said.at.is_some() {
            return Ok(());
        }
        let history = self.register.history(&row.controller, &row.address)?;
        let standing = self.register.get(&row.controller, &row.address)?;
        let reach = match said.purposes.is_empty() {
            true => Purpose::ALL.to_vec(),
            false => said.purposes.iter().copied().collect(),
        };
        let undone = match said.kind {
            // Who came back, by whatever record, is there to be erased: their address is.
            ChangeKind::Erased => history.address.is_some(),
            _ => reach
                .iter()
                .any(|purpose| standing.state(*purpose) == State::Granted),
        };
        if !undone {
            return Ok(());
        }
        // This very import, run again: it said so once, and what came after is newer. It said exactly this; another row of
        // it about the same person, for other purposes, is another statement.
        let of_this = |change: &Change| {
            let source = change.said.source.as_ref();
            let undated = Assertion {
                at: None,
                ..change.said.clone()
            };
            source.is_some_and(|source| source.starts_with(&self.report.id))
                && undated.content() == said.content()
        };
        if history.changes.iter().any(of_this) {
            return Ok(());
        }
        self.report.renewed += 1;
        if self.options.dry_run {
            return Ok(());
        }
        let anew = Row {
            entry: RowEntry::Change(Assertion {
                at: Some(self.options.received_at),
                ..said.clone()
            }),
            ..row.clone()
        };
        self.register.record(&anew, self.options.received_at)?;
        Ok(())
    }
}
