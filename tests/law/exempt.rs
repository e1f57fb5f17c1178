//! S7 to S9, S17, D2, D3, D31: purposes that need no consent, where, and what is none of them.

use std::fs;

use crate::fixture::pixelgate_in;
use crate::letters::{AD, COUNT, OPEN, STOP, issue, letter, letter_with, pixel, without};
use crate::press::{
    FRANCE, ITALY, MAY, NADIA, OTTO, PRESS, Press, STRICT, contact, grant, own, same, stream,
    tracker,
};

const A: &str = "campaign_performance";
const HYGIENE: &str = "deliverability_hygiene";
const HOST: &str = "open.press.example";

fn stripped() -> Vec<u8> {
    without(&issue(), &[OPEN])
}

/// Without the gate there is no date-only mode: nothing may stay, and the ledger says what is missing.
#[test]
fn s07_hygiene_on_requested_mail_needs_the_gate_in_france_and_is_no_exemption_under_the_strict_reading()
 {
    for (law, verdict) in [
        (FRANCE, "stripped needs_gate fr-2026"),
        (STRICT, "stripped not_exempt strict-edpb"),
        (ITALY, "stripped not_exempt it-2026"),
        ("", "stripped not_exempt strictest"),
    ] {
        let press = Press::start(&format!("{law}{}", stream("requested", &own(&[HYGIENE]))));
        assert_eq!(press.gets(NADIA, &issue(), &stripped(), HOST), verdict);
        press.finish();
    }
}

/// The country of the record decides, not the relay's.
#[test]
fn d31_the_same_mail_under_the_rules_of_each_persons_country() {
    let press = Press::start(&stream("requested", &own(&[HYGIENE])));
    let mut italian = contact(OTTO, MAY, None);
    italian["country"] = "IT".into();
    let mut swiss = contact(&format!("ch.{OTTO}"), MAY, None);
    swiss["country"] = "CH".into();
    press.import(&[contact(NADIA, MAY, None), italian, swiss]);
    for (to, verdict) in [
        (NADIA, "stripped needs_gate fr-2026"),
        (OTTO, "stripped not_exempt it-2026"),
        (&format!("ch.{OTTO}"), "stripped not_exempt strictest"),
        (&format!("new.{OTTO}"), "stripped not_exempt strictest"),
    ] {
        assert_eq!(press.gets(to, &issue(), &stripped(), HOST), verdict, "{to}");
    }
    // Two records that name two countries leave it open.
    let mut moved = contact(NADIA, MAY, None);
    moved["country"] = "IT".into();
    press.import(&[moved]);
    assert_eq!(
        press.gets(NADIA, &issue(), &stripped(), HOST),
        "stripped not_exempt strictest"
    );
    press.finish();
}

#[test]
fn s08_hygiene_on_prospecting_is_refused_by_check_and_stripped_at_runtime() {
    let press = Press::start(&format!("{FRANCE}{}", stream("prospecting", &own(&[A]))));
    let directory = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(press.place("pixelgate.toml")).unwrap();
    let wrong = text.replace(
        "purposes = [\"campaign_performance\"]",
        "purposes = [\"deliverability_hygiene\"]",
    );
    let line = 1 + wrong
        .lines()
        .position(|line| line.starts_with("purposes ="))
        .unwrap();
    fs::write(directory.path().join("pixelgate.toml"), wrong).unwrap();
    for command in ["check", "serve"] {
        let output = pixelgate_in(directory.path(), &[command], b"");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{command}: {said}");
        assert!(said.contains("(D6)"), "{command}: {said}");
        assert!(
            said.contains(&format!("pixelgate.toml:{line}")),
            "{command} names line {line}: {said}"
        );
    }
    // Nor can the mail say so: a field narrows, and makes nothing exempt.
    let to = "jean.dupont@entreprise.example";
    let claimed = letter_with(
        "Pixelgate-Purpose: deliverability_hygiene\r\n",
        &[STOP, &pixel(OPEN)],
    );
    assert_eq!(
        press.gets(to, &claimed, &stripped(), HOST),
        "stripped no_consent fr-2026"
    );
    press.finish();
}

/// A pixel that only tells whether a code was opened on a known device; the other one in the same mail is not that.
#[test]
fn s09_a_declared_security_pixel_stays_in_a_password_reset_and_an_analytics_pixel_does_not() {
    let security = stream(
        "authentication",
        &[
            tracker("open.press.example", &["auth_security"]),
            tracker("ads.broker.example", &[A]),
        ],
    );
    let press = Press::start(&format!("{FRANCE}{security}"));
    let reset = letter(&[&pixel(OPEN), &pixel(AD)]);
    let told = press.deliver(&[NADIA], &reset);
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    same(
        told.copy_to(NADIA).without_received(),
        &without(&reset, &[AD]),
    );
    let verdict = |host| press.verdict(&told.intent, PRESS, NADIA, host);
    assert_eq!(verdict(HOST), "kept exempt:auth_security fr-2026");
    assert_eq!(verdict("ads.broker.example"), "stripped no_consent fr-2026");
    assert_eq!(
        press.rests_on(&told.intent, NADIA, HOST),
        [] as [&str; 0],
        "no record is asked for"
    );
    press.finish();
    // Consent only: no exemption at all.
    let press = Press::start(&format!("{STRICT}{security}"));
    let told = press.deliver(&[NADIA], &reset);
    same(
        told.copy_to(NADIA).without_received(),
        &without(&reset, &[OPEN, AD]),
    );
    assert_eq!(
        press.verdict(&told.intent, PRESS, NADIA, HOST),
        "stripped not_exempt strict-edpb"
    );
    press.finish();
}

/// D7: a counter needs the gate, even where it is exempt. In France it is not, unless the operator says so and why.
#[test]
fn s17_one_url_for_everybody_needs_the_gate_in_italy_and_a_switch_in_france() {
    let counter = stream(
        "marketing",
        &[tracker("count.press.example", &["aggregate_anonymous"])],
    );
    let on = "[[law.switched_on]]\nrule = \"fr-2026/aggregate_anonymous\"\nreason = \"our counsel's opinion of 3 May\"\n";
    let mail = letter(&[STOP, &pixel(COUNT)]);
    let copy = without(&mail, &[COUNT]);
    for (law, verdict) in [
        (ITALY.to_owned(), "stripped needs_gate it-2026"),
        (FRANCE.to_owned(), "stripped not_exempt fr-2026"),
        (format!("{FRANCE}{on}"), "stripped needs_gate fr-2026"),
    ] {
        let press = Press::start(&format!("{law}{counter}"));
        assert_eq!(
            press.gets(NADIA, &mail, &copy, "count.press.example"),
            verdict
        );
        let loud = press.served.log().contains("switched ON");
        assert_eq!(loud, law.contains("switched_on"), "{}", press.served.log());
        press.finish();
    }
}

/// One use beside the exempt one turns the whole pixel into one that needs consent (F12), and `check` says so.
#[test]
fn d03_exempt_and_not_exempt_on_one_pixel_is_not_exempt() {
    let both = own(&["auth_security", A]);
    let press = Press::start(&format!("{FRANCE}{}", stream("authentication", &both)));
    assert_eq!(
        press.gets(OTTO, &issue(), &stripped(), HOST),
        "stripped no_consent fr-2026"
    );
    // Consent to the one that needs it does not do: the other is no longer exempt.
    press.import(&[grant(NADIA, &[A])]);
    assert_eq!(
        press.gets(NADIA, &issue(), &stripped(), HOST),
        "stripped purpose_missing fr-2026"
    );
    press.import(&[grant(OTTO, &[A, "auth_security"])]);
    assert_eq!(
        press.gets(OTTO, &issue(), &issue(), HOST),
        "kept consent fr-2026"
    );
    press.finish();
}

/// D2: what the mail says of its pixels narrows what the stream declares, and never widens it.
#[test]
fn d02_a_field_narrows_what_is_declared_and_a_word_nobody_declared_is_ignored_and_logged() {
    let press = Press::start(&format!(
        "{FRANCE}{}",
        stream("marketing", &own(&[A, "personalisation"]))
    ));
    press.import(&[grant(NADIA, &[A])]);
    let mail = |purposes: &str| {
        let field = format!("Pixelgate-Purpose: {purposes}\r\n");
        letter_with(&field, &[STOP, &pixel(OPEN)])
    };
    assert_eq!(
        press.gets(NADIA, &mail(A), &issue(), HOST),
        "kept consent fr-2026"
    );
    assert_eq!(
        press.gets(NADIA, &issue(), &stripped(), HOST),
        "stripped purpose_missing fr-2026"
    );
    let ignored = |press: &Press| press.served.log().matches("Pixelgate-Purpose").count();
    assert_eq!(ignored(&press), 0, "{}", press.served.log());
    for (number, beside) in ["fraud_detection", "auth_security", "nonsense", ""]
        .into_iter()
        .enumerate()
    {
        let said = format!("{A}, {beside}");
        assert_eq!(
            press.gets(NADIA, &mail(&said), &stripped(), HOST),
            "stripped purpose_missing fr-2026",
            "{said}"
        );
        assert_eq!(ignored(&press), number + 1, "{}", press.served.log());
    }
    press.finish();
}
