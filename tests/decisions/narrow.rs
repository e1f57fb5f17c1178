//! What a message may say of its trackers, what the law looks for beside consent, and how the ledger tells it.

use jiff::ToSpan;

use crate::fixture::Fixture;
use crate::scene::{KNOWN, NADIA, OTTO, Scene, TINY, letter, letter_with, pixel, stream, tracker};

const A: &str = "campaign_performance";
const B: &str = "fraud_detection";

/// `Pixelgate-Purpose` narrows what is declared and widens nothing.
#[test]
fn a_purpose_field_only_narrows() {
    let trackers = tracker(&["click.news.example"], &[A, B]);
    let scene = Scene::start(&stream("letters", "marketing", &trackers));
    scene.grant(NADIA, &[A]);
    for (field, expected) in [
        ("", "purpose_missing"),
        ("Pixelgate-Purpose: campaign_performance\r\n", "consent"),
        ("Pixelgate-Purpose: fraud_detection\r\n", "no_consent"),
        (
            "Pixelgate-Purpose: campaign_performance, fraud_detection\r\n",
            "purpose_missing",
        ),
        ("Pixelgate-Purpose: auth_security\r\n", "purpose_missing"),
        ("Pixelgate-Purpose: personalisation\r\n", "purpose_missing"),
        ("Pixelgate-Purpose: nothing\r\n", "purpose_missing"),
        (
            "Pixelgate-Purpose: campaign_performance\r\nPixelgate-Purpose: campaign_performance\r\n",
            "purpose_missing",
        ),
    ] {
        let told = scene.deliver(&[NADIA], &letter_with(field, &pixel(KNOWN)));
        assert_eq!(told.reason(0, 0), expected, "{field}");
        assert_eq!(told.has(KNOWN), expected == "consent", "{field}");
        let copy = told.copies[0].without_received().escape_ascii().to_string();
        assert!(!copy.contains("Pixelgate"), "{copy}");
        let heeded = matches!(expected, "consent" | "no_consent");
        let purposes = told.intent["findings"][0]["purposes"]
            .as_array()
            .unwrap()
            .len();
        assert_eq!(purposes == 1, heeded, "{field}");
    }
    let log = scene.served.log();
    assert_eq!(
        log.matches("Pixelgate-Purpose is not heeded").count(),
        4,
        "{log}"
    );
    assert!(
        !log.contains("nothing\""),
        "what it said is not repeated: {log}"
    );
    scene.finish();
}

/// F12: a message cannot make an exempt tracker of one that needs consent.
#[test]
fn leaving_the_consent_purpose_out_makes_no_exemption() {
    let trackers = tracker(&["click.news.example"], &["auth_security", A]);
    let trackers = trackers + &tracker(&["t.example.net"], &["auth_security"]);
    // In France; where the country is not known the strictest profile exempts nothing.
    let country =
        "[[controller]]\nname = \"bakery\"\ncountry_default = \"FR\"\nreason = \"ships there\"\n";
    let codes = stream("codes", "authentication", &trackers);
    let scene = Scene::start(&format!("{country}{codes}"));
    let both = pixel(KNOWN) + &pixel(TINY);
    for field in ["", "Pixelgate-Purpose: auth_security\r\n"] {
        let told = scene.deliver(&[OTTO], &letter_with(field, &both));
        assert_eq!(told.reason(0, 0), "no_consent", "{field}");
        assert_eq!(told.reason(0, 1), "exempt:auth_security", "{field}");
        assert!(!told.has(KNOWN) && told.has(TINY), "{field}");
    }
    scene.finish();
}

const LINK: &str = "<a href=\"https://www.example.com/privacy/tracking?t=4f1c\">stop</a>";

/// D10: the link stands in the HTML part of the tracker, and is not the one that ends the mail.
#[test]
fn the_link_stands_beside_the_tracker_and_is_not_the_unsubscribe_link() {
    let checked =
        "withdrawal_link = { url_prefix = \"https://www.example.com/privacy/tracking\" }\n";
    let scene = Scene::start(&stream("letters", "marketing", checked));
    scene.grant(NADIA, &[A]);
    for (header, expected) in [
        ("", "consent"),
        (
            "List-Unsubscribe: <https://www.example.com/out>\r\n",
            "consent",
        ),
        (
            "List-Unsubscribe: <mailto:out@example.com>,\r\n <HTTPS://WWW.example.com:443/privacy/tracking?t=4f1c#x>\r\n",
            "no_withdrawal_link",
        ),
        (
            "list-unsubscribe: https://www.example.com/privacy/tracking?t=4f1c\r\n",
            "no_withdrawal_link",
        ),
    ] {
        let told = scene.deliver(&[NADIA], &letter_with(header, &(pixel(KNOWN) + LINK)));
        assert_eq!(told.reason(0, 0), expected, "{header}");
    }
    // Two HTML parts: the link serves the one it stands in.
    let part = |html: &str| {
        format!("--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>bread</p>{html}\r\n")
    };
    let message = format!(
        "From: <letter@news.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n{}{}--b--\r\n",
        part(&pixel(KNOWN)),
        part(&(pixel(&KNOWN.replace("bmFkaWE", "b3R0bw")) + LINK)),
    );
    let told = scene.deliver(&[NADIA], message.as_bytes());
    assert_eq!(told.reason(0, 0), "no_withdrawal_link");
    assert_eq!(told.reason(0, 1), "consent");
    assert!(!told.has(KNOWN) && told.has("u001.b3R0bw"));
    scene.finish();
}

/// D19, end to end: the partner's pixel needs the partner on the list, the sender's own does not.
#[test]
fn a_partners_tracker_is_named_and_needs_the_list() {
    let partners = format!(
        "{}recipient = \"AdCo\"\n",
        tracker(&["t.example.net"], &[A])
    );
    let trackers = tracker(&["click.news.example"], &[A]) + &partners;
    let scene = Scene::start(&stream("letters", "marketing", &trackers));
    scene.grant(NADIA, &[A]);
    let told = scene.deliver(&[NADIA], &letter_with("", &(pixel(KNOWN) + &pixel(TINY))));
    assert_eq!(told.reason(0, 0), "consent");
    assert_eq!(told.reason(0, 1), "partner_not_shown");
    assert_eq!(told.intent["findings"][1]["partner"], "AdCo");
    assert!(told.intent["findings"][0].get("partner").is_none());
    assert!(told.has(KNOWN) && !told.has(TINY));
    scene.finish();
}

/// A part that nobody sees through, kept on consent: the ledger has the basis and the proof.
#[test]
fn a_blind_part_that_stays_is_in_the_ledger_with_its_proof() {
    let scene = Scene::start(&stream("orders", "requested", ""));
    scene.grant(NADIA, &[A]);
    let unreadable = Fixture::read("utf32_requested_without_text").message;
    let told = scene.deliver(&[NADIA], &unreadable);
    assert_eq!(told.copies[0].without_received(), unreadable);
    let part = &told.intent["groups"][0]["parts"][0];
    assert_eq!(part["action"], "kept");
    assert_eq!(part["basis"], "consent");
    assert_eq!(part["records"].as_array().unwrap().len(), 1, "{part}");
    assert_eq!(told.intent["groups"][0]["profile"], "strictest");
    let told = scene.deliver(&[OTTO], &unreadable);
    assert!(told.reply.starts_with("451 "), "{}", told.reply);
    let part = &told.intent["groups"][0]["parts"][0];
    assert_eq!(
        (part["action"].as_str(), part["reason"].as_str()),
        (Some("held"), Some("no_consent"))
    );
    scene.finish();
}

/// The controller vouches for a country: its profile alone decides, and the ledger says which.
#[test]
fn the_country_that_a_controller_vouches_for_decides() {
    let country = "[[controller]]\nname = \"bakery\"\ncountry_default = \"FR\"\nreason = \"ships to France only\"\n";
    let scene = Scene::start(&format!("{country}{}", stream("letters", "marketing", "")));
    scene.grant(NADIA, &[A]);
    let told = scene.deliver(&[NADIA, OTTO], &letter());
    for group in told.intent["groups"].as_array().unwrap() {
        assert_eq!(group["profile"], "fr-2026");
    }
    assert!(scene.served.log().contains("ships to France only"));
    scene.finish();
}

/// D23: who said no is not asked again for six months; the mail goes, and the log says it.
#[test]
fn a_second_ask_at_five_months_is_warned_of() {
    let scene = Scene::start(&stream("asking", "consent_request", ""));
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    for (address, months) in [(NADIA, 5), (OTTO, 7)] {
        let at = now
            .checked_sub(months.months())
            .unwrap()
            .timestamp()
            .to_string();
        scene.consent(&[
            "set",
            "--controller",
            "bakery",
            "--to",
            address,
            "--state",
            "refused",
            "--purposes",
            A,
            "--at",
            &at,
        ]);
    }
    let told = scene.deliver(&[NADIA, OTTO], &letter());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    let log = scene.served.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("(D23)")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    let hers = &told.intent["groups"][0]["subjects"];
    let hers = hers
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|subject| subject.as_str());
    assert!(
        hers.into_iter()
            .any(|subject| warnings[0].contains(subject)),
        "{warnings:?}"
    );
    assert!(log.contains("asked_early=1"), "{log}");
    scene.finish();
}
