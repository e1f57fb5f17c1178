//! A disk that fails in the midst of a real transaction: no failed fsync, rename or write ends in a 250 for what is
//! neither taken nor on the disk.

use std::process::Command;

use crate::tracer::{Tracer, joined};
use crate::*;

/// A call of the spool, in the midst of a transaction.
struct Call {
    name: &'static str,
    /// The nth of this name that one thread makes: writing ahead is one task on one thread, noting what is owed another.
    nth: usize,
    /// Whether it belongs to what is owed; then strace comes when the next hop stands behind the second dot.
    behind: bool,
    /// Which file or directory it is about.
    place: &'static str,
}

const HERE: &str = "here";

/// BEN and CLEO are owed theirs, once the next hop is told to go on.
fn owing() -> Script {
    let later = [Act::Stop(HERE), Act::say("451 4.3.0 later")];
    Script::smtp().rule(Rule::on(Verb::Dot, later).containing(BEN).times(1))
}

/// 250 only where each has a copy or lies in a whole entry.
#[track_caller]
fn assert_true_reply(told: &Told, hop: &IllMannered, served: &Served, context: &str) {
    let last = told.last();
    if !last.starts_with("250 ") {
        assert!(last.starts_with('4'), "{told:?}\n{context}");
        return;
    }
    let owed = owed(served);
    for address in FOUR {
        let is_owed = owed.iter().any(|debt| debt.to == address);
        assert!(
            copies(hop, address) > 0 || is_owed,
            "250, but {address} has nothing\n{context}"
        );
    }
}

#[test]
#[ignore = "needs strace"]
fn a_failed_call_is_never_a_250() {
    let call = |name, nth, behind, place| Call {
        name,
        nth,
        behind,
        place,
    };
    let calls = vec![
        call("fsync", 1, false, "messages/"),
        call("fsync", 2, false, "messages>"),
        call("fsync", 3, false, "prepared/"),
        call("rename", 1, false, "prepared/"),
        call("fsync", 4, false, "prepared>"),
        call("fsync", 1, true, "owed/"),
        call("rename", 1, true, "owed/"),
        call("fsync", 2, true, "owed>"),
    ];
    let name = |call: &Call| format!("{} {}", call.name, call.place);
    run(calls, name, Call::fail);
}

impl Call {
    fn attach(&self, served: &Served) -> Tracer {
        let trace = format!("trace={}", self.name);
        let inject = format!("inject={}:error=EIO:when={}", self.name, self.nth);
        Tracer::attach(served, &["-e", &trace, "-e", &inject])
    }

    fn fail(&self) {
        let hop = IllMannered::start(owing());
        let config = patient(&hop);
        let mut served = start(&config);
        let address = served.address();
        let (told, tracer) = thread::scope(|scope| {
            let ahead = (!self.behind).then(|| self.attach(&served));
            let client = scope.spawn(move || mixed().send(address));
            let behind = self.behind.then(|| {
                assert!(hop.wait_stopped(HERE, PATIENCE));
                self.attach(&served)
            });
            hop.go_on(HERE);
            (client.join().unwrap(), ahead.or(behind).unwrap())
        });
        let (dots, taken) = (hop.transactions().len(), count(&hop));
        let trace = tracer.trace();
        let context = format!("{told:?}\n{trace}\n{}", served.log());
        let lines = joined(&trace);
        let failed = lines.iter().find(|line| line.contains("(INJECTED)"));
        let place = format!("/spool/{}", self.place);
        assert!(
            failed.is_some_and(|line| line.contains(&place)),
            "{context}"
        );
        assert!(told.last().starts_with("451 4.3.1 "), "{context}");
        match self.behind {
            true => assert_eq!(taken, [1, 0, 0, 1], "{context}"),
            false => assert_eq!(dots, 0, "not written ahead, and sent\n{context}"),
        }
        assert_true_reply(&told, &hop, &served, &context);
        // The client keeps it, so nothing of it may come back; it comes again, and all is well.
        die_and_come_again(&mut served, &config);
        assert!(spool_is_empty(&served), "{context}");
        mixed().retry(served.address());
        wait_until("the end of what is owed", &served, || {
            spool_is_empty(&served)
        });
        let copies = count(&hop);
        assert!(copies.iter().all(|n| (1..=2).contains(n)), "{context}");
        assert_own_variants(&hop, &letter());
    }
}

/// A relay that meets a limit on the size of files with an error, as it would a full disk, and not with a signal.
fn on_a_small_disk(hop: &IllMannered) -> Config {
    let under = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];
    Config {
        under: under.map(str::to_owned).to_vec(),
        ..patient(hop)
    }
}

/// From now on no file of the relay grows beyond this.
fn limit_files(served: &Served, octets: &str) {
    let status = Command::new("prlimit")
        .args([
            &format!("--fsize={octets}:unlimited"),
            "--pid",
            &served.pid().to_string(),
        ])
        .status();
    assert!(status.expect("prlimit").success());
}

/// Two people over LMTP: written ahead although there is one variant, and although a ledger on the same disk takes nothing.
fn over_lmtp(hop: &IllMannered) -> Config {
    let config = on_a_small_disk(hop);
    let next_hop = config.next_hop.join("\n").replace("\"smtp\"", "\"lmtp\"");
    Config {
        next_hop: vec![next_hop],
        ..config
    }
}

/// The reply to [`UNKNOWN`]'s transaction; at the stop no file may grow beyond `octets` any more.
fn with_files_limited(hop: &IllMannered, served: &Served, octets: &str) -> Option<String> {
    let address = served.address();
    thread::scope(|scope| {
        let client = scope.spawn(move || Submission::new(&UNKNOWN, letter()).attempt(address));
        assert!(hop.wait_stopped("here", PATIENCE), "{}", served.log());
        limit_files(served, octets);
        hop.go_on("here");
        client.join().unwrap()
    })
}

#[test]
fn a_write_that_fails_before_the_first_dot_sends_nothing() {
    // Nothing fits; a part of the message; the message, but not the envelope behind it.
    let message = letter().len().to_string();
    for octets in ["0", "300", &message] {
        let stop = Rule::on(Verb::Rcpt, [Act::Stop("here")]).nth(2).times(1);
        let hop = IllMannered::start(Script::lmtp().rule(stop));
        let config = over_lmtp(&hop);
        let mut served = start(&config);
        let reply = with_files_limited(&hop, &served, octets).unwrap();
        let log = served.log();
        assert!(reply.starts_with("451 4.3.1 "), "{octets}: {reply}\n{log}");
        assert_eq!(hop.transactions(), [], "{octets}: something was sent");
        assert!(spool_is_empty(&served), "{octets}: something was left");
        die_and_come_again(&mut served, &config);
        assert_eq!(hop.transactions(), [], "{octets}: something came back");
    }
}

#[test]
fn a_write_that_fails_behind_the_dot_is_no_250() {
    let later = [Act::Stop("here"), Act::say("451 4.3.0 later")];
    let stop = Rule::on(Verb::Dot, later).containing(CLEO).times(1);
    let hop = IllMannered::start(Script::lmtp().rule(stop));
    let config = over_lmtp(&hop);
    let mut served = start(&config);
    let reply = with_files_limited(&hop, &served, "300").unwrap();

    let log = served.log();
    assert!(reply.starts_with("451 4.3.1 "), "{reply}\n{log}");
    assert_eq!(count(&hop), [0, 1, 0, 0]);
    assert!(
        spool_is_empty(&served),
        "what was answered 451 is the client's"
    );
    die_and_come_again(&mut served, &config);
    Submission::new(&UNKNOWN, letter()).retry(served.address());
    assert_eq!(count(&hop), [0, 2, 1, 0]);
}
