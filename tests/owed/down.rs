//! `when_next_hop_down = "spool"`: 250 while nobody takes mail, decided anew when somebody does, nothing lost over kill -9. Down is
//! a way that fails, never an answer about the mail.

use crate::*;

const KEEP: &str = "[relay]\nwhen_next_hop_down = \"spool\"";

fn keeping(hop: &IllMannered) -> Config {
    let quick = [
        "backoff_first_seconds = 1",
        "backoff_most_seconds = 1",
        "idle_seconds = 1",
    ];
    Config {
        next_hop: next_hop_lines(hop, "smtp", &quick),
        spool: eager(),
        tail: KEEP.to_owned(),
        ..config_for(hop)
    }
}

/// The configuration for a next hop that is not there, and where it will be.
fn absent() -> (Config, String) {
    let hop = IllMannered::start(Script::smtp());
    (keeping(&hop), hop.address().to_string())
}

#[test]
fn kept_over_a_crash_and_decided_anew() {
    let (config, address) = absent();
    let mut served = start(&config);
    for _ in 0..2 {
        assert_told(
            &mixed().send(served.address()),
            "250 2.0.0 Ok: queued as ",
            &served,
        );
    }
    assert_eq!(listed(&served).len(), 2);
    served.kill();
    served.start_again(&config);
    // ANNA withdraws while it lies there.
    consent(&served, ANNA, "withdrawn");
    let hop = IllMannered::start_on(&address, Script::smtp());
    wait_until("the end of what is owed", &served, || {
        spool_is_empty(&served)
    });
    assert_eq!(count(&hop), [2, 2, 2, 2], "{}", served.log());
    for transaction in in_transit(&hop) {
        let kept = is_kept(&transaction.octets, &letter());
        let consented = paths(&transaction.taken) == [DORA];
        assert_eq!(kept, consented, "{:?}", transaction.rcpts);
    }
    assert_eq!(reports(&hop), []);
    // And new mail goes its ordinary way again.
    let told = Submission::new(&[DORA], letter()).send(served.address());
    assert_told(&told, "250 2.0.0 taken", &served);
}

#[test]
fn otherwise_the_client_keeps_it() {
    let (config, _) = absent();
    let config = Config {
        tail: String::new(),
        ..config
    };
    let served = start(&config);
    let told = mixed().send(served.address());
    assert!(told.greeting.starts_with("421 4.3.2 "), "{told:?}");
    assert!(spool_is_empty(&served));
}

/// What the next hop says about the mail is its verdict, in its own words; nothing is kept.
#[test]
fn an_answer_about_the_mail_is_not_down() {
    for (verb, reply) in [
        (Verb::Mail, "451 4.3.5 greylisted"),
        (Verb::Mail, "451 4.4.1 no route to the sender"),
        (Verb::Rcpt, "450 4.2.0 busy"),
        (Verb::Rcpt, "451 4.4.3 look-up failed"),
        (Verb::Rcpt, "550 5.1.1 nobody"),
        (Verb::Data, "451 4.3.0 no data now"),
        (Verb::Dot, "451 4.4.0 later"),
        (Verb::Dot, "452 4.3.1 full"),
        (Verb::Dot, "554 5.6.0 no"),
    ] {
        let hop = IllMannered::start(Script::smtp().at(verb, [Act::say(reply)]));
        let served = start(&keeping(&hop));
        let told = Submission::new(&GRANTED, letter()).send(served.address());
        assert_eq!(told.last(), reply, "{verb:?}\n{}", served.log());
        assert!(spool_is_empty(&served), "{verb:?} {reply}");
    }
}

/// The way fails, or the answer is about us: all of it is kept and goes out when that is over.
#[test]
fn a_way_that_fails_is_down() {
    let rows = [
        (Verb::Connect, Act::say("421 4.3.2 stopping")),
        (Verb::Connect, Act::Close),
        (Verb::Ehlo, Act::say("554 5.7.1 not you")),
        (Verb::Mail, Act::say("530 5.7.0 log in first")),
        (Verb::Mail, Act::Close),
        (Verb::Rcpt, Act::say("421 4.7.0 too many")),
        (Verb::Rcpt, Act::say("503 5.5.1 what?")),
        (Verb::Rcpt, Act::Close),
        (Verb::Rcpt, Act::Stall(Duration::from_secs(3))),
        (Verb::Data, Act::say("421 4.3.2 stopping")),
        (Verb::Data, Act::Close),
        (Verb::Dot, Act::say("421 4.3.2 stopping")),
    ];
    let run = |(verb, act): (Verb, Act)| {
        let name = format!("{verb:?} {act:?}");
        let acts = [act, Act::Close];
        let bad = Rule::on(verb, acts).connection(if verb == Verb::Ehlo { 1 } else { 2 });
        let hop = IllMannered::start(Script::smtp().rule(bad));
        let served = start(&keeping(&hop));
        // The first connection is the relay's own look at the next hop, and is used again.
        let first = Submission::new(&[CLEO], plain_letter());
        if verb != Verb::Ehlo {
            assert_told(&first.send(served.address()), "250 ", &served);
        }
        hop_closes(&hop, &served);
        let told = Submission::new(&GRANTED, letter()).send(served.address());
        assert_told(&told, "250 ", &served);
        wait_until("the end of what is owed", &served, || {
            spool_is_empty(&served)
        });
        let copies = [copies(&hop, ANNA), copies(&hop, DORA)];
        assert_eq!(copies, [1, 1], "{name}\n{}", served.log());
        assert_eq!(reports(&hop), [], "{name}");
    };
    thread::scope(|scope| {
        for row in rows {
            scope.spawn(move || run(row));
        }
    });
}

/// Mixed: the envelope is given again for each variant, and the way fails there.
#[test]
fn a_way_that_fails_when_the_envelope_is_given_again_is_down() {
    for (transaction, nth) in [(2, 1), (2, 2), (3, 1), (3, 2)] {
        for close in [true, false] {
            let mut acts = vec![Act::say("421 4.3.2 stopping")];
            if close {
                acts.push(Act::Close);
            }
            let bad = Rule::on(Verb::Rcpt, acts).transaction(transaction).nth(nth);
            let hop = IllMannered::start(Script::smtp().rule(bad));
            let served = start(&keeping(&hop));
            let told = mixed().send(served.address());
            assert_told(&told, "250 ", &served);
            assert_all_delivered(&hop, &served);
            assert_eq!(reports(&hop), [], "{transaction} {nth} {close}");
        }
    }
}

/// Idle connections are ended, so that the next transaction opens one of its own.
fn hop_closes(hop: &IllMannered, served: &Served) {
    wait_until("no idle connection", served, || hop.open() == 0);
}

/// 421 after two of five: those two were heard, for the others it is decided when the next hop is back.
#[test]
fn gone_in_the_midst_of_the_recipients() {
    let five = [ANNA, BEN, CLEO, DORA, "erik@five.example"];
    let stopping = [Act::say("421 4.3.2 stopping"), Act::Close];
    let nobody = Rule::on(Verb::Rcpt, [Act::say("550 5.1.1 nobody")]).containing("erik@");
    let script = Script::smtp()
        .rule(Rule::on(Verb::Rcpt, stopping).nth(3).times(1))
        .rule(nobody);
    let hop = IllMannered::start(script);
    let served = start(&keeping(&hop));
    let told = Submission::new(&five, letter()).send(served.address());
    assert!(
        told.rcpts.iter().all(|reply| reply.starts_with("250 ")),
        "{told:?}"
    );
    assert_told(&told, "250 ", &served);
    assert_all_delivered(&hop, &served);
    // The fifth was accepted by us and is refused: its sender hears of it.
    let reports = reports(&hop);
    assert_eq!(reports.len(), 1, "{}", served.log());
    assert!(contains(
        &reports[0].octets,
        b"Final-Recipient: rfc822; erik@five.example"
    ));
}

/// Silence behind the dot: the copy may exist. The client decides, nothing is kept.
#[test]
fn a_dot_without_an_answer_is_not_down() {
    let hop = IllMannered::start(Script::smtp().at(Verb::Dot, [Act::Take, Act::Close]));
    let served = start(&keeping(&hop));
    let told = Submission::new(&GRANTED, letter()).send(served.address());
    assert_told(&told, "451 4.4.2 ", &served);
    assert!(spool_is_empty(&served));
}

/// As many connections as there may be are in use: the next hop is well, the client comes again.
#[test]
fn busy_is_not_down() {
    let stop = Rule::on(Verb::Dot, [Act::Stop("busy")]).times(1);
    let hop = IllMannered::start(Script::smtp().rule(stop));
    let limits = [
        "max_connections = 1",
        "connection_wait_seconds = 1",
        "dot_timeout_seconds = 60",
        "answer_within_seconds = 60",
        "hold_before_data_seconds = 1",
    ];
    let config = Config {
        next_hop: next_hop_lines(&hop, "smtp", &limits),
        ..keeping(&hop)
    };
    let served = start(&config);
    let address = served.address();
    thread::scope(|scope| {
        // This one gives its connection back before its data; the other takes it and keeps it.
        let waiting = scope.spawn(move || {
            let slow = Submission {
                pause: Duration::from_secs(4),
                ..Submission::new(&[BEN], letter())
            };
            slow.send(address)
        });
        sleep(Duration::from_secs(2));
        let first = scope.spawn(move || Submission::new(&[ANNA], letter()).send(address));
        assert!(hop.wait_stopped("busy", PATIENCE), "{}", served.log());
        let told = Submission::new(&[CLEO], letter()).send(address);
        assert_told(&told, "451 4.4.5 ", &served);
        let told = waiting.join().unwrap();
        assert_told(&told, "451 4.4.5 ", &served);
        assert!(spool_is_empty(&served), "kept for one that is busy");
        hop.go_on("busy");
        assert_told(&first.join().unwrap(), "250 ", &served);
    });
}

/// Each forward-path of an LMTP client is told that it is kept; held or rejected content is told at once.
#[test]
fn lmtp_clients_and_what_may_never_go() {
    let (config, address) = absent();
    let config = Config {
        listener: vec!["protocol = \"lmtp\"".to_owned()],
        ..config
    };
    let served = start(&config);
    let over_lmtp = |message| Submission {
        lmtp: true,
        ..Submission::new(&FOUR, message)
    };
    let told = over_lmtp(letter()).send(served.address());
    assert!(
        told.dot.len() == 4 && told.dot.iter().all(|reply| reply.starts_with("250 2.0.0 ")),
        "{told:?}"
    );
    let told = over_lmtp(blind_letter()).send(served.address());
    let codes: Vec<_> = told.dot.iter().map(|reply| &reply[..3]).collect();
    assert_eq!(codes, ["250", "550", "550", "250"], "{told:?}");
    let hop = IllMannered::start_on(&address, Script::smtp());
    wait_until("the end of what is owed", &served, || {
        spool_is_empty(&served)
    });
    assert_eq!(count(&hop), [2, 1, 1, 2]);
    assert_eq!(reports(&hop), []);
}

#[test]
fn refused_content_is_not_kept() {
    let (config, _) = absent();
    let served = start(&config);
    let told = Submission::new(&UNKNOWN, blind_letter()).send(served.address());
    assert_told(&told, "550 5.6.0 ", &served);
    assert!(spool_is_empty(&served));
}
