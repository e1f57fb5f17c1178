//! D10, D12, D17, D19, D23, D25: duties that no sentence shows.

use serde_json::json;

use crate::letters::{LEAVE, OPEN, STOP, issue, letter, letter_with, pixel, without};
use crate::press::{
    FRANCE, MAY, NADIA, OTTO, PRESS, Press, change, contact, days_ago, grant, own, same, stream,
};

const A: &str = "campaign_performance";
const HOST: &str = "open.press.example";

fn stripped() -> Vec<u8> {
    without(&issue(), &[OPEN])
}

/// The link stands in the part of the pixel and is not the one that ends the mail.
#[test]
fn d10_nothing_is_kept_without_a_link_of_its_own_to_withdraw() {
    let press = Press::start(&format!("{FRANCE}{}", stream("marketing", &own(&[A]))));
    press.import(&[grant(NADIA, &[A])]);
    let kept = "kept consent fr-2026";
    let no_link = "stripped no_withdrawal_link fr-2026";
    let goes = |mail: &[u8], expected: &str| {
        let copy = match expected == kept {
            true => mail.to_vec(),
            false => without(mail, &[OPEN]),
        };
        let copy = String::from_utf8(copy).unwrap();
        assert_eq!(
            press.gets(NADIA, mail, copy.as_bytes(), HOST),
            expected,
            "{copy}"
        );
    };
    goes(&issue(), kept);
    goes(&letter(&[&pixel(OPEN)]), no_link);
    goes(
        &letter(&[&format!("<a href=\"{LEAVE}\">leave</a>"), &pixel(OPEN)]),
        no_link,
    );
    // One link for both is one that ends the mail.
    let one_for_both = letter_with("", &[STOP, &pixel(OPEN)]);
    let one_for_both = String::from_utf8(one_for_both)
        .unwrap()
        .replace(LEAVE, "https://PRESS.example:443/privacy/tracking?t=4f1c");
    goes(one_for_both.as_bytes(), no_link);
    // In the text, or in a part beside it, it is not where the pixel is.
    let in_text = String::from_utf8(letter(&[&pixel(OPEN)])).unwrap().replace(
        "Bread is dear.\r\n--week",
        "https://press.example/privacy/tracking?t=4f1c\r\n--week",
    );
    goes(in_text.as_bytes(), no_link);
    let elsewhere = String::from_utf8(letter(&[&pixel(OPEN)])).unwrap().replace(
        "--week--\r\n",
        &format!(
            "--week\r\nContent-Type: text/html\r\n\r\n<html><body>{STOP}</body></html>\r\n--week--\r\n"
        ),
    );
    goes(elsewhere.as_bytes(), no_link);
    press.finish();
}

/// Who ends the tracking keeps the mail, and who ends the mail has not been asked about the tracking (F19).
#[test]
fn d12_a_withdrawal_leaves_the_subscription_as_it_was() {
    let press = Press::start(&format!("{FRANCE}{}", stream("marketing", &own(&[A]))));
    press.import(&[grant(NADIA, &[A]), grant(OTTO, &[A])]);
    press.set(NADIA, "withdrawn");
    let told = press.deliver(&[NADIA, OTTO], &issue());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    same(told.copy_to(NADIA).without_received(), &stripped());
    same(told.copy_to(OTTO).without_received(), &issue());
    for copy in &told.copies {
        let text = copy.message.escape_ascii().to_string();
        assert!(text.contains("List-Unsubscribe: <https://press.example/leave"));
    }
    press.finish();
}

/// Each field of a proof, left out once.
#[test]
fn d17_a_grant_that_lacks_any_field_of_a_proof_is_a_claim() {
    let press = Press::start(&format!("{FRANCE}{}", stream("marketing", &own(&[A]))));
    for field in [
        "at",
        "channel",
        "wording_version",
        "wording_sha256",
        "purposes",
    ] {
        let address = format!("{}.{NADIA}", field.replace('_', ""));
        let mut row = grant(&address, &[A]);
        row.as_object_mut().unwrap().remove(field);
        let told = press.import(&[row]);
        assert!(told.contains(field), "{field}: {told}");
        assert_eq!(
            press.gets(&address, &issue(), &stripped(), HOST),
            "stripped claim_without_proof fr-2026",
            "{field}"
        );
    }
    press.finish();
}

/// What a partner learns needs the partner's name on the list that was shown.
#[test]
fn d19_a_partners_pixel_needs_the_partner_on_the_list_that_was_shown() {
    let partner = format!("{}recipient = \"Broker Ltd\"\n", own(&[A]).concat());
    let press = Press::start(&format!("{FRANCE}{}", stream("marketing", &[partner])));
    let shown = |address: &str, version: &str, names: &[&str]| {
        let mut row = grant(address, &[A]);
        row["controller_list"] = version.into();
        row["controllers_shown"] = json!(names);
        row
    };
    let third = format!("third.{OTTO}");
    press.import(&[
        grant(OTTO, &[A]),
        shown(NADIA, "v4", &["The Press", "Broker Ltd"]),
        shown(&third, "v3", &["The Press", "Another Ltd"]),
    ]);
    assert_eq!(
        press.gets(NADIA, &issue(), &issue(), HOST),
        "kept consent fr-2026"
    );
    let intent = press.lines("intent").pop().unwrap();
    assert_eq!(intent["findings"][0]["partner"], "Broker Ltd");
    for to in [OTTO, &third] {
        assert_eq!(
            press.gets(to, &issue(), &stripped(), HOST),
            "stripped partner_not_shown fr-2026"
        );
    }
    press.finish();
}

/// Six months after a no a person may be asked again, not earlier (F21).
#[test]
fn d23_asking_again_after_five_months_is_delivered_and_warned_of() {
    let press = Press::start(&format!(
        "{FRANCE}{}",
        stream("consent_request", &own(&[A]))
    ));
    press.import(&[
        change(NADIA, "refused", &[A], &days_ago(150)),
        change(OTTO, "refused", &[A], &days_ago(200)),
    ]);
    let warnings = |press: &Press| {
        let log = press.served.log();
        let lines = log.lines().filter(|line| line.contains("WARN"));
        lines
            .filter(|line| line.contains("too soon after a no"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let question = letter(&["<p>May we count who reads?</p>"]);
    for to in [OTTO, &format!("new.{OTTO}")] {
        let told = press.deliver(&[to], &question);
        same(told.copy_to(to).without_received(), &question);
        assert_eq!(warnings(&press), [] as [&str; 0], "{to}");
    }
    let told = press.deliver(&[NADIA], &question);
    same(told.copy_to(NADIA).without_received(), &question);
    let warnings = warnings(&press);
    assert_eq!(warnings.len(), 1, "{}", press.served.log());
    let subject = press.history(PRESS, NADIA)["subject"].clone();
    assert!(warnings[0].contains(subject.as_str().unwrap()));
    press.finish();
}

/// One subscriber cannot consent for the others; an office needs a record of its own.
#[test]
fn d25_lists_are_always_stripped_and_roles_without_a_record_of_their_own() {
    let press = Press::start(&format!("{FRANCE}{}", stream("marketing", &own(&[A]))));
    let kind = |address: &str, kind: &str, informed: Option<&str>| {
        let mut row = contact(address, "2025-09-01T10:00:00Z", informed);
        row["address_kind"] = kind.into();
        row
    };
    let informed = Some("2026-06-10T10:00:00Z");
    let (list, office) = (format!("everybody.{OTTO}"), format!("office.{OTTO}"));
    press.import(&[
        kind(&list, "list", informed),
        grant(&list, &[A]),
        kind(&office, "role", informed),
        kind(NADIA, "personal", informed),
    ]);
    assert_eq!(
        press.gets(&list, &issue(), &stripped(), HOST),
        "stripped list_address fr-2026"
    );
    assert_eq!(
        press.gets(&office, &issue(), &stripped(), HOST),
        "stripped no_consent fr-2026"
    );
    assert_eq!(
        press.gets(NADIA, &issue(), &issue(), HOST),
        "kept legacy_no_objection fr-2026"
    );
    press.import(&[change(&office, "granted", &[A], MAY)]);
    assert_eq!(
        press.gets(&office, &issue(), &issue(), HOST),
        "kept consent fr-2026"
    );
    press.finish();
}
