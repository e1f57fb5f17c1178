//! Promise 4, each recipient by their own consent: one transaction of four becomes one variant per treatment, over every
//! kind of next hop and listener, and nothing else about it changes. Promise 8: a withdrawal is obeyed by the next
//! message, and by the next attempt at an owed one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "mixed/fresh.rs"]
mod fresh;
#[path = "mixed/gone.rs"]
mod gone;
#[path = "support/ill_mannered.rs"]
mod ill_mannered;
mod support;
#[path = "support/traffic.rs"]
mod traffic;

use std::time::{Duration, Instant};

use ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use support::{Client, Config};
use traffic::*;

/// The four, with every parameter that DSN knows.
fn with_parameters(message: Vec<u8>) -> Submission {
    Submission {
        mail: format!(
            "<{SENDER}> SIZE={} BODY=8BITMIME RET=HDRS ENVID=crumb+2B7",
            message.len()
        ),
        rcpts: vec![
            format!("<{ANNA}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Anna+2Bold@one.example"),
            format!("<{BEN}> NOTIFY=NEVER"),
            format!("<{CLEO}>"),
            format!("<{DORA}> ORCPT=rfc822;dora@four.example NOTIFY=DELAY"),
        ],
        ..Submission::new(&FOUR, message)
    }
}

/// The value of a parameter of a command line.
fn parameter<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    line.split(' ')
        .find_map(|word| word.strip_prefix(keyword)?.strip_prefix('='))
}

#[test]
fn four_recipients_over_smtp() {
    let hop = IllMannered::start(Script::smtp());
    let served = start(&config_for(&hop));
    let letter = letter();
    let submission = with_parameters(letter.clone());
    let told = submission.send(served.address());
    assert_eq!(told.dot, ["250 2.0.0 taken"], "{}", served.log());

    let given = hop.transactions();
    assert_eq!(given.len(), 2, "one transaction for each variant");
    assert_eq!(paths(&given[0].taken), [ANNA, DORA]);
    assert_eq!(paths(&given[1].taken), [BEN, CLEO]);
    assert_kept(&given[0].octets, &letter);
    assert_stripped(&given[1].octets, &letter);
    for variant in &given {
        assert_eq!(
            variant.mail,
            format!(
                "MAIL FROM:<{SENDER}> SIZE={} BODY=8BITMIME RET=HDRS ENVID=crumb+2B7",
                variant.octets.len()
            ),
            "the parameters of MAIL, SIZE that of this variant"
        );
        for rcpt in &variant.rcpts {
            let as_sent = rcpt.strip_prefix("RCPT TO:").unwrap().to_owned();
            assert!(submission.rcpts.contains(&as_sent), "{rcpt}");
        }
    }
    assert_ne!(
        parameter(&given[0].mail, "SIZE"),
        parameter(&given[1].mail, "SIZE")
    );
    assert_eq!(hop.connections(), 1, "one connection for both variants");
    // Nobody learns of CLEO from what the others get.
    assert!(!contains(&given[0].octets, CLEO.as_bytes()));
    assert!(!contains(&given[1].octets, CLEO.as_bytes()));
    assert!(spool_is_empty(&served));
}

#[test]
fn one_treatment_is_one_transaction_and_needs_no_spool() {
    let hop = IllMannered::start(Script::smtp());
    let served = start(&config_for(&hop));
    block(&served.directory().join("spool/prepared"));
    for (rcpts, kept) in [(GRANTED, true), (UNKNOWN, false)] {
        let before = hop.commands().len();
        let told = Submission::new(&rcpts, letter()).send(served.address());
        assert_eq!(told.dot, ["250 2.0.0 taken"]);
        let given = hop.transactions().pop().unwrap();
        assert_eq!(paths(&given.taken), rcpts);
        assert_eq!(is_kept(&given.octets, &letter()), kept);
        let said = hop.commands()[before..].to_vec();
        let mails = said.iter().filter(|line| line.starts_with("MAIL")).count();
        assert_eq!(mails, 1, "the client's own transaction: {said:?}");
    }
    // Mail without a tracker is the same for everybody.
    let told = Submission::new(&FOUR, plain_letter()).send(served.address());
    assert_eq!(told.dot, ["250 2.0.0 taken"]);
    let given = hop.transactions().pop().unwrap();
    assert_eq!(paths(&given.taken), FOUR);
    assert_kept(&given.octets, &plain_letter());
}

#[test]
fn four_recipients_to_a_maildir() {
    let served = start(&Config::default());
    let letter = letter();
    let told = with_parameters(letter.clone()).send(served.address());
    assert_eq!(told.dot, ["250 2.0.0 stored"], "{}", served.log());
    let (copies, envelopes) = (served.outbox(), served.envelopes());
    assert_eq!((copies.len(), envelopes.len()), (2, 2));
    assert_kept(&copies[0], &letter);
    assert_stripped(&copies[1], &letter);
    for (number, expected) in [(0, GRANTED), (1, UNKNOWN)] {
        let envelope: serde_json::Value = serde_json::from_slice(&envelopes[number]).unwrap();
        let recipients = envelope["recipients"].as_array().unwrap();
        let paths: Vec<_> = recipients
            .iter()
            .map(|r| r["forward_path"].as_str().unwrap())
            .collect();
        assert_eq!(paths, expected);
        let text = String::from_utf8(envelopes[number].clone()).unwrap();
        assert!(text.contains("crumb+2B7"), "{text}");
        assert!(text.contains(&copies[number].len().to_string()), "{text}");
        let others = if number == 0 { UNKNOWN } else { GRANTED };
        assert!(others.iter().all(|other| !text.contains(other)), "{text}");
        assert_eq!(
            text.contains("Anna+2Bold@one.example"),
            number == 0,
            "{text}"
        );
        assert_eq!(text.contains("NEVER"), number == 1, "{text}");
    }
    assert!(spool_is_empty(&served));
}

#[test]
fn four_recipients_to_an_lmtp_next_hop() {
    let hop = IllMannered::start(Script::lmtp());
    let config = Config {
        next_hop: next_hop_lines(&hop, "lmtp", &[]),
        ..config_for(&hop)
    };
    let served = start(&config);
    let told = with_parameters(letter()).send(served.address());
    assert_eq!(told.dot, ["250 2.0.0 taken"], "{}", served.log());
    let given = hop.transactions();
    assert_eq!(given.len(), 2);
    assert_eq!(paths(&given[0].taken), GRANTED);
    assert_eq!(paths(&given[1].taken), UNKNOWN);
    assert_own_variants(&hop, &letter());
    assert_eq!(hop.connections(), 1);
    assert!(spool_is_empty(&served));
}

#[test]
fn an_lmtp_client_gets_an_answer_for_each_and_needs_no_spool() {
    let script = Script::smtp().rule(
        Rule::on(Verb::Dot, [Act::say("554 5.7.1 not this one")])
            .containing(BEN)
            .times(1),
    );
    let hop = IllMannered::start(script);
    let config = Config {
        listener: vec!["protocol = \"lmtp\"".to_owned()],
        ..config_for(&hop)
    };
    let served = start(&config);
    block(&served.directory().join("spool/prepared"));
    let submission = Submission {
        lmtp: true,
        ..with_parameters(letter())
    };
    let told = submission.send(served.address());
    let (yes, no) = ("250 2.0.0 taken", "554 5.7.1 not this one");
    assert_eq!(told.dot, [yes, no, no, yes], "{}", served.log());
    assert_own_variants(&hop, &letter());
    assert_eq!(copies(&hop, ANNA) + copies(&hop, DORA), 2);
    assert_eq!(copies(&hop, BEN) + copies(&hop, CLEO), 0);
    assert_eq!(files(&served.directory().join("spool/messages")), [""; 0]);

    let told = submission.send(served.address());
    assert_eq!(told.dot, [yes; 4]);
    assert_eq!(FOUR.map(|address| copies(&hop, address)), [2, 1, 1, 2]);
}

#[test]
fn strictest_is_one_body_stripped_for_all_and_needs_no_spool() {
    let hop = IllMannered::start(Script::smtp());
    let config = Config {
        tail: "[relay]\nmixed_consent = \"strictest\"".to_owned(),
        ..config_for(&hop)
    };
    let served = start(&config);
    block(&served.directory().join("spool/prepared"));
    let told = with_parameters(letter()).send(served.address());
    assert_eq!(told.dot, ["250 2.0.0 taken"], "{}", served.log());
    let given = hop.transactions();
    assert_eq!(given.len(), 1);
    assert_eq!(paths(&given[0].taken), FOUR);
    assert_stripped(&given[0].octets, &letter());
    // Those who consented keep it when nobody else is there.
    Submission::new(&GRANTED, letter()).send(served.address());
    assert_kept(&hop.transactions()[1].octets, &letter());
}

#[test]
fn a_withdrawal_is_obeyed_by_the_next_message() {
    let hop = IllMannered::start(Script::smtp());
    let served = start(&config_for(&hop));
    let mut client = Client::connect(served.address());
    said(&mut client);
    client.send(b"EHLO client.example\r\n");
    client.reply();
    // On one and the same session, so that nothing kept per session could hide it.
    let send = |client: &mut Client| {
        let commands = format!("MAIL FROM:<{SENDER}>\r\nRCPT TO:<{ANNA}>\r\nDATA\r\n");
        client.send(commands.as_bytes());
        for code in ["250", "250", "354"] {
            assert!(said(client).starts_with(code));
        }
        client.send(&on_the_wire(&letter()));
        assert_eq!(said(client), "250 2.0.0 taken");
        is_kept(&hop.transactions().pop().unwrap().octets, &letter())
    };
    assert!(send(&mut client), "granted");
    consent(&served, ANNA, "withdrawn");
    assert!(!send(&mut client), "withdrawn a moment ago");
    consent(&served, ANNA, "granted");
    assert!(send(&mut client), "granted again, later");
    consent(&served, ANNA, "objected");
    assert!(!send(&mut client), "objected");
}

#[test]
fn a_withdrawal_while_the_message_is_on_its_way_is_obeyed() {
    let hop = IllMannered::start(Script::smtp());
    let served = start(&config_for(&hop));
    let submission = Submission::new(&[ANNA], letter());
    let (mut client, _) = submission
        .until_data(served.address(), &mut Default::default())
        .unwrap();
    let wire = on_the_wire(&letter());
    let (most, dot) = wire.split_at(wire.len() - 3);
    client.send(most);
    std::thread::sleep(Duration::from_millis(300));
    consent(&served, ANNA, "withdrawn");
    client.send(dot);
    assert_eq!(said(&mut client), "250 2.0.0 taken");
    assert_stripped(&hop.transactions()[0].octets, &letter());
}

#[test]
fn a_withdrawal_before_the_retry_of_an_owed_message_is_obeyed() {
    // The stripped variant goes second by itself; here the granted one does, because BEN comes first.
    let later = Rule::on(Verb::Dot, [Act::say("451 4.3.0 later")]);
    let script = Script::smtp().rule(later.containing(ANNA).times(1));
    let hop = IllMannered::start(script);
    let config = Config {
        spool: vec![
            "retry_first_seconds = 6".to_owned(),
            "retry_most_seconds = 6".to_owned(),
        ],
        ..config_for(&hop)
    };
    let served = start(&config);
    let began = Instant::now();
    let told = Submission::new(&[BEN, ANNA, DORA], letter()).send(served.address());
    assert_eq!(told.dot, ["250 2.0.0 taken"], "{}", served.log());
    assert_kept(&hop.transactions()[1].octets, &letter());
    assert_eq!(hop.transactions()[1].taken, [""; 0]);
    consent(&served, ANNA, "withdrawn");
    assert!(began.elapsed() < Duration::from_secs(6), "too slow to tell");
    wait_until("the retry", &served, || spool_is_empty(&served));
    let retried = hop.transactions()[2..].to_vec();
    assert_eq!(retried.len(), 2, "one variant each now");
    for transaction in &retried {
        let kept = is_kept(&transaction.octets, &letter());
        let expected = if kept { [DORA] } else { [ANNA] };
        assert_eq!(paths(&transaction.taken), expected);
    }
    assert_eq!(
        [ANNA, BEN, DORA].map(|address| copies(&hop, address)),
        [1; 3]
    );
}
