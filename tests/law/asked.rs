//! S1 to S3, S10, S11, S16, S19: what a person was asked, said, and took back.

use serde_json::json;

use crate::letters::{OPEN, STOP, issue, letter, pixel, without};
use crate::press::{
    FRANCE, MAY, NADIA, OTTO, PRESS, Press, change, contact, grant, now, own, same, stream,
};

const A: &str = "campaign_performance";
const HOST: &str = "open.press.example";

fn marketing() -> Press {
    Press::start(&stream("marketing", &own(&[A])))
}

/// The copy without its pixel.
fn stripped() -> Vec<u8> {
    without(&issue(), &[OPEN])
}

#[test]
fn s01_nothing_recorded_of_a_new_address_is_stripped_and_delivered() {
    let press = marketing();
    assert_eq!(
        press.gets(OTTO, &issue(), &stripped(), HOST),
        "stripped no_consent strictest"
    );
    press.import(&[contact(NADIA, MAY, None)]);
    assert_eq!(
        press.gets(NADIA, &issue(), &stripped(), HOST),
        "stripped no_consent fr-2026"
    );
    let intent = press.lines("intent").pop().unwrap();
    assert_eq!(press.rests_on(&intent, NADIA, HOST), [] as [&str; 0]);
    assert_eq!(intent["groups"][0]["copy"], "stripped");
    press.finish();
}

#[test]
fn s02_granted_with_proof_and_withdrawal_link_is_kept_on_consent() {
    let press = marketing();
    press.import(&[contact(NADIA, MAY, None), grant(NADIA, &[A])]);
    assert_eq!(
        press.gets(NADIA, &issue(), &issue(), HOST),
        "kept consent fr-2026"
    );
    let intent = press.lines("intent").pop().unwrap();
    assert_eq!(
        press.rests_on(&intent, NADIA, HOST),
        press.records(NADIA, "granted"),
        "the grant by its name"
    );
    // Where no record names a country every loaded profile has to say yes, and says it.
    press.import(&[grant(OTTO, &[A])]);
    assert_eq!(
        press.gets(OTTO, &issue(), &issue(), HOST),
        "kept consent strictest"
    );
    press.finish();
}

#[test]
fn s03_granted_for_one_of_two_declared_purposes_is_stripped() {
    let both = [A, "cross_channel_profiling"];
    let press = Press::start(&stream("marketing", &own(&both)));
    press.import(&[grant(NADIA, &[A]), grant(OTTO, &both)]);
    assert_eq!(
        press.gets(NADIA, &issue(), &stripped(), HOST),
        "stripped purpose_missing strictest"
    );
    assert_eq!(
        press.gets(OTTO, &issue(), &issue(), HOST),
        "kept consent strictest"
    );
    press.finish();
}

#[test]
fn s10_mail_that_asks_for_consent_is_stripped_even_for_who_gave_it() {
    let press = Press::start(&stream("consent_request", &own(&[A])));
    press.import(&[grant(NADIA, &[A])]);
    assert_eq!(
        press.gets(NADIA, &issue(), &stripped(), HOST),
        "stripped consent_request strictest"
    );
    press.finish();
}

/// Without the gate a copy that has left cannot be called back; the next issue is another matter.
#[test]
fn s11_after_a_withdrawal_the_next_issue_is_delivered_and_stripped() {
    let press = marketing();
    press.import(&[grant(NADIA, &[A])]);
    assert_eq!(
        press.gets(NADIA, &issue(), &issue(), HOST),
        "kept consent strictest"
    );
    press.set(NADIA, "withdrawn");
    assert_eq!(
        press.gets(NADIA, &issue(), &stripped(), HOST),
        "stripped withdrawn strictest"
    );
    let intent = press.lines("intent").pop().unwrap();
    assert_eq!(
        press.rests_on(&intent, NADIA, HOST),
        press.records(NADIA, "withdrawn"),
        "the withdrawal by its name"
    );
    // The subscription is intact: mail without a pixel is what it was, List-Unsubscribe included.
    let plain = letter(&[STOP]);
    let told = press.deliver(&[NADIA], &plain);
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    same(told.copy_to(NADIA).without_received(), &plain);
    press.finish();
}

/// A column that says yes proves nothing (F25), however many rows it has.
#[test]
fn s16_ten_thousand_yeses_without_proof_keep_nothing() {
    const PEOPLE: usize = 10_000;
    let press = marketing();
    let mapping = "[csv]\nyes = [\"yes\"]\n[csv.columns]\naddress = \"email\"\nstate = \"consent\"\n\
                   [csv.constant]\ncontroller = \"press\"\npurposes = \"campaign_performance\"\n";
    std::fs::write(press.place("esp.toml"), mapping).unwrap();
    let mut table = "email,consent\n".to_owned();
    for n in 0..PEOPLE {
        table.push_str(&format!("reader{n}.{NADIA},yes\n"));
    }
    let told = press.import_file("esp.csv", &table, &["--evidence", "esp.toml"]);
    let number = |what: &str| -> usize {
        let line = told.lines().find(|line| line.contains(what));
        let line = line.unwrap_or_else(|| panic!("no `{what}` in\n{told}"));
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    assert_eq!(number("grants with proof"), 0, "{told}");
    assert_eq!(number("claims"), PEOPLE, "{told}");
    let people: Vec<String> = (0..PEOPLE)
        .step_by(100)
        .map(|n| format!("reader{n}.{NADIA}"))
        .collect();
    let to: Vec<&str> = people.iter().map(String::as_str).collect();
    let told = press.deliver(&to, &issue());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    assert_eq!(told.copies.len(), 1, "the same for everybody");
    same(told.copies[0].without_received(), &stripped());
    let groups = told.intent["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0]["subjects"].as_array().unwrap().len(), 100);
    assert_eq!(
        press.verdict(&told.intent, PRESS, to[99], HOST),
        "stripped claim_without_proof strictest"
    );
    press.finish();
}

/// D22, and the same once more under a new look-up key.
#[test]
fn s19_an_erased_contact_is_not_revived_by_an_older_grant() {
    let press = marketing();
    press.import(&[grant(NADIA, &[A]), grant(OTTO, &[A])]);
    assert_eq!(
        press.gets(NADIA, &issue(), &issue(), HOST),
        "kept consent strictest"
    );
    let erase = |address: &str| {
        press.said(&["consent", "erase", "--controller", PRESS, "--to", address]);
    };
    erase(NADIA);
    erase(OTTO);
    let revive = |address: &str, at: &str, act: &str| {
        let mut row = change(address, "granted", &[A], at);
        // Never said before, so that it is not taken for the same record.
        row["affirmative_act"] = json!(act);
        press.import(&[row]);
    };
    revive(NADIA, "2026-06-01T10:00:00Z", "box ticked");
    assert_eq!(
        press.gets(NADIA, &issue(), &stripped(), HOST),
        "stripped erased strictest"
    );
    let history = press.history(PRESS, NADIA);
    assert!(history.get("address").is_none(), "{history}");
    assert_eq!(press.records(NADIA, "granted"), [] as [&str; 0]);

    press.said(&["keys", "rotate", "lookup"]);
    revive(NADIA, "2026-06-02T10:00:00Z", "box ticked");
    assert_eq!(
        press.gets(NADIA, &issue(), &stripped(), HOST),
        "stripped erased strictest"
    );
    // Only a newer yes, with a proof of its own.
    revive(NADIA, &now(), "box ticked again");
    assert_eq!(
        press.gets(NADIA, &issue(), &issue(), HOST),
        "kept consent strictest"
    );
    assert_eq!(
        press.gets(OTTO, &issue(), &stripped(), HOST),
        "stripped erased strictest"
    );
    press.said(&["consent", "verify"]);
    press.finish();
}

/// One mail, the publisher's pixel declared, a foreign one not.
#[test]
fn a_grant_keeps_what_was_declared_for_it_and_not_what_somebody_pasted_in() {
    use crate::letters::AD;
    let press = Press::start(&format!("{FRANCE}{}", stream("marketing", &own(&[A]))));
    press.import(&[grant(NADIA, &[A])]);
    let both = letter(&[STOP, &pixel(OPEN), &pixel(AD)]);
    let told = press.deliver(&[NADIA], &both);
    same(
        told.copy_to(NADIA).without_received(),
        &without(&both, &[AD]),
    );
    assert_eq!(
        press.verdict(&told.intent, PRESS, NADIA, HOST),
        "kept consent fr-2026"
    );
    assert_eq!(
        press.verdict(&told.intent, PRESS, NADIA, "ads.broker.example"),
        "stripped undeclared fr-2026"
    );
    press.finish();
}
