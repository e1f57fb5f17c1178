//! A full spool: said as early as it is known, never a lost message, and over as soon as there is room; what is owed already goes
//! out all the same.

use std::path::PathBuf;
use std::process::Command;

use crate::*;

const STRICTEST: &str = "[relay]\non_spool_full = \"strictest\"";
const FULL: &str = "452 4.3.1 ";

/// A spool that takes no message.
fn none() -> Vec<String> {
    [sleepy(), vec!["bytes = 1".to_owned()]].concat()
}

fn strictest(hop: &IllMannered, protocol: &str) -> Config {
    Config {
        next_hop: next_hop_lines(hop, protocol, &[]),
        spool: none(),
        tail: STRICTEST.to_owned(),
        ..config_for(hop)
    }
}

/// The lines of the ledger of one kind, in order.
fn ledger(served: &Served, kind: &str) -> Vec<serde_json::Value> {
    let directory = served.directory().join("ledger");
    let lines = files(&directory)
        .into_iter()
        .filter(|name| name.ends_with(".jsonl"));
    lines
        .flat_map(|name| {
            let text = fs::read_to_string(directory.join(name)).unwrap();
            let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
            lines.collect::<Vec<serde_json::Value>>()
        })
        .filter(|line| line["kind"] == kind)
        .collect()
}

#[test]
fn one_body_for_all_while_the_spool_is_full() {
    let hop = IllMannered::start(Script::smtp());
    let served = start(&strictest(&hop, "smtp"));
    assert_told(&mixed().send(served.address()), "250 2.0.0 taken", &served);
    assert_eq!(count(&hop), [1, 1, 1, 1]);
    let taken = hop.taken();
    assert_eq!(taken.len(), 1, "one transaction: nothing can end half done");
    assert_eq!(paths(&taken[0].taken), FOUR);
    assert_stripped(&taken[0].octets, &letter());
    assert!(spool_is_empty(&served));
    // The record: what was meant first, what was done instead and why, and how it went.
    let intents = ledger(&served, "intent");
    assert_eq!(intents.len(), 2, "{intents:?}");
    let (first, last) = (&intents[0], &intents[1]);
    assert_eq!(first["id"], last["id"]);
    assert!(first.to_string().contains("\"kept\""), "{first}");
    assert!(!last.to_string().contains("\"kept\""), "{last}");
    for group in last["groups"].as_array().unwrap() {
        assert_eq!(group["copy"], "stripped", "{last}");
    }
    let outcomes = ledger(&served, "outcome");
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    assert_eq!(outcomes[0]["id"], last["id"]);
    assert_eq!(outcomes[0]["answered"], 250);
    let output = pixelgate(&served, &["why", "--to", ANNA]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("TAKEN OUT") && text.contains("[strictest_recipient]"),
        "{text}"
    );
    let output = pixelgate(&served, &["ledger", "verify"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn with_room_each_has_their_own() {
    let hop = IllMannered::start(Script::smtp());
    let config = Config {
        tail: STRICTEST.to_owned(),
        ..config_for(&hop)
    };
    let served = start(&config);
    assert_told(&mixed().send(served.address()), "250 ", &served);
    assert_all_delivered(&hop, &served);
}

/// What its only body would be refused for is no refusal of the mail: there is no room, no more.
#[test]
fn what_needs_the_spool_for_another_reason_is_told_452() {
    // Some copies are rejected.
    let hop = IllMannered::start(Script::smtp());
    let served = start(&strictest(&hop, "smtp"));
    let blind = Submission::new(&FOUR, blind_letter());
    assert_told(&blind.send(served.address()), FULL, &served);
    assert_eq!(hop.transactions(), []);
    // A next hop that answers for each: the first goes, the others come in transactions of their own.
    let hop = IllMannered::start(Script::lmtp());
    let served = start(&strictest(&hop, "lmtp"));
    let announced = Submission {
        mail: format!("<{SENDER}> SIZE=2000"),
        ..mixed()
    };
    let told = announced.send(served.address());
    let codes: Vec<_> = told.rcpts.iter().map(|reply| &reply[..10]).collect();
    assert_eq!(codes, ["250 2.1.5 ", FULL, FULL, FULL], "before any data");
    assert!(told.dot[0].starts_with("250 "), "{told:?}");
    assert_eq!(count(&hop), [1, 0, 0, 0]);
    assert_own_variants(&hop, &letter());
    // Not in one body: not all were accepted again.
    let gone = Rule::on(Verb::Rcpt, [Act::say("450 4.2.0 busy")]);
    let hop = IllMannered::start(Script::smtp().rule(gone.transaction(2).containing(BEN)));
    let config = Config {
        next_hop: next_hop_lines(&hop, "smtp", &["hold_before_data_seconds = 1"]),
        ..strictest(&hop, "smtp")
    };
    let served = start(&config);
    let slow = Submission {
        pause: Duration::from_secs(2),
        ..mixed()
    };
    assert_told(&slow.send(served.address()), FULL, &served);
    assert_eq!(count(&hop), [0, 0, 0, 0]);
}

#[test]
fn a_signature_that_may_not_be_broken_is_not_refused_for_want_of_room() {
    let hop = IllMannered::start(Script::smtp());
    let config = Config {
        tail: format!("{STRICTEST}\nexisting_signature = \"refuse\""),
        ..strictest(&hop, "smtp")
    };
    let served = start(&config);
    let signed = [
        b"DKIM-Signature: v=1; d=news.example.com; b=x\r\n".to_vec(),
        letter(),
    ];
    let told = Submission::new(&FOUR, signed.concat()).send(served.address());
    assert_told(&told, FULL, &served);
    assert_eq!(hop.transactions(), []);
}

/// One client that is refused whole: all or none.
#[test]
fn all_or_none_is_told_at_the_end() {
    let hop = IllMannered::start(Script::lmtp());
    let config = Config {
        next_hop: next_hop_lines(&hop, "lmtp", &[]),
        listener: vec!["selective_rejects = false".to_owned()],
        spool: none(),
        ..config_for(&hop)
    };
    let served = start(&config);
    let told = Submission::new(&UNKNOWN, letter()).send(served.address());
    assert!(
        told.rcpts.iter().all(|reply| reply.starts_with("250 ")),
        "{told:?}"
    );
    assert_told(&told, FULL, &served);
    assert_eq!(count(&hop), [0, 0, 0, 0]);
}

/// The next hop is down and mail is kept: where there is no room that is said at MAIL, or at the dot where the size was not.
#[test]
fn kept_mail_for_which_there_is_no_room() {
    let hop = IllMannered::start(Script::smtp());
    let config = Config {
        spool: [sleepy(), vec!["bytes = 5000".to_owned()]].concat(),
        tail: "[relay]\nwhen_next_hop_down = \"spool\"".to_owned(),
        ..config_for(&hop)
    };
    drop(hop);
    let served = start(&config);
    // The first finds out that nobody is there, and fits.
    let small = Submission::new(&UNKNOWN, plain_letter());
    assert_told(&small.send(served.address()), "250 ", &served);
    let announced = Submission {
        mail: format!("<{SENDER}> SIZE=6000"),
        ..mixed()
    };
    let told = announced.send(served.address());
    assert!(told.mail.starts_with(FULL), "{told:?}");
    let large = [plain_letter(), b"Nothing to see.\r\n".repeat(400)].concat();
    let told = Submission::new(&UNKNOWN, large).send(served.address());
    assert!(told.mail.starts_with("250 "), "{told:?}");
    assert_told(&told, FULL, &served);
    assert_eq!(listed(&served).len(), 1);
}

/// Full because of what is owed; that goes out, and there is room again without anybody doing anything.
#[test]
fn it_is_over_by_itself() {
    let hop = IllMannered::start(Script::smtp().rule(later(2)));
    let config = Config {
        spool: eager_and(&["entries = 1"]),
        ..config_for(&hop)
    };
    let served = start(&config);
    assert_told(&mixed().send(served.address()), "250 ", &served);
    let others = Submission::new(&[ANNA, CLEO], letter());
    let first = others.send(served.address());
    wait_until("what is owed", &served, || copies(&hop, BEN) == 1);
    wait_until("room", &served, || spool_is_empty(&served));
    assert_told(&first, FULL, &served);
    assert_told(&others.send(served.address()), "250 ", &served);
    assert_eq!(count(&hop), [2, 1, 2, 1]);
}

/// A spool on a file system of 256 KiB of its own, as far as this relay sees.
fn on_a_small_disk(hop: &IllMannered) -> Config {
    let mount =
        "mkdir -p spool && mount -t tmpfs -o size=256k,mode=0700 tmpfs spool && exec \"$@\"";
    let under = ["unshare", "-m", "sh", "-c", mount, "sh"];
    Config {
        under: under.map(str::to_owned).to_vec(),
        spool: eager_and(&["free_bytes = 0"]),
        ..config_for(hop)
    }
}

/// The spool as the relay sees it.
fn inside(served: &Served) -> PathBuf {
    let directory = served.directory().strip_prefix("/").unwrap();
    PathBuf::from(format!("/proc/{}/root", served.pid()))
        .join(directory)
        .join("spool")
}

/// No more than a few octets are left.
fn fill(served: &Served) -> PathBuf {
    let ballast = inside(served).join("ballast");
    let octets = vec![0; 1 << 20];
    let written = fs::write(&ballast, octets);
    assert!(written.is_err(), "the disk was not small");
    ballast
}

#[test]
#[ignore = "needs root"]
fn a_disk_that_is_really_full() {
    let mounts = Command::new("unshare").args(["-m", "true"]).status();
    assert!(
        mounts.is_ok_and(|status| status.success()),
        "root has to be allowed a mount of its own"
    );
    let hop = IllMannered::start(Script::smtp().rule(later(3)));
    let served = start(&on_a_small_disk(&hop));
    assert_told(&mixed().send(served.address()), "250 ", &served);
    let ballast = fill(&served);
    let owed = || files(&inside(&served).join("owed"));
    assert_eq!(owed().len(), 1);
    // New mixed mail is not taken, and nothing of it is left or sent; what needs no disk goes on.
    let before = count(&hop);
    let others = Submission::new(&[ANNA, CLEO], letter());
    assert_told(&others.send(served.address()), FULL, &served);
    assert_eq!(copies(&hop, CLEO), before[2]);
    assert_told(
        &Submission::new(&GRANTED, letter()).send(served.address()),
        "250 ",
        &served,
    );
    // What is owed is delivered although no note of it can be written.
    wait_until("what is owed", &served, || owed().is_empty());
    assert_eq!([copies(&hop, BEN), copies(&hop, CLEO)], [1, 1]);
    fs::remove_file(ballast).unwrap();
    assert_told(&others.send(served.address()), "250 ", &served);
    assert_eq!(files(&inside(&served).join("messages")), [""; 0]);
    assert_own_variants(&hop, &letter());
}
