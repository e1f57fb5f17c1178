//! Order under strace: what is written ahead is on the disk before the first octet of the message leaves, what is still
//! owed is on the disk before 250 is written, for every way in which a transaction can end half done.

use crate::tracer::{Tracer, joined};
use crate::*;

/// One partial outcome.
struct Partial {
    name: &'static str,
    script: Script,
    submission: Submission,
    limits: &'static [&'static str],
    protocol: &'static str,
    /// Whether something is owed at the reply; where nothing is, only the first half of the rule applies.
    owes: bool,
}

fn partial(name: &'static str, script: Script) -> Partial {
    Partial {
        name,
        script,
        submission: mixed(),
        limits: &[],
        protocol: "smtp",
        owes: true,
    }
}

fn dot(transaction: usize, acts: Vec<Act>) -> Script {
    Script::smtp().rule(Rule::on(Verb::Dot, acts).transaction(transaction))
}

fn rcpt(transaction: usize, who: &str, text: &str) -> Script {
    let rule = Rule::on(Verb::Rcpt, [Act::say(text)]);
    Script::smtp().rule(rule.transaction(transaction).containing(who))
}

fn partials() -> Vec<Partial> {
    let (later, no) = ("451 4.3.0 later", "554 5.6.0 no");
    vec![
        Partial {
            owes: false,
            ..partial("both taken", Script::smtp())
        },
        partial("second 451", dot(3, vec![Act::say(later)])),
        partial("second 554", dot(3, vec![Act::say(no)])),
        partial("second closed", dot(3, vec![Act::Close])),
        partial("second taken, closed", dot(3, vec![Act::Take, Act::Close])),
        partial(
            "second silent",
            dot(3, vec![Act::Stall(Duration::from_secs(5))]),
        ),
        partial("first: one 450", rcpt(2, ANNA, "450 4.2.0 busy")),
        partial("first: one 550", rcpt(2, DORA, "550 5.1.1 gone")),
        partial("second: one 550", rcpt(3, BEN, "550 5.1.1 gone")),
        partial("first refused by name", {
            let rule = Rule::on(Verb::Rcpt, [Act::say("550 5.1.1 gone")]);
            Script::smtp().rule(rule.transaction(2))
        }),
        partial("second: MAIL closed twice", {
            let closed = || Rule::on(Verb::Mail, [Act::Close]);
            Script::smtp()
                .rule(closed().transaction(3))
                .rule(closed().transaction(4))
        }),
        Partial {
            submission: Submission {
                message: blind_letter(),
                ..mixed()
            },
            ..partial("rejected for some", Script::smtp())
        },
        Partial {
            submission: Submission {
                pause: Duration::from_secs(2),
                ..Submission::new(&GRANTED, letter())
            },
            limits: &["hold_before_data_seconds = 1"],
            ..partial(
                "one variant, not all again",
                rcpt(2, ANNA, "550 5.1.1 gone"),
            )
        },
        Partial {
            submission: Submission::new(&UNKNOWN, letter()),
            protocol: "lmtp",
            ..partial(
                "one variant over LMTP, one 451",
                Script::lmtp().rule(Rule::on(Verb::Dot, [Act::say(later)]).containing(CLEO)),
            )
        },
    ]
}

#[test]
#[ignore = "needs strace"]
fn on_disk_before_the_first_dot_and_before_the_reply() {
    run(partials(), |partial| partial.name.to_owned(), Partial::run);
}

impl Partial {
    fn run(&self) {
        let hop = IllMannered::start(self.script.clone());
        let config = Config {
            next_hop: next_hop_lines(&hop, self.protocol, self.limits),
            ..config_for(&hop)
        };
        let served = start(&config);
        let calls =
            "trace=fsync,fdatasync,rename,renameat,renameat2,unlink,write,writev,sendto,sendmsg";
        let tracer = Tracer::attach(&served, &["-e", calls]);
        let told = self.submission.send(served.address());
        assert!(
            told.last().starts_with("250 "),
            "{told:?}\n{}",
            served.log()
        );
        assert_eq!(!owed(&served).is_empty(), self.owes, "owed");
        let trace = tracer.trace();
        let joined = joined(&trace);
        let lines: Vec<&str> = joined.iter().map(String::as_str).collect();

        let mut at = 0;
        for step in [
            &["fsync(", "/spool/messages/", ".eml>"][..],
            &["fsync(", "/spool/messages>"],
            &["fsync(", "/spool/prepared/", ".json.tmp>"],
            &["rename(", "/spool/prepared/", ".json\")"],
            &["fsync(", "/spool/prepared>"],
        ] {
            at = next(&lines, at, step);
        }
        let first = first_octets(&lines);
        assert!(first > at, "a message left before line {at}:\n{trace}");
        if self.owes {
            for step in [
                &["write(", "/spool/owed/", ".json.tmp>"][..],
                &["fsync(", "/spool/owed/", ".json.tmp>"],
                &["rename(", "/spool/owed/", ".json\")"],
                &["fsync(", "/spool/owed>"],
            ] {
                at = next(&lines, at, step);
            }
        }
        let answered = answer(&lines);
        assert!(
            answered > at && answered > first,
            "250 before line {at}:\n{trace}"
        );
    }
}

/// The place of the first line behind `after` that holds all of `parts` and was done.
#[track_caller]
fn next(lines: &[&str], after: usize, parts: &[&str]) -> usize {
    let mut behind = lines.iter().enumerate().skip(after);
    let found = behind.find(|(_, line)| is_done(line) && parts.iter().all(|p| line.contains(p)));
    match found {
        Some((at, _)) => at + 1,
        None => panic!("no {parts:?} behind line {after} of\n{}", lines.join("\n")),
    }
}

/// Whether the call came back and with success: `= 0` or a count, never `<unfinished ...>` or `= -1`.
fn is_done(line: &str) -> bool {
    line.rsplit_once(" = ")
        .is_some_and(|(_, result)| result.starts_with(|c: char| c.is_ascii_digit()))
}

/// The line where the first octets of the message leave: it begins with our own field.
#[track_caller]
fn first_octets(lines: &[&str]) -> usize {
    let leaves = |line: &&str| line.contains("<socket:") && line.contains("\"Received: from ");
    lines.iter().position(leaves).expect("a message left") + 1
}

/// The line where the answer to the client's dot is written: the first 250 behind 354 on the same descriptor.
#[track_caller]
fn answer(lines: &[&str]) -> usize {
    let descriptor = |line: &str| {
        let (_, rest) = line.split_once('(')?;
        rest.split_once('<').map(|(number, _)| number.to_owned())
    };
    let asked = lines
        .iter()
        .position(|line| line.contains("\"354 "))
        .expect("354");
    let client = descriptor(lines[asked]).unwrap();
    let answers =
        |line: &&str| line.contains("\"250 ") && descriptor(line).as_ref() == Some(&client);
    lines.iter().skip(asked).position(answers).expect("250") + asked + 1
}
