//! Which parameters go to which next hop.

use bytes::Bytes;
use pixelgate::mime::splice::{Splice, Spliced};
use pixelgate::next_hop::{NextHop, SIZE_ALLOWANCE_OCTETS};
use pixelgate::smtp::xforward::Xforward;

use crate::ill_mannered::{IllMannered, Script};
use crate::*;

const ALL: &str = "SIZE=100 BODY=8BITMIME RET=HDRS ENVID=a+2Bb AUTH=<>";
const NOTIFY: &str = "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+40x.example";

async fn transact(
    next_hop: &NextHop,
    words: &str,
    to: &str,
    words_to: &str,
    message: &Spliced,
) -> String {
    let fates = next_hop
        .transact(
            &mail_with(words),
            &[rcpt_with(to, words_to)],
            &Xforward::default(),
            message,
            soon(),
        )
        .await;
    told(&fates)
}

#[tokio::test]
async fn everything_a_server_announces_goes_on_with_its_octets() {
    let hop = IllMannered::start(Script::smtp());
    let next_hop = smtp(&hop);
    let fates = transact(&next_hop, ALL, "a@x.example", NOTIFY, &message()).await;
    assert_eq!(fates, "T250");
    let taken = hop.taken();
    assert_eq!(
        taken[0].mail,
        format!(
            "MAIL FROM:<from@example.org> SIZE={} BODY=8BITMIME RET=HDRS ENVID=a+2Bb",
            MESSAGE.len()
        ),
        "SIZE recomputed, AUTH dropped, the rest as it was"
    );
    assert_eq!(taken[0].rcpts, [format!("RCPT TO:<a@x.example> {NOTIFY}")]);
    assert_eq!(next_hop.counters().auth_parameters_dropped.get(), 1);
    assert_eq!(next_hop.counters().dsn_parameters_dropped.get(), 0);
}

#[tokio::test]
async fn size_is_that_of_the_variant() {
    let hop = IllMannered::start(Script::smtp());
    let variant = Spliced::new(Bytes::from_static(MESSAGE), vec![Splice::cut(0..9)]).unwrap();
    transact(&smtp(&hop), "SIZE=9999", "a@x.example", "", &variant).await;
    let expected = format!("MAIL FROM:<from@example.org> SIZE={}", MESSAGE.len() - 9);
    assert_eq!(hop.taken()[0].mail, expected);
}

#[tokio::test]
async fn size_of_a_message_not_yet_seen_leaves_room_for_our_field() {
    let hop = IllMannered::start(Script::smtp());
    let (_transit, reply) = smtp(&hop)
        .begin(&mail_with("SIZE=1000"), &Xforward::default())
        .await
        .unwrap();
    assert_eq!(reply.code(), 250);
    let expected = format!(
        "MAIL FROM:<from@example.org> SIZE={}",
        1000 + SIZE_ALLOWANCE_OCTETS
    );
    assert_eq!(hop.commands()[1], expected);
}

#[tokio::test]
async fn what_a_server_does_not_announce_is_dropped_and_counted() {
    let hop = IllMannered::start(Script::smtp().announce(&[]));
    let next_hop = smtp(&hop);
    let body = Bytes::from_static("Subject: x\r\n\r\ncaf\u{e9}\r\n".as_bytes());
    let eight_bit = Spliced::untouched(body.clone());
    let fates = transact(
        &next_hop,
        &format!("{ALL} SMTPUTF8"),
        "a@x.example",
        NOTIFY,
        &eight_bit,
    )
    .await;
    assert_eq!(fates, "T250");
    let taken = hop.taken();
    assert_eq!(taken[0].mail, "MAIL FROM:<from@example.org>");
    assert_eq!(taken[0].rcpts, ["RCPT TO:<a@x.example>"]);
    assert_eq!(taken[0].octets, body, "octets unchanged");
    let counters = next_hop.counters();
    assert_eq!(counters.eight_bit_mime_dropped.get(), 1);
    assert_eq!(counters.smtputf8_dropped.get(), 1);
    assert_eq!(counters.dsn_parameters_dropped.get(), 4);
    assert_eq!(counters.auth_parameters_dropped.get(), 1);
}

#[tokio::test]
async fn utf8_goes_where_it_is_understood() {
    let hop = IllMannered::start(Script::smtp());
    let utf8 = Spliced::untouched(Bytes::from_static(
        "Subject: \u{e9}\r\n\r\nx\r\n".as_bytes(),
    ));
    let fates = transact(&smtp(&hop), "SMTPUTF8", "\u{e9}@x.example", "", &utf8).await;
    assert_eq!(fates, "T250");
    assert_eq!(hop.taken()[0].rcpts, ["RCPT TO:<\u{e9}@x.example>"]);
    assert_eq!(hop.taken()[0].mail, "MAIL FROM:<from@example.org> SMTPUTF8");
}

#[tokio::test]
async fn utf8_in_the_envelope_is_refused_where_it_is_not() {
    let hop = IllMannered::start(Script::smtp().announce(&["8BITMIME", "PIPELINING"]));
    let next_hop = smtp(&hop);
    let fates = next_hop
        .transact(
            &mail_with("SMTPUTF8"),
            &[rcpt("\u{e9}@x.example"), rcpt("a@x.example")],
            &Xforward::default(),
            &message(),
            soon(),
        )
        .await;
    assert_eq!(told(&fates), "R550 T250");
    assert_eq!(fates[0].reply().enhanced(), Some("5.6.7"));
    assert_eq!(next_hop.counters().smtputf8_refused.get(), 1);
    // Live as well, and in MAIL.
    let (mut transit, reply) = next_hop
        .begin(&mail_with("SMTPUTF8"), &Xforward::default())
        .await
        .unwrap();
    assert_eq!(reply.code(), 250);
    let replies = transit
        .rcpts(&[rcpt("a@x.example"), rcpt("\u{e9}@x.example")])
        .await;
    assert_eq!(codes(&replies), [250, 550]);
    let mut from = mail_with("SMTPUTF8");
    from.reverse_path = ReversePath::Mailbox(mailbox("\u{e9}@x.example"));
    let (_transit, reply) = next_hop.begin(&from, &Xforward::default()).await.unwrap();
    assert_eq!(reply.enhanced(), Some("5.6.7"));
}

#[tokio::test]
async fn utf8_in_the_header_is_refused_where_it_is_not_understood() {
    let hop = IllMannered::start(Script::smtp().announce(&["8BITMIME", "PIPELINING"]));
    let next_hop = smtp(&hop);
    let utf8 = Spliced::untouched(Bytes::from_static(
        "Subject: \u{e9}\r\n\r\nx\r\n".as_bytes(),
    ));
    // Known only when the message has come.
    let (mut transit, reply) = next_hop
        .begin(&mail_with("SMTPUTF8"), &Xforward::default())
        .await
        .unwrap();
    assert_eq!(reply.code(), 250);
    transit.rcpts(&[rcpt("a@x.example")]).await;
    let (fates, line) = transit.data(&utf8, soon()).await;
    assert_eq!(told(&fates), "R550");
    drop(line);
    // Known before MAIL.
    let fates = transact(&next_hop, "SMTPUTF8", "a@x.example", "", &utf8).await;
    assert_eq!(fates, "R550");
    assert_eq!(hop.transactions(), []);
    // Without the parameter nothing was promised: 8-bit headers are as old as mail.
    assert_eq!(
        transact(&next_hop, "", "a@x.example", "", &utf8).await,
        "T250"
    );
    assert_eq!(hop.connections(), 1);
}

#[tokio::test]
async fn a_value_that_would_be_a_second_command_is_never_written() {
    let hop = IllMannered::start(Script::smtp());
    let next_hop = smtp(&hop);
    let mut mail = mail();
    for value in ["a\r\nRCPT TO:<evil@x.example>", "a\nb", "a\0", "a b"] {
        mail.parameters = parameters("ENVID=x");
        mail.parameters.0[0].value = Some(value.to_owned());
        let fates = next_hop
            .transact(
                &mail,
                &[rcpt("a@x.example")],
                &Xforward::default(),
                &message(),
                soon(),
            )
            .await;
        assert_eq!(told(&fates), "R554", "{value:?}");
    }
    let rcpt = rcpt_with("a@x.example", "ORCPT=x FOO=bar");
    let fates = next_hop
        .transact(
            &crate::mail(),
            &[rcpt],
            &Xforward::default(),
            &message(),
            soon(),
        )
        .await;
    assert_eq!(told(&fates), "R555");
    assert_eq!(hop.transactions(), []);
    assert!(!hop.commands().iter().any(|line| line.contains("evil")));
}
