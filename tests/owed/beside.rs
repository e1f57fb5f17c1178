//! New mail goes first: what is owed never takes the connections it needs.

use crate::*;

/// Six entries are owed to a next hop that takes its time with each; two connections are all there are. The seventh message
/// is new, and is served while the others wait.
#[test]
fn much_that_is_owed_to_a_slow_next_hop_does_not_keep_new_mail_waiting() {
    const ENTRIES: usize = 6;
    let slow = Rule::on(Verb::Dot, [Act::Stop("slow")]).containing(BEN);
    let hop = IllMannered::start(Script::smtp().rule(later(ENTRIES)).rule(slow));
    let limits = [
        "max_connections = 2",
        "dot_timeout_seconds = 60",
        "connection_wait_seconds = 3",
    ];
    let config = Config {
        next_hop: next_hop_lines(&hop, "smtp", &limits),
        spool: [sleepy(), vec!["connections = 8".to_owned()]].concat(),
        ..config_for(&hop)
    };
    let mut served = start(&config);
    for _ in 0..ENTRIES {
        assert_told(&mixed().send(served.address()), "250 ", &served);
    }
    assert_eq!(listed(&served).len(), ENTRIES);
    served.kill();
    served.start_again(&Config {
        spool: eager_and(&["connections = 8"]),
        ..config.clone()
    });
    assert!(hop.wait_stopped("slow", PATIENCE), "{}", served.log());
    // Whoever else would want a connection has had the time to take it.
    sleep(Duration::from_millis(500));
    for fresh in 0..3 {
        let told = Submission::new(&GRANTED, letter()).send(served.address());
        assert_told(&told, "250 ", &served);
        let before = ENTRIES + 1 + fresh;
        assert_eq!(copies(&hop, ANNA), before, "it did not wait for the owed");
    }
    assert_eq!(copies(&hop, BEN), 1, "which are still on their way");
    // The operator is heard meanwhile, and what is being delivered is left alone.
    let entries = listed(&served);
    let in_state = |state: &str| -> Vec<String> {
        let chosen = entries.iter().filter(|entry| entry["state"] == state);
        chosen
            .map(|entry| entry["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let (in_hand, waiting) = (in_state("in_hand"), in_state("owed"));
    assert_eq!(
        (in_hand.len(), waiting.len()),
        (1, ENTRIES - 1),
        "{entries:?}"
    );
    let (code, _, err) = spool(&served, &["drop", "--yes", &in_hand[0]]);
    assert_eq!(code, 75, "{err}");
    assert!(err.contains("being delivered"), "{err}");
    let (code, out, err) = spool(&served, &["drop", "--yes", &waiting[0]]);
    assert_eq!((code, out.contains("dropped")), (0, true), "{out}{err}");
    hop.go_on("slow");
    wait_until("the end of what is owed", &served, || {
        spool_is_empty(&served)
    });
    assert_eq!(copies(&hop, BEN), ENTRIES - 1);
    assert!(hop.most_open() <= 2, "max_connections");
    assert_own_variants(&hop, &letter());
}

/// One entry that takes long holds up no other.
#[test]
fn what_is_owed_does_not_wait_for_the_slowest_of_it() {
    let slow = Rule::on(Verb::Dot, [Act::Stop("slow")]).containing(BEN);
    let script = Script::smtp()
        .rule(later(1))
        .rule(
            Rule::on(Verb::Dot, [Act::say(LATER)])
                .containing(CLEO)
                .times(3),
        )
        .rule(slow.times(1));
    let hop = IllMannered::start(script);
    let config = Config {
        next_hop: next_hop_lines(&hop, "smtp", &["dot_timeout_seconds = 60"]),
        ..config_for(&hop)
    };
    let mut served = start(&config);
    let to = |address: &str| Submission::new(&[ANNA, address], letter());
    for address in [BEN, CLEO, CLEO, CLEO] {
        assert_told(&to(address).send(served.address()), "250 ", &served);
    }
    served.kill();
    served.start_again(&Config {
        spool: eager_and(&["connections = 2"]),
        ..config
    });
    assert!(hop.wait_stopped("slow", PATIENCE), "{}", served.log());
    wait_until("the others", &served, || copies(&hop, CLEO) == 3);
    hop.go_on("slow");
    wait_until("the end of what is owed", &served, || {
        spool_is_empty(&served)
    });
}
