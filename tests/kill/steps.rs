//! `kill -9` at each step of a mixed transaction: the truth table, which stands in `ARCHITECTURE.md` too.

use crate::*;

/// What the client does with the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// None has come when the relay dies: it comes again.
    Nothing,
    /// It was written; the client dies with it unread, or it is lost on the way: it comes again.
    Unread,
    /// It reads 250 and forgets the message.
    Read,
}

/// One row of the table.
struct Step {
    name: &'static str,
    script: Script,
    heard: Heard,
    /// Entries that lie `prepared` and `owed` when the relay dies.
    prepared: usize,
    owed: usize,
    /// Copies of the first and of the second variant at that moment.
    at_death: [usize; 2],
    /// And when nothing is owed any more.
    in_the_end: [usize; 2],
}

const STOP: &str = "here";

/// The next hop stops at this verb of this transaction.
fn stop(verb: Verb, transaction: usize) -> Script {
    acts(verb, transaction, vec![Act::Stop(STOP)])
}

fn acts(verb: Verb, transaction: usize, acts: Vec<Act>) -> Script {
    Script::smtp().rule(Rule::on(verb, acts).transaction(transaction).times(1))
}

/// Stops behind a dot, its message taken or not.
fn behind_dot(transaction: usize, taken: bool) -> Script {
    let rest = if taken { Act::Take } else { Act::Close };
    let stops = match taken {
        true => vec![rest, Act::Stop(STOP)],
        false => vec![Act::Stop(STOP), rest],
    };
    acts(Verb::Dot, transaction, stops)
}

/// Name, script, heard, (prepared, owed), copies at the death, copies in the end.
fn table() -> Vec<Step> {
    use Heard::{Nothing, Read, Unread};
    let later = || acts(Verb::Dot, 3, vec![Act::say("451 4.3.0 later")]);
    let perhaps = || acts(Verb::Dot, 3, vec![Act::Take, Act::Close]);
    let refused = || acts(Verb::Dot, 3, vec![Act::say("554 5.6.0 no")]);
    let polite = Script::smtp;
    let row = |name, script, heard, (prepared, owed), at_death, in_the_end| Step {
        name,
        script,
        heard,
        prepared,
        owed,
        at_death,
        in_the_end,
    };
    vec![
        row(
            "before the first dot",
            stop(Verb::Data, 2),
            Nothing,
            (1, 0),
            [0, 0],
            [1, 1],
        ),
        row(
            "first dot sent, not taken",
            behind_dot(2, false),
            Nothing,
            (1, 0),
            [0, 0],
            [1, 1],
        ),
        row(
            "first dot sent, taken, not answered",
            behind_dot(2, true),
            Nothing,
            (1, 0),
            [1, 0],
            [2, 1],
        ),
        row(
            "first answered",
            stop(Verb::Mail, 3),
            Nothing,
            (1, 0),
            [1, 0],
            [2, 1],
        ),
        row(
            "before the second dot",
            stop(Verb::Data, 3),
            Nothing,
            (1, 0),
            [1, 0],
            [2, 1],
        ),
        row(
            "second dot sent, not taken",
            behind_dot(3, false),
            Nothing,
            (1, 0),
            [1, 0],
            [2, 1],
        ),
        row(
            "second dot sent, taken, not answered",
            behind_dot(3, true),
            Nothing,
            (1, 0),
            [1, 1],
            [2, 2],
        ),
        row(
            "both answered, 250 unread",
            polite(),
            Unread,
            (0, 0),
            [1, 1],
            [2, 2],
        ),
        row(
            "both answered, 250 read",
            polite(),
            Read,
            (0, 0),
            [1, 1],
            [1, 1],
        ),
        row(
            "second 451, owed, 250 unread",
            later(),
            Unread,
            (0, 1),
            [1, 0],
            [2, 2],
        ),
        row(
            "second 451, owed, 250 read",
            later(),
            Read,
            (0, 1),
            [1, 0],
            [1, 1],
        ),
        row(
            "second lost behind its dot, owed, 250 unread",
            perhaps(),
            Unread,
            (0, 1),
            [1, 1],
            [2, 3],
        ),
        row(
            "second lost behind its dot, owed, 250 read",
            perhaps(),
            Read,
            (0, 1),
            [1, 1],
            [1, 2],
        ),
        row(
            "second 554, report owed, 250 read",
            refused(),
            Read,
            (0, 1),
            [1, 0],
            [1, 0],
        ),
    ]
}

#[test]
fn at_each_step_of_a_mixed_transaction() {
    run(table(), |step| step.name.to_owned(), Step::run);
}

/// Entries by kind, in files.
fn entries(served: &Served, kind: &str) -> usize {
    files(&served.directory().join("spool").join(kind)).len()
}

impl Step {
    fn run(&self) {
        let hop = IllMannered::start(self.script.clone());
        let config = patient(&hop);
        let mut served = start(&config);
        self.until_it_dies(&hop, &mut served);
        let log = served.log();
        let lies = [entries(&served, "prepared"), entries(&served, "owed")];
        assert_eq!(
            lies,
            [self.prepared, self.owed],
            "spool at the death\n{log}"
        );
        assert_eq!(variants(&hop), self.at_death, "copies at the death\n{log}");
        hop.go_on(STOP);

        die_and_come_again(&mut served, &config);
        assert_eq!(entries(&served, "prepared"), 0, "never answered, so gone");
        if self.heard != Heard::Read {
            mixed().retry(served.address());
        }
        wait_until("the end of what is owed", &served, || {
            spool_is_empty(&served)
        });
        assert_eq!(
            variants(&hop),
            self.in_the_end,
            "in the end\n{}",
            served.log()
        );
        assert_own_variants(&hop, &letter());
    }

    /// Up to the point of the table, then SIGKILL.
    fn until_it_dies(&self, hop: &IllMannered, served: &mut Served) {
        let address = served.address();
        match self.heard {
            Heard::Nothing => thread::scope(|scope| {
                let client = scope.spawn(move || mixed().attempt(address));
                assert!(hop.wait_stopped(STOP, PATIENCE), "{}", served.log());
                served.kill();
                assert_eq!(client.join().unwrap(), None, "no reply at all");
            }),
            Heard::Unread => {
                let mut told = Told::default();
                let (mut client, _) = mixed().until_data(address, &mut told).unwrap();
                client.send(&on_the_wire(&letter()));
                // Nothing of ours is still to be written then but the reply itself.
                wait_until("the outcome", served, || served.log().contains(" done "));
                thread::sleep(Duration::from_millis(100));
                served.kill();
            }
            Heard::Read => {
                let heard = mixed().attempt(address).unwrap();
                assert!(heard.starts_with("250 "), "{heard}\n{}", served.log());
                served.kill();
            }
        }
    }
}

/// Copies of each variant; its two people have as many as one another.
#[track_caller]
fn variants(hop: &IllMannered) -> [usize; 2] {
    let [anna, ben, cleo, dora] = count(hop);
    assert_eq!((anna, ben), (dora, cleo), "one variant, two people");
    [anna, ben]
}

/// What was owed when the relay died is decided anew when it lives again.
#[test]
fn a_withdrawal_while_the_relay_is_dead_is_obeyed() {
    let script = acts(Verb::Dot, 3, vec![Act::say("451 4.3.0 later")]);
    let hop = IllMannered::start(script);
    let config = patient(&hop);
    let mut served = start(&config);
    let heard = Submission::new(&[BEN, ANNA], letter()).attempt(served.address());
    assert!(heard.unwrap().starts_with("250 "));
    served.kill();
    consent(&served, ANNA, "withdrawn");
    die_and_come_again(&mut served, &config);
    wait_until("the end of what is owed", &served, || {
        spool_is_empty(&served)
    });
    let given = in_transit(&hop);
    let last = given.last().unwrap();
    assert_eq!(paths(&last.taken), [ANNA]);
    assert_stripped(&last.octets, &letter());
}

/// Killed again and again while it tries what it owes: the debt stays until it is paid.
#[test]
fn a_debt_survives_every_death() {
    let mut script = acts(Verb::Dot, 3, vec![Act::say("451 4.3.0 later")]);
    for transaction in 4..=6 {
        let stops = Rule::on(Verb::Data, [Act::Stop(STOP)]).transaction(transaction);
        script = script.rule(stops);
    }
    let hop = IllMannered::start(script);
    let config = Config {
        spool: eager(),
        ..patient(&hop)
    };
    let mut served = start(&config);
    assert!(
        mixed()
            .attempt(served.address())
            .unwrap()
            .starts_with("250 ")
    );
    for _ in 4..=6 {
        assert!(hop.wait_stopped(STOP, PATIENCE));
        assert_eq!(owed(&served).len(), 2);
        die_and_come_again(&mut served, &config);
    }
    hop.go_on(STOP);
    wait_until("the end of what is owed", &served, || {
        spool_is_empty(&served)
    });
    assert_eq!(variants(&hop), [1, 1]);
    assert_own_variants(&hop, &letter());
}
