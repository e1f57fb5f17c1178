//! `pixelgate ledger report`: the figures of a day that went through a relay.

use std::fs;

use serde_json::Value;

use crate::printed::{failed, golden, json, printed};
use crate::scene::{KNOWN, NADIA, OTTO, Scene, TINY, letter, letter_with, pixel, stream, tracker};

const A: &str = "campaign_performance";

fn looking_on(more: &str) -> String {
    let today = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let until = today + jiff::Span::new().days(20);
    let more = format!("enforcement = {{ shadow_until = {until}, by = \"Ada\" }}\n{more}");
    stream("letters", "marketing", &more)
}

fn count(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

/// Every total is the sum of its rows, and of its parts.
fn sums_hold(report: &Value) {
    let totals = report["totals"].as_object().unwrap();
    let rows = report["rows"].as_array().unwrap();
    for (name, total) in totals {
        match total {
            Value::Number(_) => {
                let sum: u64 = rows.iter().map(|row| count(&row[name])).sum();
                assert_eq!(count(total), sum, "{name}");
            }
            Value::Array(entries) => {
                let all = |entries: &Value| -> u64 {
                    let entries = entries.as_array().unwrap().iter();
                    entries
                        .map(|entry| {
                            entry
                                .as_object()
                                .unwrap()
                                .values()
                                .filter_map(Value::as_u64)
                                .sum::<u64>()
                        })
                        .sum()
                };
                let sum: u64 = rows.iter().map(|row| all(&row[name])).sum();
                assert_eq!(all(&Value::Array(entries.clone())), sum, "{name}");
            }
            other => panic!("{name}: {other}"),
        }
    }
    for (whole, parts, unit) in [
        ("trackers", "trackers_by", "trackers"),
        ("recipients", "copies_by", "copies"),
    ] {
        let entries = totals[parts].as_array().unwrap().iter();
        assert_eq!(
            count(&totals[whole]),
            entries.map(|entry| count(&entry[unit])).sum::<u64>(),
            "{whole}"
        );
    }
}

#[test]
fn a_day_of_looking_on() {
    let scene = Scene::start(&looking_on(&tracker(&["click.news.example"], &[A])));
    scene.grant(NADIA, &[A]);
    let both = format!("{}\r\n{}", pixel(KNOWN), pixel(TINY));
    scene.deliver(&[NADIA, OTTO], &letter_with("", &both));
    let signed =
        "DKIM-Signature: v=1; a=rsa-sha256; d=news.example; s=x; h=from; bh=AA==; b=AA==\r\n";
    scene.deliver(&[OTTO], &letter_with(signed, &pixel(KNOWN)));
    scene.deliver(&[OTTO], &letter_with("", "<p>no tracker</p>"));

    let text = printed(&scene, &["ledger", "report"]);
    golden("report_shadow.txt", &text, &scene);
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    golden(
        "report_shadow.md",
        &printed(&scene, &["ledger", "report", "--format", "markdown"]),
        &scene,
    );

    let report = json(&scene, &["ledger", "report"]);
    sums_hold(&report);
    let totals = &report["totals"];
    let numbers = [
        "messages",
        "messages_with_trackers",
        "recipients",
        "trackers",
        "kept",
        "would_strip",
        "stripped",
    ];
    assert_eq!(
        numbers.map(|name| count(&totals[name])),
        [3, 2, 4, 5, 1, 4, 0]
    );
    let would: Vec<(&str, &str, u64)> = totals["trackers_by"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["action"] == "would_strip")
        .map(|entry| {
            (
                entry["why"].as_str().unwrap(),
                entry["vendor"].as_str().unwrap(),
                count(&entry["trackers"]),
            )
        })
        .collect();
    assert_eq!(
        would,
        [
            ("no_consent", "Twilio SendGrid", 2),
            ("no_consent", "example.net", 1),
            ("undeclared", "example.net", 1)
        ]
    );
    assert_eq!(
        totals["dkim_would_break"],
        serde_json::json!([{ "domain": "news.example", "copies": 1 }])
    );
    assert_eq!(totals["dkim_broken"], Value::Array(Vec::new()));
    assert_eq!(
        (&report["switched"][0]["by"], &report["switched"][0]["mode"]),
        (&"Ada".into(), &"shadow".into())
    );
    scene.finish();
}

#[test]
fn a_day_in_earnest_with_stops_and_a_rule_switched_off() {
    let mut scene = Scene::start(&stream("letters", "marketing", ""));
    scene.grant(NADIA, &[A]);
    scene.deliver(&[NADIA, OTTO], &letter());
    scene.start_again(&format!(
        "{}[stops]\nstrip_all = true\n[rules]\ndisabled = [\"yamm\"]\n",
        stream("letters", "marketing", "")
    ));
    scene.deliver(&[NADIA], &letter());
    let text = printed(&scene, &["ledger", "report"]);
    golden("report_enforced.txt", &text, &scene);
    let report = json(&scene, &["ledger", "report"]);
    sums_hold(&report);
    assert_eq!(
        ["kept", "stripped"].map(|name| count(&report["totals"][name])),
        [1, 2]
    );
    assert_eq!(
        (
            &report["stops"][0]["name"],
            &report["rules_disabled"][0]["name"]
        ),
        (&"strip_all".into(), &"yamm".into())
    );
    assert_eq!(report["ledger"]["starts"], 2);
    scene.finish();
}

/// What is missing stands at the top.
#[test]
fn a_gap_is_loud() {
    let scene = Scene::start(&stream("letters", "marketing", ""));
    scene.deliver(&[OTTO], &letter());
    let (here, there) = (scene.place("ledger"), scene.place("ledger-away"));
    fs::rename(&here, &there).unwrap();
    fs::write(&here, "in the way").unwrap();
    scene.deliver(&[OTTO], &letter());
    fs::remove_file(&here).unwrap();
    fs::rename(&there, &here).unwrap();
    scene.deliver(&[OTTO], &letter());
    let report = json(&scene, &["ledger", "report"]);
    assert_eq!(
        (
            &report["ledger"]["gaps"],
            &report["ledger"]["missing_lines"]
        ),
        (&1.into(), &2.into())
    );
    assert_eq!(count(&report["totals"]["messages"]), 2);
    for format in ["text", "markdown"] {
        let text = printed(&scene, &["ledger", "report", "--format", format]);
        let top: Vec<&str> = text.lines().take(4).collect();
        assert!(
            top.iter().any(|line| line.contains("THE LEDGER HAS 1 GAP")),
            "{text}"
        );
    }
    let text = printed(&scene, &["ledger", "register-extract"]);
    assert!(text.contains("THE LEDGER HAS 1 GAP"), "{text}");
    scene.finish();
}

#[test]
fn a_period_is_what_was_asked_for() {
    let scene = Scene::start(&stream("letters", "marketing", ""));
    scene.deliver(&[OTTO], &letter());
    let text = printed(&scene, &["ledger", "report", "--to", "2020-01-01"]);
    assert!(text.contains("no message of this period"), "{text}");
    let twice = json(
        &scene,
        &[
            "ledger", "report", "--ledger", "ledger", "--ledger", "./ledger",
        ],
    );
    assert_eq!(
        count(&twice["totals"]["messages"]),
        1,
        "the same ledger twice"
    );
    let (exit, said) = failed(
        &scene,
        &[
            "ledger",
            "report",
            "--from",
            "2026-11-02",
            "--to",
            "2026-11-01",
        ],
    );
    assert_eq!(exit, 64, "{said}");
    let (exit, said) = failed(&scene, &["ledger", "report", "--ledger", "nowhere"]);
    assert!(exit == 69 && said.contains("nowhere"), "{exit} {said}");
    scene.finish();
}

/// A line that is no line ends the report: one that passes over lines would be believed.
#[test]
fn a_damaged_line_ends_the_report() {
    let scene = Scene::start(&stream("letters", "marketing", ""));
    scene.deliver(&[OTTO], &letter());
    let copy = scene.place("copy");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(scene.place("ledger")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        let mut octets = fs::read(&path).unwrap();
        if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            let at = octets.iter().position(|octet| *octet == b'\n').unwrap();
            octets[at + 1] = b'#';
        }
        fs::write(copy.join(name), octets).unwrap();
    }
    let (exit, said) = failed(&scene, &["ledger", "report", "--ledger", "copy"]);
    assert!(exit == 65 && said.contains("line 2"), "{exit} {said}");
    scene.finish();
}
