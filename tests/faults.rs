//! Promise 3, *250 means safe*, against a next hop with bad manners: for every fault what the client is told, which
//! copies exist, what lies owed, what is delivered later and who is reported to whom. The rows are `ARCHITECTURE.md`'s
//! table "Who is told what", each as often as there are ways to it.
//!
//! After the reply the relay is killed and started again, so everything that is owed later came from the disk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "support/ill_mannered.rs"]
mod ill_mannered;
mod support;
#[path = "support/traffic.rs"]
mod traffic;

#[path = "faults/aside.rs"]
mod aside;
#[path = "faults/connections.rs"]
mod connections;
#[path = "faults/dots.rs"]
mod dots;
#[path = "faults/held_back.rs"]
mod held_back;
#[path = "faults/reports.rs"]
mod reports;
#[path = "faults/rerun.rs"]
mod rerun;
#[path = "faults/storage.rs"]
mod storage;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use support::{Config, Served};
use traffic::*;

/// Rows at work at once.
const AT_ONCE: usize = 4;

/// `(forward-path, "delivery" or "failed_dsn", code of the last reply, possible duplicate)`.
type Owed = (&'static str, &'static str, u16, bool);
/// `(forward-path, status, diagnostic code)`.
type Failed = (&'static str, &'static str, u16);

/// One row.
#[derive(Debug, Clone)]
struct Row {
    name: &'static str,
    script: Script,
    /// What the next hop speaks.
    protocol: &'static str,
    /// Changes `[next_hop.limits]`.
    limits: &'static [&'static str],
    /// `[relay]`, `[[stream]]` and such.
    tail: &'static str,
    submission: Submission,
    /// How the reply that settles it begins.
    told: &'static str,
    /// Copies of [`FOUR`] that the next hop had taken when the client was answered.
    copies: [usize; 4],
    owed: &'static [Owed],
    /// Copies when nothing is owed any more.
    later: [usize; 4],
    failed: &'static [Failed],
    /// What ends in `spool/dead`.
    dead: &'static [Owed],
}

const NONE: [usize; 4] = [0, 0, 0, 0];
const ALL: [usize; 4] = [1, 1, 1, 1];
/// [`GRANTED`] alone.
const FIRST: [usize; 4] = [1, 0, 0, 1];
/// [`UNKNOWN`] alone.
const SECOND: [usize; 4] = [0, 1, 1, 0];

/// Two variants: transaction 1 is the client's own and is reset, 2 carries [`GRANTED`], 3 carries [`UNKNOWN`].
fn two(name: &'static str, script: Script) -> Row {
    let submission = Submission {
        mail: format!("<{SENDER}> ENVID=crumb+2B7"),
        ..Submission::new(&FOUR, letter())
    };
    Row {
        name,
        script,
        protocol: "smtp",
        limits: &[],
        tail: "",
        submission,
        told: "",
        copies: NONE,
        owed: &[],
        later: NONE,
        failed: &[],
        dead: &[],
    }
}

/// One variant for [`GRANTED`]: transaction 1 is the client's own, with its dot.
fn one(name: &'static str, script: Script) -> Row {
    let two = two(name, script);
    let submission = Submission {
        rcpts: GRANTED.iter().map(|path| format!("<{path}>")).collect(),
        ..two.submission
    };
    Row { submission, ..two }
}

impl Row {
    /// Nobody gets anything, now or later, and nothing is owed.
    fn nothing(self, told: &'static str) -> Self {
        Self { told, ..self }
    }

    /// These now, and that is all there is to it.
    fn done(self, told: &'static str, copies: [usize; 4]) -> Self {
        Self {
            told,
            copies,
            later: copies,
            ..self
        }
    }

    /// 250 with these copies; these debts; then these copies and this report.
    fn owing(
        self,
        copies: [usize; 4],
        owed: &'static [Owed],
        later: [usize; 4],
        failed: &'static [Failed],
    ) -> Self {
        Self {
            told: "250 ",
            copies,
            owed,
            later,
            failed,
            ..self
        }
    }

    /// Copies at the reply that nobody knows of yet.
    fn at_reply(self, copies: [usize; 4]) -> Self {
        Self { copies, ..self }
    }

    fn config(&self, hop: &IllMannered) -> Config {
        Config {
            next_hop: next_hop_lines(hop, self.protocol, self.limits),
            tail: self.tail.to_owned(),
            ..config_for(hop)
        }
    }

    fn run(&self) {
        let hop = IllMannered::start(self.script.clone());
        let config = self.config(&hop);
        let mut served = start(&config);
        let told = self.submission.send(served.address());
        let log = served.log();
        assert!(told.last().starts_with(self.told), "{told:?}\n{log}");
        assert_eq!(count(&hop), self.copies, "copies at the reply\n{log}");
        assert_eq!(owed(&served), debts(self.owed), "owed\n{log}");
        let prepared = files(&served.directory().join("spool/prepared"));
        assert_eq!(prepared, [""; 0], "nothing stays prepared behind a reply");
        if self.owed.is_empty() {
            assert!(spool_is_empty(&served), "an orphan in the spool");
        } else {
            served.kill();
            let spool = eager();
            served.start_again(&Config { spool, ..config });
            let ended = || match self.dead {
                [] => spool_is_empty(&served),
                _ => owed(&served).is_empty() && !dead(&served).is_empty(),
            };
            wait_until("the end of what is owed", &served, ended);
        }
        let log = served.log();
        assert_eq!(count(&hop), self.later, "copies in the end\n{log}");
        assert_reports(&hop, self.failed);
        assert_eq!(dead(&served), debts(self.dead), "given up\n{log}");
        if self.dead.is_empty() {
            assert!(spool_is_empty(&served), "an orphan in the spool\n{log}");
        }
        if self.submission.message == letter() {
            assert_own_variants(&hop, &letter());
        }
    }
}

/// Runs rows, a few at once; every row is run, those that fail are named.
fn run(rows: Vec<Row>) {
    let rows = Mutex::new(rows.into_iter());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let row = rows.lock().unwrap().next();
                    let Some(row) = row else { break };
                    if catch_unwind(AssertUnwindSafe(|| row.run())).is_err() {
                        failed.lock().unwrap().push(row.name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "rows that failed: {failed:#?}");
}

fn count(hop: &IllMannered) -> [usize; 4] {
    FOUR.map(|address| copies(hop, address))
}

fn debts(owed: &[Owed]) -> Vec<Debt> {
    let debt = |&(to, owes, code, possible_duplicate): &Owed| Debt {
        to: to.to_owned(),
        owes: owes.to_owned(),
        code,
        possible_duplicate,
    };
    owed.iter().map(debt).collect()
}

/// One report for all who failed, or none at all; its fields as RFC 3464 has them.
#[track_caller]
fn assert_reports(hop: &IllMannered, failed: &[Failed]) {
    let reports = reports(hop);
    assert_eq!(
        reports.len(),
        usize::from(!failed.is_empty()),
        "{reports:?}"
    );
    let Some(report) = reports.first() else {
        return;
    };
    assert_eq!(report.mail, "MAIL FROM:<>");
    assert_eq!(paths(&report.rcpts), [SENDER]);
    let text = String::from_utf8(report.octets.clone()).unwrap();
    for field in [
        "Auto-Submitted: auto-replied",
        "Original-Envelope-Id: crumb+7",
        "Reporting-MTA: dns; ",
        "Arrival-Date: ",
        "Message-ID: ",
        "Date: ",
    ] {
        assert!(text.contains(&format!("\r\n{field}")), "{field}\n{text}");
    }
    assert!(text.contains(&format!("<{SENDER}>")), "{text}");
    for what in ["multipart/report", "report-type=\"delivery-status\""] {
        assert!(text.contains(what), "{what}\n{text}");
    }
    let named: Vec<_> = blocks(&text);
    let expected: Vec<_> = failed
        .iter()
        .map(|(to, status, code)| (format!("rfc822; {to}"), (*status).to_owned(), *code))
        .collect();
    assert_eq!(named, expected, "{text}");
    // The header comes back, the letter does not; whom it was for besides is nobody's business.
    assert!(text.contains("\r\nSubject: "), "{text}");
    assert!(
        !text.contains("Chestnut") && !text.contains(TRACE),
        "{text}"
    );
    let cleo_failed = failed.iter().any(|(to, ..)| *to == CLEO);
    assert_eq!(text.contains(CLEO), cleo_failed, "{text}");
}

/// Final-Recipient, Status and the code of Diagnostic-Code of each block; every one must be Action: failed.
fn blocks(report: &str) -> Vec<(String, String, u16)> {
    let value = |block: &str, name: &str| {
        block
            .split("\r\n")
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .map(str::to_owned)
    };
    let recipient = |block: &str| {
        let path = value(block, "Final-Recipient")?;
        assert_eq!(value(block, "Action").as_deref(), Some("failed"));
        let status = value(block, "Status").unwrap();
        let diagnostic = value(block, "Diagnostic-Code").unwrap();
        let code = diagnostic.strip_prefix("smtp; ").unwrap()[..3].parse();
        Some((path, status, code.unwrap()))
    };
    report.split("\r\n\r\n").filter_map(recipient).collect()
}
