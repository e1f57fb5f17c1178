//! Faults that are about several forward-paths of one transaction.

use crate::ill_mannered::{Act, IllMannered, Rule, Verb};
use crate::rule::BOTH;
use crate::*;

/// 421 after two of five RCPTs: the two who were accepted get their copies over another connection, the others are told that
/// the way failed, and nobody is owed anything.
#[test]
fn four_twenty_one_after_two_of_five() {
    const MORE: [&str; 3] = ["eve@five.example", "finn@six.example", "gus@seven.example"];
    for speaks in BOTH {
        let acts = [Act::say("421 4.3.2 bye"), Act::Close];
        let ill = Rule::on(Verb::Rcpt, acts).nth(3);
        let senders = BOTH.map(|client| {
            [
                format!("one-{}@news.example.com", word(client)),
                format!("two-{}@news.example.com", word(client)),
            ]
        });
        let script = senders
            .iter()
            .flatten()
            .fold(script(speaks), |script, sender| {
                script.rule(ill.clone().of(sender).transaction(1))
            });
        let hop = IllMannered::start(script);
        let relay = Relay::start(&hop, speaks, &[]);
        for (client, senders) in BOTH.into_iter().zip(&senders) {
            for (sender, first) in senders.iter().zip([[BEN, CLEO], [ANNA, BEN]]) {
                let everybody = [first.as_slice(), &MORE].concat();
                let told = send(&relay, client, sender, &everybody, letter());
                let place = format!("{client:?} to {speaks:?}, {sender}: {told:?}");
                assert!(
                    begin(
                        &told.rcpts,
                        &["250", "250", "451 4.4.", "451 4.4.", "451 4.4."]
                    ),
                    "{place}"
                );
                assert!(
                    told.dot.iter().all(|reply| reply.starts_with("250")),
                    "{place}"
                );
                let given = hop.transactions_from(sender);
                let taken: Vec<_> = given.iter().flat_map(|t| paths(&t.taken)).collect();
                assert_eq!(taken, first, "{place}");
            }
        }
        assert!(spool_is_empty(&relay.served));
    }
}
