//! Forward-paths whose copy may not go while others' goes: rejected (uninspectable) or held, on an SMTP listener.

use crate::*;

/// Both have consented; to the others nothing may go that nobody can see through.
fn blind(name: &'static str, tail: &'static str) -> Row {
    let row = two(name, Script::smtp());
    Row {
        tail,
        submission: Submission {
            message: blind_letter(),
            ..row.submission
        },
        ..row
    }
}

const REQUESTED: &str = "[[stream]]\nname = \"tickets\"\ncontroller = \"default\"\nkind = \"requested\"\n\
    withdrawal_link = { elsewhere = \"in the account\" }\n\
    [[stream.tracker]]\nhosts = [\"*\"]\npurposes = [\"campaign_performance\"]";

#[test]
fn rejected_or_held_for_some() {
    run(vec![
        blind("rejected for some", "").owing(
            FIRST,
            &[
                (BEN, "failed_dsn", 550, false),
                (CLEO, "failed_dsn", 550, false),
            ],
            FIRST,
            &[(BEN, "5.7.1", 550), (CLEO, "5.7.1", 550)],
        ),
        blind(
            "rejected for some, refuse_all",
            "[relay]\npartial_reject = \"refuse_all\"",
        )
        .nothing("550 5.6.0 "),
        Row {
            submission: Submission::new(&UNKNOWN, blind_letter()),
            ..blind("rejected for all", "")
        }
        .nothing("550 5.6.0 "),
        Row {
            script: Script::smtp().at(Verb::Dot, [Act::say("451 4.3.0 later")]),
            ..blind("rejected for some, the others not now", "")
        }
        .nothing("451 4.3.0 later"),
    ]);
}

#[test]
fn held_for_some_is_owed_and_tried_again() {
    let hop = IllMannered::start(Script::smtp());
    let config = Config {
        tail: REQUESTED.to_owned(),
        ..config_for(&hop)
    };
    let mut served = start(&config);
    let told = Submission::new(&FOUR, blind_letter()).send(served.address());
    assert!(
        told.last().starts_with("250 "),
        "{told:?}\n{}",
        served.log()
    );
    assert_eq!(count(&hop), FIRST);
    let held: &[Owed] = &[
        (BEN, "delivery", 451, false),
        (CLEO, "delivery", 451, false),
    ];
    assert_eq!(owed(&served), debts(held), "{}", served.log());
    // BEN consents while it lies there: his copy may go, CLEO's may not.
    consent(&served, BEN, "granted");
    served.kill();
    served.start_again(&Config {
        spool: eager(),
        ..config
    });
    let ben_has_it = || count(&hop) == [1, 1, 0, 1];
    wait_until("the copy of who consented", &served, ben_has_it);
    let only_cleo = || owed(&served) == debts(&held[1..]);
    wait_until("only the other's debt", &served, only_cleo);
    assert_reports(&hop, &[]);
}

#[test]
fn held_for_all_is_the_clients_to_keep() {
    let hop = IllMannered::start(Script::smtp());
    let config = Config {
        tail: REQUESTED.to_owned(),
        ..config_for(&hop)
    };
    let served = start(&config);
    let told = Submission::new(&UNKNOWN, blind_letter()).send(served.address());
    assert!(told.last().starts_with("451 4.6.0 "), "{told:?}");
    assert_eq!(hop.transactions(), []);
    assert!(spool_is_empty(&served));
}
