//! Several variants of one owed message: what the next hop took of the first is noted before the second goes, so that neither a
//! kill nor a stop in the midst of the second sends the first again.

use crate::*;

/// The end of a relay while the next hop is silent behind the dot of the second variant.
fn ended(end: impl Fn(&mut Served)) {
    const ROUNDS: [&str; 3] = ["once", "twice", "thrice"];
    let silent = |script: Script, name| {
        let rule = Rule::on(Verb::Dot, [Act::Stop(name), Act::Close]);
        script.rule(rule.containing(BEN).times(1))
    };
    let script = ROUNDS.into_iter().fold(Script::smtp(), silent);
    let hop = IllMannered::start(script.clone());
    let address = hop.address().to_string();
    let quick = ["backoff_first_seconds = 1", "backoff_most_seconds = 1"];
    let config = Config {
        next_hop: next_hop_lines(&hop, "smtp", &quick),
        spool: eager(),
        tail: "[relay]\nwhen_next_hop_down = \"spool\"\n[server]\ndrain_seconds = 1".to_owned(),
        ..config_for(&hop)
    };
    drop(hop);
    let mut served = start(&config);
    let told = mixed().send(served.address());
    assert_told(&told, "250 2.0.0 Ok: queued as ", &served);
    let hop = IllMannered::start_on(&address, script);
    for round in ROUNDS {
        assert!(
            hop.wait_stopped(round, PATIENCE),
            "{round}: {:?}\n{}",
            hop.commands(),
            served.log()
        );
        end(&mut served);
        hop.go_on(round);
        served.start_again(&config);
    }
    wait_until("the end of what is owed", &served, || {
        spool_is_empty(&served)
    });
    assert_eq!(count(&hop), [1, 1, 1, 1], "{}", served.log());
    assert_own_variants(&hop, &letter());
    assert_eq!(reports(&hop), []);
}

#[test]
fn a_kill_behind_the_first_variant_does_not_send_it_again() {
    ended(Served::kill);
}

#[test]
fn a_stop_behind_the_first_variant_does_not_send_it_again() {
    ended(|served| {
        served.stop();
    });
}
