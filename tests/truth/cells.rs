//! Runs the cells: many dialogs through one relay and one next hop, which knows by the reverse-path what it has to do.
//!
//! All are answered, then the relay is killed once and started again, and what was owed to each is looked at.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use crate::rule::{BOTH, Cell, Debt, Manner, NO, Outcome, Place, Speaks, Step, cells, outcome};
use crate::*;

/// Dialogs at work at once. Most of them wait: a silent next hop is waited for.
const AT_ONCE: usize = 16;
/// Longer than any time-out of the relay's.
const SILENCE: Duration = Duration::from_secs(120);
/// How long all that is owed may take, on a machine that has other things to do.
const OWED_WITHIN: Duration = Duration::from_secs(120);

/// One cell at work.
struct Work {
    cell: Cell,
    sender: String,
}

/// Those that share a relay, and how many of them go at once.
struct Batch {
    hop: Speaks,
    cells: Vec<Cell>,
    at_once: usize,
}

#[test]
fn every_cell_is_as_the_rule_says() {
    let mut batches = Vec::new();
    for hop in BOTH {
        let (before_mail, others): (Vec<_>, Vec<_>) = cells(hop)
            .into_iter()
            .partition(|cell| matches!(cell.step, Step::Greeting | Step::Hello));
        batches.push(Batch {
            hop,
            cells: others,
            at_once: AT_ONCE,
        });
        // What happens before MAIL cannot be told apart by the reverse-path: one after the other, in relays of their own.
        for place in [Place::Only, Place::First, Place::Second] {
            for step in [Step::Greeting, Step::Hello] {
                let mut cells = before_mail.clone();
                cells.retain(|cell| cell.place == place && cell.step == step);
                batches.push(Batch {
                    hop,
                    cells,
                    at_once: 1,
                });
            }
        }
    }
    // What is ill at the next connection is met by whoever makes it: by the relay's own look at a next hop that just failed, now and
    // then. A rule that does not hold is broken twice.
    let twice = |batch: &Batch| match run(batch) {
        wrong if wrong.is_empty() || batch.at_once > 1 => wrong,
        _ => run(batch),
    };
    let wrong: Vec<String> = at_once(batches.len(), &batches, twice).concat();
    let count: usize = batches.iter().map(|batch| batch.cells.len()).sum();
    assert!(
        wrong.is_empty(),
        "{} of {count} cells are not as the rule says:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!("{count} cells");
}

fn run(batch: &Batch) -> Vec<String> {
    let work: Vec<Work> = batch
        .cells
        .iter()
        .enumerate()
        .map(|(index, &cell)| Work {
            cell,
            sender: format!("cell-{index}@news.example.com"),
        })
        .collect();
    let script = work.iter().fold(script(batch.hop), |script, work| {
        rules(work).into_iter().fold(script, Script::rule)
    });
    let hop = IllMannered::start(script);
    let mut relay = Relay::start(&hop, batch.hop, &[]);
    // Reached once, by either listener.
    for client in BOTH {
        assert!(greeting(&relay, client).starts_with("220 "));
    }
    let big = std::sync::Arc::new(large());
    let told = at_once(batch.at_once, &work, |work| {
        let Cell { client, place, .. } = work.cell;
        if batch.at_once == 1 {
            // So that a connection lies idle, to be found dead.
            let polite = send(
                &relay,
                Speaks::Smtp,
                "polite@news.example.com",
                &[UNKNOWN[0]],
                letter(),
            );
            assert!(polite.last().starts_with("250"), "{polite:?}");
        }
        let message = match work.cell.step {
            Step::Content => (*big).clone(),
            _ => letter(),
        };
        send(&relay, client, &work.sender, place.recipients(), message)
    });
    let at_reply: Vec<_> = work
        .iter()
        .map(|work| copies_of(&hop, &work.sender))
        .collect();
    let owed = debts(&relay);
    let prepared = files(&relay.served.directory().join("spool/prepared"));
    relay.kill_and_start_again();
    let drained = drain(&relay);
    let mut wrong = Vec::new();
    if !prepared.is_empty() {
        wrong.push(format!(
            "{:?}: prepared behind a reply: {prepared:?}",
            batch.hop
        ));
    }
    if !drained {
        wrong.push(format!("{:?}: still owed: {:?}", batch.hop, debts(&relay)));
    }
    let named = named_in_reports(&hop);
    for ((work, told), at_reply) in work.iter().zip(told).zip(at_reply) {
        let seen = Seen {
            told,
            at_reply,
            owed: owed.get(&work.sender).cloned().unwrap_or_default(),
            later: copies_of(&hop, &work.sender),
            failed: named.get(&work.sender).cloned().unwrap_or_default(),
        };
        let others = variants_of_others(&hop, work);
        for complaint in seen.compare(&outcome(work.cell)).into_iter().chain(others) {
            wrong.push(format!("{:?}: {complaint}\n    {seen:?}", work.cell));
        }
    }
    wrong
}

/// What came of a cell.
#[derive(Debug)]
struct Seen {
    told: Told,
    at_reply: [usize; 4],
    owed: Vec<(String, String, u16, bool)>,
    later: [usize; 4],
    failed: Vec<Vec<String>>,
}

impl Seen {
    fn compare(&self, expected: &Outcome) -> Vec<String> {
        let mut wrong = Vec::new();
        if !self.told.mail.starts_with(expected.mail) {
            wrong.push(format!("MAIL is not {}", expected.mail));
        }
        if !begin(&self.told.rcpts, &expected.rcpts) {
            wrong.push(format!("RCPTs are not {:?}", expected.rcpts));
        }
        if !begin(&self.told.dot, &expected.dot) {
            wrong.push(format!("the dot is not {:?}", expected.dot));
        }
        if self.at_reply != expected.copies {
            wrong.push(format!("copies are not {:?}", expected.copies));
        }
        let owned =
            |(to, owes, code, twice): &Debt| ((*to).to_owned(), (*owes).to_owned(), *code, *twice);
        if self.owed != expected.owed.iter().map(owned).collect::<Vec<_>>() {
            wrong.push(format!("owed is not {:?}", expected.owed));
        }
        if self.later != expected.later {
            wrong.push(format!("in the end copies are not {:?}", expected.later));
        }
        let reports: Vec<Vec<String>> = match expected.failed.is_empty() {
            true => Vec::new(),
            false => vec![
                expected
                    .failed
                    .iter()
                    .map(|who| (*who).to_owned())
                    .collect(),
            ],
        };
        if self.failed != reports {
            wrong.push(format!("reports do not name {reports:?}"));
        }
        wrong
    }
}

/// Everybody who was given a message was given their own variant of it.
fn variants_of_others(hop: &IllMannered, work: &Work) -> Vec<String> {
    let mut wrong = Vec::new();
    for transaction in hop.transactions_from(&work.sender) {
        let kept = contains(&transaction.octets, TRACE.as_bytes());
        for who in paths(&transaction.rcpts) {
            if kept != GRANTED.contains(&who) {
                wrong.push(format!("{who} was given the other variant"));
            }
        }
    }
    wrong
}

fn copies_of(hop: &IllMannered, sender: &str) -> [usize; 4] {
    let transactions = hop.transactions_from(sender);
    FOUR.map(|who| {
        let has = transactions
            .iter()
            .filter(|t| paths(&t.taken).contains(&who));
        has.count()
    })
}

/// What lies owed, by reverse-path.
fn debts(relay: &Relay) -> BTreeMap<String, Vec<(String, String, u16, bool)>> {
    let directory = relay.served.directory().join("spool/owed");
    let mut owed: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for name in files(&directory)
        .into_iter()
        .filter(|name| name.ends_with(".json"))
    {
        let Ok(octets) = fs::read(directory.join(name)) else {
            continue;
        };
        let stored: serde_json::Value = serde_json::from_slice(&octets).unwrap();
        let envelope = &stored["envelope"];
        let sender = envelope["reverse_path"].as_str().unwrap().to_owned();
        for recipient in envelope["recipients"].as_array().unwrap() {
            let text = |key: &str| recipient[key].as_str().unwrap().to_owned();
            let code = recipient["last_reply"]["code"].as_u64().unwrap_or(0);
            owed.entry(sender.clone()).or_default().push((
                text("forward_path"),
                text("owes"),
                u16::try_from(code).unwrap(),
                recipient["possible_duplicate"].as_bool().unwrap(),
            ));
        }
    }
    owed
}

/// Waits until nothing is owed; `false` when something stays.
fn drain(relay: &Relay) -> bool {
    let until = Instant::now() + OWED_WITHIN;
    while Instant::now() < until {
        if spool_is_empty(&relay.served) {
            return true;
        }
        thread::sleep(Duration::from_millis(50));
    }
    false
}

/// Whom each report names as failed, by its reader.
fn named_in_reports(hop: &IllMannered) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut named: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for report in reports(hop) {
        let text = String::from_utf8(report.octets).unwrap();
        let failed: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("Final-Recipient: rfc822; "))
            .map(str::to_owned)
            .collect();
        for reader in paths(&report.taken) {
            named
                .entry(reader.to_owned())
                .or_default()
                .push(Vec::clone(&failed));
        }
    }
    named
}

/// A letter with a tracker that does not fit into the buffers of two sockets.
fn large() -> Vec<u8> {
    let mut large = letter();
    let end = large.len() - b"--crumb--\r\n".len();
    large.truncate(end);
    large.extend_from_slice(b"--crumb\r\nContent-Type: application/octet-stream\r\n\r\n");
    let line = [b"x".repeat(900), b"\r\n".to_vec()].concat();
    for _ in 0..16_000 {
        large.extend_from_slice(&line);
    }
    large.extend_from_slice(b"--crumb--\r\n");
    large
}

/// What the next hop does for one cell.
fn rules(work: &Work) -> Vec<Rule> {
    let Cell {
        step,
        manner,
        place,
        ..
    } = work.cell;
    let at = place.transaction();
    let last = place.group().last().copied().unwrap_or_default();
    let rule = |verb| Rule::on(verb, acts(step, manner)).of(&work.sender);
    match step {
        Step::Greeting | Step::Hello => {
            let verb = match step {
                Step::Greeting => Verb::Connect,
                _ => Verb::Ehlo,
            };
            let next = Box::new(Rule::on(verb, acts(step, manner)));
            let found_dead = Rule::on(Verb::Mail, [Act::Arm(next), Act::Close]);
            vec![found_dead.of(&work.sender).transaction(at).times(1)]
        }
        // Where nothing is begun it is ill for good.
        Step::Mail if matches!(place, Place::Only | Place::Own) => vec![rule(Verb::Mail)],
        // A connection that dies at MAIL is replaced once.
        Step::Mail if matches!(manner, Manner::Close | Manner::Bye) => {
            vec![rule(Verb::Mail).transactions(at..=at + 1)]
        }
        Step::Mail => vec![rule(Verb::Mail).transaction(at)],
        Step::Rcpt => vec![rule(Verb::Rcpt).transaction(at).containing(last)],
        Step::Rcpts => vec![
            rule(Verb::Rcpt).transaction(at),
            Rule::on(Verb::Data, [Act::say("354 go on")])
                .of(&work.sender)
                .transaction(at),
        ],
        Step::Data => vec![rule(Verb::Data).transaction(at)],
        Step::Content => vec![rule(Verb::Content).transaction(at)],
        Step::Dot => vec![rule(Verb::Dot).transaction(at).containing(last)],
    }
}

pub(crate) fn acts(step: Step, manner: Manner) -> Vec<Act> {
    let polite = match step {
        Step::Greeting => "220 ready",
        Step::Hello => "250 ill-mannered",
        Step::Mail => "250 2.1.0 ok",
        Step::Rcpt | Step::Rcpts => "250 2.1.5 ok",
        Step::Data => "354 go on",
        Step::Content | Step::Dot => "250 2.0.0 taken",
    };
    let code = &polite[..3];
    let raw = |text: String| vec![Act::Raw(text.into_bytes())];
    match manner {
        Manner::Refuse => vec![Act::say(NO)],
        Manner::Defer => vec![Act::say(rule::LATER)],
        Manner::Foreign => vec![Act::say("530 5.7.0 log in first")],
        Manner::Bye => vec![Act::say("421 4.3.2 bye"), Act::Close],
        Manner::Close => vec![Act::Close],
        Manner::TakeAndClose => vec![Act::Take, Act::Close],
        Manner::Stall => vec![Act::Stall(SILENCE)],
        Manner::Garbage => raw("thanks a lot\r\n".to_owned()),
        Manner::Endless => vec![Act::Endless(format!("{code}-and more"))],
        Manner::LongLine => raw(format!("{code} {}\r\n", "x".repeat(5000))),
        Manner::Disagree => raw(format!("{code}-one\r\n550 two\r\n")),
        Manner::OutOfTurn => raw(format!("{polite}\r\n250 2.0.0 and another\r\n")),
        Manner::WrongYes => vec![Act::say("250 2.0.0 ok")],
        Manner::TwoLines => vec![Act::say(&format!("{code}-one\r\n{code} two"))],
        Manner::CodeOnly => raw(format!("{code}\r\n")),
        Manner::Drip => vec![Act::Drip(polite.to_owned(), Duration::from_millis(5))],
        Manner::Trickle => vec![Act::Drip(polite.to_owned(), Duration::from_secs(1))],
    }
}
