//! A disk that does not take what has to be on it: then nothing was sent, or the client keeps its mail.
//!
//! A directory that is a file cannot be written to, not even by root.

use crate::*;

const UNCHANGED: &str = "451 4.3.1 ";

/// The relay in front of a polite next hop, one directory of its spool blocked.
fn without(part: &str, hop: &IllMannered) -> Served {
    let served = start(&config_for(hop));
    block(&served.directory().join("spool").join(part));
    served
}

fn dots(hop: &IllMannered) -> usize {
    hop.transactions().len()
}

#[test]
fn nothing_is_sent_when_nothing_can_be_written_ahead() {
    for part in ["messages", "prepared"] {
        let hop = IllMannered::start(Script::smtp());
        let served = without(part, &hop);
        let told = Submission::new(&FOUR, letter()).send(served.address());
        assert!(told.last().starts_with(UNCHANGED), "{part}: {told:?}");
        assert_eq!(dots(&hop), 0, "{part}: not an octet");
        assert_eq!(files(&served.directory().join("spool/messages")), [""; 0]);
        // What cannot end half done needs no spool.
        let told = Submission::new(&GRANTED, letter()).send(served.address());
        assert!(told.last().starts_with("250 "), "{part}: {told:?}");
        assert_eq!(count(&hop), FIRST, "{part}");
    }
}

#[test]
fn what_is_still_owed_and_cannot_be_noted_stays_the_clients() {
    let later = Rule::on(Verb::Dot, [Act::say("451 4.3.0 later")]);
    let hop = IllMannered::start(Script::smtp().rule(later.transaction(3)));
    let served = without("owed", &hop);
    let told = Submission::new(&FOUR, letter()).send(served.address());
    assert!(told.last().starts_with(UNCHANGED), "{told:?}");
    assert_eq!(count(&hop), FIRST);
    assert_eq!(files(&served.directory().join("spool/messages")), [""; 0]);
    assert_eq!(files(&served.directory().join("spool/prepared")), [""; 0]);
    // The client comes again: those copies twice, the others once.
    let told = Submission::new(&FOUR, letter()).send(served.address());
    assert!(told.last().starts_with("250 "), "{told:?}");
    assert_eq!(count(&hop), [2, 1, 1, 2]);
    assert_own_variants(&hop, &letter());
}

#[test]
fn a_full_spool_is_said_and_nothing_is_sent() {
    for limit in ["bytes = 1000", "bytes = 1"] {
        let hop = IllMannered::start(Script::smtp());
        let mut config = config_for(&hop);
        config.spool.push(limit.to_owned());
        let served = start(&config);
        let told = Submission::new(&FOUR, letter()).send(served.address());
        assert!(told.last().starts_with("452 4.3.1 "), "{limit}: {told:?}");
        assert_eq!(dots(&hop), 0, "{limit}");
        assert!(spool_is_empty(&served));
        let told = Submission::new(&UNKNOWN, letter()).send(served.address());
        assert!(told.last().starts_with("250 "), "{limit}: {told:?}");
    }
}

#[test]
fn entries_are_bounded() {
    let later = Rule::on(Verb::Dot, [Act::say("451 4.3.0 later")]);
    let hop = IllMannered::start(Script::smtp().rule(later.containing(BEN).times(1)));
    let mut config = config_for(&hop);
    config.spool.push("entries = 1".to_owned());
    let served = start(&config);
    let mixed = Submission::new(&FOUR, letter());
    assert!(mixed.send(served.address()).last().starts_with("250 "));
    assert_eq!(owed(&served).len(), 2, "one entry, full");
    let before = dots(&hop);
    let told = mixed.send(served.address());
    assert!(told.last().starts_with("452 4.3.1 "), "{told:?}");
    assert_eq!(dots(&hop), before, "nothing sent");
}

#[test]
fn a_maildir_that_cannot_be_written() {
    for part in ["new", "tmp", "envelopes"] {
        let served = start(&Config::default());
        let polite = Submission::new(&FOUR, letter());
        assert!(polite.send(served.address()).last().starts_with("250 "));
        let taken = served.outbox();
        assert_eq!(taken.len(), 2);
        let outbox = served.directory().join("outbox");
        std::fs::rename(outbox.join(part), outbox.join("aside")).unwrap();
        std::fs::write(outbox.join(part), b"in the way").unwrap();
        for rcpts in [&FOUR[..], &GRANTED[..]] {
            let told = Submission::new(rcpts, letter()).send(served.address());
            assert!(told.last().starts_with("451 4.3.0 "), "{part}: {told:?}");
        }
        assert!(spool_is_empty(&served), "{part}");
        std::fs::remove_file(outbox.join(part)).unwrap();
        std::fs::rename(outbox.join("aside"), outbox.join(part)).unwrap();
        assert_eq!(served.outbox(), taken, "{part}: nothing half written");
        assert!(polite.send(served.address()).last().starts_with("250 "));
        assert_eq!(served.outbox().len(), 4, "{part}");
    }
}

#[test]
fn a_maildir_that_does_not_exist_yet_is_made() {
    let served = start(&Config::default());
    let _ = std::fs::remove_dir_all(served.directory().join("outbox"));
    let told = Submission::new(&FOUR, letter()).send(served.address());
    assert!(told.last().starts_with("250 "), "{told:?}");
    assert_eq!(served.outbox().len(), 2);
}
