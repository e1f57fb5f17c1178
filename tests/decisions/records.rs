//! What is recorded of one person decides, and only with proof.

use crate::fixture::{CONSENT_PURPOSES, pixelgate, row};
use crate::scene::{KNOWN, NADIA, OTTO, Scene, TINY, letter, letter_with, pixel, stream, tracker};

const A: &str = "campaign_performance";
const B: &str = "personalisation";

fn no(reason: &str) -> (bool, String) {
    (false, reason.to_owned())
}

fn yes() -> (bool, String) {
    (true, "consent".to_owned())
}

#[test]
fn only_a_proven_grant_keeps() {
    let scene = Scene::start(&stream("letters", "marketing", ""));
    assert_eq!(scene.verdict(NADIA, &letter()), no("no_consent"));

    // A claim: the wording is missing.
    let mut claim: serde_json::Value =
        serde_json::from_str(&row("bakery", NADIA, "granted", &[A])).unwrap();
    claim.as_object_mut().unwrap().remove("wording_sha256");
    std::fs::write(scene.place("claims.jsonl"), format!("{claim}\n")).unwrap();
    let refused = pixelgate(
        &scene.served,
        &["consent", "import", "--require-proof", "claims.jsonl"],
        b"",
    );
    assert_eq!(refused.status.code(), Some(65), "{refused:?}");
    assert_eq!(scene.verdict(NADIA, &letter()), no("no_consent"));
    let taken = pixelgate(&scene.served, &["consent", "import", "claims.jsonl"], b"");
    assert!(taken.status.success(), "{taken:?}");
    assert_eq!(scene.verdict(NADIA, &letter()), no("claim_without_proof"));

    scene.grant(NADIA, &[A]);
    assert_eq!(scene.verdict(NADIA, &letter()), yes());
    assert_eq!(scene.verdict(OTTO, &letter()), no("no_consent"));
    let kept = scene.deliver(&[NADIA], &letter());
    let records = &kept.intent["groups"][0]["decisions"][0]["records"];
    assert_eq!(records.as_array().unwrap().len(), 1, "{records}");
    std::fs::remove_file(scene.place("claims.jsonl")).unwrap();
    scene.finish();
}

/// A file of which one row has no proof: none of it is written under `--require-proof`.
#[test]
fn a_file_with_one_claim_is_refused_whole() {
    let scene = Scene::start(&stream("letters", "marketing", ""));
    let mut claim: serde_json::Value =
        serde_json::from_str(&row("bakery", OTTO, "granted", &[A])).unwrap();
    claim.as_object_mut().unwrap().remove("channel");
    let text = format!("{}\n{claim}\n", row("bakery", NADIA, "granted", &[A]));
    std::fs::write(scene.place("rows.jsonl"), text).unwrap();
    let refused = pixelgate(
        &scene.served,
        &["consent", "import", "--require-proof", "rows.jsonl"],
        b"",
    );
    assert_eq!(refused.status.code(), Some(65));
    let said = refused.stderr.escape_ascii().to_string();
    assert!(
        said.contains("line 2") && said.contains("channel"),
        "{said}"
    );
    assert!(!said.contains("hiddenson"), "{said}");
    assert_eq!(scene.verdict(NADIA, &letter()), no("no_consent"));
    scene.finish();
}

#[test]
fn every_restriction_has_its_word_and_a_later_grant_lifts_it() {
    let scene = Scene::start(&stream("letters", "marketing", ""));
    for (state, reason) in [
        ("refused", "refused"),
        ("withdrawn", "withdrawn"),
        ("objected", "objected"),
        ("erased", "erased"),
    ] {
        let address = format!("{state}.{NADIA}");
        scene.grant(&address, &[A]);
        assert_eq!(scene.verdict(&address, &letter()), yes(), "{state}");
        let arguments = [
            "set",
            "--controller",
            "bakery",
            "--to",
            &address,
            "--state",
            state,
        ];
        scene.consent(&arguments);
        assert_eq!(scene.verdict(&address, &letter()), no(reason));
        // An older grant said again lifts nothing.
        scene.grant(&address, &[A, B]);
        assert_eq!(scene.verdict(&address, &letter()), no(reason), "{state}");
    }
    scene.finish();
}

#[test]
fn every_declared_purpose_is_needed() {
    let scene = Scene::start(&stream("letters", "marketing", &tracker(&["*"], &[A, B])));
    scene.grant(NADIA, &[A]);
    assert_eq!(scene.verdict(NADIA, &letter()), no("purpose_missing"));
    scene.grant(OTTO, &["fraud_detection"]);
    assert_eq!(scene.verdict(OTTO, &letter()), no("no_consent"));
    scene.grant(OTTO, &[A, B]);
    assert_eq!(scene.verdict(OTTO, &letter()), yes());
    scene.finish();
}

#[test]
fn a_host_that_nobody_declared_needs_every_purpose() {
    let declared = tracker(&["t.example.net"], &[A]);
    let scene = Scene::start(&stream("letters", "marketing", &declared));
    scene.grant(NADIA, &[A]);
    assert_eq!(scene.verdict(NADIA, &letter()), no("undeclared"));
    scene.grant(OTTO, &CONSENT_PURPOSES);
    assert_eq!(scene.verdict(OTTO, &letter()), yes());

    // In one message: what is declared stays, what is not goes.
    let both = letter_with("", &format!("{}\r\n{}", pixel(KNOWN), pixel(TINY)));
    let told = scene.deliver(&[NADIA], &both);
    assert_eq!((told.has(KNOWN), told.has(TINY)), (false, true));
    assert_eq!(
        (told.reason(0, 0), told.reason(0, 1)),
        ("undeclared".to_owned(), "consent".to_owned())
    );
    assert_eq!(
        told.intent["findings"][0]["purposes"],
        serde_json::json!([])
    );
    scene.finish();
}

/// Consent was given to one controller; another's mail does not profit.
#[test]
fn consent_is_to_one_controller() {
    let other = stream("letters", "marketing", "").replace("bakery", "butcher");
    let scene = Scene::start(&other);
    scene.grant(NADIA, &[A]);
    assert_eq!(scene.verdict(NADIA, &letter()), no("no_consent"));
    scene.finish();
}

#[test]
fn uses_that_wait_for_the_gate_are_stripped_until_then() {
    let country =
        "[[controller]]\nname = \"bakery\"\ncountry_default = \"FR\"\nreason = \"ships there\"\n";
    let declared = tracker(&["click.news.example"], &["deliverability_hygiene"]);
    let orders = stream("orders", "requested", &declared);
    let mut scene = Scene::start(&format!("{country}{orders}"));
    assert_eq!(scene.verdict(NADIA, &letter()), no("needs_gate"));
    // What needs no gate stays; where the country is not known every profile has to exempt it.
    let declared = tracker(&["click.news.example"], &["auth_security"]);
    let codes = stream("codes", "authentication", &declared);
    scene.start_again(&format!("{country}{codes}"));
    let exempt = (true, "exempt:auth_security".to_owned());
    assert_eq!(scene.verdict(NADIA, &letter()), exempt);
    scene.start_again(&codes);
    assert_eq!(scene.verdict(NADIA, &letter()), no("not_exempt"));
    scene.finish();
}

/// Mixed recipients of one transaction: each by their own record, nobody named to the other, the ledger in two groups.
#[test]
fn each_recipient_by_their_own_record() {
    let scene = Scene::start(&stream("letters", "marketing", ""));
    scene.grant(NADIA, &[A]);
    let told = scene.deliver(&[OTTO, NADIA], &letter());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    assert_eq!(told.copies.len(), 2);
    assert_eq!(told.copy_to(NADIA).without_received(), letter());
    let stripped = told.copy_to(OTTO).message.escape_ascii().to_string();
    assert!(!stripped.contains("upn="), "{stripped}");
    let groups = told.intent["groups"].as_array().unwrap();
    let copies: Vec<&str> = groups
        .iter()
        .map(|group| group["copy"].as_str().unwrap())
        .collect();
    assert_eq!(copies, ["stripped", "unchanged"]);
    assert_eq!(told.intent["findings"].as_array().unwrap().len(), 1);
    scene.finish();
}

/// The record of an address holds however the client writes it, and for no other.
#[test]
fn an_address_is_known_however_it_is_written() {
    let scene = Scene::start(&stream("letters", "marketing", ""));
    scene.grant("Nadia.Secretova@People-Of.EXAMPLE", &[A]);
    for same in [
        NADIA,
        "NADIA.secretova@people-OF.example",
        "\"nadia.secretova\"@people-of.example",
    ] {
        assert_eq!(scene.verdict(same, &letter()), yes(), "{same}");
    }
    for other in [
        "nadia.secretova@people-of.example.net",
        "nadiasecretova@people-of.example",
        "nadia.secretova+news@people-of.example",
        "x.nadia.secretova@people-of.example",
    ] {
        assert_eq!(scene.verdict(other, &letter()), no("no_consent"), "{other}");
    }
    scene.finish();
}
