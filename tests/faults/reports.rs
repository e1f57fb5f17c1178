//! The failed DSN: to whom it goes, what ends it, and what becomes of one that nobody can get.

use crate::*;

const GONE: &str = "550 5.1.1 gone";

/// BEN refused in the second variant.
fn refused(reports: impl IntoIterator<Item = Rule>) -> Script {
    let rule = Rule::on(Verb::Rcpt, [Act::say(GONE)]);
    let script = Script::smtp().rule(rule.transaction(3).containing(BEN));
    reports.into_iter().fold(script, Script::rule)
}

/// For the transactions of reports alone.
fn report(verb: Verb, text: &str) -> Rule {
    let rule = Rule::on(verb, [Act::say(text)]);
    match verb {
        Verb::Mail => rule.containing("FROM:<>"),
        _ => rule.containing(SENDER),
    }
}

const BEN_GONE: &[Owed] = &[(BEN, "failed_dsn", 550, false)];
const OTHERS: [usize; 4] = [1, 0, 1, 1];
const REPORT: &[Failed] = &[(BEN, "5.1.1", 550)];

/// BEN's RCPT with these parameters.
fn with(name: &'static str, parameters: &str) -> Row {
    let mut row = two(name, refused([]));
    row.submission.rcpts[1] = format!("<{BEN}> {parameters}");
    row
}

#[test]
fn wanted_or_not() {
    let silent = |row: Row| row.done("250 2.0.0 taken", OTHERS);
    run(vec![
        silent(with("NOTIFY=NEVER", "NOTIFY=NEVER")),
        silent(with("NOTIFY=SUCCESS", "NOTIFY=SUCCESS")),
        silent(with("NOTIFY=DELAY,SUCCESS", "NOTIFY=DELAY,SUCCESS")),
        with("NOTIFY=FAILURE", "NOTIFY=FAILURE").owing(OTHERS, BEN_GONE, OTHERS, REPORT),
        with("notify=delay,failure", "notify=delay,failure")
            .owing(OTHERS, BEN_GONE, OTHERS, REPORT),
        with("no NOTIFY", "").owing(OTHERS, BEN_GONE, OTHERS, REPORT),
    ]);
}

#[test]
fn tried_again_until_it_is_taken() {
    let later = |verb| report(verb, "451 4.3.0 later").times(1);
    let closed = Rule::on(Verb::Dot, [Act::Close])
        .containing(SENDER)
        .times(1);
    run(vec![
        two("report: MAIL 451", refused([later(Verb::Mail)]))
            .owing(OTHERS, BEN_GONE, OTHERS, REPORT),
        two("report: RCPT 451", refused([later(Verb::Rcpt)]))
            .owing(OTHERS, BEN_GONE, OTHERS, REPORT),
        two("report: dot 451", refused([later(Verb::Dot)])).owing(OTHERS, BEN_GONE, OTHERS, REPORT),
        two("report: closed behind the dot", refused([closed]))
            .owing(OTHERS, BEN_GONE, OTHERS, REPORT),
    ]);
}

#[test]
fn refused_it_lies_dead() {
    let dead = |row: Row| Row {
        dead: BEN_GONE,
        ..row.owing(OTHERS, BEN_GONE, OTHERS, &[])
    };
    run(vec![
        dead(two(
            "report: RCPT 550",
            refused([report(Verb::Rcpt, "550 5.1.1 nobody")]),
        )),
        dead(two(
            "report: dot 554",
            refused([report(Verb::Dot, "554 5.7.1 no reports")]),
        )),
    ]);
}

/// A null reverse-path has nobody to report to (RFC 5321 6.1): kept for the operator.
#[test]
fn of_a_null_reverse_path_it_lies_dead() {
    let null = |row: Row| Row {
        submission: Submission {
            mail: "<>".to_owned(),
            message: plain_letter(),
            ..row.submission
        },
        ..row
    };
    let lmtp = Script::lmtp().rule(Rule::on(Verb::Dot, [Act::say("554 5.6.0 no")]).containing(BEN));
    let rerun = Script::smtp().rule(
        Rule::on(Verb::Rcpt, [Act::say(GONE)])
            .transaction(2)
            .containing(BEN),
    );
    let ben_refused: &[Owed] = &[(BEN, "failed_dsn", 554, false)];
    run(vec![
        Row {
            protocol: "lmtp",
            dead: ben_refused,
            ..null(two("null: lmtp", lmtp)).owing(OTHERS, ben_refused, OTHERS, &[])
        },
        {
            let mut row = null(two("null: not accepted again", rerun));
            row.limits = &["hold_before_data_seconds = 1"];
            row.submission.pause = Duration::from_secs(2);
            row.dead = BEN_GONE;
            row.owing(OTHERS, BEN_GONE, OTHERS, &[])
        },
    ]);
}

#[test]
fn what_lies_dead_survives_a_start_and_is_said() {
    let script =
        Script::lmtp().rule(Rule::on(Verb::Dot, [Act::say("554 5.6.0 no")]).containing(BEN));
    let hop = IllMannered::start(script);
    let config = Config {
        next_hop: next_hop_lines(&hop, "lmtp", &[]),
        spool: eager(),
        ..config_for(&hop)
    };
    let mut served = start(&config);
    let submission = Submission {
        mail: "<>".to_owned(),
        ..Submission::new(&FOUR, plain_letter())
    };
    assert!(submission.send(served.address()).last().starts_with("250 "));
    wait_until("the end of it", &served, || !dead(&served).is_empty());
    assert!(served.log().contains("spool/dead"), "{}", served.log());
    assert!(!served.log().contains(BEN), "no address in the log");
    for _ in 0..2 {
        served.kill();
        served.start_again(&config);
        let ben_refused: &[Owed] = &[(BEN, "failed_dsn", 554, false)];
        assert_eq!(dead(&served), debts(ben_refused));
        assert_eq!(files(&served.directory().join("spool/messages")).len(), 1);
    }
}

/// What is owed for longer than `expire_after` becomes a report, whatever the next hop says meanwhile.
#[test]
fn expired_debts_are_reported() {
    // DORA is taken in the client's own transaction and never again.
    let never = Rule::on(Verb::Rcpt, [Act::say("450 4.2.0 busy")]).containing(DORA);
    let script = [2, 3, 4, 5, 6, 7, 8]
        .into_iter()
        .fold(Script::smtp(), |script, n| {
            script.rule(never.clone().transaction(n))
        });
    let hop = IllMannered::start(script);
    let config = Config {
        next_hop: next_hop_lines(&hop, "smtp", &["hold_before_data_seconds = 1"]),
        spool: [eager(), vec!["expire_after_seconds = 3".to_owned()]].concat(),
        ..config_for(&hop)
    };
    let served = start(&config);
    let submission = Submission {
        mail: format!("<{SENDER}> ENVID=crumb+2B7"),
        pause: Duration::from_secs(2),
        ..Submission::new(&GRANTED, letter())
    };
    assert!(submission.send(served.address()).last().starts_with("250 "));
    let debt: &[Owed] = &[(DORA, "delivery", 450, false)];
    assert_eq!(owed(&served), debts(debt));
    wait_until("its expiry", &served, || spool_is_empty(&served));
    assert_reports(&hop, &[(DORA, "4.2.0", 450)]);
    assert_eq!(count(&hop), [1, 0, 0, 0]);
    let attempts = hop.commands().iter().filter(|l| l.contains(DORA)).count();
    assert!(
        (3..=8).contains(&attempts),
        "tried again meanwhile: {attempts}"
    );
}

/// A report that cannot be given to anybody does not lie owed for ever: it has as long as the copy had, then it is dead.
#[test]
fn a_report_that_is_never_taken_lies_dead() {
    let hop = IllMannered::start(refused([report(Verb::Rcpt, "451 4.3.0 later")]));
    let config = Config {
        spool: [eager(), vec!["expire_after_seconds = 2".to_owned()]].concat(),
        ..config_for(&hop)
    };
    let served = start(&config);
    let told = Submission::new(&FOUR, letter()).send(served.address());
    assert!(told.last().starts_with("250 "), "{told:?}");
    wait_until("its end", &served, || {
        !dead(&served).is_empty() && owed(&served).is_empty()
    });
    assert_eq!(dead(&served), debts(BEN_GONE));
    assert_eq!(count(&hop), OTHERS);
    assert_reports(&hop, &[]);
    let attempts = hop
        .commands()
        .iter()
        .filter(|l| l.contains(SENDER) && l.starts_with("RCPT"))
        .count();
    assert!(
        (3..=8).contains(&attempts),
        "tried for as long as a copy: {attempts}"
    );
}

/// The report about BEN that follows a message with these parameters of MAIL and these lines in `[spool]`.
fn returned(mail: &str, more: &[&str], announce: &[&str], message: Vec<u8>) -> Vec<u8> {
    let script = match announce {
        [] => refused([]),
        keywords => refused([]).announce(keywords),
    };
    let hop = IllMannered::start(script);
    let more = more.iter().map(|line| (*line).to_owned());
    let config = Config {
        spool: eager().into_iter().chain(more).collect(),
        ..config_for(&hop)
    };
    let served = start(&config);
    let submission = Submission {
        mail: format!("<{SENDER}> {mail}"),
        ..Submission::new(&FOUR, message)
    };
    let told = submission.send(served.address());
    assert!(told.last().starts_with("250 "), "{told:?}");
    wait_until("the report", &served, || spool_is_empty(&served));
    let mut reports = reports(&hop);
    assert_eq!(reports.len(), 1, "{}", served.log());
    reports.remove(0).octets
}

/// RET=FULL: all of it but what would load. The tracker names its recipient, and whoever reads bounces is somebody else.
#[test]
fn the_whole_message_comes_back_where_it_is_asked_for() {
    let report = returned("RET=FULL", &[], &[], letter());
    let shown = report.escape_ascii().to_string();
    assert!(
        contains(&report, b"Content-Type: message/rfc822\r\n"),
        "{shown}"
    );
    let letter = letter();
    let at = letter
        .windows(TRACKER.len())
        .position(|window| window == TRACKER.as_bytes())
        .unwrap();
    for part in [&letter[..at], &letter[at + TRACKER.len()..]] {
        assert!(contains(&report, part), "{shown}");
    }
    assert!(!contains(&report, TRACE.as_bytes()), "{shown}");
    assert!(contains(&report, b"without what would load"), "{shown}");
}

/// Parameters of MAIL, lines of `[spool]`, what the next hop announces, the message, what the report says of it.
type RetRow<'a> = (&'a str, &'a [&'a str], &'a [&'a str], Vec<u8>, &'a [u8]);

#[test]
fn otherwise_its_header_does() {
    let blind = blind_letter;
    let rows: [RetRow; 6] = [
        ("", &[], &[], letter(), b"Subject"),
        ("RET=HDRS", &[], &[], letter(), b"Subject"),
        (
            "RET=FULL",
            &["returned_octets = 100"],
            &[],
            letter(),
            b"returned_octets",
        ),
        (
            "RET=FULL",
            &["returned_octets = 0"],
            &[],
            letter(),
            b"returned_octets",
        ),
        // 8 bits do not go into a message in a message where the next hop takes 7.
        ("RET=FULL", &[], &["PIPELINING", "DSN"], letter(), b"7 bits"),
        ("RET=FULL", &[], &[], blind(), b"cannot be told"),
    ];
    for (mail, more, announce, message, why) in rows {
        let report = returned(mail, more, announce, message);
        let shown = format!("{mail} {more:?} {announce:?}\n{}", report.escape_ascii());
        assert!(contains(&report, b"text/rfc822-headers"), "{shown}");
        assert!(contains(&report, b"\r\nSubject: "), "{shown}");
        assert!(!contains(&report, b"message/rfc822"), "{shown}");
        for body in [&b"Chestnut"[..], TRACE.as_bytes(), b"/v8APABw"] {
            assert!(!contains(&report, body), "{shown}");
        }
        assert!(contains(&report, why), "{shown}");
    }
}

/// An international address is named in a report that is well formed (RFC 6533).
#[test]
fn an_international_recipient_is_named() {
    let gone = Rule::on(Verb::Dot, [Act::say(GONE)]).containing("b\u{e4}r@");
    let hop = IllMannered::start(Script::lmtp().rule(gone));
    let config = Config {
        next_hop: next_hop_lines(&hop, "lmtp", &[]),
        spool: eager(),
        ..config_for(&hop)
    };
    let served = start(&config);
    let submission = Submission {
        mail: format!("<{SENDER}> SMTPUTF8 BODY=8BITMIME"),
        ..Submission::new(&[ANNA, "b\u{e4}r@wald.example"], plain_letter())
    };
    let told = submission.send(served.address());
    assert!(told.last().starts_with("250 "), "{told:?}");
    wait_until("the report", &served, || spool_is_empty(&served));
    let reports = reports(&hop);
    let text = String::from_utf8(reports[0].octets.clone()).unwrap();
    assert!(
        text.contains("Content-Type: message/global-delivery-status\r\n"),
        "{text}"
    );
    assert!(
        text.contains("Final-Recipient: utf-8; b\u{e4}r@wald.example\r\n"),
        "{text}"
    );
    assert!(
        reports[0].mail.contains("BODY=8BITMIME"),
        "{}",
        reports[0].mail
    );
}
