//! Mail of our own.

use std::time::Duration;

use bytes::Bytes;
use pixelgate::next_hop::NextHop;
use pixelgate::smtp::path::ForwardPath;
use tokio::time::Instant;

use crate::ill_mannered::{Act, IllMannered, Script, Verb};
use crate::*;

const NOTICE: &[u8] = b"Subject: failed\r\n\r\n.dot\r\nthe end\r\n";

async fn submit(next_hop: &NextHop) -> String {
    let to = ForwardPath::Mailbox(mailbox("\"a b\"@example.org"));
    let fate = next_hop
        .submit(&to, Bytes::from_static(NOTICE), soon())
        .await;
    told(&[fate])
}

#[tokio::test]
async fn a_notice_goes_out_with_a_null_reverse_path_and_no_octet_more() {
    let hop = IllMannered::start(Script::smtp());
    let next_hop = smtp(&hop);
    assert_eq!(submit(&next_hop).await, "T250");
    let taken = hop.taken();
    assert_eq!(taken[0].mail, "MAIL FROM:<>");
    assert_eq!(taken[0].rcpts, ["RCPT TO:<\"a b\"@example.org>"]);
    assert_eq!(taken[0].octets, NOTICE);
    assert!(hop.wait_all_closed(Duration::from_secs(5)));
    assert_eq!(hop.left(), 0, "QUIT was said");
}

#[tokio::test]
async fn its_fates_are_those_of_any_mail() {
    for (verb, acts, expected) in [
        (Verb::Dot, vec![Act::say("451 4.3.0 later")], "N451"),
        (
            Verb::Dot,
            vec![Act::say("554-5.6.0 no\r\n554 5.6.0 never")],
            "R554",
        ),
        (
            Verb::Dot,
            vec![Act::say("421 4.3.2 bye"), Act::Close],
            "N451",
        ),
        (Verb::Dot, vec![Act::Close], "U451"),
        (Verb::Dot, vec![Act::say("250-ok\r\n550 no")], "U451"),
        (
            Verb::Dot,
            vec![Act::Raw(b"250 ok\n".to_vec()), Act::Close],
            "U451",
        ),
        (Verb::Dot, vec![Act::Stall(Duration::from_secs(20))], "U451"),
        (Verb::Data, vec![Act::say("250 2.0.0 thanks")], "N451"),
        (Verb::Data, vec![Act::say("554 5.7.1 no")], "R554"),
        (
            Verb::Data,
            vec![Act::Raw(b"354 go\r\n250 ok\r\n".to_vec())],
            "N451",
        ),
        (Verb::Rcpt, vec![Act::say("550 5.1.1 no")], "R550"),
        (
            Verb::Rcpt,
            vec![Act::Raw(b"250 ok\r\n250 ok\r\n".to_vec())],
            "N451",
        ),
        (
            Verb::Rcpt,
            vec![Act::Stall(Duration::from_secs(20))],
            "N451",
        ),
        (Verb::Mail, vec![Act::say("530 5.7.0 auth")], "N451"),
        (Verb::Mail, vec![Act::Close], "N451"),
        (Verb::Ehlo, vec![Act::say("554 5.0.0 no")], "N451"),
        (Verb::Connect, vec![Act::say("554 5.0.0 no")], "N451"),
        (
            Verb::Connect,
            vec![Act::Endless("220-hi".to_owned())],
            "N451",
        ),
    ] {
        let shown = format!("{verb:?} {acts:?}");
        let hop = IllMannered::start(Script::smtp().at(verb, acts));
        assert_eq!(submit(&smtp(&hop)).await, expected, "{shown}");
        if verb != Verb::Dot {
            assert_eq!(hop.transactions(), [], "{shown}");
        }
    }
}

#[tokio::test]
async fn its_reply_is_kept_as_it_was_said() {
    let hop = IllMannered::start(Script::smtp().at(
        Verb::Rcpt,
        [Act::say("550-5.1.1 no\r\n550 5.1.1 such user")],
    ));
    let to = ForwardPath::Mailbox(mailbox("a@example.org"));
    let fate = smtp(&hop)
        .submit(&to, Bytes::from_static(NOTICE), soon())
        .await;
    assert_eq!(fate.reply().lines(), ["5.1.1 no", "5.1.1 such user"]);
}

#[tokio::test]
async fn it_does_not_go_to_a_loop_nor_without_time() {
    let hop = IllMannered::start(Script::smtp().also("XPIXELGATE"));
    assert_eq!(submit(&smtp(&hop)).await, "N451");
    let hop =
        IllMannered::start(Script::smtp().at(Verb::Data, [Act::Stall(Duration::from_millis(700))]));
    let to = ForwardPath::Mailbox(mailbox("a@example.org"));
    let next_hop = smtp(&hop);
    let until = Instant::now() + Duration::from_millis(1600);
    let fate = next_hop
        .submit(&to, Bytes::from_static(NOTICE), until)
        .await;
    assert_eq!(told(&[fate]), "N451");
    assert_eq!(next_hop.counters().no_time_for_dot.get(), 1);
    assert_eq!(hop.transactions(), []);
}

#[tokio::test]
async fn connections_stay_within_their_bound() {
    let hop = IllMannered::start(Script::smtp());
    let mut settings = settings_for(&hop);
    settings.limits.max_connections = 1;
    let next_hop = NextHop::new(settings).unwrap();
    next_hop.reach().await.unwrap();
    assert_eq!(submit(&next_hop).await, "T250");
    assert_eq!(hop.most_open(), 1, "the idle one was ended first");
}

#[tokio::test]
async fn what_lettre_cannot_carry_goes_by_our_own_client() {
    let hop = IllMannered::start(Script::smtp());
    let next_hop = smtp(&hop);
    let to = ForwardPath::Postmaster("Postmaster".to_owned());
    let fate = next_hop
        .submit(&to, Bytes::from_static(NOTICE), soon())
        .await;
    assert_eq!(told(&[fate]), "T250");
    let to = ForwardPath::Mailbox(mailbox("\u{e9}@example.org"));
    let eight_bit = Bytes::from_static("Subject: x\r\n\r\n\u{e9}\r\n".as_bytes());
    let fate = next_hop.submit(&to, eight_bit.clone(), soon()).await;
    assert_eq!(told(&[fate]), "T250");
    let taken = hop.taken();
    assert_eq!(taken[0].rcpts, ["RCPT TO:<Postmaster>"]);
    assert_eq!(taken[1].mail, "MAIL FROM:<> BODY=8BITMIME SMTPUTF8");
    assert_eq!(taken[1].octets, eight_bit);
}

#[tokio::test]
async fn lmtp_and_maildir_take_it_too() {
    let hop = IllMannered::start(Script::lmtp());
    assert_eq!(submit(&lmtp(&hop)).await, "T250");
    assert_eq!(hop.taken()[0].mail, "MAIL FROM:<>");
    let directory = tempfile::tempdir().unwrap();
    let address = format!("maildir:{}", directory.path().display());
    assert_eq!(
        submit(&NextHop::new(settings(&address)).unwrap()).await,
        "T250"
    );
    let files: Vec<_> = std::fs::read_dir(directory.path().join("new"))
        .unwrap()
        .collect();
    assert_eq!(files.len(), 1);
}
