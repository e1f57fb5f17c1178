//! `pixelgate why`: one person's answer, whatever happened to their mail.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fixture::send;
use crate::ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use crate::printed::{failed, golden, json, printed};
use crate::scene::{KNOWN, NADIA, OTTO, Scene, TINY, letter, letter_with, pixel, stream, tracker};
use crate::support::Config;

const A: &str = "campaign_performance";
const CLICK: &str = "click.news.example";

/// The ESP's pixel is declared, the other is nobody's.
fn scene() -> Scene {
    Scene::start(&stream("letters", "marketing", &tracker(&[CLICK], &[A])))
}

fn both() -> Vec<u8> {
    letter_with("", &format!("{}\r\n{}", pixel(KNOWN), pixel(TINY)))
}

fn why(scene: &Scene, address: &str) -> Value {
    json(scene, &["why", "--to", address])
}

/// Another recipient's subject, as the ledger writes it.
fn subjects(scene: &Scene) -> Vec<String> {
    let groups = scene
        .lines("intent")
        .into_iter()
        .flat_map(|intent| intent["groups"].as_array().unwrap().clone());
    groups
        .flat_map(|group| group["subjects"].as_array().unwrap().clone())
        .map(|subject| subject.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_declared_tracker_stays_and_an_undeclared_one_goes() {
    let scene = scene();
    scene.grant(NADIA, &[A]);
    let told = scene.deliver(&[OTTO, NADIA], &both());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);

    let text = printed(&scene, &["why", "--to", NADIA]);
    golden("why_granted.txt", &text, &scene);
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    assert!(text.lines().count() <= 40, "one screen:\n{text}");
    let text = printed(&scene, &["why", "--to", OTTO]);
    golden("why_unknown_consent.txt", &text, &scene);

    let told = why(&scene, NADIA);
    let attempt = &told["messages"][0]["attempts"][0];
    let decided: Vec<(&str, &str)> = attempt["trackers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tracker| {
            (
                tracker["host"].as_str().unwrap(),
                tracker["decided"]["action"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(decided, [(CLICK, "kept"), ("t.example.net", "stripped")]);
    assert_eq!(attempt["trackers"][0]["vendor"], "Twilio SendGrid");
    let record = attempt["trackers"][0]["decided"]["records"][0]
        .as_str()
        .unwrap();
    let person = told["people"]
        .as_array()
        .unwrap()
        .iter()
        .find(|person| person["controller"] == "bakery")
        .unwrap();
    assert_eq!(person["records"][record]["change"]["channel"], "form");
    // Neither answer knows a subject; the other's least of all.
    let known = subjects(&scene);
    assert_eq!(known.len(), 2);
    for (address, arguments) in [
        (NADIA, "text"),
        (NADIA, "json"),
        (OTTO, "text"),
        (OTTO, "json"),
    ] {
        let text = printed(&scene, &["why", "--to", address, "--format", arguments]);
        assert!(
            known.iter().all(|subject| !text.contains(subject.as_str())),
            "{text}"
        );
    }
    scene.finish();
}

#[test]
fn a_withdrawal_that_came_later_is_told() {
    let scene = scene();
    scene.grant(NADIA, &[A]);
    scene.deliver(&[NADIA], &letter());
    assert!(!printed(&scene, &["why", "--to", NADIA]).contains("LATER"));
    scene.consent(&[
        "set",
        "--controller",
        "bakery",
        "--to",
        NADIA,
        "--state",
        "withdrawn",
    ]);
    let text = printed(&scene, &["why", "--to", NADIA]);
    golden("why_withdrawn_later.txt", &text, &scene);
    assert!(
        text.contains("LATER") && text.contains("took the consent back"),
        "{text}"
    );
    // What was decided after it rests on it.
    scene.deliver(&[NADIA], &letter());
    let told = why(&scene, NADIA);
    let newest = &told["messages"][0]["attempts"][0]["trackers"][0]["decided"];
    assert_eq!(
        (&newest["reason"], &newest["later"]),
        (&"withdrawn".into(), &Value::Null)
    );
    scene.finish();
}

/// However the address is written, and whoever else is asked about.
#[test]
fn a_person_is_found_however_the_address_is_written() {
    let scene = scene();
    scene.deliver(&[NADIA], &letter());
    for same in [
        NADIA,
        "Nadia.SECRETOVA@People-Of.EXAMPLE",
        "\"nadia.secretova\"@people-of.example",
    ] {
        assert_eq!(
            why(&scene, same)["messages"].as_array().unwrap().len(),
            1,
            "{same}"
        );
    }
    let stranger = ["why", "--to", "nobody@people-of.example"];
    let text = printed(&scene, &stranger);
    golden("why_nobody.txt", &text, &scene);
    assert!(
        text.contains("No message") && text.contains("bakery"),
        "{text}"
    );
    for (wrong, code) in [
        (vec!["why", "--to", "no address"], 65),
        (vec!["why", "--to", "a@x, b@x"], 65),
        (vec!["why", "--to", NADIA, "--message-id", "<>"], 65),
        (vec!["why", "--to", NADIA, "--day", "yesterday"], 64),
        (vec!["why"], 64),
        (vec!["why", "--to", NADIA, "--ledger", "nowhere"], 69),
    ] {
        let (exit, said) = failed(&scene, &wrong);
        assert_eq!(exit, code, "{wrong:?}: {said}");
        assert!(!said.contains("secretova") || code == 64, "{said}");
    }
    scene.finish();
}

/// A Message-ID is found as it was written and without its brackets, also where the field was folded.
#[test]
fn a_message_is_found_by_its_id() {
    let scene = scene();
    scene.deliver(&[NADIA], &letter());
    let folded = String::from_utf8(letter()).unwrap();
    let folded = folded.replace(
        "Message-ID: <letter-4711@news.example>",
        "Message-ID:\r\n <other-4712@news.example>",
    );
    scene.deliver(&[NADIA], folded.as_bytes());
    let count = |id: &str| {
        let told = json(&scene, &["why", "--to", NADIA, "--message-id", id]);
        told["messages"].as_array().unwrap().len()
    };
    for id in [
        "other-4712@news.example",
        "<other-4712@news.example>",
        " <other-4712@news.example>",
    ] {
        assert_eq!(count(id), 1, "{id}");
    }
    assert_eq!(
        (
            count("letter-4711@news.example"),
            count("4711@news.example")
        ),
        (1, 0)
    );
    scene.finish();
}

#[test]
fn the_newest_twenty_are_shown() {
    let scene = scene();
    for _ in 0..22 {
        send(&scene.served, "<letter@news.example>", &[NADIA], &letter());
    }
    let told = why(&scene, NADIA);
    let messages = told["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &told["more"]), (20, &2.into()));
    let moments: Vec<&str> = messages
        .iter()
        .map(|message| message["attempts"][0]["decided_at"].as_str().unwrap())
        .collect();
    assert!(moments.is_sorted_by(|a, b| a >= b), "{moments:?}");
    let text = printed(&scene, &["why", "--to", NADIA]);
    assert!(
        text.contains("22 messages") && text.contains("2 older messages are not shown"),
        "{text}"
    );
    scene.finish();
}

/// The ledgers of several machines, or of several years.
#[test]
fn several_ledgers_are_searched() {
    let mut scene = scene();
    scene.deliver(&[NADIA], &letter());
    assert!(scene.served.stop().success());
    let aside = scene.place("ledger-of-before");
    fs::rename(scene.place("ledger"), &aside).unwrap();
    let tail = stream("letters", "marketing", &tracker(&[CLICK], &[A]));
    scene.served.start_again(&Config {
        tail,
        ..Config::default()
    });
    scene.deliver(&[NADIA], &letter());
    let count = |ledgers: &[&str]| {
        let mut words = vec!["why", "--to", NADIA];
        ledgers
            .iter()
            .for_each(|ledger| words.extend(["--ledger", ledger]));
        json(&scene, &words)["messages"].as_array().unwrap().len()
    };
    assert_eq!(count(&[]), 1);
    assert_eq!(count(&["ledger-of-before"]), 1);
    assert_eq!(count(&["ledger", "ledger-of-before"]), 2);
    assert_eq!(
        count(&["ledger", "./ledger", "ledger"]),
        1,
        "the same one thrice"
    );
    scene.finish();
}

#[test]
fn a_day_is_searched_alone() {
    let scene = scene();
    scene.deliver(&[NADIA], &letter());
    let today = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let count = |day: jiff::civil::Date| {
        let told = json(&scene, &["why", "--to", NADIA, "--day", &day.to_string()]);
        told["messages"].as_array().unwrap().len()
    };
    // The message may lie on the other side of midnight by now.
    assert_eq!(count(today) + count(today.yesterday().unwrap()), 1);
    assert_eq!(count("2020-01-01".parse().unwrap()), 0);
    scene.finish();
}

/// A controller whom nobody configured is found all the same, and one who was named is asked about alone.
#[test]
fn a_controller_is_found_in_the_ledger() {
    let mut scene = scene();
    scene.deliver(&[NADIA], &letter());
    scene.start_again(&stream("letters", "marketing", "").replace("bakery", "butcher"));
    let told = why(&scene, NADIA);
    assert_eq!(told["messages"][0]["controller"], "bakery");
    let told = json(&scene, &["why", "--to", NADIA, "--controller", "butcher"]);
    assert_eq!(told["messages"], Value::Array(Vec::new()));
    assert_eq!(
        told["searched"]["controllers"],
        serde_json::json!(["butcher"])
    );
    scene.finish();
}

#[test]
fn what_rested_on_erased_records_is_still_told() {
    let scene = scene();
    scene.grant(NADIA, &[A]);
    scene.deliver(&[NADIA], &letter());
    scene.consent(&[
        "set",
        "--controller",
        "bakery",
        "--to",
        NADIA,
        "--state",
        "erased",
    ]);
    let text = printed(&scene, &["why", "--to", NADIA]);
    golden("why_erased.txt", &text, &scene);
    assert!(
        text.contains("erased on") && text.contains("--erased"),
        "{text}"
    );
    assert!(!text.contains("2026-04"), "its content is gone:\n{text}");
    let text = printed(&scene, &["why", "--to", NADIA, "--erased"]);
    golden("why_erased_opened.txt", &text, &scene);
    assert!(
        text.contains("kept sealed since") && text.contains("wording 2026-04"),
        "{text}"
    );
    scene.finish();
}

#[test]
fn a_stream_that_looks_on_says_so() {
    let today = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let until = today + jiff::Span::new().days(3);
    let more = format!("enforcement = {{ shadow_until = {until}, by = \"Ada\" }}\n");
    let scene = Scene::start(&stream("letters", "marketing", &more));
    scene.deliver(&[OTTO], &letter());
    let text = printed(&scene, &["why", "--to", OTTO]);
    assert!(
        text.contains("only looked on") && text.contains("Ada"),
        "{text}"
    );
    assert!(text.contains("WOULD HAVE BEEN TAKEN OUT"), "{text}");
    scene.finish();
}

/// Taken by one, owed to the other, withdrawn in between: both decisions are shown, each with its own fate.
#[test]
fn both_decisions_about_an_owed_copy_are_shown() {
    let later = Rule::on(Verb::Dot, [Act::say("451 4.3.0 later")]);
    let hop = IllMannered::start(Script::smtp().rule(later.containing(NADIA).times(1)));
    let scene = Scene::start_with(Config {
        next_hop: vec![format!("address = \"{}\"", hop.address())],
        spool: vec![
            "retry_first_seconds = 3".to_owned(),
            "retry_most_seconds = 3".to_owned(),
        ],
        tail: stream("letters", "marketing", &tracker(&[CLICK], &[A])),
        ..Config::default()
    });
    scene.grant(NADIA, &[A]);
    let reply = send(
        &scene.served,
        "<letter@news.example>",
        &[OTTO, NADIA],
        &letter(),
    );
    assert!(reply.starts_with("250 "), "{reply}: {}", scene.served.log());
    scene.consent(&[
        "set",
        "--controller",
        "bakery",
        "--to",
        NADIA,
        "--state",
        "withdrawn",
    ]);
    let until = Instant::now() + Duration::from_secs(20);
    while scene.lines("outcome").len() < 2 {
        assert!(
            Instant::now() < until,
            "no second attempt: {}",
            scene.served.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let text = printed(&scene, &["why", "--to", NADIA]);
    golden("why_two_attempts.txt", &text, &scene);
    let told = why(&scene, NADIA);
    let attempts = told["messages"][0]["attempts"].as_array().unwrap().clone();
    let seen: Vec<(&str, &str)> = attempts
        .iter()
        .map(|attempt| {
            let action = attempt["trackers"][0]["decided"]["action"]
                .as_str()
                .unwrap();
            (action, attempt["fate"]["fate"].as_str().unwrap())
        })
        .collect();
    assert_eq!(seen, [("kept", "not_now"), ("stripped", "taken")]);
    // In the report the message is one, and what left counts.
    let report = json(&scene, &["ledger", "report"]);
    let totals = &report["totals"];
    assert_eq!(
        (&totals["messages"], &totals["retries"]),
        (&1.into(), &1.into())
    );
    assert_eq!(
        (&totals["recipients"], &totals["kept"], &totals["stripped"]),
        (&2.into(), &0.into(), &2.into())
    );
    scene.finish();
}
