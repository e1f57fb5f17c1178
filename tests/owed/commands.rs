//! `pixelgate spool`, as an operator runs it: beside a relay and without one.

use crate::*;

/// One entry is owed, for BEN and CLEO.
fn scene(rule: Rule) -> (IllMannered, Served, Config) {
    let hop = IllMannered::start(Script::smtp().rule(rule));
    let config = config_for(&hop);
    let served = start(&config);
    assert_told(&mixed().send(served.address()), "250 ", &served);
    (hop, served, config)
}

#[test]
fn a_list_can_be_shown_to_anybody_and_an_entry_says_it_all() {
    let (_hop, mut served, _) = scene(later(1));
    for running in [true, false] {
        if !running {
            served.kill();
        }
        let id = ids(&served)[0].clone();
        let (code, out, err) = spool(&served, &["list"]);
        assert_eq!((code, err.as_str()), (0, ""));
        for word in [
            &id,
            "owed",
            "0 attempts",
            "next in",
            "2 recipients",
            "last answered 451 4.3.0",
        ] {
            assert!(out.contains(word), "{word}\n{out}");
        }
        let (_, json, _) = spool(&served, &["list", "--json"]);
        for text in [&out, &json] {
            assert!(!text.contains('@') && !text.contains("example"), "{text}");
        }
        let entry = &listed(&served)[0];
        assert_eq!(entry["state"], "owed");
        assert_eq!(entry["recipients"], 2);
        assert_eq!(entry["owed_copies"], 2);
        assert_eq!(entry["owed_reports"], 0);
        assert_eq!(entry["last_answers"][0], "451 4.3.0");
        let (code, out, _) = spool(&served, &["show", &id]);
        assert_eq!(code, 0);
        for word in [BEN, CLEO, SENDER, LATER, "is owed a copy", "came in at"] {
            assert!(out.contains(word), "{word}\n{out}");
        }
        assert!(!out.contains(ANNA) && !out.contains("Chestnut"), "{out}");
        let (_, out, _) = spool(&served, &["show", "--message", &id]);
        assert_eq!(out.as_bytes(), letter());
    }
    let (_, out, _) = spool(&served, &["list", "--help"]);
    assert!(out.contains("No address"), "{out}");
}

#[test]
fn tried_at_once_beside_a_relay() {
    let (hop, served, _) = scene(later(1));
    let id = ids(&served)[0].clone();
    let (code, out, err) = spool(&served, &["retry", &id]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("will be tried at once"), "{out}");
    assert_all_delivered(&hop, &served);
    let (code, out, _) = spool(&served, &["list"]);
    assert_eq!((code, out.as_str()), (0, "nothing lies in the spool\n"));
    let (code, _, err) = spool(&served, &["retry", &id]);
    assert_eq!(code, 65, "{err}");
    assert!(err.contains("no such entry"), "{err}");
    let (code, ..) = spool(&served, &["retry", "--all"]);
    assert_eq!(code, 0);
}

#[test]
fn tried_as_soon_as_a_relay_runs() {
    let (hop, mut served, config) = scene(later(1));
    served.kill();
    let (code, out, err) = spool(&served, &["retry", "--all"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("as soon as a relay runs"), "{out}");
    // Its own next time is an hour away.
    served.start_again(&config);
    assert_all_delivered(&hop, &served);
}

#[test]
fn dropped_only_when_it_is_meant_and_saved_first() {
    let (hop, mut served, _) = scene(later(1));
    let id = ids(&served)[0].clone();
    let (code, _, err) = spool(&served, &["drop", &id]);
    assert_eq!(code, 64, "{err}");
    assert!(
        err.contains("--yes") && err.contains("2 recipients"),
        "{err}"
    );
    let saved = served.directory().join("saved.eml");
    fs::write(&saved, "somebody's").unwrap();
    let save = saved.to_str().unwrap();
    let (code, _, err) = spool(&served, &["drop", "--yes", "--save", save, &id]);
    assert_eq!(code, 69, "over no other file: {err}");
    assert_eq!(ids(&served), std::slice::from_ref(&id));
    fs::remove_file(&saved).unwrap();
    let (code, _, err) = spool(&served, &["drop", "--yes", "--save", save, &id]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(fs::read(&saved).unwrap(), letter());
    assert!(spool_is_empty(&served));
    let (code, _, err) = spool(&served, &["drop", "--yes", &id]);
    assert_eq!(code, 65, "{err}");
    // And without a relay.
    assert_told(&mixed().send(served.address()), "250 ", &served);
    assert!(spool_is_empty(&served), "taken this time");
    served.kill();
    let (code, _, err) = spool(&served, &["drop", "--yes", &id]);
    assert_eq!(code, 65, "{err}");
    let before = count(&hop);
    assert_eq!(before, [2, 1, 1, 2]);
}

/// An entry that was given up begins anew when the operator says so.
#[test]
fn a_dead_entry_is_tried_again() {
    let refused = Rule::on(Verb::Rcpt, [Act::say("550 5.1.1 gone")]).containing(BEN);
    let no_report = Rule::on(Verb::Rcpt, [Act::say("550 5.1.1 nobody")]);
    let hop = IllMannered::start(
        Script::smtp()
            .rule(refused.transaction(3))
            .rule(no_report.containing(SENDER).times(1)),
    );
    let config = Config {
        spool: eager(),
        ..config_for(&hop)
    };
    let served = start(&config);
    assert_told(&mixed().send(served.address()), "250 ", &served);
    wait_until("its end", &served, || !dead(&served).is_empty());
    let entry = &listed(&served)[0];
    assert_eq!(entry["state"], "dead", "{entry}");
    assert!(
        entry["why"]
            .as_str()
            .unwrap()
            .contains("refused the failed DSN")
    );
    let id = entry["id"].as_str().unwrap().to_owned();
    let (_, out, _) = spool(&served, &["show", &id]);
    assert!(out.contains("its sender is owed a report"), "{out}");
    let (code, _, err) = spool(&served, &["retry", &id]);
    assert_eq!(code, 0, "{err}");
    wait_until("the report", &served, || spool_is_empty(&served));
    assert_eq!(reports(&hop).len(), 1);
}

/// Looking never gets into the way of a relay that starts, nor does a relay's end leave anything in hand.
#[test]
fn looking_and_starting_at_the_same_time() {
    let (_hop, mut served, config) = scene(later(1));
    for _ in 0..5 {
        served.kill();
        let looks: Vec<_> = thread::scope(|scope| {
            let look = || listed(&served)[0]["state"].as_str().unwrap().to_owned();
            let looks: Vec<_> = (0..3).map(|_| scope.spawn(look)).collect();
            looks.into_iter().map(|look| look.join().unwrap()).collect()
        });
        assert_eq!(looks, ["owed", "owed", "owed"]);
        served.start_again(&config);
    }
}
