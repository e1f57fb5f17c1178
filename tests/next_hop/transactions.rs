//! Order of commands, content, verdicts, reuse of the line.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;
use pixelgate::mime::splice::{Splice, Spliced};
use pixelgate::next_hop::NextHop;
use pixelgate::smtp::xforward::{Attribute, Xforward};

use crate::ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use crate::*;

#[tokio::test]
async fn a_live_transaction_carries_the_octets_unchanged() {
    let hop = IllMannered::start(Script::smtp());
    let next_hop = smtp(&hop);
    let (mut transit, reply) = next_hop.begin(&mail(), &Xforward::default()).await.unwrap();
    assert_eq!(reply.code(), 250);
    let replies = transit.rcpts(&[rcpt("a@example.net")]).await;
    assert_eq!(codes(&replies), [250]);
    let replies = transit
        .rcpts(&[rcpt("b@example.net"), rcpt("\"c d\"@[192.0.2.1]")])
        .await;
    assert_eq!(codes(&replies), [250, 250]);
    let (fates, _line) = transit.data(&message(), soon()).await;
    assert_eq!(told(&fates), "T250 T250 T250");
    let taken = hop.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].octets, MESSAGE);
    assert!(taken[0].wire.ends_with(b"\r\n.\r\n"));
    assert_eq!(taken[0].mail, "MAIL FROM:<from@example.org>");
    assert_eq!(
        taken[0].rcpts,
        [
            "RCPT TO:<a@example.net>",
            "RCPT TO:<b@example.net>",
            "RCPT TO:<\"c d\"@[192.0.2.1]>"
        ]
    );
    assert_eq!(next_hop.counters().taken.get(), 3);
}

#[tokio::test]
async fn no_octet_of_data_goes_out_before_the_message_is_given() {
    let hop = IllMannered::start(Script::smtp());
    let next_hop = smtp(&hop);
    let (mut transit, _) = next_hop.begin(&mail(), &Xforward::default()).await.unwrap();
    transit.rcpts(&[rcpt("a@example.net")]).await;
    assert!(!hop.commands().iter().any(|line| line == "DATA"));
    drop(transit);
    assert!(hop.wait_all_closed(Duration::from_secs(5)));
    assert_eq!(hop.transactions(), []);
    assert_eq!(hop.commands().len(), 3, "EHLO, MAIL, RCPT and no more");
}

#[tokio::test]
async fn verdicts_pass_verbatim_and_only_the_accepted_get_a_copy() {
    let hop = IllMannered::start(
        Script::smtp()
            .rule(
                Rule::on(
                    Verb::Rcpt,
                    [Act::say("550-5.1.1 no such\r\n550 5.1.1 user\x07 <b>")],
                )
                .containing("<b@"),
            )
            .rule(Rule::on(Verb::Rcpt, [Act::say("450 4.2.2 full")]).containing("<c@")),
    );
    let next_hop = smtp(&hop);
    let (mut transit, _) = next_hop.begin(&mail(), &Xforward::default()).await.unwrap();
    let rcpts = ["a@x.example", "b@x.example", "c@x.example", "d@x.example"].map(rcpt);
    let replies = transit.rcpts(&rcpts).await;
    assert_eq!(codes(&replies), [250, 550, 450, 250]);
    assert_eq!(replies[1].lines(), ["5.1.1 no such", "5.1.1 user  <b>"]);
    let (fates, _line) = transit.data(&message(), soon()).await;
    assert_eq!(told(&fates), "T250 T250");
    assert_eq!(
        hop.taken()[0].taken,
        ["RCPT TO:<a@x.example>", "RCPT TO:<d@x.example>"]
    );
}

#[tokio::test]
async fn a_refused_mail_is_a_verdict_and_the_connection_stays() {
    let hop = IllMannered::start(
        Script::smtp().rule(Rule::on(Verb::Mail, [Act::say("550 5.7.1 not you")]).times(1)),
    );
    let next_hop = smtp(&hop);
    let (mut transit, reply) = next_hop.begin(&mail(), &Xforward::default()).await.unwrap();
    assert_eq!(reply.code(), 550);
    assert_eq!(codes(&transit.rcpts(&[rcpt("a@x.example")]).await), [550]);
    drop(transit);
    let fates = next_hop
        .transact(
            &mail(),
            &[rcpt("a@x.example")],
            &Xforward::default(),
            &message(),
            soon(),
        )
        .await;
    assert_eq!(told(&fates), "T250");
    assert_eq!(hop.connections(), 1);
}

#[tokio::test]
async fn a_whole_transaction_gives_each_rcpt_its_fate() {
    for script in [Script::smtp(), Script::smtp().announce(&[])] {
        let hop = IllMannered::start(
            script
                .rule(Rule::on(Verb::Rcpt, [Act::say("550 5.1.1 no")]).containing("<b@"))
                .rule(Rule::on(Verb::Rcpt, [Act::say("452 4.5.3 many")]).containing("<c@")),
        );
        let rcpts = ["a@x.example", "b@x.example", "c@x.example", "d@x.example"].map(rcpt);
        let fates = smtp(&hop)
            .transact(&mail(), &rcpts, &Xforward::default(), &message(), soon())
            .await;
        assert_eq!(told(&fates), "T250 R550 N452 T250");
        assert_eq!(hop.taken()[0].octets, MESSAGE);
    }
}

#[tokio::test]
async fn where_no_rcpt_is_accepted_no_message_is_sent() {
    for script in [Script::smtp(), Script::smtp().announce(&[])] {
        let hop = IllMannered::start(script.at(Verb::Rcpt, [Act::say("550 5.1.1 no")]));
        let next_hop = smtp(&hop);
        let fates = next_hop
            .transact(
                &mail(),
                &[rcpt("a@x.example")],
                &Xforward::default(),
                &message(),
                soon(),
            )
            .await;
        assert_eq!(told(&fates), "R550");
        assert_eq!(hop.transactions(), []);
        assert!(
            !hop.commands()
                .iter()
                .any(|line| line.starts_with("Subject"))
        );
    }
}

#[tokio::test]
async fn a_refused_mail_speaks_for_every_rcpt_of_a_whole_transaction() {
    for script in [Script::smtp(), Script::smtp().announce(&[])] {
        let hop = IllMannered::start(script.at(Verb::Mail, [Act::say("451 4.7.1 greylisted")]));
        let next_hop = smtp(&hop);
        let rcpts = ["a@x.example", "b@x.example"].map(rcpt);
        let fates = next_hop
            .transact(&mail(), &rcpts, &Xforward::default(), &message(), soon())
            .await;
        assert_eq!(told(&fates), "N451 N451");
        assert_eq!(fates[0].reply().text(), "4.7.1 greylisted");
        assert_eq!(hop.transactions(), []);
    }
}

#[tokio::test]
async fn a_rerun_shows_who_is_accepted_before_any_data() {
    let hop = IllMannered::start(
        Script::smtp()
            .rule(Rule::on(Verb::Rcpt, [Act::say("451 4.2.1 not now")]).containing("<b@")),
    );
    let next_hop = smtp(&hop);
    let rcpts = ["a@x.example", "b@x.example"].map(rcpt);
    let line = next_hop.line(Some(soon())).await.unwrap();
    let (transit, replies) = line
        .rerun(&mail(), &rcpts, &Xforward::default(), &message(), soon())
        .await
        .unwrap();
    assert_eq!(codes(&replies), [250, 451]);
    assert!(!hop.commands().iter().any(|line| line == "DATA"));
    let line = transit.reset().await;
    assert_eq!(hop.transactions(), []);
    // The same connection takes the next transaction.
    let (transit, replies) = line
        .rerun(
            &mail(),
            &rcpts[..1],
            &Xforward::default(),
            &message(),
            soon(),
        )
        .await
        .unwrap();
    assert_eq!(codes(&replies), [250]);
    let (fates, _line) = transit.data(&message(), soon()).await;
    assert_eq!(told(&fates), "T250");
    assert_eq!(hop.connections(), 1);
}

#[tokio::test]
async fn variants_go_one_after_the_other_over_one_connection() {
    let hop = IllMannered::start(Script::smtp());
    let next_hop = smtp(&hop);
    let original = Bytes::from_static(MESSAGE);
    let (mut transit, _) = next_hop.begin(&mail(), &Xforward::default()).await.unwrap();
    transit
        .rcpts(&["a@x.example", "b@x.example"].map(rcpt))
        .await;
    let mut line = transit.reset().await;
    for (address, text) in [("a@x.example", "A"), ("b@x.example", ".B")] {
        let variant = Spliced::new(original.clone(), vec![Splice::new(18..26, text)]).unwrap();
        let fates;
        (fates, line) = line
            .transact(
                &mail(),
                &[rcpt(address)],
                &Xforward::default(),
                &variant,
                soon(),
            )
            .await;
        assert_eq!(told(&fates), "T250");
    }
    drop(line);
    let taken = hop.taken();
    assert_eq!(
        taken[0].octets,
        b"Subject: hello\r\n\r\nA\r\n..two\r\n.\r\nend\r\n"
    );
    assert_eq!(
        taken[1].octets,
        b"Subject: hello\r\n\r\n.B\r\n..two\r\n.\r\nend\r\n"
    );
    assert_eq!(hop.connections(), 1);
}

#[tokio::test]
async fn xforward_goes_before_every_mail_as_announced() {
    let hop = IllMannered::start(Script::smtp().also("XFORWARD NAME HELO"));
    let next_hop = smtp(&hop);
    let xforward = Xforward(BTreeMap::from([
        (Attribute::Name, "client.example".to_owned()),
        (Attribute::Addr, "192.0.2.7".to_owned()),
        (Attribute::Helo, "a b".to_owned()),
    ]));
    for _ in 0..2 {
        next_hop
            .transact(
                &mail(),
                &[rcpt("a@x.example")],
                &xforward,
                &message(),
                soon(),
            )
            .await;
    }
    let taken = hop.taken();
    assert_eq!(taken.len(), 2);
    for transaction in taken {
        assert_eq!(
            transaction.xforward,
            ["XFORWARD NAME=client.example HELO=a+20b"]
        );
    }
    assert_eq!(hop.connections(), 1);
}

#[tokio::test]
async fn a_refused_xforward_is_about_us() {
    for script in [Script::smtp(), Script::smtp().announce(&[])] {
        let hop = IllMannered::start(
            script
                .also("XFORWARD NAME")
                .at(Verb::Xforward, [Act::say("550 5.7.0 not you")]),
        );
        let xforward = Xforward(BTreeMap::from([(Attribute::Name, "n".to_owned())]));
        let error = smtp(&hop).begin(&mail(), &xforward).await.unwrap_err();
        assert_eq!(error.to_reply().code(), 451);
        let fates = smtp(&hop)
            .transact(
                &mail(),
                &[rcpt("a@x.example")],
                &xforward,
                &message(),
                soon(),
            )
            .await;
        assert_eq!(told(&fates), "N451");
        assert_eq!(hop.transactions(), []);
    }
}

/// A server that answers nothing until it has read what it waits for, then everything at once.
fn reads_until(
    announce: &'static str,
    awaited: &'static [u8],
) -> (String, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        stream.write_all(b"220 hi\r\n").unwrap();
        let mut octets = [0; 4096];
        let _ = stream.read(&mut octets).unwrap();
        stream
            .write_all(format!("250-hi\r\n250 {announce}\r\n").as_bytes())
            .unwrap();
        let mut read = Vec::new();
        while !read.ends_with(awaited) {
            match stream.read(&mut octets) {
                Ok(0) | Err(_) => break,
                Ok(count) => read.extend_from_slice(&octets[..count]),
            }
        }
        read
    });
    (address, server)
}

#[tokio::test]
async fn pipelining_puts_the_envelope_and_data_into_one_go() {
    let (address, server) = reads_until("PIPELINING", b"DATA\r\n");
    let next_hop = NextHop::new(settings(&address)).unwrap();
    next_hop
        .transact(
            &mail(),
            &[rcpt("a@x.example")],
            &Xforward::default(),
            &message(),
            soon(),
        )
        .await;
    assert_eq!(
        server.join().unwrap(),
        b"MAIL FROM:<from@example.org>\r\nRCPT TO:<a@x.example>\r\nDATA\r\n"
    );
}

#[tokio::test]
async fn without_pipelining_nothing_follows_an_unanswered_mail() {
    let (address, server) = reads_until("DSN", b"DATA\r\n");
    let next_hop = NextHop::new(settings(&address)).unwrap();
    next_hop
        .transact(
            &mail(),
            &[rcpt("a@x.example")],
            &Xforward::default(),
            &message(),
            soon(),
        )
        .await;
    assert_eq!(server.join().unwrap(), b"MAIL FROM:<from@example.org>\r\n");
}

#[tokio::test]
async fn a_thousand_forward_paths_and_a_large_message_pass() {
    let hop = IllMannered::start(Script::smtp());
    let mut settings = settings_for(&hop);
    settings.limits.command_timeout_seconds = 20;
    settings.limits.data_block_timeout_seconds = 20;
    let next_hop = NextHop::new(settings).unwrap();
    let rcpts: Vec<_> = (0..1000)
        .map(|n| rcpt(&format!("r{n}@x.example")))
        .collect();
    let mut large = b"Subject: x\r\n\r\n".to_vec();
    while large.len() < 3_000_000 {
        large.extend_from_slice(
            b".\r\n..x\r\na line without a dot at its start, longer than the others\r\n",
        );
    }
    let variant = Spliced::untouched(Bytes::from(large.clone()));
    let until = Instant::now() + Duration::from_secs(60);
    let fates = next_hop
        .transact(&mail(), &rcpts, &Xforward::default(), &variant, until)
        .await;
    assert_eq!(fates.len(), 1000);
    assert!(fates.iter().all(Fate::is_taken));
    let taken = hop.taken();
    assert_eq!(taken[0].rcpts.len(), 1000);
    assert!(taken[0].octets == large);
}

#[tokio::test]
async fn a_message_without_octets_is_one_dot() {
    let hop = IllMannered::start(Script::smtp());
    let empty = Spliced::untouched(Bytes::new());
    let fates = smtp(&hop)
        .transact(
            &mail(),
            &[rcpt("a@x.example")],
            &Xforward::default(),
            &empty,
            soon(),
        )
        .await;
    assert_eq!(told(&fates), "T250");
    assert_eq!(hop.taken()[0].wire, b".\r\n");
}
