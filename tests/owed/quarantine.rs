//! A message over which the process dies again and again is left alone; the others are delivered.

use std::time::Instant;

use crate::*;

/// A letter that takes a while to read.
fn long_letter() -> Vec<u8> {
    let mut letter = b"From: letter@news.example.com\r\nSubject: long\r\nMIME-Version: 1.0\r\n\
        Content-Type: text/html; charset=utf-8\r\n\r\n"
        .to_vec();
    letter.extend(
        b"<p class=\"a\">bread <b>and</b> <i style=\"color:red\">salt</i></p>\r\n".repeat(20_000),
    );
    letter
}

/// The notes about entries in hand.
fn notes(served: &Served) -> Vec<String> {
    let directory = served.directory().join("spool/working");
    let notes = files(&directory).into_iter();
    notes
        .filter_map(|name| fs::read_to_string(directory.join(name)).ok())
        .collect()
}

/// Whether the long letter is being read.
fn is_decided_about(served: &Served) -> bool {
    let spool = served.directory().join("spool");
    let long = |name: &String| {
        let message = spool.join("messages").join(name);
        fs::metadata(message).is_ok_and(|facts| facts.len() > 1 << 20)
    };
    let names = files(&spool.join("messages")).into_iter().filter(long);
    names.into_iter().any(|name| {
        let note = spool.join("working").join(name.replace(".eml", ".note"));
        fs::read_to_string(note).is_ok_and(|note| note.starts_with("deciding"))
    })
}

/// Kills the relay while it reads the long letter.
#[track_caller]
fn kill_while_it_decides(served: &mut Served) {
    let until = Instant::now() + PATIENCE;
    while !is_decided_about(served) {
        assert!(Instant::now() < until, "never in hand\n{}", served.log());
        sleep(Duration::from_millis(1));
    }
    served.kill();
    assert!(
        is_decided_about(served),
        "it was decided too soon: {:?}",
        notes(served)
    );
}

/// One long letter and one short one are owed; the next hop is not there at first.
fn scene(more: &[&str]) -> (Served, Config, Config, String) {
    let hop = IllMannered::start(Script::smtp());
    let address = hop.address().to_string();
    let at_once = ["backoff_first_seconds = 1", "backoff_most_seconds = 1"];
    let idle = Config {
        next_hop: next_hop_lines(&hop, "smtp", &at_once),
        spool: [
            sleepy(),
            more.iter().map(|line| (*line).to_owned()).collect(),
        ]
        .concat(),
        tail: "[relay]\nwhen_next_hop_down = \"spool\"".to_owned(),
        ..config_for(&hop)
    };
    let busy = Config {
        spool: eager_and(more),
        ..idle.clone()
    };
    drop(hop);
    let served = start(&idle);
    let told = Submission::new(&[CLEO], long_letter()).send(served.address());
    assert_told(&told, "250 2.0.0 Ok: queued", &served);
    (served, idle, busy, address)
}

#[test]
fn a_message_that_kills_is_left_alone_and_the_others_go_on() {
    let (mut served, idle, busy, address) = scene(&["crashes = 2"]);
    let other = Submission::new(&[BEN], letter()).send(served.address());
    assert_told(&other, "250 2.0.0 Ok: queued", &served);
    served.kill();
    served.start_again(&busy);
    kill_while_it_decides(&mut served);
    // Deaths in the midst of nothing neither count nor make it forget.
    for _ in 0..2 {
        served.start_again(&idle);
        assert!(
            notes(&served).contains(&"idle 1\n".to_owned()),
            "{:?}",
            notes(&served)
        );
        served.kill();
    }
    served.start_again(&busy);
    kill_while_it_decides(&mut served);
    let hop = IllMannered::start_on(&address, Script::smtp());
    served.start_again(&busy);
    wait_until("the other message", &served, || copies(&hop, BEN) == 1);
    // Taken there; that nothing is owed any more is noted a moment later.
    wait_until("its end", &served, || listed(&served).len() == 1);
    let entries = listed(&served);
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["state"], "quarantine", "{entries:?}");
    assert!(entries[0]["why"].as_str().unwrap().contains("2 times"));
    assert_eq!(copies(&hop, CLEO), 0);
    let id = entries[0]["id"].as_str().unwrap().to_owned();
    let log = served.log();
    let line = log.lines().find(|line| line.contains("quarantine"));
    assert!(line.is_some_and(|line| line.contains(&id)), "{log}");
    assert!(!log.contains(CLEO), "no address in the log");
    // It stays there over a start, and goes out when the operator says so.
    served.kill();
    served.start_again(&busy);
    assert_eq!(listed(&served)[0]["state"], "quarantine");
    let (code, out, err) = spool(&served, &["retry", &id]);
    assert_eq!(code, 0, "{out}{err}");
    wait_until("its delivery", &served, || spool_is_empty(&served));
    assert_eq!(copies(&hop, CLEO), 1);
}

#[test]
fn an_attempt_that_ends_in_order_ends_the_count() {
    let (mut served, _, busy, address) = scene(&["crashes = 2"]);
    let hop = IllMannered::start_on(&address, Script::smtp().at(Verb::Dot, [Act::say(LATER)]));
    served.kill();
    served.start_again(&busy);
    for _ in 0..2 {
        kill_while_it_decides(&mut served);
        served.start_again(&busy);
        let before = hop.transactions().len();
        wait_until("an attempt", &served, || hop.transactions().len() > before);
        wait_until("its end", &served, || {
            !notes(&served).iter().any(|note| note.contains('1'))
        });
    }
    assert_ne!(listed(&served)[0]["state"], "quarantine");
    assert_eq!(dead(&served), []);
}
