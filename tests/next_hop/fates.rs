//! What a client is told when the next hop misbehaves, and that nothing is sent where nothing may be.

use std::time::Duration;

use bytes::Bytes;
use pixelgate::mime::splice::Spliced;
use pixelgate::next_hop::NextHop;
use pixelgate::smtp::xforward::Xforward;
use tokio::time::Instant;

use crate::ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use crate::*;

async fn transact(script: Script) -> (String, IllMannered, NextHop) {
    let hop = IllMannered::start(script);
    let next_hop = smtp(&hop);
    let rcpts = ["a@x.example", "b@x.example"].map(rcpt);
    let fates = next_hop
        .transact(&mail(), &rcpts, &Xforward::default(), &message(), soon())
        .await;
    (told(&fates), hop, next_hop)
}

#[tokio::test]
async fn each_answer_to_the_dot_has_its_fate() {
    for (acts, expected) in [
        (vec![Act::say("250 2.0.0 ok")], "T250 T250"),
        (vec![Act::say("451 4.3.0 later")], "N451 N451"),
        (vec![Act::say("452 4.3.1 full")], "N452 N452"),
        (vec![Act::say("554 5.6.0 no")], "R554 R554"),
        (vec![Act::say("421 4.3.2 bye"), Act::Close], "N451 N451"),
        (vec![Act::say("530 5.7.0 auth")], "N451 N451"),
        (vec![Act::say("503 5.5.1 what")], "N451 N451"),
        (vec![Act::say("354 more?")], "U451 U451"),
        (vec![Act::Close], "U451 U451"),
        (vec![Act::Take, Act::Close], "U451 U451"),
        (vec![Act::say("250-2.0.0 ok\r\n550 no")], "U451 U451"),
        (
            vec![Act::Raw(b"250 ok\n".to_vec()), Act::Close],
            "U451 U451",
        ),
        (vec![Act::Raw(b"ok, thanks\r\n".to_vec())], "U451 U451"),
        (vec![Act::Raw(b"250 ok".to_vec()), Act::Close], "U451 U451"),
        (vec![Act::Endless("250-more".to_owned())], "U451 U451"),
        (vec![Act::Raw(b"250\r\n".to_vec())], "T250 T250"),
        (vec![Act::say("250 2.0.0 ok"), Act::Close], "T250 T250"),
        (
            vec![Act::Drip(
                "250 2.0.0 ok".to_owned(),
                Duration::from_millis(5),
            )],
            "T250 T250",
        ),
    ] {
        let shown = format!("{acts:?}");
        let (fates, hop, _) = transact(Script::smtp().at(Verb::Dot, acts)).await;
        assert_eq!(fates, expected, "{shown}");
        assert_eq!(hop.transactions().len(), 1, "{shown}");
    }
}

#[tokio::test]
async fn silence_behind_the_dot_ends_at_the_deadline() {
    let start = Instant::now();
    let (fates, _hop, next_hop) =
        transact(Script::smtp().at(Verb::Dot, [Act::Stall(Duration::from_secs(20))])).await;
    assert_eq!(fates, "U451 U451");
    assert!(start.elapsed() < Duration::from_secs(6));
    assert_eq!(next_hop.counters().unknown.get(), 2);
}

#[tokio::test]
async fn what_ends_before_the_dot_is_not_now_and_leaves_no_message() {
    for (verb, acts) in [
        (Verb::Connect, vec![Act::Close]),
        (Verb::Connect, vec![Act::say("554 5.3.2 no service")]),
        (Verb::Connect, vec![Act::say("421 4.3.2 busy"), Act::Close]),
        (Verb::Connect, vec![Act::Raw(b"hello there\r\n".to_vec())]),
        (Verb::Connect, vec![Act::Endless("220-hi".to_owned())]),
        (Verb::Connect, vec![Act::Stall(Duration::from_secs(20))]),
        (Verb::Ehlo, vec![Act::Close]),
        (Verb::Ehlo, vec![Act::say("451 4.3.0 later")]),
        (Verb::Ehlo, vec![Act::say("421 4.3.0 bye"), Act::Close]),
        (Verb::Mail, vec![Act::Close]),
        (Verb::Mail, vec![Act::say("530 5.7.0 auth first")]),
        (Verb::Mail, vec![Act::say("521 5.3.2 no mail")]),
        (Verb::Mail, vec![Act::Stall(Duration::from_secs(20))]),
        (Verb::Rcpt, vec![Act::Close]),
        (Verb::Rcpt, vec![Act::say("421 4.3.2 bye"), Act::Close]),
        (Verb::Rcpt, vec![Act::say("502 5.5.1 no such command")]),
        (Verb::Data, vec![Act::Close]),
        (Verb::Data, vec![Act::say("421 4.3.2 bye"), Act::Close]),
        (Verb::Data, vec![Act::say("451 4.3.0 later")]),
        (Verb::Data, vec![Act::say("503 5.5.1 what")]),
        (Verb::Data, vec![Act::say("250 2.0.0 thanks")]),
        (Verb::Data, vec![Act::say("334 go on?")]),
        (Verb::Data, vec![Act::Stall(Duration::from_secs(20))]),
    ] {
        let shown = format!("{verb:?} {acts:?}");
        let (fates, hop, _) = transact(Script::smtp().at(verb, acts)).await;
        assert_eq!(fates, "N451 N451", "{shown}");
        assert_eq!(hop.transactions(), [], "{shown}");
        let lines = hop.commands();
        let content = lines
            .iter()
            .find(|line| line.starts_with("Subject") || *line == ".");
        assert_eq!(content, None, "{shown}: content without a 354");
    }
}

#[tokio::test]
async fn a_refused_data_is_about_the_mail() {
    let (fates, hop, _) = transact(Script::smtp().at(Verb::Data, [Act::say("554 5.7.1 no")])).await;
    assert_eq!(fates, "R554 R554");
    assert_eq!(hop.transactions(), []);
}

#[tokio::test]
async fn an_invitation_for_nobody_gets_neither_message_nor_dot() {
    for verb in [Verb::Rcpt, Verb::Mail] {
        let script = Script::smtp()
            .at(verb, [Act::say("550 5.1.1 no")])
            .at(Verb::Data, [Act::say("354 go on")]);
        let (fates, hop, _) = transact(script).await;
        assert_eq!(fates, "R550 R550");
        assert!(hop.wait_all_closed(Duration::from_secs(5)));
        assert_eq!(hop.transactions(), []);
        assert_eq!(hop.left(), 1, "closed without a word");
    }
}

#[tokio::test]
async fn a_reply_nobody_asked_for_stops_the_message() {
    for (verb, octets) in [
        (Verb::Mail, &b"250 ok\r\n250 ok\r\n"[..]),
        (Verb::Rcpt, b"250 ok\r\n250 ok\r\n"),
        (Verb::Data, b"354 go\r\n250 2.0.0 taken\r\n"),
    ] {
        let rule = Rule::on(verb, [Act::Raw(octets.to_vec())]).times(1);
        let (fates, hop, next_hop) = transact(Script::smtp().rule(rule)).await;
        assert_eq!(fates, "N451 N451", "{verb:?}");
        assert_eq!(hop.transactions(), [], "{verb:?}");
        // The next transaction has a connection whose replies can be matched.
        let fates = next_hop
            .transact(
                &mail(),
                &[rcpt("a@x.example")],
                &Xforward::default(),
                &message(),
                soon(),
            )
            .await;
        assert_eq!(told(&fates), "T250", "{verb:?}");
    }
}

#[tokio::test]
async fn a_reply_in_the_midst_of_a_message_holds_the_dot_back() {
    let script = Script::smtp().at(
        Verb::Content,
        [Act::say("250 2.0.0 taken already"), Act::Stop("said")],
    );
    let hop = IllMannered::start(script);
    let next_hop = smtp(&hop);
    // More than the sockets hold, so that the last block waits until the reply has come.
    let large = Spliced::untouched(Bytes::from(b"x: y\r\n".repeat(4_000_000)));
    let rcpts = [rcpt("a@x.example")];
    let xforward = Xforward::default();
    let mail = mail();
    let until = Instant::now() + Duration::from_secs(30);
    let sending = next_hop.transact(&mail, &rcpts, &xforward, &large, until);
    let watching = async {
        while !hop.wait_stopped("said", Duration::from_millis(1)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        hop.go_on("said");
    };
    let (fates, ()) = tokio::join!(sending, watching);
    assert_eq!(told(&fates), "N451");
    assert!(hop.wait_all_closed(Duration::from_secs(5)));
    assert_eq!(hop.transactions(), []);
}

#[tokio::test]
async fn a_next_hop_that_closes_in_the_message_has_not_taken_it() {
    let (fates, hop, _) = transact_large(Script::smtp().at(Verb::Content, [Act::Close])).await;
    assert_eq!(fates, "N451");
    assert_eq!(hop.transactions(), []);
}

#[tokio::test]
async fn a_next_hop_that_stops_reading_gets_no_late_dot() {
    let script = Script::smtp().at(Verb::Content, [Act::Stall(Duration::from_secs(6))]);
    let start = Instant::now();
    let (fates, hop, _) = transact_large(script).await;
    assert_eq!(fates, "N451");
    assert!(start.elapsed() < Duration::from_secs(4));
    assert!(hop.wait_all_closed(Duration::from_secs(10)));
    assert_eq!(hop.transactions(), []);
}

async fn transact_large(script: Script) -> (String, IllMannered, NextHop) {
    let hop = IllMannered::start(script);
    let next_hop = smtp(&hop);
    let large = Spliced::untouched(Bytes::from(b"x: y\r\n".repeat(5_000_000)));
    let rcpts = [rcpt("a@x.example")];
    let fates = next_hop
        .transact(&mail(), &rcpts, &Xforward::default(), &large, soon())
        .await;
    (told(&fates), hop, next_hop)
}

#[tokio::test]
async fn no_dot_with_less_than_dot_time_left() {
    let hop = IllMannered::start(Script::smtp());
    let next_hop = smtp(&hop);
    let (mut transit, _) = next_hop.begin(&mail(), &Xforward::default()).await.unwrap();
    transit.rcpts(&[rcpt("a@x.example")]).await;
    let until = Instant::now() + Duration::from_millis(900);
    let (fates, line) = transit.data(&message(), until).await;
    assert_eq!(told(&fates), "N451");
    assert!(fates[0].reply().text().contains("dot_time_seconds"));
    assert_eq!(next_hop.counters().no_time_for_dot.get(), 1);
    drop(line);
    assert!(!hop.commands().iter().any(|line| line == "DATA"));
    // A 354 that comes too late: DATA was sent, nothing behind it.
    let hop =
        IllMannered::start(Script::smtp().at(Verb::Data, [Act::Stall(Duration::from_millis(700))]));
    let next_hop = smtp(&hop);
    let until = Instant::now() + Duration::from_millis(1600);
    let fates = next_hop
        .transact(
            &mail(),
            &[rcpt("a@x.example")],
            &Xforward::default(),
            &message(),
            until,
        )
        .await;
    assert_eq!(told(&fates), "N451");
    assert_eq!(hop.transactions(), []);
}

#[tokio::test]
async fn lmtp_answers_each_accepted_forward_path() {
    let hop = IllMannered::start(
        Script::lmtp()
            .rule(Rule::on(Verb::Rcpt, [Act::say("550 5.1.1 no")]).containing("<b@"))
            .rule(Rule::on(Verb::Dot, [Act::say("452 4.2.2 full")]).containing("<c@"))
            .rule(Rule::on(Verb::Dot, [Act::say("550 5.7.1 no")]).containing("<d@")),
    );
    let next_hop = lmtp(&hop);
    assert!(next_hop.answers_each());
    let rcpts = [
        "a@x.example",
        "b@x.example",
        "c@x.example",
        "d@x.example",
        "e@x.example",
    ]
    .map(rcpt);
    for _ in 0..2 {
        let fates = next_hop
            .transact(&mail(), &rcpts, &Xforward::default(), &message(), soon())
            .await;
        assert_eq!(told(&fates), "T250 R550 N452 R550 T250");
    }
    assert_eq!(hop.connections(), 1, "all replies read, connection reused");
    assert_eq!(hop.commands()[0], "LHLO localhost");
    assert_eq!(
        hop.taken()[0].taken,
        ["RCPT TO:<a@x.example>", "RCPT TO:<e@x.example>"]
    );
}

#[tokio::test]
async fn lmtp_lost_between_two_answers_leaves_the_rest_unknown() {
    let hop = IllMannered::start(
        Script::lmtp()
            .rule(Rule::on(Verb::Dot, [Act::say("250 2.1.5 ok"), Act::Close]).containing("<b@")),
    );
    let rcpts = ["a@x.example", "b@x.example", "c@x.example"].map(rcpt);
    let next_hop = lmtp(&hop);
    let fates = next_hop
        .transact(&mail(), &rcpts, &Xforward::default(), &message(), soon())
        .await;
    assert_eq!(told(&fates), "T250 T250 U451");
}

#[tokio::test]
async fn a_connection_lost_among_the_verdicts_is_said_to_each() {
    let hop = IllMannered::start(Script::smtp().rule(Rule::on(Verb::Rcpt, [Act::Close]).nth(2)));
    let next_hop = smtp(&hop);
    let (mut transit, _) = next_hop.begin(&mail(), &Xforward::default()).await.unwrap();
    let replies = transit
        .rcpts(&["a@x.example", "b@x.example", "c@x.example"].map(rcpt))
        .await;
    assert_eq!(codes(&replies), [250, 451, 451]);
    assert_eq!(codes(&transit.rcpts(&[rcpt("d@x.example")]).await), [451]);
    let (fates, _line) = transit.data(&message(), soon()).await;
    assert_eq!(told(&fates), "N451");
    assert_eq!(hop.transactions(), []);
}

#[tokio::test]
async fn verdicts_given_up_half_way_leave_no_transaction_to_go_on_with() {
    let stall = Act::Stall(Duration::from_millis(500));
    let hop = IllMannered::start(Script::smtp().rule(Rule::on(Verb::Rcpt, [stall]).times(1)));
    let next_hop = smtp(&hop);
    let (mut transit, _) = next_hop.begin(&mail(), &Xforward::default()).await.unwrap();
    let rcpts = ["a@x.example", "b@x.example"].map(rcpt);
    let asking = transit.rcpts(&rcpts);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), asking)
            .await
            .is_err()
    );
    assert_eq!(codes(&transit.rcpts(&rcpts).await), [451, 451]);
    drop(transit.reset().await);
    assert!(
        hop.wait_all_closed(Duration::from_secs(5)),
        "closed, not reused"
    );
    let reset = hop.commands().contains(&"RSET".to_owned());
    assert!(!reset, "its reply could not be told from that to RCPT");
}

#[tokio::test]
async fn no_text_of_a_reply_about_us_reaches_the_client() {
    let hop = IllMannered::start(
        Script::smtp().at(Verb::Mail, [Act::say("530 5.7.0 log in at secret.example")]),
    );
    let error = smtp(&hop)
        .begin(&mail(), &Xforward::default())
        .await
        .unwrap_err();
    assert!(!error.to_reply().text().contains("secret"));
    assert!(!error.to_string().contains("secret"), "nor the log");
    assert!(error.to_string().contains("530 5.7.0"));
}
