//! `consent import`: a list of records into the register, with a table of what counts and why the rest does not.
//!
//! The table is for whoever answers for the consents; it holds no address. A running import shows how far it is to a
//! terminal, and to nobody else.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;

use super::list::List;
use crate::cli::{Exit, Failure, say};
use crate::register::Register;
use crate::register::import::{Evidence, ImportReport, Options, Progress};

/// How often the line of progress is written anew.
const REDRAW_EVERY: Duration = Duration::from_millis(200);

/// `pixelgate consent import`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Import {
    /// Refuse the whole file when a grant in it has no proof
    #[arg(long)]
    require_proof: bool,
    /// Say what would count, by reason, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    list: List,
}

pub(super) fn run(register: &Register, import: &Import) -> Result<(), Failure> {
    let evidence = import.list.evidence()?;
    let shown = Shown::new();
    let options = Options {
        format: import.list.format(),
        evidence: &evidence,
        require_proof: import.require_proof,
        dry_run: import.dry_run,
        received_at: Timestamp::now(),
        progress: &|progress| shown.show(progress),
    };
    let result = register.import(&mut import.list.open()?, &options);
    shown.end();
    let report = result.map_err(|error| import.list.stopped(error))?;
    say(&table(&report, &evidence))?;
    if report.refused > 0 {
        Err(Failure::new(
            Exit::Data,
            format_args!("{} records were refused", report.refused),
        ))
    } else {
        Ok(())
    }
}

/// What counts and what does not, line by line.
fn table(report: &ImportReport, evidence: &Evidence) -> String {
    let mut text = String::new();
    let mut line = |depth: usize, number: u64, what: &str| {
        let indent = "  ".repeat(depth);
        let _ = writeln!(text, "{number:>12}  {indent}{what}");
    };
    line(0, report.rows, "rows");
    line(1, report.grants, "grants with proof");
    line(
        1,
        report.claims,
        "claims: a yes without proof, which permits nothing",
    );
    for (reason, number) in &report.claims_by_reason {
        line(2, *number, reason);
    }
    line(1, report.restrictions, "restrictions");
    for (kind, number) in &report.restrictions_by_kind {
        line(2, *number, kind);
    }
    let detail = [
        (
            2,
            report.restrictions_from_receipt,
            "of them without a date, or dated ahead: they count from today",
        ),
        (
            2,
            report.renewed,
            "of them known before; recorded anew, because the person consented since",
        ),
        (
            1,
            report.contacts,
            "contact records: collected, informed, country, kind of address",
        ),
        (
            2,
            report.uninformed,
            "of them not informed by their list's mailing: collected after it, or no one knows when",
        ),
        (1, report.empty, "rows that say nothing"),
        (
            1,
            report.summaries,
            "rows that sum a person up; not taken over",
        ),
    ];
    for (depth, number, what) in detail.into_iter().filter(|(_, number, _)| *number > 0) {
        line(depth, number, what);
    }
    let recorded = if report.dry_run {
        "records would be written"
    } else {
        "records written"
    };
    line(0, report.recorded, recorded);
    line(0, report.already_there, "there already");
    if report.duplicates > 0 {
        line(1, report.duplicates, "of them more than once in this file");
    }
    line(0, report.erased, "not stored: the person was erased since");
    line(0, report.refused, "refused: dated in the future");
    for row in &report.refused_rows {
        let _ = writeln!(text, "                {row}");
    }
    for hashed in evidence.hashed() {
        let digest: String = hashed
            .sha256
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        let _ = writeln!(
            text,
            "list {:?}: sha256 of `{}` ({} octets) {digest}",
            hashed.list, hashed.key, hashed.octets
        );
    }
    if !report.unread_columns.is_empty() {
        let _ = writeln!(
            text,
            "columns not read: {}",
            report.unread_columns.join(", ")
        );
    }
    let _ = writeln!(text, "import {}", report.id);
    if report.dry_run {
        text.push_str("nothing was written: a dry run\n");
    }
    text
}

/// The line that shows how far an import is.
struct Shown {
    terminal: bool,
    begun: Instant,
    last: Cell<Option<Instant>>,
    /// When the first record was written: checking is faster, and would make the end seem near.
    writing: Cell<Option<Instant>>,
}

impl Shown {
    fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            begun: Instant::now(),
            last: Cell::new(None),
            writing: Cell::new(None),
        }
    }

    fn show(&self, progress: Progress) {
        let soon = |last: Instant| last.elapsed() < REDRAW_EVERY;
        if !self.terminal || self.last.get().is_some_and(soon) {
            return;
        }
        self.last.set(Some(Instant::now()));
        if matches!(progress, Progress::Written { .. }) && self.writing.get().is_none() {
            self.writing.set(Some(Instant::now()));
        }
        let begun = self.writing.get().unwrap_or(self.begun);
        self.draw(&line(progress, begun.elapsed()));
    }

    fn end(&self) {
        if self.terminal && self.last.get().is_some() {
            self.draw("");
        }
    }

    /// Over the line before. A closed standard error is nobody looking, not a failure.
    fn draw(&self, line: &str) {
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
        let _ = std::io::stderr().flush();
    }
}

fn line(progress: Progress, took: Duration) -> String {
    let seconds = took.as_secs().max(1);
    match progress {
        Progress::Checked(rows) => format!("checked {rows} rows, {} a second", rows / seconds),
        Progress::Written { done, of } => {
            let rate = done / seconds;
            let left = of.saturating_sub(done).checked_div(rate);
            let left = left.map_or_else(
                || "?".to_owned(),
                |left| format!("{}:{:02}", left / 60, left % 60),
            );
            let percent = (done * 100).checked_div(of).unwrap_or(100);
            format!("{done} of {of} records, {percent} %, {rate} a second, {left} left")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_how_fast_and_how_long() {
        let written = Progress::Written {
            done: 250_000,
            of: 1_000_000,
        };
        assert_eq!(
            line(written, Duration::from_secs(10)),
            "250000 of 1000000 records, 25 %, 25000 a second, 0:30 left"
        );
        let nothing = Progress::Written { done: 0, of: 0 };
        assert_eq!(
            line(nothing, Duration::ZERO),
            "0 of 0 records, 100 %, 0 a second, ? left"
        );
        assert_eq!(
            line(Progress::Checked(9_000), Duration::from_secs(3)),
            "checked 9000 rows, 3000 a second"
        );
    }
}
