//! SIGTERM is an end in order: what is begun is finished within `drain_seconds`, what is not finished then is not lost.

use std::thread;

use crate::support::PATIENCE;
use crate::*;

const STOP: &str = "behind the dot";

/// The next hop stands behind the dot of this transaction, its message taken.
fn stands(transaction: usize) -> Script {
    let rule = Rule::on(Verb::Dot, [Act::Take, Act::Stop(STOP)]);
    Script::smtp().rule(rule.transaction(transaction).times(1))
}

fn patient(hop: &IllMannered, drain_seconds: u32) -> Config {
    let limits = ["dot_timeout_seconds = 60", "answer_within_seconds = 90"];
    Config {
        next_hop: next_hop_lines(hop, "smtp", &limits),
        tail: format!("[server]\ndrain_seconds = {drain_seconds}"),
        ..config_for(hop)
    }
}

#[test]
fn what_is_begun_is_finished() {
    let hop = IllMannered::start(stands(2));
    let mut served = start(&patient(&hop, 15));
    let address = served.address();
    let heard = thread::scope(|scope| {
        let client = scope.spawn(move || Submission::new(&FOUR, letter()).attempt(address));
        assert!(hop.wait_stopped(STOP, PATIENCE));
        served.signal("TERM");
        thread::sleep(Duration::from_millis(300));
        hop.go_on(STOP);
        client.join().unwrap()
    });
    assert_eq!(heard.as_deref(), Some("250 2.0.0 taken"));
    assert!(served.wait().success(), "{}", served.log());
    assert_eq!(count(&hop), ALL);
    assert!(spool_is_empty(&served));
}

#[test]
fn what_is_not_finished_in_time_is_the_clients() {
    let hop = IllMannered::start(stands(2));
    let config = patient(&hop, 1);
    let mut served = start(&config);
    let address = served.address();
    let submission = Submission::new(&FOUR, letter());
    let heard = thread::scope(|scope| {
        let client = scope.spawn(|| submission.attempt(address));
        assert!(hop.wait_stopped(STOP, PATIENCE));
        served.signal("TERM");
        served.wait();
        client.join().unwrap()
    });
    // A 4xx or nothing; never 250.
    assert!(heard.is_none_or(|reply| reply.starts_with('4')));
    hop.go_on(STOP);
    served.start_again(&config);
    assert!(spool_is_empty(&served), "its client was never answered");
    submission.retry(served.address());
    assert_eq!(count(&hop), [2, 1, 1, 2]);
    assert_own_variants(&hop, &letter());
}

/// Nobody waits for an attempt at what is owed, so it may not keep the relay from its end either.
#[test]
fn an_attempt_at_a_debt_does_not_hold_up_the_end() {
    let later = Rule::on(Verb::Dot, [Act::say("451 4.3.0 later")]).transaction(3);
    let hop = IllMannered::start(stands(4).rule(later));
    let config = Config {
        spool: eager(),
        ..patient(&hop, 1)
    };
    let mut served = start(&config);
    let told = Submission::new(&FOUR, letter()).send(served.address());
    assert!(told.last().starts_with("250 "), "{told:?}");
    assert!(hop.wait_stopped(STOP, PATIENCE));
    served.signal("TERM");
    served.wait();
    hop.go_on(STOP);
    assert_eq!(owed(&served).len(), 2, "still owed: nobody knows better");
    served.start_again(&config);
    wait_until("the end of it", &served, || spool_is_empty(&served));
    assert_eq!(count(&hop), [1, 2, 2, 1]);
}

/// `answer_within` is for a client that waits; an attempt at a debt waits as long as `dot_timeout` allows, or a slow next
/// hop would take the same copy again and again.
#[test]
fn a_slow_answer_is_waited_for_where_no_client_waits() {
    let later = Rule::on(Verb::Dot, [Act::say("451 4.3.0 later")]).transaction(3);
    let slow = Rule::on(Verb::Dot, [Act::Take, Act::Stall(Duration::from_secs(5))]).transaction(4);
    let hop = IllMannered::start(Script::smtp().rule(later).rule(slow));
    let limits = [
        "answer_within_seconds = 3",
        "dot_time_seconds = 1",
        "dot_timeout_seconds = 30",
    ];
    let config = Config {
        next_hop: next_hop_lines(&hop, "smtp", &limits),
        spool: eager(),
        ..config_for(&hop)
    };
    let served = start(&config);
    let told = Submission::new(&FOUR, letter()).send(served.address());
    assert!(told.last().starts_with("250 "), "{told:?}");
    wait_until("the end of it", &served, || spool_is_empty(&served));
    assert_eq!(count(&hop), ALL, "once each\n{}", served.log());
}

/// The second variant has no time left for its dot: it is owed, not sent late.
#[test]
fn no_dot_is_sent_too_late_for_its_answer() {
    let slow = Rule::on(Verb::Dot, [Act::Take, Act::Stall(Duration::from_secs(3))]).transaction(2);
    let hop = IllMannered::start(Script::smtp().rule(slow));
    let limits = [
        "answer_within_seconds = 6",
        "dot_time_seconds = 4",
        "dot_timeout_seconds = 30",
    ];
    let config = Config {
        next_hop: next_hop_lines(&hop, "smtp", &limits),
        ..config_for(&hop)
    };
    let mut served = start(&config);
    let told = Submission::new(&FOUR, letter()).send(served.address());
    assert!(
        told.last().starts_with("250 "),
        "{told:?}\n{}",
        served.log()
    );
    assert_eq!(count(&hop), FIRST);
    let late: &[Owed] = &[
        (BEN, "delivery", 451, false),
        (CLEO, "delivery", 451, false),
    ];
    assert_eq!(owed(&served), debts(late));
    served.kill();
    served.start_again(&Config {
        spool: eager(),
        ..config
    });
    wait_until("the end of it", &served, || spool_is_empty(&served));
    assert_eq!(count(&hop), ALL);
}
