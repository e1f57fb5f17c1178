//! `pixelgate learn`, `strip --learned`, and who does not teach.

use std::fs;
use std::process::Output;

use crate::ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use crate::support::{Config, Served};
use crate::traffic::*;
use crate::{SPACER, message, spacer};

fn sent(served: &Served, hop: &IllMannered) {
    for person in 0..25 {
        let address = format!("reader{person}@example.net");
        let own = format!(
            "{}<img src=\"https://o.shop.example/v/{person}.gif\" style=\"display:none\">",
            spacer()
        );
        let told = Submission::new(&[&address], message(person, &own)).send(served.address());
        assert_eq!(told.last(), "250 2.0.0 taken", "{}", served.log());
    }
    assert_eq!(hop.taken().len(), 25);
}

#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_table_is_shown_and_carried() {
    let hop = IllMannered::start(Script::smtp());
    let config = config_for(&hop);
    let mut served = Served::start(&config);
    sent(&served, &hop);
    let exported = served.directory().join("learned").display().to_string();
    let first = served.directory().join("first.eml");
    fs::write(&first, message(900, &spacer())).unwrap();
    let first = first.display().to_string();

    // Beside the relay: what it last wrote, which is nothing yet.
    assert!(said(&pixelgate(&served, &["learn", "report"])).starts_with("0 slots"));
    served.stop();
    let report = said(&pixelgate(&served, &["learn", "report"]));
    assert!(report.starts_with("2 slots"), "{report}");
    assert!(
        report.contains("1 with a URL that is everybody's"),
        "{report}"
    );
    assert!(
        report.contains("1 where nearly everybody has a URL of their own"),
        "{report}"
    );
    assert!(
        !report.contains("shop.example"),
        "no host is kept: {report}"
    );
    let report = said(&pixelgate(&served, &["learn", "report", &first]));
    assert!(
        report.starts_with("shared: img https://i.shop.example/s/line.gif"),
        "{report}"
    );
    assert!(said(&pixelgate(&served, &["learn", "export", &exported])).starts_with("2 slots"));

    // `strip` knows nothing but what it is given, and teaches nothing.
    let strip = |more: &[&str]| {
        let arguments = [&["strip", "--to", CLEO, first.as_str()], more].concat();
        said(&pixelgate(&served, &arguments)).contains(SPACER)
    };
    let table = fs::read(served.directory().join("var/learn/table")).unwrap();
    assert!(!strip(&[]));
    assert!(strip(&["--learned", &exported]));
    assert_eq!(
        fs::read(served.directory().join("var/learn/table")).unwrap(),
        table
    );

    // Elsewhere.
    let (elsewhere, other) = (IllMannered::start(Script::smtp()), config.clone());
    let mut there = Served::start(&Config {
        next_hop: config_for(&elsewhere).next_hop,
        ..other
    });
    let busy = pixelgate(&there, &["learn", "import", &exported]);
    assert_eq!(busy.status.code(), Some(75), "{busy:?}");
    there.stop();
    assert!(said(&pixelgate(&there, &["learn", "import", &exported])).starts_with("2 slots"));
    let report = said(&pixelgate(&there, &["learn", "report", &first]));
    assert!(report.starts_with("shared"), "{report}");
    let wrong = pixelgate(&there, &["learn", "import", &first]);
    assert_eq!(wrong.status.code(), Some(65), "{wrong:?}");
    let gone = pixelgate(
        &there,
        &["strip", "--to", CLEO, "--learned", "nowhere", &first],
    );
    assert_eq!(gone.status.code(), Some(65), "{gone:?}");
}

/// The slots of which something is known once such a relay has ended.
fn known_after(tail: &str, send: impl FnOnce(&Served, &IllMannered)) -> String {
    let hop = IllMannered::start(Script::smtp());
    let config = Config {
        tail: tail.to_owned(),
        ..config_for(&hop)
    };
    let mut served = Served::start(&config);
    send(&served, &hop);
    served.stop();
    let report = said(&pixelgate(&served, &["learn", "report"]));
    report.split(' ').next().unwrap().to_owned()
}

#[test]
fn only_mail_that_somebody_got_teaches() {
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 5);
    let until = until.to_zoned(jiff::tz::TimeZone::UTC).date();
    let shadow = format!(
        "[[stream]]\nname = \"news\"\ncontroller = \"shop\"\nkind = \"marketing\"\nwithdrawal_link = {{ elsewhere = \"in the account\" }}\nenforcement = {{ shadow_until = {until}, by = \"Ada\" }}\n"
    );
    assert_eq!(known_after(&shadow, sent), "0", "mail that is looked on at");
    assert_eq!(known_after("[learn]\nenabled = false\n", sent), "0");
    let bounces = |served: &Served, _: &IllMannered| {
        let bounce = Submission {
            mail: "<>".to_owned(),
            ..Submission::new(&[CLEO], message(1, &spacer()))
        };
        assert_eq!(bounce.send(served.address()).last(), "250 2.0.0 taken");
    };
    assert_eq!(known_after("", bounces), "0", "null reverse-path");
    let refused = Script::smtp().at(Verb::Dot, [Act::say("554 5.7.1 no")]);
    let hop = IllMannered::start(refused);
    let mut served = Served::start(&config_for(&hop));
    let told = Submission::new(&[CLEO], message(1, &spacer())).send(served.address());
    assert!(told.last().starts_with("554"), "{told:?}");
    served.stop();
    let report = said(&pixelgate(&served, &["learn", "report"]));
    assert!(report.starts_with("0 slots"), "refused: {report}");
    assert_eq!(known_after("", sent), "2", "and this does");
}

#[test]
fn a_relay_that_is_killed_forgets_no_more_than_what_was_not_written_yet() {
    let hop = IllMannered::start(Script::smtp());
    let config = Config {
        tail: "[learn]\nsnapshot_seconds = 1\n".to_owned(),
        ..config_for(&hop)
    };
    let mut served = Served::start(&config);
    sent(&served, &hop);
    // Read beside the relay that writes it.
    let shared = "1 with a URL that is everybody's";
    let report = |served: &Served| said(&pixelgate(served, &["learn", "report"]));
    wait_until("the table on the disk", &served, || {
        report(&served).contains(shared)
    });
    served.kill();
    served.start_again(&config);
    let told = Submission::new(&[CLEO], message(1_000, &spacer())).send(served.address());
    assert_eq!(told.last(), "250 2.0.0 taken", "{}", served.log());
    let copy = hop.taken().pop().expect("a copy");
    assert!(contains(&copy.octets, SPACER.as_bytes()));
}

#[test]
fn people_count_who_got_it() {
    // Over LMTP each is answered for themselves: BEN's copy is refused at its dot.
    let refused = Rule::on(Verb::Dot, [Act::say("550 5.2.1 gone")]).containing(BEN);
    let hop = IllMannered::start(Script::lmtp().rule(refused));
    let mut served = Served::start(&Config {
        next_hop: next_hop_lines(&hop, "lmtp", &[]),
        listener: vec!["protocol = \"lmtp\"".to_owned()],
        ..config_for(&hop)
    });
    let submission = Submission {
        lmtp: true,
        ..Submission::new(&[BEN, CLEO, DORA], message(1, &spacer()))
    };
    let told = submission.send(served.address());
    let taken = told.dot.iter().filter(|reply| reply.starts_with("250"));
    assert_eq!(taken.count(), 2, "{told:?}");
    let file = served.directory().join("first.eml");
    fs::write(&file, message(1, &spacer())).unwrap();
    served.stop();
    let report = said(&pixelgate(
        &served,
        &["learn", "report", &file.display().to_string()],
    ));
    assert!(report.contains("about 2 people"), "{report}");
}
