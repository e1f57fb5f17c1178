//! `selective_rejects = false`, for Postfix's `smtpd_proxy_options = speed_adjust`: all recipients or none. One refused RCPT
//! refuses the whole message at its dot, with the mildest refusal, and nothing of it is given to the next hop.

use std::time::Duration;

use crate::ill_mannered::{Act, IllMannered, Rule, Verb};
use crate::rule::Speaks;
use crate::*;

fn together(hop: &IllMannered) -> Served {
    start(&Config {
        listener: vec!["selective_rejects = false".to_owned()],
        ..config_for(hop)
    })
}

/// Name, what the next hop does, whom the client names, what it is told in the end.
type Case = (&'static str, Vec<Rule>, Vec<&'static str>, &'static str);

fn refusals() -> Vec<Case> {
    let rcpt = |who, said: &str| Rule::on(Verb::Rcpt, [Act::say(said)]).containing(who);
    let bye = [Act::say("421 4.3.2 bye"), Act::Close];
    vec![
        (
            "5xx of the next hop",
            vec![rcpt(BEN, "550 5.1.1 gone")],
            FOUR.to_vec(),
            "550 5.1.1 gone",
        ),
        (
            "4xx of the next hop",
            vec![rcpt(DORA, "450 4.2.0 busy")],
            FOUR.to_vec(),
            "450 4.2.0 busy",
        ),
        (
            "the mildest of several",
            vec![rcpt(ANNA, "550 5.1.1 gone"), rcpt(CLEO, "450 4.2.0 busy")],
            FOUR.to_vec(),
            "450 4.2.0 busy",
        ),
        (
            "the first of equals",
            vec![rcpt(CLEO, "554 5.7.1 no"), rcpt(BEN, "550 5.1.1 gone")],
            FOUR.to_vec(),
            "550 5.1.1 gone",
        ),
        (
            "about us",
            vec![rcpt(BEN, "530 5.7.0 log in")],
            FOUR.to_vec(),
            "451 4.4.0 ",
        ),
        (
            "lost",
            vec![Rule::on(Verb::Rcpt, bye).containing(CLEO)],
            FOUR.to_vec(),
            "451 4.4.",
        ),
        (
            "everybody",
            vec![Rule::on(Verb::Rcpt, [Act::say("550 5.1.1 gone")])],
            FOUR.to_vec(),
            "550 5.1.1 gone",
        ),
        (
            "ours: what is no path",
            vec![],
            vec![ANNA, "not a path", BEN],
            "501 5.1.3 ",
        ),
        (
            "ours: what needs SMTPUTF8",
            vec![],
            vec!["\u{e9}@one.example", BEN],
            "55",
        ),
        ("ours: alone", vec![], vec!["not a path"], "501 5.1.3 "),
    ]
}

#[test]
fn one_refused_recipient_refuses_the_whole_message() {
    for (name, rules, rcpts, expected) in refusals() {
        let script = rules
            .into_iter()
            .fold(script(Speaks::Smtp), |s, rule| s.rule(rule));
        let hop = IllMannered::start(script);
        let served = together(&hop);
        let told = Submission::new(&rcpts, letter()).send(served.address());
        assert!(
            told.rcpts.iter().all(|reply| reply.starts_with("250 ")),
            "{name}: {told:?}"
        );
        assert!(told.data.starts_with("354 "), "{name}: {told:?}");
        assert!(told.dot[0].starts_with(expected), "{name}: {told:?}");
        assert_eq!(hop.transactions(), [], "{name}");
        assert!(!hop.commands().iter().any(|line| line == "DATA"), "{name}");
        assert!(spool_is_empty(&served), "{name}");
        // And nothing of it stays for the next message.
        let fine = Submission::new(&["erin@five.example"], letter());
        if name != "everybody" {
            assert!(
                fine.send(served.address()).dot[0].starts_with("250 "),
                "{name}"
            );
        }
    }
}

#[test]
fn what_we_refuse_for_some_is_refused_for_all() {
    let hop = IllMannered::start(script(Speaks::Smtp));
    let served = together(&hop);
    // The same letter is a DSN for some where recipients may be refused one by one.
    let told = Submission::new(&FOUR, blind_letter()).send(served.address());
    assert!(told.dot[0].starts_with("550 5.6.0 "), "{told:?}");
    assert_eq!(hop.transactions(), []);
    assert!(spool_is_empty(&served));
}

#[test]
fn all_accepted_is_as_ever() {
    let hop = IllMannered::start(script(Speaks::Smtp));
    let served = together(&hop);
    let told = Submission::new(&FOUR, letter()).send(served.address());
    assert!(told.dot[0].starts_with("250 "), "{told:?}");
    assert_eq!(FOUR.map(|who| copies(&hop, who)), [1; 4]);
    assert_own_variants(&hop, &letter());
}

/// Mixed: the envelope is given again for each variant, ANNA's and DORA's first. Who is refused then is refused for all as long as
/// nothing was begun.
#[test]
fn one_refused_when_the_envelope_is_given_again_refuses_the_whole_message() {
    for (name, who, said, expected) in [
        ("5xx", vec![ANNA], "550 5.1.1 gone", "550 5.1.1 gone"),
        ("4xx", vec![DORA], "450 4.2.0 busy", "450 4.2.0 busy"),
        (
            "everybody",
            vec![ANNA, DORA],
            "550 5.1.1 gone",
            "550 5.1.1 gone",
        ),
    ] {
        let script = who.iter().fold(script(Speaks::Smtp), |script, who| {
            script.rule(
                Rule::on(Verb::Rcpt, [Act::say(said)])
                    .containing(who)
                    .transaction(2),
            )
        });
        let hop = IllMannered::start(script);
        let served = together(&hop);
        let told = Submission::new(&FOUR, letter()).send(served.address());
        assert!(told.dot[0].starts_with(expected), "{name}: {told:?}");
        assert_eq!(hop.transactions(), [], "{name}");
        assert!(!hop.commands().iter().any(|line| line == "DATA"), "{name}");
        assert!(spool_is_empty(&served), "{name}");
    }
}

/// A client that thinks for longer than its connection is held: its envelope is given again, behind its next RCPT or its dot.
#[test]
fn one_refused_after_the_connection_was_given_back_refuses_the_whole_message() {
    let pause = Duration::from_secs(2);
    let limits = &["hold_before_data_seconds = 1"];
    for between in [true, false] {
        let hop = IllMannered::start(
            script(Speaks::Smtp).rule(
                Rule::on(Verb::Rcpt, [Act::say("550 5.1.1 gone")])
                    .containing(ANNA)
                    .transaction(2),
            ),
        );
        let served = start(&Config {
            listener: vec!["selective_rejects = false".to_owned()],
            next_hop: next_hop_lines(&hop, "smtp", limits),
            ..config_for(&hop)
        });
        let mut client = Client::connect(served.address());
        client.reply();
        let mut say = |line: &str| {
            client.send(format!("{line}\r\n").as_bytes());
            client.reply().pop().unwrap_or_default()
        };
        say("EHLO client.example");
        say(&format!("MAIL FROM:<{SENDER}>"));
        let mut told = vec![say(&format!("RCPT TO:<{ANNA}>"))];
        if between {
            thread::sleep(pause);
        }
        told.push(say(&format!("RCPT TO:<{DORA}>")));
        if !between {
            thread::sleep(pause);
        }
        told.push(say("DATA"));
        client.send(&on_the_wire(&letter()));
        told.push(client.line().unwrap_or_default());
        let codes: Vec<&str> = told.iter().map(|reply| &reply[..4]).collect();
        assert_eq!(
            codes,
            ["250 ", "250 ", "354 ", "550 "],
            "{between}: {told:?}"
        );
        assert_eq!(hop.transactions(), [], "{between}");
        assert!(spool_is_empty(&served), "{between}");
    }
}

/// Kept for a next hop that is down is not kept from being refused: who was told no by name is refused for all.
#[test]
fn one_refused_before_the_way_fails_refuses_the_whole_message() {
    for said in ["421 4.3.2 bye", "530 5.7.0 log in"] {
        let first = Rule::on(Verb::Rcpt, [Act::say("550 5.1.1 gone")]).containing(ANNA);
        let second = Rule::on(Verb::Rcpt, [Act::say(said), Act::Close]).containing(DORA);
        let script = script(Speaks::Smtp)
            .rule(first.transaction(2))
            .rule(second.transaction(2));
        let hop = IllMannered::start(script);
        let served = start(&Config {
            listener: vec!["selective_rejects = false".to_owned()],
            tail: "[relay]\nwhen_next_hop_down = \"spool\"".to_owned(),
            ..config_for(&hop)
        });
        let told = Submission::new(&FOUR, letter()).send(served.address());
        assert!(told.dot[0].starts_with('4'), "{said}: {told:?}");
        assert_eq!(hop.transactions(), [], "{said}");
        assert!(spool_is_empty(&served), "{said}");
    }
}
