//! `kill -9` at the entry of each system call that a mixed transaction makes on disk and wire, under strace. Whatever the
//! call was: every forward-path gets its own variant, at least once and at most twice, and what was answered 250 is not
//! lost even to a client that forgets it at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::tracer::Tracer;
use crate::*;

/// More calls of one kind than one thread makes.
const CALLS: usize = 24;

/// How often each call killed, and whether it ever did not: then all of them were tried.
#[derive(Default)]
struct Tried {
    kills: AtomicUsize,
    survived: AtomicUsize,
}

fn killed_at(call: &'static str, n: usize, tried: &Tried) {
    let script = Script::smtp().rule(
        Rule::on(Verb::Dot, [Act::say("451 4.3.0 later")])
            .containing(BEN)
            .times(1),
    );
    let hop = IllMannered::start(script);
    let config = config_for(&hop);
    let mut served = start(&config);
    let inject = format!("inject={call}:signal=KILL:when={n}");
    let options = ["-e", &format!("trace={call}"), "-e", &inject];
    let tracer = Tracer::attach(&served, &options);
    let heard = mixed().attempt(served.address());
    // It may also be killed just behind its reply.
    thread::sleep(Duration::from_millis(100));
    let died = served.has_ended();
    served.kill();
    let trace = tracer.trace();
    let counter = if died { &tried.kills } else { &tried.survived };
    counter.fetch_add(1, Ordering::SeqCst);

    die_and_come_again(&mut served, &config);
    let context = format!("{call} {n}: heard {heard:?}\n{trace}\n{}", served.log());
    if !heard.is_some_and(|reply| reply.starts_with("250 ")) {
        mixed().retry(served.address());
    }
    wait_until("the end of what is owed", &served, || {
        spool_is_empty(&served)
    });
    for (address, copies) in FOUR.iter().zip(count(&hop)) {
        assert!((1..=2).contains(&copies), "{address}: {copies}\n{context}");
    }
    assert_own_variants(&hop, &letter());
}

#[test]
#[ignore = "needs strace"]
fn killed_at_any_call_nobody_loses_a_message() {
    for (call, at_least) in [
        ("fsync", 3),
        ("rename", 1),
        ("unlink", 1),
        ("sendto", 1),
        ("writev", 1),
        ("openat", 4),
    ] {
        let tried = Tried::default();
        let cases: Vec<usize> = (1..=CALLS).collect();
        let mut survived = 0;
        // In rounds: when a whole round kills nothing, no thread makes that many of these calls.
        for round in cases.chunks(AT_ONCE) {
            let round: Vec<_> = round.iter().map(|n| (call, *n, &tried)).collect();
            let before = tried.kills.load(Ordering::SeqCst);
            run(
                round,
                |(call, n, _)| format!("{call} {n}"),
                |(call, n, tried)| killed_at(call, *n, tried),
            );
            if tried.kills.load(Ordering::SeqCst) == before {
                survived += 1;
                break;
            }
        }
        let kills = tried.kills.load(Ordering::SeqCst);
        assert!(kills >= at_least, "{call}: killed only {kills} times");
        assert_eq!(survived, 1, "{call}: more calls than expected");
    }
}
