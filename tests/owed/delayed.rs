//! The delayed DSN: once, to whom it may go, and never in the way of anything else.

use crate::*;

/// Late after a second; tried again each second.
fn late() -> Vec<String> {
    eager_and(&["delayed_after_seconds = 1", "expire_after_seconds = 3600"])
}

fn config(hop: &IllMannered) -> Config {
    Config {
        spool: late(),
        ..config_for(hop)
    }
}

/// What reports say was done: `Action:` fields, in order.
fn actions(hop: &IllMannered) -> Vec<String> {
    let reports = reports(hop).into_iter();
    let texts = reports.map(|report| String::from_utf8(report.octets).unwrap());
    texts
        .flat_map(|text| {
            text.split("\r\n")
                .filter_map(|line| line.strip_prefix("Action: ").map(str::to_owned))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn the_sender_is_told_once_and_the_mail_arrives_later() {
    let hop = IllMannered::start(Script::smtp().rule(later(6)));
    let config = config(&hop);
    let mut served = start(&config);
    let submission = Submission {
        mail: format!("<{SENDER}> ENVID=crumb+2B7 RET=FULL"),
        ..mixed()
    };
    assert_told(&submission.send(served.address()), "250 ", &served);
    wait_until("the report", &served, || reports(&hop).len() == 1);
    let told_in_the_spool = || listed(&served)[0]["delay_told_at"].is_string();
    wait_until("its note", &served, told_in_the_spool);
    // Neither a crash nor a later attempt makes it say so again.
    served.kill();
    served.start_again(&config);
    assert_all_delivered(&hop, &served);
    let reports = reports(&hop);
    assert_eq!(reports.len(), 1, "{reports:?}");
    let report = &reports[0];
    assert_eq!(report.mail, "MAIL FROM:<>");
    assert_eq!(paths(&report.rcpts), [SENDER]);
    let text = String::from_utf8(report.octets.clone()).unwrap();
    assert_eq!(actions(&hop), ["delayed", "delayed"], "{text}");
    for field in [
        "Original-Envelope-Id: crumb+7\r\n",
        &format!("Final-Recipient: rfc822; {BEN}\r\n"),
        &format!("Final-Recipient: rfc822; {CLEO}\r\n"),
        "Status: 4.3.0\r\nDiagnostic-Code: smtp; 451 4.3.0 later\r\nWill-Retry-Until: ",
        "Subject: Delayed mail",
        "Subject: Three bread recipes\r\n",
    ] {
        assert!(text.contains(field), "{field}\n{text}");
    }
    // RET speaks of failures only, and who was served already is nobody's business.
    assert!(
        !text.contains("Chestnut") && !text.contains(TRACE),
        "{text}"
    );
}

/// The report of a failure hangs behind that of a delay, and the process ends meanwhile: the delay was told.
#[test]
fn it_is_told_once_although_the_process_ends_before_the_attempt_does() {
    let rcpt = |who, said: &str| Rule::on(Verb::Rcpt, [Act::say(said)]).containing(who);
    let script = Script::smtp()
        .rule(rcpt(BEN, "451 4.2.0 busy").transactions(3..=99).times(3))
        .rule(rcpt(CLEO, "451 4.2.0 busy").transaction(3))
        .rule(rcpt(CLEO, "550 5.1.1 gone").transactions(4..=99))
        .rule(
            Rule::on(Verb::Dot, [Act::Stop("failed"), Act::Close])
                .of("")
                .transaction(2),
        );
    let hop = IllMannered::start(script);
    let mut served = start(&config_for(&hop));
    assert_told(&mixed().send(served.address()), "250 ", &served);
    sleep(Duration::from_millis(1100));
    served.kill();
    let config = config(&hop);
    served.start_again(&config);
    assert!(hop.wait_stopped("failed", PATIENCE), "{}", served.log());
    served.kill();
    hop.go_on("failed");
    served.start_again(&config);
    wait_until("the end of what is owed", &served, || {
        spool_is_empty(&served)
    });
    assert_eq!(count(&hop), [1, 1, 0, 1], "{}", served.log());
    assert_eq!(actions(&hop), ["delayed", "failed"]);
}

#[test]
fn only_who_wants_to_hear_of_it_does() {
    let rows = [
        ("", true),
        ("NOTIFY=DELAY", true),
        ("NOTIFY=success,delay", true),
        ("NOTIFY=FAILURE", false),
        ("NOTIFY=SUCCESS", false),
        ("NOTIFY=NEVER", false),
    ];
    let run = |(notify, told): (&str, bool)| {
        let hop = IllMannered::start(Script::smtp().rule(later(5)));
        let served = start(&config(&hop));
        let mut submission = Submission::new(&[ANNA, BEN], letter());
        submission.rcpts[1] = format!("<{BEN}> {notify}");
        assert_told(&submission.send(served.address()), "250 ", &served);
        wait_until("its delivery", &served, || spool_is_empty(&served));
        let expected: &[&str] = if told { &["delayed"] } else { &[] };
        assert_eq!(actions(&hop), expected, "{notify}\n{}", served.log());
        assert_eq!(count(&hop), [1, 1, 0, 0], "{notify}");
    };
    thread::scope(|scope| {
        for row in rows {
            scope.spawn(move || run(row));
        }
    });
}

/// RFC 5321 6.1: nothing is ever said under a null reverse-path.
#[test]
fn never_about_a_report() {
    let hop = IllMannered::start(Script::lmtp().rule(later(5)));
    let config = Config {
        next_hop: next_hop_lines(&hop, "lmtp", &[]),
        ..config(&hop)
    };
    let served = start(&config);
    let submission = Submission {
        mail: "<>".to_owned(),
        ..Submission::new(&[ANNA, BEN], plain_letter())
    };
    assert_told(&submission.send(served.address()), "250 ", &served);
    wait_until("its delivery", &served, || spool_is_empty(&served));
    assert_eq!(count(&hop), [1, 1, 0, 0]);
    assert_eq!(hop.taken().len(), 2, "two copies and no third mail");
}

#[test]
fn zero_is_never() {
    let hop = IllMannered::start(Script::smtp().rule(later(4)));
    let config = Config {
        spool: eager_and(&["delayed_after_seconds = 0"]),
        ..config_for(&hop)
    };
    let served = start(&config);
    assert_told(&mixed().send(served.address()), "250 ", &served);
    assert_all_delivered(&hop, &served);
    assert_eq!(actions(&hop), [""; 0]);
}

/// How often the next hop was asked to take a report.
fn asked(hop: &IllMannered) -> usize {
    let commands = hop.commands();
    let to_sender = |line: &&String| line.starts_with("RCPT") && line.contains(SENDER);
    commands.iter().filter(to_sender).count()
}

/// It is nobody's debt: refused it is not said again, not taken it ends with the copies it is about.
#[test]
fn one_that_cannot_be_sent_keeps_nothing_in_the_spool() {
    for (reply, most) in [("550 5.1.1 nobody", 1), ("451 4.3.0 not now", 6)] {
        let refused = Rule::on(Verb::Rcpt, [Act::say(reply)]).containing(SENDER);
        let hop = IllMannered::start(Script::smtp().rule(later(5)).rule(refused));
        let served = start(&config(&hop));
        assert_told(&mixed().send(served.address()), "250 ", &served);
        assert_all_delivered(&hop, &served);
        assert!(
            (1..=most).contains(&asked(&hop)),
            "{reply}: {}",
            asked(&hop)
        );
        sleep(Duration::from_secs(2));
        assert!((1..=most).contains(&asked(&hop)), "{reply}: not for ever");
    }
}

/// First late, then failed: two reports, two messages to whoever reads them.
#[test]
fn a_delay_and_then_a_failure() {
    let hop = IllMannered::start(Script::smtp().rule(later(100)));
    let config = Config {
        spool: eager_and(&["delayed_after_seconds = 1", "expire_after_seconds = 5"]),
        ..config_for(&hop)
    };
    let served = start(&config);
    assert_told(&mixed().send(served.address()), "250 ", &served);
    wait_until("its end", &served, || spool_is_empty(&served));
    assert_eq!(actions(&hop), ["delayed", "delayed", "failed", "failed"]);
    let names: Vec<_> = reports(&hop)
        .into_iter()
        .map(|report| {
            let text = String::from_utf8(report.octets).unwrap();
            let name = text
                .split("\r\n")
                .find(|line| line.starts_with("Message-ID:"));
            name.unwrap().to_owned()
        })
        .collect();
    assert_ne!(names[0], names[1]);
}
