//! A next hop that cannot be spoken to, or not to the end: what is between us and it is never the mail's fault.

use crate::*;

/// A letter that does not fit into the buffers of two sockets, so that "in the data" is not "behind the dot".
fn large() -> Vec<u8> {
    let mut letter = plain_letter();
    let line = [b"x".repeat(900), b"\r\n".to_vec()].concat();
    for _ in 0..16_000 {
        letter.extend_from_slice(&line);
    }
    letter
}

fn says(text: &str) -> Vec<Act> {
    vec![Act::say(text)]
}

/// The ways in which a connection does not come about, by verb.
fn unwelcome() -> Vec<(&'static str, Verb, Vec<Act>)> {
    vec![
        ("greeting closed", Verb::Connect, vec![Act::Close]),
        (
            "greeting silent",
            Verb::Connect,
            vec![Act::Stall(Duration::from_secs(5))],
        ),
        ("greeting 421", Verb::Connect, says("421 4.3.2 busy")),
        ("greeting 450", Verb::Connect, says("450 4.3.2 busy")),
        ("greeting 554", Verb::Connect, says("554 5.3.2 not you")),
        (
            "greeting garbage",
            Verb::Connect,
            vec![Act::Raw(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec())],
        ),
        ("EHLO closed", Verb::Ehlo, vec![Act::Close]),
        ("EHLO 451", Verb::Ehlo, says("451 4.3.0 later")),
        ("EHLO 421", Verb::Ehlo, says("421 4.3.0 bye")),
        (
            "EHLO silent",
            Verb::Ehlo,
            vec![Act::Stall(Duration::from_secs(5))],
        ),
    ]
}

#[test]
fn never_reached_is_said_at_the_greeting() {
    run(unwelcome()
        .into_iter()
        .map(|(name, verb, acts)| {
            one(name, Script::smtp().rule(Rule::on(verb, acts))).nothing("421 4.3.2 ")
        })
        .chain([one("another of us", Script::smtp().also("XPIXELGATE")).nothing("421 4.3.2 ")])
        .collect());
}

#[test]
fn gone_after_it_was_reached() {
    // The connection of the greeting lies idle; it turns out dead at MAIL, and the one that replaces it fares so.
    let stale = || Rule::on(Verb::Mail, [Act::Close]).connection(1);
    let script = |verb, acts| {
        let again = Rule::on(verb, acts).connection(2);
        Script::smtp().rule(stale()).rule(again)
    };
    let rows = unwelcome()
        .into_iter()
        .map(|(name, verb, acts)| one(name, script(verb, acts)).nothing("451 4.4"));
    let more = [
        one("MAIL closed again", script(Verb::Mail, vec![Act::Close])).nothing("451 4.4.2 "),
        one("MAIL closed once", Script::smtp().rule(stale())).done("250 2.0.0 taken", FIRST),
    ];
    run(rows.chain(more).collect());
}

#[test]
fn refused_connections() {
    let hop = IllMannered::start_on("127.0.0.3:0", Script::smtp());
    let config = config_for(&hop);
    let address = hop.address();
    let served = start(&config);
    let polite = Submission::new(&FOUR, letter());
    assert!(polite.send(served.address()).last().starts_with("250 "));
    drop(hop);
    let told = polite.send(served.address());
    assert!(told.mail.starts_with("451 4.4.1 "), "{address}: {told:?}");
    assert!(spool_is_empty(&served));

    // And from the beginning, with nobody there.
    let fresh = start(&config);
    let told = polite.send(fresh.address());
    assert!(told.greeting.starts_with("421 4.3.2 "), "{told:?}");
}

#[test]
fn at_each_verb_of_one_variant() {
    let at = |verb, acts: Vec<Act>| Script::smtp().at(verb, acts);
    let closed = || vec![Act::Close];
    let big = |row: Row| Row {
        submission: Submission {
            message: large(),
            ..row.submission
        },
        ..row
    };
    run(vec![
        one("RCPT closed", at(Verb::Rcpt, closed())).nothing("451 4.4.2 "),
        one("RCPT 421", at(Verb::Rcpt, says("421 4.3.2 bye"))).nothing("451 4.4.0 "),
        one("RCPT 450", at(Verb::Rcpt, says("450 4.2.0 busy"))).nothing("450 4.2.0 busy"),
        one("RCPT 550", at(Verb::Rcpt, says("550 5.1.1 gone"))).nothing("550 5.1.1 gone"),
        one("RCPT 530", at(Verb::Rcpt, says("530 5.7.0 auth"))).nothing("451 4.4.0 "),
        one("MAIL 550", at(Verb::Mail, says("550 5.1.0 not you"))).nothing("550 5.1.0 not you"),
        one("MAIL 451", at(Verb::Mail, says("451 4.3.0 later"))).nothing("451 4.3.0 later"),
        one("MAIL 502", at(Verb::Mail, says("502 5.5.1 what"))).nothing("451 4.4.0 "),
        one("DATA closed", at(Verb::Data, closed())).nothing("451 4.4.2 "),
        one("DATA 421", at(Verb::Data, says("421 4.3.2 bye"))).nothing("451 4.4.0 "),
        one("DATA 451", at(Verb::Data, says("451 4.3.0 later"))).nothing("451 4.3.0 later"),
        one("DATA 554", at(Verb::Data, says("554 5.7.1 no"))).nothing("554 5.7.1 no"),
        one("DATA 250", at(Verb::Data, says("250 2.0.0 ok"))).nothing("451 4.4.0 "),
        one(
            "DATA silent",
            at(Verb::Data, vec![Act::Stall(Duration::from_secs(5))]),
        )
        .nothing("451 4.4.2 "),
        big(one("closed in the data", at(Verb::Content, closed()))).nothing("451 4.4.2 "),
        big(one(
            "silent in the data",
            at(Verb::Content, vec![Act::Stall(Duration::from_secs(5))]),
        ))
        .nothing("451 4.4.2 "),
    ]);
}

#[test]
fn at_each_verb_of_the_first_of_two_variants() {
    let at = |verb, acts: Vec<Act>| Script::smtp().rule(Rule::on(verb, acts).transaction(2));
    let closed = || vec![Act::Close];
    run(vec![
        // Nothing had happened yet on a connection that may have been dead: given once more over another.
        two("first: MAIL closed", at(Verb::Mail, closed())).done("250 2.0.0 taken", ALL),
        // Refused before anything was begun: the other variant is asked for itself.
        two("first: MAIL 550", at(Verb::Mail, says("550 5.1.0 no"))).owing(
            SECOND,
            &[
                (ANNA, "failed_dsn", 550, false),
                (DORA, "failed_dsn", 550, false),
            ],
            SECOND,
            &[(ANNA, "5.1.0", 550), (DORA, "5.1.0", 550)],
        ),
        two("first: MAIL 451", at(Verb::Mail, says("451 4.3.0 later"))).nothing("451 4.3.0 later"),
        two("first: RCPT closed", at(Verb::Rcpt, closed())).nothing("451 4.4.2 "),
        two("first: DATA closed", at(Verb::Data, closed())).nothing("451 4.4.2 "),
        two("first: DATA 451", at(Verb::Data, says("451 4.3.0 later"))).nothing("451 4.3.0 later"),
        two("first: DATA 554", at(Verb::Data, says("554 5.7.1 no"))).nothing("554 5.7.1 no"),
    ]);
}

#[test]
fn at_each_verb_of_the_second_of_two_variants() {
    const AGAIN: &[Owed] = &[
        (BEN, "delivery", 451, false),
        (CLEO, "delivery", 451, false),
    ];
    const REFUSED: &[Owed] = &[
        (BEN, "failed_dsn", 554, false),
        (CLEO, "failed_dsn", 554, false),
    ];
    let at = |verb, acts: Vec<Act>| Script::smtp().rule(Rule::on(verb, acts).transaction(3));
    let closed = || vec![Act::Close];
    let twice = Script::smtp()
        .rule(Rule::on(Verb::Mail, closed()).transaction(3))
        .rule(Rule::on(Verb::Mail, closed()).transaction(4));
    let unreachable = Script::smtp()
        .rule(Rule::on(Verb::Data, closed()).transaction(3))
        .rule(Rule::on(Verb::Connect, says("554 5.3.2 not you")).connection(2));
    let refused = &[(BEN, "5.7.1", 554), (CLEO, "5.7.1", 554)];
    run(vec![
        two("second: MAIL closed", at(Verb::Mail, closed())).done("250 2.0.0 taken", ALL),
        two("second: MAIL closed twice", twice).owing(FIRST, AGAIN, ALL, &[]),
        two("second: RCPT closed", at(Verb::Rcpt, closed())).owing(FIRST, AGAIN, ALL, &[]),
        two("second: DATA closed", at(Verb::Data, closed())).owing(FIRST, AGAIN, ALL, &[]),
        two("second: DATA 451", at(Verb::Data, says("451 4.3.0 later"))).owing(
            FIRST,
            AGAIN,
            ALL,
            &[],
        ),
        two("second: DATA 554", at(Verb::Data, says("554 5.7.1 no")))
            .owing(FIRST, REFUSED, FIRST, refused),
        two("second: RSET refused", {
            // The RSET between the client's own transaction and the first variant: the connection is not trusted again.
            Script::smtp().rule(Rule::on(Verb::Rset, says("500 5.5.1 what")).times(1))
        })
        .done("250 2.0.0 taken", ALL),
        two("second: unreachable for the first retry", unreachable).owing(FIRST, AGAIN, ALL, &[]),
    ]);
}
