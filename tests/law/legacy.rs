//! S4 to S6 and D8: addresses from before the French dates.

use crate::letters::{OPEN, issue, without};
use crate::press::{NADIA, OTTO, Press, change, contact, own, stream};

const A: &str = "campaign_performance";
const HOST: &str = "open.press.example";
const COLLECTED: &str = "2025-09-01T10:00:00Z";
const INFORMED: &str = "2026-06-10T10:00:00Z";

fn press() -> Press {
    Press::start(&stream("marketing", &own(&[A])))
}

fn kept(press: &Press, to: &str) {
    assert_eq!(
        press.gets(to, &issue(), &issue(), HOST),
        "kept legacy_no_objection fr-2026",
        "{to}"
    );
}

fn stripped(press: &Press, to: &str, verdict: &str) {
    let copy = without(&issue(), &[OPEN]);
    assert_eq!(press.gets(to, &issue(), &copy, HOST), verdict, "{to}");
}

#[test]
fn s04_collected_before_informed_in_time_and_no_objection_is_kept_as_legacy() {
    let press = press();
    press.import(&[contact(NADIA, COLLECTED, Some(INFORMED))]);
    kept(&press, NADIA);
    let intent = press.lines("intent").pop().unwrap();
    assert_eq!(
        press.rests_on(&intent, NADIA, HOST),
        press.records(NADIA, "contact"),
        "the record of what the person was told"
    );
    // The notice was about this purpose and no other, and it is French law.
    let mut abroad = contact(OTTO, COLLECTED, Some(INFORMED));
    abroad["country"] = "IT".into();
    press.import(&[abroad]);
    stripped(&press, OTTO, "stripped no_consent it-2026");
    let nowhere = format!("reader.{OTTO}");
    let mut row = contact(&nowhere, COLLECTED, Some(INFORMED));
    row.as_object_mut().unwrap().remove("country");
    press.import(&[row]);
    stripped(&press, &nowhere, "stripped no_consent strictest");
    press.finish();

    let press = Press::start(&stream("marketing", &own(&[A, "personalisation"])));
    press.import(&[contact(NADIA, COLLECTED, Some(INFORMED))]);
    stripped(&press, NADIA, "stripped no_consent fr-2026");
    press.finish();
}

#[test]
fn s05_legacy_and_then_an_objection_is_stripped() {
    let press = press();
    press.import(&[contact(NADIA, COLLECTED, Some(INFORMED))]);
    kept(&press, NADIA);
    press.import(&[change(NADIA, "objected", &[A], "2026-07-20T08:00:00Z")]);
    stripped(&press, NADIA, "stripped objected fr-2026");
    let intent = press.lines("intent").pop().unwrap();
    assert_eq!(
        press.rests_on(&intent, NADIA, HOST),
        press.records(NADIA, "objected")
    );
    // The notice said again objects to nothing, and lifts nothing.
    press.import(&[contact(NADIA, COLLECTED, Some("2026-07-01T10:00:00Z"))]);
    stripped(&press, NADIA, "stripped objected fr-2026");
    press.finish();
}

#[test]
fn s06_legacy_informed_late_or_never_is_stripped() {
    let press = press();
    press.import(&[
        contact(NADIA, COLLECTED, Some("2026-08-01T10:00:00Z")),
        contact(OTTO, COLLECTED, None),
    ]);
    stripped(&press, NADIA, "stripped no_consent fr-2026");
    stripped(&press, OTTO, "stripped no_consent fr-2026");
    press.finish();
}

/// Days are those of Paris: half past ten in the evening of the 13th in London is the 14th there.
#[test]
fn d08_the_first_day_begins_at_midnight_in_paris() {
    let press = press();
    let (last, first) = (format!("last.{NADIA}"), format!("first.{NADIA}"));
    let (in_time, late) = (format!("intime.{NADIA}"), format!("late.{NADIA}"));
    let undated = format!("undated.{NADIA}");
    let mut row = contact(&undated, COLLECTED, Some(INFORMED));
    row.as_object_mut().unwrap().remove("collected_at");
    press.import(&[
        contact(&last, "2026-04-13T21:59:59Z", Some(INFORMED)),
        contact(&first, "2026-04-13T22:30:00Z", Some(INFORMED)),
        contact(&in_time, COLLECTED, Some("2026-07-14T21:59:59Z")),
        contact(&late, COLLECTED, Some("2026-07-14T22:00:00Z")),
        row,
    ]);
    kept(&press, &last);
    kept(&press, &in_time);
    for new in [&first, &late, &undated] {
        stripped(&press, new, "stripped no_consent fr-2026");
    }
    press.finish();
}
