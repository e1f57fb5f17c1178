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
    name: String,
    heard: Heard,
    /// Entries that lie `prepared` and `owed` when the relay dies.
    prepared: usize,
    owed: usize,
    /// Copies of the first and of the second variant at that moment.
    at_death: [usize; 2],
    /// And when nothing is owed any more.
    in_the_end: [usize; 2],
    /// Failed DSNs to the reverse-path.
    reports: usize,
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

/// What the next hop does in the row of this name.
fn script(name: &str) -> Script {
    let second = |acts_at_dot| acts(Verb::Dot, 3, acts_at_dot);
    let (step, _) = name.rsplit_once(", 250 ").unwrap_or((name, ""));
    match step {
        "before the first dot" => stop(Verb::Data, 2),
        "first dot sent, not taken" => behind_dot(2, false),
        "first dot sent, taken, not answered" => behind_dot(2, true),
        "first answered" => stop(Verb::Mail, 3),
        "before the second dot" => stop(Verb::Data, 3),
        "second dot sent, not taken" => behind_dot(3, false),
        "second dot sent, taken, not answered" => behind_dot(3, true),
        "both answered" => Script::smtp(),
        "second 451" => second(vec![Act::say("451 4.3.0 later")]),
        "second lost behind its dot (taken)" => second(vec![Act::Take, Act::Close]),
        "second 554" => second(vec![Act::say("554 5.6.0 no")]),
        _ => panic!("no script for `{name}`"),
    }
}

/// The table of `ARCHITECTURE.md`, as it stands there: what it says is what is tested.
fn table() -> Vec<Step> {
    let text = include_str!("../../ARCHITECTURE.md");
    let header = text.find("| killed | in the spool |").expect("the table");
    let rows = text[header..].lines().skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(Step::read)
        .collect()
}

/// The numbers of `1, 0 and a DSN`.
fn numbers(cell: &str) -> [usize; 2] {
    let digits: Vec<_> = cell.chars().filter_map(|c| c.to_digit(10)).collect();
    [digits[0] as usize, digits[1] as usize]
}

#[test]
fn the_table_is_whole() {
    let table = table();
    assert_eq!(table.len(), 14);
    for heard in [Heard::Nothing, Heard::Unread, Heard::Read] {
        assert!(table.iter().any(|step| step.heard == heard));
    }
}

#[test]
fn at_each_step_of_a_mixed_transaction() {
    run(table(), |step| step.name.clone(), Step::run);
}

/// Entries by kind, in files.
fn entries(served: &Served, kind: &str) -> usize {
    files(&served.directory().join("spool").join(kind)).len()
}

impl Step {
    fn read(line: &str) -> Self {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, spool, client, at_death, in_the_end, _] = cells[..] else {
            panic!("five cells: {line}");
        };
        let heard = match client {
            "forgets it" => Heard::Read,
            "comes again" if name.ends_with("250 not read") => Heard::Unread,
            "comes again" => Heard::Nothing,
            _ => panic!("the client: {line}"),
        };
        let (prepared, owed) = match spool.split([',', ':']).next() {
            Some("nothing") => (0, 0),
            Some("prepared") => (1, 0),
            Some("owed") => (0, 1),
            _ => panic!("the spool: {line}"),
        };
        Self {
            name: name.to_owned(),
            heard,
            prepared,
            owed,
            at_death: numbers(at_death),
            in_the_end: numbers(in_the_end),
            reports: usize::from(in_the_end.ends_with("a DSN")),
        }
    }

    fn run(&self) {
        let hop = IllMannered::start(script(&self.name));
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
        assert_eq!(reports(&hop).len(), self.reports);
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
