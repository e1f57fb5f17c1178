//! What is answered to a dot, or not answered.

use crate::*;

const LATER: &str = "451 4.3.0 later";
const NO: &str = "554 5.6.0 not this";

/// The ways in which a dot is not taken: name, acts, the code of the last reply, whether the copy exists all the same
/// as far as the next hop knows, and whether we can know.
fn ways() -> Vec<(&'static str, Vec<Act>)> {
    vec![
        ("451", vec![Act::say(LATER)]),
        ("554", vec![Act::say(NO)]),
        ("421", vec![Act::say("421 4.3.2 bye"), Act::Close]),
        ("closed", vec![Act::Close]),
        ("taken, closed", vec![Act::Take, Act::Close]),
        ("silent", vec![Act::Stall(Duration::from_secs(5))]),
        ("garbage", vec![Act::Raw(b"thanks a lot\r\n".to_vec())]),
    ]
}

/// A polite next hop but for the dot of one transaction.
fn at(transaction: usize, acts: Vec<Act>) -> Script {
    Script::smtp().rule(Rule::on(Verb::Dot, acts).transaction(transaction))
}

#[test]
fn of_one_variant() {
    run(ways()
        .into_iter()
        .map(|(way, acts)| {
            let row = one(way, at(1, acts));
            match way {
                "451" => row.nothing(LATER),
                "554" => row.nothing(NO),
                "421" => row.nothing("451 4.4.0 "),
                "closed" | "garbage" => row.nothing("451 4.4.2 "),
                // The client retries, and this copy arrives twice: no server can tell it from the one above.
                "taken, closed" | "silent" => row.done("451 4.4.2 ", FIRST),
                _ => unreachable!(),
            }
        })
        .collect());
}

#[test]
fn of_the_first_of_two_variants() {
    run(ways()
        .into_iter()
        .map(|(way, acts)| {
            let row = two(way, at(2, acts));
            match way {
                "451" => row.nothing(LATER),
                "554" => row.nothing(NO),
                "421" => row.nothing("451 4.4.0 "),
                "closed" | "garbage" => row.nothing("451 4.4.2 "),
                "taken, closed" | "silent" => row.done("451 4.4.2 ", FIRST),
                _ => unreachable!(),
            }
        })
        .collect());
}

#[test]
fn of_the_second_of_two_variants() {
    const AGAIN: &[Owed] = &[
        (BEN, "delivery", 451, false),
        (CLEO, "delivery", 451, false),
    ];
    const PERHAPS: &[Owed] = &[(BEN, "delivery", 451, true), (CLEO, "delivery", 451, true)];
    const REFUSED: &[Owed] = &[
        (BEN, "failed_dsn", 554, false),
        (CLEO, "failed_dsn", 554, false),
    ];
    run(ways()
        .into_iter()
        .map(|(way, acts)| {
            let row = two(way, at(3, acts));
            let taken_before = |row: Row| Row {
                copies: ALL,
                later: [1, 2, 2, 1],
                ..row
            };
            match way {
                "451" | "421" => row.owing(FIRST, AGAIN, ALL, &[]),
                "554" => row.owing(
                    FIRST,
                    REFUSED,
                    FIRST,
                    &[(BEN, "5.6.0", 554), (CLEO, "5.6.0", 554)],
                ),
                "closed" | "garbage" => row.owing(FIRST, PERHAPS, ALL, &[]),
                "taken, closed" | "silent" => taken_before(row.owing(FIRST, PERHAPS, ALL, &[])),
                _ => unreachable!(),
            }
        })
        .collect());
}

#[test]
fn each_of_an_lmtp_next_hop() {
    const CLEO_LATER: &[Owed] = &[(CLEO, "delivery", 451, false)];
    const CLEO_PERHAPS: &[Owed] = &[(CLEO, "delivery", 451, true)];
    let script =
        |acts: Vec<Act>| Script::lmtp().rule(Rule::on(Verb::Dot, acts).containing(CLEO).times(1));
    let lmtp = |row: Row| Row {
        protocol: "lmtp",
        submission: Submission {
            rcpts: UNKNOWN.iter().map(|path| format!("<{path}>")).collect(),
            ..row.submission
        },
        ..row
    };
    let ben = [0, 1, 0, 0];
    run(vec![
        lmtp(one("lmtp: 451 for one", script(vec![Act::say(LATER)]))).owing(
            ben,
            CLEO_LATER,
            SECOND,
            &[],
        ),
        lmtp(one("lmtp: 554 for one", script(vec![Act::say(NO)]))).owing(
            ben,
            &[(CLEO, "failed_dsn", 554, false)],
            ben,
            &[(CLEO, "5.6.0", 554)],
        ),
        lmtp(one(
            "lmtp: 421 for one",
            script(vec![Act::say("421 bye"), Act::Close]),
        ))
        .owing(ben, CLEO_LATER, SECOND, &[]),
        lmtp(one("lmtp: closed before one", script(vec![Act::Close]))).owing(
            ben,
            CLEO_PERHAPS,
            SECOND,
            &[],
        ),
        lmtp(one(
            "lmtp: silent before one",
            script(vec![Act::Stall(Duration::from_secs(5))]),
        ))
        .owing(ben, CLEO_PERHAPS, [0, 1, 2, 0], &[])
        .at_reply(SECOND),
        lmtp(one(
            "lmtp: none taken",
            Script::lmtp().at(Verb::Dot, [Act::say(NO)]),
        ))
        .nothing(NO),
        lmtp(one(
            "lmtp: none taken, one later",
            Script::lmtp()
                .rule(Rule::on(Verb::Dot, [Act::say(LATER)]).containing(CLEO))
                .at(Verb::Dot, [Act::say(NO)]),
        ))
        .nothing(LATER),
    ]);
}

#[test]
fn each_for_an_lmtp_client() {
    let rule = |who, act: &str| Rule::on(Verb::Dot, [Act::say(act)]).containing(who);
    for (name, script, expected) in [
        (
            "second variant later",
            Script::smtp().rule(rule(BEN, LATER)),
            ["250 ", LATER, LATER, "250 "],
        ),
        (
            "first variant refused",
            Script::smtp().rule(rule(ANNA, NO)),
            [NO, "250 ", "250 ", NO],
        ),
        (
            "first variant lost behind its dot",
            Script::smtp().rule(Rule::on(Verb::Dot, [Act::Close]).containing(ANNA)),
            ["451 4.4.2 ", "250 ", "250 ", "451 4.4.2 "],
        ),
        (
            "one of each not accepted again",
            Script::smtp()
                .rule(
                    Rule::on(Verb::Rcpt, [Act::say("550 5.1.1 gone")])
                        .transaction(2)
                        .containing(DORA),
                )
                .rule(
                    Rule::on(Verb::Rcpt, [Act::say("450 4.2.0 busy")])
                        .transaction(3)
                        .containing(CLEO),
                ),
            ["250 ", "250 ", "450 4.2.0 busy", "550 5.1.1 gone"],
        ),
    ] {
        let hop = IllMannered::start(script);
        let config = Config {
            listener: vec!["protocol = \"lmtp\"".to_owned()],
            ..config_for(&hop)
        };
        let served = start(&config);
        let submission = Submission {
            lmtp: true,
            ..Submission::new(&FOUR, letter())
        };
        let told = submission.send(served.address());
        assert_eq!(told.dot.len(), 4, "{name}");
        for (said, expected) in told.dot.iter().zip(expected) {
            assert!(said.starts_with(expected), "{name}: {:?}", told.dot);
        }
        let taken = expected.map(|reply| usize::from(reply == "250 "));
        assert_eq!(count(&hop), taken, "{name}");
        assert_own_variants(&hop, &letter());
        assert!(spool_is_empty(&served), "{name}: the client keeps it");
    }
}
