//! A stream that only looks on: the original goes out, the ledger says what would have been done.

use jiff::Timestamp;

use crate::scene::{KNOWN, NADIA, OTTO, Scene, letter, stream};

const A: &str = "campaign_performance";

fn looking_on(days: i64, share: u8) -> String {
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let until = today + jiff::Span::new().days(days);
    let more = format!(
        "enforcement = {{ shadow_until = {until}, by = \"Ada\", share_percent = {share} }}\n"
    );
    stream("letters", "marketing", &more)
}

#[test]
fn the_original_goes_out_and_the_ledger_says_what_would_be_done() {
    let mut scene = Scene::start(&looking_on(3, 0));
    let log = scene.served.log();
    assert!(log.contains("LOOKS ON") && log.contains("Ada"), "{log}");
    let told = scene.deliver(&[OTTO], &letter());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    assert_eq!(told.copies[0].without_received(), letter());
    let group = &told.intent["groups"][0];
    assert_eq!(
        (&group["copy"], &group["shadow"]),
        (&"unchanged".into(), &true.into())
    );
    assert_eq!(group["decisions"][0]["action"], "would_strip");
    assert_eq!(told.reason(0, 0), "no_consent");
    let enforcement = &told.intent["enforcement"];
    assert_eq!(
        (&enforcement["mode"], &enforcement["by"]),
        (&"shadow".into(), &"Ada".into())
    );
    assert_eq!(enforcement["share_percent"], 0);

    // The same decisions as in earnest, but for the word that says that nothing was done.
    scene.grant(NADIA, &[A]);
    let decided = |scene: &Scene| {
        let told = scene.deliver(&[OTTO, NADIA], &letter());
        let groups = told.intent["groups"].as_array().unwrap().clone();
        let mut decisions: Vec<String> = groups
            .iter()
            .map(|group| format!("{} {}", group["subjects"], group["decisions"]))
            .map(|line| line.replace("\"would_strip\"", "\"stripped\""))
            .collect();
        decisions.sort();
        (decisions, told.has(KNOWN), told.copies.len())
    };
    let (looked_on, _, copies) = decided(&scene);
    assert_eq!(copies, 1, "one original for both");
    scene.start_again(&stream("letters", "marketing", ""));
    let (in_earnest, _, copies) = decided(&scene);
    assert_eq!((looked_on, copies), (in_earnest, 2));
    scene.finish();
}

/// Some percent are enforced all the same, by subject: always the same ones.
#[test]
fn a_share_is_enforced_all_the_same() {
    let people: Vec<String> = (0..60).map(|n| format!("reader{n}.{OTTO}")).collect();
    let to: Vec<&str> = people.iter().map(String::as_str).collect();
    let mut scene = Scene::start(&looking_on(3, 50));
    let told = scene.deliver(&to, &letter());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    let parts = |told: &crate::scene::Told| {
        let mut parts: Vec<(bool, Vec<String>)> = told
            .copies
            .iter()
            .map(|copy| {
                let kept = copy.message.escape_ascii().to_string().contains("upn=");
                (kept, copy.to.clone())
            })
            .collect();
        parts.sort();
        parts
    };
    let first = parts(&told);
    // 60 of one kind happen once in 2^59.
    let [(false, enforced), (true, looked_on)] = first.as_slice() else {
        panic!("not one copy each: {}", first.len());
    };
    assert_eq!(enforced.len() + looked_on.len(), 60);
    let groups = told.intent["groups"].as_array().unwrap();
    let shadow: usize = groups
        .iter()
        .filter(|group| group["shadow"] == true)
        .map(|group| group["subjects"].as_array().unwrap().len())
        .sum();
    assert_eq!(shadow, looked_on.len());
    assert_eq!(
        parts(&scene.deliver(&to, &letter())),
        first,
        "the same people"
    );

    // More percent only add to those who are enforced.
    scene.start_again(&looking_on(3, 80));
    let more = parts(&scene.deliver(&to, &letter()));
    let now = more
        .iter()
        .find(|(kept, _)| !kept)
        .map(|(_, to)| to.clone())
        .unwrap_or_default();
    assert!(enforced.iter().all(|address| now.contains(address)));
    scene.start_again(&looking_on(3, 100));
    let told = scene.deliver(&to, &letter());
    assert!(!told.has(KNOWN), "100 percent are everybody");
    scene.finish();
}

/// It ends by itself: on the last day it still looks on, the day after it does not.
#[test]
fn a_shadow_that_is_over_is_over() {
    let mut scene = Scene::start(&looking_on(0, 0));
    assert!(scene.deliver(&[OTTO], &letter()).has(KNOWN));
    scene.start_again(&looking_on(-1, 0));
    assert!(!scene.served.log().contains("LOOKS ON"));
    let told = scene.deliver(&[OTTO], &letter());
    assert!(!told.has(KNOWN));
    assert_eq!(told.intent["enforcement"]["mode"], "enforce");
    scene.finish();
}

/// In shadow too, nothing leaves that is not recorded: without a ledger the copy is stripped.
#[test]
fn a_shadow_that_cannot_be_recorded_is_none() {
    let scene = Scene::start(&looking_on(3, 0));
    assert!(scene.deliver(&[OTTO], &letter()).has(KNOWN));
    let away = crate::broken::take_the_ledger_away(&scene);
    let told = scene.deliver(&[OTTO], &letter());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    assert!(!told.has(KNOWN), "nothing is kept without a line");
    away.back();
    assert!(scene.deliver(&[OTTO], &letter()).has(KNOWN));
    assert_eq!(scene.lines("gap").len(), 1);
    scene.finish();
}

/// `[stops] strip_all` is for the day on which no tracker may leave: a stream that only looks on stops looking on.
#[test]
fn a_stop_that_strips_everything_ends_a_shadow() {
    let stopped = format!("{}[stops]\nstrip_all = true\n", looking_on(3, 0));
    let scene = Scene::start(&stopped);
    scene.grant(NADIA, &[A]);
    let told = scene.deliver(&[OTTO, NADIA], &letter());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    assert!(
        !told.has(KNOWN),
        "a tracker left while everything is stripped"
    );
    assert_ne!(told.intent["groups"][0]["shadow"], true);
    assert_eq!(told.reason(0, 0), "strip_all");
    scene.finish();
}
