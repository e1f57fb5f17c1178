//! Two next hops and a message with two variants: whatever happens to the first of them, each recipient has one copy.

use crate::ill_mannered::{Act, IllMannered, Rule, Verb};
use crate::rule::{BOTH, Speaks};
use crate::*;

/// Both as one way out.
fn config(first: &IllMannered, second: &IllMannered, speaks: Speaks) -> Config {
    let config = Config {
        next_hop: next_hop_lines(first, word(speaks), &[]),
        ..config_for(first)
    };
    Config {
        tail: format!(
            "[[next_hop]]\n{}\n",
            next_hop_lines(second, word(speaks), &[]).join("\n")
        ),
        ..config
    }
}

/// The copies of both next hops.
fn copies_of_both(hops: [&IllMannered; 2]) -> [[usize; 4]; 2] {
    hops.map(|hop| FOUR.map(|who| copies(hop, who)))
}

#[test]
fn a_variant_that_was_not_begun_goes_to_the_other() {
    let closes = || vec![Act::Close];
    let gone = || Rule::on(Verb::Connect, [Act::say("421 4.3.2 bye"), Act::Close]);
    for speaks in BOTH {
        for (name, at, first_has, second_has) in [
            // Transaction 1 is the client's own; 2 and 3 carry a variant each. A connection that dies at MAIL is replaced.
            ("at the first variant", 2..=3, [0, 0, 0, 0], [1, 1, 1, 1]),
            ("at the second variant", 3..=4, [1, 0, 0, 1], [0, 1, 1, 0]),
        ] {
            let dies = Rule::on(Verb::Mail, closes()).transactions(at);
            let first = IllMannered::start(script(speaks).rule(dies));
            let second = IllMannered::start(script(speaks));
            let served = start(&config(&first, &second, speaks));
            let told = Submission::new(&FOUR, letter()).send(served.address());
            assert!(
                told.last().starts_with("250 "),
                "{speaks:?} {name}: {told:?}"
            );
            assert_eq!(
                copies_of_both([&first, &second]),
                [first_has, second_has],
                "{speaks:?} {name}"
            );
            assert_own_variants(&first, &letter());
            assert_own_variants(&second, &letter());
            assert!(spool_is_empty(&served), "{speaks:?} {name}");
        }
        // Gone for good after the first variant's dot was answered.
        let taken_and_gone = Rule::on(
            Verb::Dot,
            [
                Act::Arm(Box::new(gone())),
                Act::say("250 2.0.0 taken"),
                Act::Close,
            ],
        );
        let first =
            IllMannered::start(script(speaks).rule(taken_and_gone.transaction(2).containing(DORA)));
        let second = IllMannered::start(script(speaks));
        let served = start(&config(&first, &second, speaks));
        let told = Submission::new(&FOUR, letter()).send(served.address());
        assert!(told.last().starts_with("250 "), "{told:?}");
        assert_eq!(
            copies_of_both([&first, &second]),
            [[1, 0, 0, 1], [0, 1, 1, 0]]
        );
    }
}

#[test]
fn a_variant_that_was_begun_stays_with_the_one_it_was_given_to() {
    for (name, verb, acts, first_has) in [
        ("DATA lost", Verb::Data, vec![Act::Close], [1, 0, 0, 1]),
        (
            "dot lost",
            Verb::Dot,
            vec![Act::Take, Act::Close],
            [1, 1, 1, 1],
        ),
        (
            "dot 451",
            Verb::Dot,
            vec![Act::say("451 4.3.0 later")],
            [1, 0, 0, 1],
        ),
        ("RCPT lost", Verb::Rcpt, vec![Act::Close], [1, 0, 0, 1]),
    ] {
        let first =
            IllMannered::start(script(Speaks::Smtp).rule(Rule::on(verb, acts).transaction(3)));
        let second = IllMannered::start(script(Speaks::Smtp));
        let served = start(&config(&first, &second, Speaks::Smtp));
        let told = Submission::new(&FOUR, letter()).send(served.address());
        assert!(told.last().starts_with("250 "), "{name}: {told:?}");
        assert_eq!(
            copies_of_both([&first, &second]),
            [first_has, [0; 4]],
            "{name}: nothing goes to the other in the same breath"
        );
        let owed: Vec<String> = owed(&served).into_iter().map(|debt| debt.to).collect();
        assert_eq!(owed, [BEN, CLEO], "{name}: it is owed");
    }
}

#[test]
fn the_live_envelope_too_goes_to_the_one_that_is_well() {
    for acts in [
        vec![Act::Close],
        vec![Act::say("421 4.3.2 bye"), Act::Close],
    ] {
        let first = IllMannered::start(script(Speaks::Smtp).at(Verb::Mail, acts));
        let second = IllMannered::start(script(Speaks::Smtp));
        let served = start(&config(&first, &second, Speaks::Smtp));
        for _ in 0..2 {
            let told = Submission::new(&GRANTED, letter()).send(served.address());
            assert!(told.last().starts_with("250 "), "{told:?}");
        }
        assert_eq!(copies_of_both([&first, &second]), [[0; 4], [2, 0, 0, 2]]);
    }
}
