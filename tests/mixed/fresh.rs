//! Promise 8 between two dots: the first copy is slow, and what was decided for the second is older than 5 s by then.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use crate::support::{Config, PATIENCE, Served};
use crate::traffic::*;

/// More than a decision may rest on.
const TOO_LONG: Duration = Duration::from_millis(5_500);

/// BEN's copy goes first, and its dot waits; what happens meanwhile; the replies to the client.
fn sent_slowly(lmtp: bool, meanwhile: impl FnOnce(&Served)) -> (IllMannered, Served, Vec<String>) {
    let dot = Rule::on(Verb::Dot, [Act::Stop("first dot")]).containing(BEN);
    let hop = IllMannered::start(Script::smtp().rule(dot));
    let patient = ["dot_timeout_seconds = 15", "answer_within_seconds = 18"];
    let config = Config {
        next_hop: next_hop_lines(&hop, "smtp", &patient),
        listener: lmtp
            .then(|| "protocol = \"lmtp\"".to_owned())
            .into_iter()
            .collect(),
        ..config_for(&hop)
    };
    let served = start(&config);
    let submission = Submission {
        lmtp,
        ..Submission::new(&[BEN, ANNA, DORA], letter())
    };
    let address = served.address();
    let sending = std::thread::spawn(move || submission.send(address));
    assert!(hop.wait_stopped("first dot", PATIENCE), "{}", served.log());
    let stopped = Instant::now();
    meanwhile(&served);
    sleep(TOO_LONG.saturating_sub(stopped.elapsed()));
    hop.go_on("first dot");
    let told = sending.join().expect("the client");
    (hop, served, told.dot)
}

/// What each of the two got: how often, and whether the tracker stayed.
fn got(hop: &IllMannered, address: &str) -> Vec<bool> {
    let taken = hop.taken().into_iter();
    let theirs = taken.filter(|copy| paths(&copy.taken).contains(&address));
    theirs
        .map(|copy| is_kept(&copy.octets, &letter()))
        .collect()
}

#[test]
fn a_withdrawal_between_two_dots_is_obeyed() {
    let (hop, served, dot) = sent_slowly(false, |served| consent(served, ANNA, "withdrawn"));
    assert_eq!(dot, ["250 2.0.0 taken"], "BEN's copy is with the next hop");
    // The spool of this relay tries nothing again for an hour: decided anew means at once.
    wait_until("the copies", &served, || spool_is_empty(&served));
    assert_eq!(got(&hop, BEN), [false]);
    assert_eq!(got(&hop, ANNA), [false], "withdrawn before her dot");
    assert_eq!(got(&hop, DORA), [true]);
    assert!(served.log().contains("decided anew"), "{}", served.log());
}

#[test]
fn a_slow_next_hop_alone_changes_nothing() {
    let (hop, served, dot) = sent_slowly(false, |served| consent(served, CLEO, "withdrawn"));
    assert_eq!(dot, ["250 2.0.0 taken"]);
    assert!(spool_is_empty(&served));
    assert_eq!(hop.transactions().len(), 2, "both in one go");
    assert_eq!(
        [ANNA, DORA].map(|address| got(&hop, address)),
        [[true], [true]]
    );
    assert!(!served.log().contains("decided anew"));
}

/// An LMTP client keeps what was not sent: 451 for those copies alone.
#[test]
fn over_lmtp_the_client_comes_again_for_them() {
    let (hop, served, dot) = sent_slowly(true, |served| consent(served, DORA, "objected"));
    let again = "451 4.3.0 Decided anew before sending, try again";
    assert_eq!(dot, ["250 2.0.0 taken", again, again], "{}", served.log());
    assert_eq!(got(&hop, BEN), [false]);
    assert!(got(&hop, ANNA).is_empty() && got(&hop, DORA).is_empty());
    let submission = Submission {
        lmtp: true,
        ..Submission::new(&[ANNA, DORA], letter())
    };
    assert_eq!(
        submission.send(served.address()).dot,
        ["250 2.0.0 taken"; 2]
    );
    assert_eq!(got(&hop, ANNA), [true]);
    assert_eq!(got(&hop, DORA), [false]);
}

/// The register falls silent between the dots: no answer is no consent.
#[test]
fn no_answer_between_two_dots_keeps_nothing() {
    let (hop, served, dot) = sent_slowly(false, |served| {
        for name in ["consent.db", "consent.db-wal", "consent.db-shm"] {
            let _ = std::fs::remove_file(served.directory().join(name));
        }
        std::fs::create_dir(served.directory().join("consent.db")).expect("in the way");
    });
    assert_eq!(dot, ["250 2.0.0 taken"]);
    wait_until("the copies", &served, || spool_is_empty(&served));
    assert_eq!(
        [ANNA, DORA].map(|address| got(&hop, address)),
        [[false], [false]]
    );
}
