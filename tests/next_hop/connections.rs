//! Connecting, loops, reuse, staleness, bounds.

use std::sync::Arc;
use std::time::Duration;

use pixelgate::next_hop::{NextHop, Unreachable};
use pixelgate::smtp::Protocol;
use pixelgate::smtp::xforward::Xforward;
use tokio::time::Instant;

use crate::ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use crate::*;

async fn send(next_hop: &NextHop) -> String {
    let rcpts = [rcpt("a@x.example")];
    let fates = next_hop
        .transact(&mail(), &rcpts, &Xforward::default(), &message(), soon())
        .await;
    told(&fates)
}

#[tokio::test]
async fn reach_tells_what_was_announced_and_keeps_the_connection() {
    let hop =
        IllMannered::start(Script::smtp().announce(&["SIZE 1000", "DSN", "XFORWARD NAME ADDR"]));
    let next_hop = smtp(&hop);
    assert_eq!(next_hop.extensions(), None);
    let extensions = next_hop.reach().await.unwrap();
    assert_eq!(extensions.size, Some(1000));
    assert!(extensions.dsn && !extensions.pipelining && !extensions.eight_bit_mime);
    assert_eq!(next_hop.extensions(), Some(extensions));
    assert_eq!(send(&next_hop).await, "T250");
    assert_eq!(hop.connections(), 1);
}

#[tokio::test]
async fn reach_does_not_trust_a_connection_that_was_closed() {
    let hop = IllMannered::start(
        Script::smtp().rule(Rule::on(Verb::Ehlo, [Act::say("250 hi"), Act::Close]).times(1)),
    );
    let next_hop = smtp(&hop);
    next_hop.reach().await.unwrap();
    assert!(hop.wait_all_closed(Duration::from_secs(5)));
    // The runtime learns of the close when it next looks at its sockets.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(next_hop.reach().await.unwrap().dsn);
    assert_eq!(hop.connections(), 2);
    assert_eq!(next_hop.counters().connections_reused.get(), 0);
}

#[tokio::test]
async fn nobody_listening_is_451_and_counted() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let next_hop = NextHop::new(settings(&address)).unwrap();
    let error = next_hop.reach().await.unwrap_err();
    assert_eq!(error.to_reply().enhanced(), Some("4.4.1"));
    assert_eq!(send(&next_hop).await, "N451");
    assert_eq!(next_hop.counters().unreachable.get(), 2);
    assert_eq!(next_hop.extensions(), None);
}

#[tokio::test]
async fn an_old_server_is_greeted_with_helo() {
    let hop = IllMannered::start(Script::smtp().at(Verb::Ehlo, [Act::say("502 5.5.1 what?")]));
    let next_hop = smtp(&hop);
    assert_eq!(send(&next_hop).await, "T250");
    assert_eq!(hop.commands()[..2], ["EHLO localhost", "HELO localhost"]);
    assert_eq!(next_hop.extensions().unwrap(), Default::default());
}

#[tokio::test]
async fn there_is_no_helo_in_lmtp() {
    let hop = IllMannered::start(Script::lmtp().at(Verb::Ehlo, [Act::say("502 5.5.1 what?")]));
    assert_eq!(send(&lmtp(&hop)).await, "N451");
    assert_eq!(hop.commands(), ["LHLO localhost"]);
}

#[tokio::test]
async fn a_pixelgate_behind_us_is_refused_unless_chained() {
    let hop = IllMannered::start(Script::smtp().also("XPIXELGATE"));
    let error = smtp(&hop).reach().await.unwrap_err();
    assert!(matches!(error, Unreachable::Loop));
    assert_eq!(error.to_reply().code(), 451);
    assert_eq!(send(&smtp(&hop)).await, "N451");
    let mut chained = settings_for(&hop);
    chained.chained = true;
    assert_eq!(send(&NextHop::new(chained).unwrap()).await, "T250");
}

#[tokio::test]
async fn a_stale_connection_is_replaced_once_and_nobody_notices() {
    for (announce, first) in [
        (true, vec![Act::Close]),
        (true, vec![Act::say("421 4.4.2 idle too long"), Act::Close]),
        (false, vec![Act::Close]),
        (false, vec![Act::say("421 4.4.2 idle too long"), Act::Close]),
    ] {
        let script = match announce {
            true => Script::smtp(),
            false => Script::smtp().announce(&[]),
        };
        let hop = IllMannered::start(script.rule(Rule::on(Verb::Mail, first).transaction(2)));
        let next_hop = smtp(&hop);
        assert_eq!(send(&next_hop).await, "T250");
        assert_eq!(send(&next_hop).await, "T250");
        assert_eq!(hop.connections(), 2);
        assert_eq!(hop.taken().len(), 2);
        assert_eq!(next_hop.counters().connections_stale.get(), 1);
        assert_eq!(next_hop.counters().unreachable.get(), 0);
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_or_warned_while_idle_is_replaced() {
    for idle in [
        vec![Act::say("250 2.0.0 ok"), Act::Close],
        vec![
            Act::Raw(b"250 2.0.0 ok\r\n421 4.4.2 idle\r\n".to_vec()),
            Act::Close,
        ],
    ] {
        let hop = IllMannered::start(Script::smtp().rule(Rule::on(Verb::Dot, idle).transaction(1)));
        let next_hop = smtp(&hop);
        assert_eq!(send(&next_hop).await, "T250");
        assert!(hop.wait_all_closed(Duration::from_secs(5)));
        assert_eq!(send(&next_hop).await, "T250");
        assert_eq!(hop.taken().len(), 2);
        assert_eq!(hop.connections(), 2);
    }
}

#[tokio::test]
async fn live_mail_too_goes_over_a_replacement() {
    let hop =
        IllMannered::start(Script::smtp().rule(Rule::on(Verb::Mail, [Act::Close]).transaction(2)));
    let next_hop = smtp(&hop);
    assert_eq!(send(&next_hop).await, "T250");
    let (_transit, reply) = next_hop.begin(&mail(), &Xforward::default()).await.unwrap();
    assert_eq!(reply.code(), 250);
    assert_eq!(hop.connections(), 2);
}

#[tokio::test]
async fn a_replacement_is_not_replaced() {
    let hop = IllMannered::start(
        Script::smtp()
            .rule(Rule::on(Verb::Mail, [Act::Close]).transaction(2))
            .rule(Rule::on(Verb::Mail, [Act::Close]).transaction(3)),
    );
    let next_hop = smtp(&hop);
    assert_eq!(send(&next_hop).await, "T250");
    assert_eq!(send(&next_hop).await, "N451");
    assert_eq!(hop.connections(), 2);
}

#[tokio::test]
async fn a_new_connection_that_fails_at_mail_is_not_replaced() {
    let hop = IllMannered::start(Script::smtp().rule(Rule::on(Verb::Mail, [Act::Close]).times(1)));
    assert_eq!(send(&smtp(&hop)).await, "N451");
    assert_eq!(hop.connections(), 1);
}

#[tokio::test]
async fn after_a_reply_to_mail_nothing_is_replaced() {
    let hop =
        IllMannered::start(Script::smtp().rule(Rule::on(Verb::Rcpt, [Act::Close]).transaction(2)));
    let next_hop = smtp(&hop);
    assert_eq!(send(&next_hop).await, "T250");
    assert_eq!(send(&next_hop).await, "N451");
    assert_eq!(hop.connections(), 1);
}

#[tokio::test]
async fn a_connection_answered_421_at_the_dot_is_not_used_again() {
    let hop = IllMannered::start(
        Script::smtp().rule(Rule::on(Verb::Dot, [Act::say("421 4.3.2 bye")]).times(1)),
    );
    let next_hop = smtp(&hop);
    assert_eq!(send(&next_hop).await, "N451");
    assert_eq!(send(&next_hop).await, "T250");
    assert_eq!(hop.connections(), 2);
}

#[tokio::test]
async fn a_connection_whose_rset_fails_is_not_used_again() {
    let hop = IllMannered::start(
        Script::smtp().rule(Rule::on(Verb::Rset, [Act::say("451 4.3.0 no")]).times(1)),
    );
    let next_hop = smtp(&hop);
    let (transit, _) = next_hop.begin(&mail(), &Xforward::default()).await.unwrap();
    drop(transit.reset().await);
    assert_eq!(send(&next_hop).await, "T250");
    assert_eq!(hop.connections(), 2);
}

#[tokio::test]
async fn waiting_for_a_connection_is_bounded() {
    let hop = IllMannered::start(Script::smtp());
    let mut settings = settings_for(&hop);
    settings.limits.max_connections = 1;
    let next_hop = NextHop::new(settings).unwrap();
    let (transit, _) = next_hop.begin(&mail(), &Xforward::default()).await.unwrap();
    let start = Instant::now();
    let error = next_hop
        .begin(&mail(), &Xforward::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Unreachable::Busy { seconds: 1 }));
    assert!(error.to_reply().text().contains("max_connections"));
    assert!(start.elapsed() < Duration::from_secs(3));
    assert_eq!(next_hop.counters().connections_busy.get(), 1);
    let line = transit.reset().await;
    assert_eq!(send(&next_hop).await, "N451", "the line is still held");
    drop(line);
    assert_eq!(send(&next_hop).await, "T250");
    assert_eq!(hop.connections(), 1);
}

#[tokio::test]
async fn no_more_connections_than_allowed_however_many_ask() {
    let hop =
        IllMannered::start(Script::smtp().at(Verb::Dot, [Act::Stall(Duration::from_millis(20))]));
    let mut settings = settings_for(&hop);
    settings.limits.max_connections = 3;
    settings.limits.connection_wait_seconds = 20;
    settings.limits.answer_within_seconds = 40;
    let next_hop = Arc::new(NextHop::new(settings).unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..24 {
        let next_hop = Arc::clone(&next_hop);
        tasks.spawn(async move {
            let until = Instant::now() + Duration::from_secs(30);
            let rcpts = [rcpt("a@x.example")];
            let fates = next_hop
                .transact(&mail(), &rcpts, &Xforward::default(), &message(), until)
                .await;
            told(&fates)
        });
    }
    while let Some(fates) = tasks.join_next().await {
        assert_eq!(fates.unwrap(), "T250");
    }
    assert_eq!(hop.taken().len(), 24);
    assert!(hop.most_open() <= 3, "{}", hop.most_open());
}

#[tokio::test]
async fn idle_connections_are_ended_with_quit() {
    let hop = IllMannered::start(Script::smtp());
    let mut settings = settings_for(&hop);
    settings.limits.idle_seconds = 1;
    let next_hop = NextHop::new(settings).unwrap();
    assert_eq!(send(&next_hop).await, "T250");
    let tending = tokio::time::timeout(Duration::from_millis(2500), next_hop.tend());
    assert!(tending.await.is_err(), "tend runs until it is dropped");
    assert!(hop.wait_all_closed(Duration::from_secs(5)));
    assert_eq!(hop.commands().last().unwrap(), "QUIT");
    assert_eq!(hop.left(), 0);
}

#[tokio::test]
async fn close_says_quit_on_every_idle_connection() {
    let hop = IllMannered::start(Script::smtp());
    let next_hop = smtp(&hop);
    assert_eq!(send(&next_hop).await, "T250");
    next_hop.close().await;
    assert!(hop.wait_all_closed(Duration::from_secs(5)));
    assert_eq!(hop.commands().last().unwrap(), "QUIT");
}

#[tokio::test]
async fn a_unix_socket_is_a_next_hop() {
    use std::io::{Read, Write};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lmtp.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        stream.write_all(b"220 hi\r\n").unwrap();
        let mut all = Vec::new();
        for (end, reply) in [
            ("LHLO localhost\r\n", "250 hi\r\n"),
            ("MAIL FROM:<from@example.org>\r\n", "250 ok\r\n"),
            ("RCPT TO:<a@x.example>\r\n", "250 ok\r\n"),
            ("DATA\r\n", "354 go\r\n"),
            ("\r\n.\r\n", "250 taken\r\n"),
        ] {
            while !all.ends_with(end.as_bytes()) {
                let mut octets = [0; 512];
                let count = stream.read(&mut octets).unwrap();
                assert!(count > 0, "closed before {end:?}");
                all.extend_from_slice(&octets[..count]);
            }
            stream.write_all(reply.as_bytes()).unwrap();
        }
    });
    let mut settings = settings(&format!("unix:{}", path.display()));
    settings.protocol = Protocol::Lmtp;
    assert_eq!(send(&NextHop::new(settings).unwrap()).await, "T250");
    server.join().unwrap();
}
