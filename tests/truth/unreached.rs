//! A next hop that was never reached: told at the greeting, to either client; nothing is given, nothing is owed.

use crate::ill_mannered::{IllMannered, Rule, Verb};
use crate::rule::{BOTH, MANNERS, Meaning, Step, meaning};
use crate::*;

#[test]
fn never_reached_is_said_at_the_greeting() {
    let mut all = Vec::new();
    for hop in BOTH {
        for step in [Step::Greeting, Step::Hello] {
            for manner in MANNERS {
                all.push((hop, step, manner));
            }
        }
    }
    let wrong = at_once(8, &all, |&(speaks, step, manner)| {
        let verb = match step {
            Step::Greeting => Verb::Connect,
            _ => Verb::Ehlo,
        };
        let rule = Rule::on(verb, cells::acts(step, manner));
        let hop = IllMannered::start(script(speaks).rule(rule));
        let relay = Relay::start(&hop, speaks, &[]);
        let expected = match meaning(step, manner, speaks) {
            Meaning::Well => "220 ",
            _ => "421 4.3.2 ",
        };
        let told = BOTH.map(|client| greeting(&relay, client));
        let right = told.iter().all(|told| told.starts_with(expected))
            && hop.transactions().is_empty()
            && spool_is_empty(&relay.served);
        (!right).then(|| format!("{speaks:?} {step:?} {manner:?}: {told:?}"))
    });
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Nobody listens; and one of us listens, which would be a loop.
#[test]
fn nobody_there_and_a_loop() {
    for speaks in BOTH {
        let hop = IllMannered::start_on("127.0.0.3:0", script(speaks));
        let relay = Relay::start(&hop, speaks, &[]);
        for client in BOTH {
            let told = send(&relay, client, "well@news.example.com", &FOUR, letter());
            assert!(told.last().starts_with("250"), "{told:?}");
        }
        drop(hop);
        for client in BOTH {
            let told = send(&relay, client, "gone@news.example.com", &FOUR, letter());
            assert!(told.mail.starts_with("451 4.4.1 "), "{told:?}");
        }
        assert!(spool_is_empty(&relay.served));

        let ours = IllMannered::start(script(speaks).also("XPIXELGATE"));
        let relay = Relay::start(&ours, speaks, &[]);
        for client in BOTH {
            assert!(greeting(&relay, client).starts_with("421 4.3.2 "));
        }
        assert_eq!(ours.transactions(), []);
    }
}
