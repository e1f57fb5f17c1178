//! What was known when a message was judged stands at every attempt at it.

use std::fs;

use crate::ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use crate::support::{Config, Served};
use crate::traffic::*;
use crate::{SPACER, message, spacer};

/// Enough people to whom the spacer went.
fn teach(served: &Served) {
    for person in 0..25 {
        let address = format!("reader{person}@example.net");
        let told = Submission::new(&[&address], message(person, &spacer())).send(served.address());
        assert_eq!(told.last(), "250 2.0.0 taken", "{}", served.log());
    }
}

fn has_spacer(copy: &[u8]) -> bool {
    contains(copy, SPACER.as_bytes())
}

/// The last copy that this person got.
fn last_to(hop: &IllMannered, address: &str) -> Vec<u8> {
    let taken = hop.taken().into_iter();
    let mut theirs = taken.filter(|copy| paths(&copy.taken).contains(&address));
    theirs.next_back().expect("a copy").octets
}

fn owed_file(served: &Served) -> String {
    let mut files: Vec<_> = fs::read_dir(served.directory().join("spool/owed"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    fs::read_to_string(files.remove(0)).unwrap()
}

#[test]
fn what_is_owed_is_judged_by_what_was_known_then() {
    let later = Rule::on(Verb::Dot, [Act::say("451 4.2.0 later")]);
    let hop = IllMannered::start(Script::smtp().rule(later.containing(BEN).times(1)));
    let config = config_for(&hop);
    let mut served = start(&config);
    teach(&served);
    // Two variants, for the tracker: ANNA keeps hers, and BEN's copy is owed.
    let body = format!("{}\r\n{TRACKER}", spacer());
    let told = Submission::new(&[ANNA, BEN], message(100, &body)).send(served.address());
    assert!(told.last().starts_with("250"), "{told:?}");
    assert!(has_spacer(&last_to(&hop, ANNA)));
    let owed = owed_file(&served);
    assert!(
        owed.contains("\"version\":2") && owed.contains("\"says\":\"shared\""),
        "{owed}"
    );
    served.stop();

    // The table is lost, and the relay starts cold: the owed copy is what it would have been.
    fs::write(served.directory().join("var/learn/table"), "lost").unwrap();
    let eager = Config {
        spool: eager(),
        ..config
    };
    served.start_again(&eager);
    assert!(
        served.log().contains("nothing is known of other messages"),
        "{}",
        served.log()
    );
    wait_until("BEN's copy", &served, || copies(&hop, BEN) == 1);
    let copy = last_to(&hop, BEN);
    assert!(has_spacer(&copy), "judged as everybody's then");
    assert!(
        !contains(&copy, TRACE.as_bytes()),
        "the tracker is none of that"
    );
    // Fresh mail is judged by what is known now.
    let told = Submission::new(&[CLEO], message(101, &spacer())).send(served.address());
    assert_eq!(told.last(), "250 2.0.0 taken");
    assert!(!has_spacer(&last_to(&hop, CLEO)));
}
