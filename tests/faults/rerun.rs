//! Forward-paths that were accepted while the client named them and are not any more when the envelope is given again:
//! for each variant of two, and for one after its connection was given back (`hold_before_data`).

use crate::*;

const BUSY: &str = "450 4.2.0 busy";
const GONE: &str = "550 5.1.1 gone";

/// Refuses one forward-path in one transaction.
fn rcpt(transaction: usize, who: &str, acts: Vec<Act>) -> Rule {
    Rule::on(Verb::Rcpt, acts)
        .transaction(transaction)
        .containing(who)
}

fn says(text: &str) -> Vec<Act> {
    vec![Act::say(text)]
}

fn bye() -> Vec<Act> {
    vec![Act::say("421 4.3.2 bye"), Act::Close]
}

fn script(rules: impl IntoIterator<Item = Rule>) -> Script {
    rules.into_iter().fold(Script::smtp(), Script::rule)
}

#[test]
fn of_the_first_of_two_variants() {
    run(vec![
        two("first: one 450", script([rcpt(2, ANNA, says(BUSY))])).owing(
            [0, 1, 1, 1],
            &[(ANNA, "delivery", 450, false)],
            ALL,
            &[],
        ),
        two("first: one 550", script([rcpt(2, ANNA, says(GONE))])).owing(
            [0, 1, 1, 1],
            &[(ANNA, "failed_dsn", 550, false)],
            [0, 1, 1, 1],
            &[(ANNA, "5.1.1", 550)],
        ),
        two("first: 421 at one", script([rcpt(2, ANNA, bye())])).nothing("451 4.4.0 "),
        two("first: 421 at the other", script([rcpt(2, DORA, bye())])).nothing("451 4.4"),
        two(
            "first: both 450",
            script([rcpt(2, ANNA, says(BUSY)), rcpt(2, DORA, says(BUSY))]),
        )
        .nothing(BUSY),
        // Nothing was begun, and the verdict is about these two alone: the others get theirs.
        two(
            "first: both 550",
            script([rcpt(2, ANNA, says(GONE)), rcpt(2, DORA, says(GONE))]),
        )
        .owing(
            SECOND,
            &[
                (ANNA, "failed_dsn", 550, false),
                (DORA, "failed_dsn", 550, false),
            ],
            SECOND,
            &[(ANNA, "5.1.1", 550), (DORA, "5.1.1", 550)],
        ),
        two(
            "first: both 550, second not taken",
            script([rcpt(2, ANNA, says(GONE)), rcpt(2, DORA, says(GONE))])
                .rule(Rule::on(Verb::Dot, says("451 4.3.0 later")).times(1)),
        )
        .nothing("451 4.3.0 later"),
        two(
            "everybody 550",
            script([2, 3].map(|n| Rule::on(Verb::Rcpt, says(GONE)).transaction(n))),
        )
        .nothing(GONE),
        two(
            "first: one 550 and one 450",
            script([rcpt(2, ANNA, says(GONE)), rcpt(2, DORA, says(BUSY))]),
        )
        .nothing(BUSY),
    ]);
}

#[test]
fn of_the_second_of_two_variants() {
    run(vec![
        two("second: one 450", script([rcpt(3, BEN, says(BUSY))])).owing(
            [1, 0, 1, 1],
            &[(BEN, "delivery", 450, false)],
            ALL,
            &[],
        ),
        two("second: one 550", script([rcpt(3, CLEO, says(GONE))])).owing(
            [1, 1, 0, 1],
            &[(CLEO, "failed_dsn", 550, false)],
            [1, 1, 0, 1],
            &[(CLEO, "5.1.1", 550)],
        ),
        two("second: 421 at one", script([rcpt(3, BEN, bye())])).owing(
            FIRST,
            &[
                (BEN, "delivery", 451, false),
                (CLEO, "delivery", 451, false),
            ],
            ALL,
            &[],
        ),
        two(
            "second: both 550",
            script([rcpt(3, BEN, says(GONE)), rcpt(3, CLEO, says(GONE))]),
        )
        .owing(
            FIRST,
            &[
                (BEN, "failed_dsn", 550, false),
                (CLEO, "failed_dsn", 550, false),
            ],
            FIRST,
            &[(BEN, "5.1.1", 550), (CLEO, "5.1.1", 550)],
        ),
        two(
            "one 450 in the first, one 550 in the second",
            script([rcpt(2, DORA, says(BUSY)), rcpt(3, BEN, says(GONE))]),
        )
        .owing(
            [1, 0, 1, 0],
            &[
                (BEN, "failed_dsn", 550, false),
                (DORA, "delivery", 450, false),
            ],
            [1, 0, 1, 1],
            &[(BEN, "5.1.1", 550)],
        ),
        two(
            "owed, then refused at the next attempt",
            script([
                rcpt(3, BEN, says(BUSY)),
                rcpt(4, BEN, says("551 5.1.6 moved")),
            ]),
        )
        .owing(
            [1, 0, 1, 1],
            &[(BEN, "delivery", 450, false)],
            [1, 0, 1, 1],
            &[(BEN, "5.1.6", 551)],
        ),
    ]);
}

/// One variant whose client pauses for longer than its connection is held: transaction 2 is the envelope again.
fn paused(name: &'static str, script: Script) -> Row {
    let row = one(name, script);
    Row {
        limits: &["hold_before_data_seconds = 1"],
        submission: Submission {
            pause: Duration::from_secs(2),
            ..row.submission
        },
        ..row
    }
}

#[test]
fn of_one_variant_after_its_connection_was_given_back() {
    let mail = |text| [Rule::on(Verb::Mail, says(text)).transaction(2)];
    run(vec![
        paused("paused: all again", Script::smtp()).done("250 2.0.0 taken", FIRST),
        paused("paused: one 450", script([rcpt(2, ANNA, says(BUSY))])).owing(
            [0, 0, 0, 1],
            &[(ANNA, "delivery", 450, false)],
            FIRST,
            &[],
        ),
        paused("paused: one 550", script([rcpt(2, ANNA, says(GONE))])).owing(
            [0, 0, 0, 1],
            &[(ANNA, "failed_dsn", 550, false)],
            [0, 0, 0, 1],
            &[(ANNA, "5.1.1", 550)],
        ),
        paused(
            "paused: one 550, dot 451",
            script([rcpt(2, ANNA, says(GONE))]).at(Verb::Dot, says("451 4.3.0 later")),
        )
        .nothing("451 4.3.0 later"),
        paused(
            "paused: one 550, taken and closed",
            script([rcpt(2, ANNA, says(GONE))]).at(Verb::Dot, [Act::Take, Act::Close]),
        )
        .done("451 4.4.2 ", [0, 0, 0, 1]),
        paused("paused: 421 at one", script([rcpt(2, ANNA, bye())])).nothing("451 4.4.0 "),
        paused(
            "paused: both 550",
            script([rcpt(2, ANNA, says(GONE)), rcpt(2, DORA, says(GONE))]),
        )
        .nothing(GONE),
        paused(
            "paused: one 550 and one 450",
            script([rcpt(2, ANNA, says(GONE)), rcpt(2, DORA, says(BUSY))]),
        )
        .nothing(BUSY),
        paused("paused: MAIL 550", script(mail("550 5.1.0 not you"))).nothing("550 5.1.0 not you"),
        paused("paused: MAIL 451", script(mail("451 4.3.0 later"))).nothing("451 4.3.0 later"),
        paused("paused: MAIL 530", script(mail("530 5.7.0 auth"))).nothing("451 4.4.0 "),
    ]);
}
