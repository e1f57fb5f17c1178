//! Several next hops: the first that is well gets the mail; one that fails is passed over before anything is begun, and never
//! afterwards; it comes back by itself.

use std::time::Duration;

use pixelgate::next_hop::{NextHop, Unreachable};
use pixelgate::smtp::Protocol;
use pixelgate::smtp::xforward::Xforward;

use crate::ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use crate::*;

async fn send(next_hop: &NextHop) -> String {
    let rcpts = ["a@x.example", "b@x.example"].map(rcpt);
    let xforward = Xforward::default();
    let message = message();
    let mail = mail();
    let sending = next_hop.transact(&mail, &rcpts, &xforward, &message, soon());
    // However many next hops are ill, it comes to an end.
    let fates = tokio::time::timeout(Duration::from_secs(10), sending);
    told(&fates.await.unwrap())
}

fn in_order(hops: &[&IllMannered]) -> NextHop {
    in_order_of(hops, |_| {})
}

fn in_order_of(hops: &[&IllMannered], change: impl Fn(&mut Settings)) -> NextHop {
    let all = hops.iter().map(|hop| {
        let mut settings = settings_for(hop);
        settings.limits.backoff_first_seconds = 1;
        settings.limits.backoff_most_seconds = 2;
        change(&mut settings);
        settings
    });
    NextHop::in_order(all.collect()).unwrap()
}

fn failures(next_hop: &NextHop) -> Vec<u32> {
    let health = next_hop.health().into_iter();
    health.map(|(_, failures)| failures).collect()
}

#[tokio::test]
async fn the_first_gets_it_as_long_as_it_is_well() {
    let (first, second) = (
        IllMannered::start(Script::smtp()),
        IllMannered::start(Script::smtp()),
    );
    let next_hop = in_order(&[&first, &second]);
    for _ in 0..3 {
        assert_eq!(send(&next_hop).await, "T250 T250");
    }
    assert_eq!((first.taken().len(), second.connections()), (3, 0));
    assert!(!next_hop.is_down());
}

/// Everything that can go wrong before MAIL is answered, and an answer to MAIL that is about us.
#[tokio::test]
async fn one_that_fails_before_mail_is_answered_is_passed_over() {
    for (verb, acts) in [
        (Verb::Connect, vec![Act::Close]),
        (Verb::Connect, vec![Act::say("554 5.3.2 not you")]),
        (Verb::Connect, vec![Act::say("421 4.3.2 busy")]),
        (Verb::Connect, vec![Act::Stall(Duration::from_secs(20))]),
        (Verb::Ehlo, vec![Act::say("451 4.3.0 later")]),
        (Verb::Ehlo, vec![Act::Close]),
        (
            Verb::Ehlo,
            vec![Act::Raw(b"250 hi\r\n250 and more\r\n".to_vec())],
        ),
        (Verb::Mail, vec![Act::Close]),
        (Verb::Mail, vec![Act::say("421 4.3.2 bye"), Act::Close]),
        (Verb::Mail, vec![Act::say("530 5.7.0 log in")]),
        (Verb::Mail, vec![Act::Raw(b"what?\r\n".to_vec())]),
        (Verb::Mail, vec![Act::say("354 go on")]),
    ] {
        let first = IllMannered::start(Script::smtp().at(verb, acts.clone()));
        let second = IllMannered::start(Script::smtp());
        let next_hop = in_order(&[&first, &second]);
        let place = format!("{verb:?} {acts:?}");
        let until = Instant::now() + Duration::from_secs(6);
        let rcpts = ["a@x.example", "b@x.example"].map(rcpt);
        let fates = next_hop
            .transact(&mail(), &rcpts, &Xforward::default(), &message(), until)
            .await;
        assert_eq!(told(&fates), "T250 T250", "{place}");
        assert_eq!(second.taken().len(), 1, "{place}");
        assert_eq!(first.transactions(), [], "{place}");
        assert!(failures(&next_hop)[0] > 0, "{place}");
        assert_eq!(failures(&next_hop)[1], 0, "{place}");
        // Set aside: the next one goes straight to the second.
        let before = first.connections();
        assert_eq!(send(&next_hop).await, "T250 T250", "{place}");
        assert_eq!(first.connections(), before, "{place}");
    }
}

/// After MAIL was answered the message stays where it is, whatever becomes of it: nobody gets it from two next hops.
#[tokio::test]
async fn what_was_begun_goes_nowhere_else() {
    for (verb, acts, expected) in [
        (
            Verb::Mail,
            vec![Act::say("451 4.7.1 greylisted")],
            "N451 N451",
        ),
        (Verb::Mail, vec![Act::say("550 5.7.1 not you")], "R550 R550"),
        (Verb::Rcpt, vec![Act::Close], "N451 N451"),
        (
            Verb::Rcpt,
            vec![Act::say("421 4.3.2 bye"), Act::Close],
            "N451 N451",
        ),
        (Verb::Rcpt, vec![Act::say("550 5.1.1 gone")], "R550 R550"),
        (Verb::Data, vec![Act::Close], "N451 N451"),
        (Verb::Data, vec![Act::say("451 4.3.0 later")], "N451 N451"),
        (Verb::Dot, vec![Act::Close], "U451 U451"),
        (Verb::Dot, vec![Act::Take, Act::Close], "U451 U451"),
        (
            Verb::Dot,
            vec![Act::say("421 4.3.2 bye"), Act::Close],
            "N451 N451",
        ),
        (Verb::Dot, vec![Act::say("451 4.3.0 later")], "N451 N451"),
    ] {
        for announce in [true, false] {
            let script = match announce {
                true => Script::smtp(),
                false => Script::smtp().announce(&[]),
            };
            let first = IllMannered::start(script.at(verb, acts.clone()));
            let second = IllMannered::start(Script::smtp());
            let next_hop = in_order(&[&first, &second]);
            let place = format!("{verb:?} {acts:?} {announce}");
            assert_eq!(send(&next_hop).await, expected, "{place}");
            assert_eq!(second.connections(), 0, "{place}");
        }
    }
}

#[tokio::test]
async fn one_that_went_away_is_asked_again_after_its_back_off() {
    let refusal = Rule::on(Verb::Connect, [Act::say("421 4.3.2 busy"), Act::Close]);
    let first = IllMannered::start(Script::smtp().rule(refusal.times(2)));
    let second = IllMannered::start(Script::smtp());
    let next_hop = in_order(&[&first, &second]);
    assert_eq!(send(&next_hop).await, "T250 T250");
    assert_eq!(failures(&next_hop), [1, 0]);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    // Asked again, ill again, set aside for longer.
    assert_eq!(send(&next_hop).await, "T250 T250");
    assert_eq!(failures(&next_hop), [2, 0]);
    assert_eq!((first.connections(), second.taken().len()), (2, 2));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(send(&next_hop).await, "T250 T250");
    assert_eq!(failures(&next_hop), [0, 0]);
    assert_eq!((first.taken().len(), second.taken().len()), (1, 2));
}

#[tokio::test]
async fn where_all_are_ill_each_is_asked_and_nobody_has_it() {
    let ill = || IllMannered::start(Script::smtp().at(Verb::Connect, [Act::say("421 no")]));
    let (first, second) = (ill(), ill());
    let next_hop = in_order(&[&first, &second]);
    assert_eq!(send(&next_hop).await, "N451 N451");
    assert_eq!((first.connections(), second.connections()), (1, 1));
    assert!(next_hop.is_down());
    // Down does not mean never asked: mail that comes now is tried, on the one that comes back first.
    assert_eq!(send(&next_hop).await, "N451 N451");
    assert!(first.connections() + second.connections() >= 3);
}

/// The live envelope has no deadline of its own.
#[tokio::test]
async fn a_live_envelope_comes_to_an_end_where_all_are_ill() {
    let ill = || IllMannered::start(Script::smtp().at(Verb::Connect, [Act::Close]));
    let (first, second, third) = (ill(), ill(), ill());
    let next_hop = in_order(&[&first, &second, &third]);
    let mail = mail();
    let xforward = Xforward::default();
    let asking = next_hop.begin(&mail, &xforward);
    let asked = tokio::time::timeout(Duration::from_secs(10), asking).await;
    assert_eq!(asked.unwrap().unwrap_err().to_reply().code(), 451);
    assert_eq!(
        [&first, &second, &third].map(|hop| hop.connections()),
        [1; 3]
    );
}

/// Fifty that fail in the same moment are one failure.
#[tokio::test]
async fn failures_at_once_do_not_add_up() {
    let first = IllMannered::start(Script::smtp().at(
        Verb::Connect,
        [Act::Stall(Duration::from_millis(300)), Act::say("421 no")],
    ));
    let second = IllMannered::start(Script::smtp());
    let next_hop = std::sync::Arc::new(in_order_of(&[&first, &second], |settings| {
        settings.limits.backoff_first_seconds = 30;
        settings.limits.backoff_most_seconds = 60;
    }));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let next_hop = std::sync::Arc::clone(&next_hop);
        tasks.spawn(async move { send(&next_hop).await });
    }
    while let Some(sent) = tasks.join_next().await {
        assert_eq!(sent.unwrap(), "T250 T250");
    }
    assert_eq!(failures(&next_hop), [1, 0]);
}

#[tokio::test]
async fn busy_is_not_ill() {
    let (first, second) = (
        IllMannered::start(Script::smtp()),
        IllMannered::start(Script::smtp()),
    );
    let next_hop = in_order_of(&[&first, &second], |settings| {
        settings.limits.max_connections = 1;
    });
    let (transit, _) = next_hop.begin(&mail(), &Xforward::default()).await.unwrap();
    let error = next_hop
        .begin(&mail(), &Xforward::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Unreachable::Busy { .. }));
    assert_eq!((failures(&next_hop), second.connections()), (vec![0, 0], 0));
    drop(transit);
}

#[tokio::test]
async fn lmtp_next_hops_stand_in_for_each_other_and_different_ones_do_not() {
    let first = IllMannered::start(Script::lmtp().at(Verb::Connect, [Act::Close]));
    let second = IllMannered::start(Script::lmtp());
    let next_hop = in_order_of(&[&first, &second], |settings| {
        settings.protocol = Protocol::Lmtp;
    });
    assert_eq!(send(&next_hop).await, "T250 T250");
    assert_eq!(second.taken()[0].taken.len(), 2);
    let mut other = settings_for(&first);
    other.protocol = Protocol::Lmtp;
    assert!(NextHop::in_order(vec![settings_for(&second), other]).is_err());
}

/// What is announced to clients is what all of them can do, once they were seen.
#[tokio::test]
async fn only_what_all_of_them_can_do_is_announced() {
    let first = IllMannered::start(
        Script::smtp()
            .announce(&["8BITMIME", "SMTPUTF8", "SIZE 2000"])
            .rule(Rule::on(Verb::Mail, [Act::say("421 bye"), Act::Close]).times(1)),
    );
    let second = IllMannered::start(Script::smtp().announce(&["8BITMIME", "DSN", "SIZE 1000"]));
    let next_hop = in_order(&[&first, &second]);
    next_hop.reach().await.unwrap();
    assert!(next_hop.extensions().unwrap().smtputf8);
    // The connection of `reach` turns out dead at MAIL and is replaced; the replacement is taken.
    assert_eq!(send(&next_hop).await, "T250 T250");
    drop(first);
    assert_eq!(send(&next_hop).await, "T250 T250");
    let both = next_hop.extensions().unwrap();
    assert!(both.eight_bit_mime && !both.smtputf8 && !both.dsn);
    assert_eq!(both.size, Some(1000));
}

/// What the second cannot carry and the first, which is down, may be able to: its sender is not told for good that nobody can. The
/// first may be well again and still not be able to; then it is no.
#[tokio::test]
async fn what_another_may_carry_is_tried_again() {
    let utf8 = "Subject: \u{e9}\r\n\r\nx\r\n";
    let utf8 = Spliced::untouched(Bytes::from_static(utf8.as_bytes()));
    let ascii = &["8BITMIME", "PIPELINING"];
    let all = &["8BITMIME", "PIPELINING", "SMTPUTF8"];
    // What the first announces, whether it was ever reached, whether it is there: what is said of UTF-8 then.
    for (announced, reached, there, code) in [
        (all.as_slice(), true, false, 451),
        (all, false, false, 451),
        (ascii, true, false, 550),
        (ascii, true, true, 550),
    ] {
        let first = IllMannered::start(Script::smtp().announce(announced));
        let second_can = if there { all.as_slice() } else { ascii };
        let second = IllMannered::start(Script::smtp().announce(second_can));
        let next_hop = in_order(&[&first, &second]);
        if reached {
            next_hop.reach().await.unwrap();
        }
        let _first = there.then_some(first);
        let enhanced = Some(if code == 451 { "4.6.7" } else { "5.6.7" });
        let mail = mail_with("SMTPUTF8");
        let rcpts = [rcpt("\u{e9}@x.example"), rcpt("a@x.example")];
        let xforward = Xforward::default();
        let fates = next_hop
            .transact(&mail, &rcpts, &xforward, &message(), soon())
            .await;
        let codes = |replies: &[&Reply]| replies.iter().map(|r| r.code()).collect::<Vec<_>>();
        assert_eq!(codes(&[fates[0].reply(), fates[1].reply()]), [code, 250]);
        assert_eq!(fates[0].reply().enhanced(), enhanced);
        let (mut transit, reply) = next_hop.begin(&mail, &xforward).await.unwrap();
        assert_eq!(reply.code(), 250);
        let replies = transit.rcpts(&rcpts).await;
        assert_eq!(codes(&[&replies[0], &replies[1]]), [code, 250]);
        let (fates, _line) = transit.data(&utf8, soon()).await;
        assert_eq!(fates[0].reply().enhanced(), enhanced);
        let mut from = mail_with("SMTPUTF8");
        from.reverse_path = ReversePath::Mailbox(mailbox("\u{e9}@x.example"));
        let (_transit, reply) = next_hop.begin(&from, &xforward).await.unwrap();
        assert_eq!((reply.code(), reply.enhanced()), (code, enhanced));
    }
}

/// A name with two addresses of which one refuses.
#[tokio::test]
async fn a_name_is_resolved_and_the_address_that_answers_is_used() {
    let hop = IllMannered::start(Script::smtp());
    let address = format!("localhost:{}", hop.address().port());
    let next_hop = NextHop::new(settings(&address)).unwrap();
    assert_eq!(send(&next_hop).await, "T250 T250");
    let mut from = settings(&address);
    from.source_address = Some("127.0.0.9".parse().unwrap());
    assert_eq!(send(&NextHop::new(from).unwrap()).await, "T250 T250");
    let mut nobody = settings("nobody.invalid:25");
    nobody.limits.connect_timeout_seconds = 2;
    assert_eq!(send(&NextHop::new(nobody).unwrap()).await, "N451 N451");
}
