//! Whose mail it is, what the stream asks for, and the operator's stops.

use crate::fixture::{CONSENT_PURPOSES, Fixture};
use crate::scene::{KNOWN, NADIA, OTTO, Scene, letter, letter_with, pixel, stream};
use crate::support::Config;

const A: &str = "campaign_performance";
const ALL: &[&str] = &CONSENT_PURPOSES;

fn reason(scene: &Scene, to: &str, message: &[u8]) -> String {
    let (kept, reason) = scene.verdict(to, message);
    assert_eq!(kept, reason == "consent");
    reason
}

/// Two streams on one listener: the message picks among them; what it does not pick clearly belongs to nobody.
#[test]
fn the_message_picks_among_the_streams_of_its_listener() {
    let other = stream("tips", "marketing", "").replace("bakery", "butcher");
    let scene = Scene::start(&format!("{}{other}", stream("letters", "marketing", "")));
    scene.grant(NADIA, ALL);
    let with = |header: &str| letter_with(header, &pixel(KNOWN));
    for (header, expected, name) in [
        ("Pixelgate-Stream: letters\r\n", "consent", "letters"),
        ("pixelgate-stream:letters \r\n", "consent", "letters"),
        ("Pixelgate-Stream: tips\r\n", "no_consent", "tips"),
        ("", "unassigned", "unassigned"),
        ("Pixelgate-Stream: nobody\r\n", "unassigned", "unassigned"),
        ("Pixelgate-Stream:\r\n", "unassigned", "unassigned"),
        (
            "Pixelgate-Stream: letters\r\nPixelgate-Stream: tips\r\n",
            "unassigned",
            "unassigned",
        ),
        (
            "Pixelgate-Stream: letters\r\nPixelgate-Stream: letters\r\n",
            "unassigned",
            "unassigned",
        ),
        (
            "Pixelgate-Stream: letters, tips\r\n",
            "unassigned",
            "unassigned",
        ),
        (
            "Subject: x\r\n\tPixelgate-Stream: letters\r\n",
            "unassigned",
            "unassigned",
        ),
    ] {
        let told = scene.deliver(&[NADIA], &with(header));
        assert_eq!(told.reason(0, 0), expected, "{header}");
        assert_eq!(told.intent["stream"], name, "{header}");
        assert_eq!(told.has(KNOWN), expected == "consent", "{header}");
        let copy = told.copies[0].without_received().escape_ascii().to_string();
        let folded = header.starts_with("Subject");
        assert_eq!(
            copy.to_ascii_lowercase().contains("pixelgate-stream"),
            folded,
            "{copy}"
        );
    }
    scene.finish();
}

/// A stream that is not this listener's cannot be picked, whatever the message says.
#[test]
fn the_connection_fixes_whose_mail_it_may_be() {
    let second = crate::support::free_port();
    let mut config = Config::default();
    let own = stream(
        "letters",
        "marketing",
        &format!("listeners = [\"{second}\"]"),
    );
    config.tail = format!(
        "[[listener]]\naddress = \"{second}\"\n{own}{}",
        stream("tips", "marketing", "").replace("bakery", "butcher")
    );
    let scene = Scene::start_with(config);
    scene.grant(NADIA, ALL);
    let picked = letter_with("Pixelgate-Stream: letters\r\n", &pixel(KNOWN));
    assert_eq!(
        reason(&scene, NADIA, &picked),
        "unassigned",
        "a header widens nothing"
    );
    scene.finish();
}

#[test]
fn mail_that_asks_for_consent_tracks_nobody() {
    let scene = Scene::start(&stream("asking", "consent_request", ""));
    scene.grant(NADIA, ALL);
    assert_eq!(reason(&scene, NADIA, &letter()), "consent_request");
    scene.finish();
}

#[test]
fn a_kept_pixel_needs_a_link_to_withdraw() {
    let checked =
        "withdrawal_link = { url_prefix = \"https://www.example.com/privacy/tracking\" }\n";
    let scene = Scene::start(&stream("letters", "marketing", checked));
    scene.grant(NADIA, &[A]);
    let with = |link: &str| letter_with("", &format!("{link}\r\n{}", pixel(KNOWN)));
    for (link, expected) in [
        (
            "<a href=\"https://www.example.com/privacy/tracking?t=4f1c\">stop</a>",
            "consent",
        ),
        (
            "<a href=\"https&#58;//www.example.com/privacy/&#116;racking\">stop</a>",
            "consent",
        ),
        ("", "no_withdrawal_link"),
        (
            "<a href=\"https://www.example.com/unsubscribe\">stop</a>",
            "no_withdrawal_link",
        ),
        (
            "https://www.example.com/privacy/tracking?t=4f1c",
            "no_withdrawal_link",
        ),
        (
            "<!-- <a href=\"https://www.example.com/privacy/tracking\">stop</a> -->",
            "no_withdrawal_link",
        ),
        (
            "<a href=\"https://evil.example/?https://www.example.com/privacy/tracking\">stop</a>",
            "no_withdrawal_link",
        ),
    ] {
        assert_eq!(reason(&scene, NADIA, &with(link)), expected, "{link}");
    }
    assert_eq!(
        reason(
            &scene,
            OTTO,
            &with("<a href=\"https://www.example.com/privacy/tracking\">stop</a>")
        ),
        "no_consent",
        "a link is no consent"
    );
    scene.finish();
}

#[test]
fn withdrawing_elsewhere_needs_no_link() {
    let scene = Scene::start(&stream("letters", "marketing", ""));
    scene.grant(NADIA, &[A]);
    assert_eq!(reason(&scene, NADIA, &letter()), "consent");
    scene.finish();
}

#[test]
fn strip_all_outweighs_consent() {
    let tail = format!(
        "[stops]\nstrip_all = true\n{}",
        stream("letters", "marketing", "")
    );
    let scene = Scene::start(&tail);
    scene.grant(NADIA, ALL);
    assert!(scene.served.log().contains("strip_all"));
    assert_eq!(reason(&scene, NADIA, &letter()), "strip_all");
    assert_eq!(scene.lines("intent")[0]["enforcement"]["strip_all"], true);
    scene.finish();
}

#[test]
fn hold_edits_holds_what_would_change_and_nothing_else() {
    let tail = format!(
        "[stops]\nhold_edits = true\n{}",
        stream("letters", "marketing", "")
    );
    let scene = Scene::start(&tail);
    scene.grant(NADIA, &[A]);
    assert!(scene.served.log().contains("hold_edits"));
    let told = scene.deliver(&[OTTO], &letter());
    assert!(told.reply.starts_with("451 4.6.0 "), "{}", told.reply);
    assert!(told.reply.contains("hold_edits"), "{}", told.reply);
    assert!(told.copies.is_empty());
    assert_eq!(told.intent["groups"][0]["copy"], "held");
    assert_eq!(told.intent["groups"][0]["reason"], "hold_edits");
    assert_eq!(reason(&scene, NADIA, &letter()), "consent");
    let told = scene.deliver(&[OTTO], &letter_with("", "<b>nothing to see</b>"));
    assert!(told.reply.starts_with("250 "), "{}", told.reply);

    // One transaction with both: hers goes, his is owed; he gets nothing now.
    let told = scene.deliver(&[OTTO, NADIA], &letter());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    let to: Vec<&String> = told.copies.iter().flat_map(|copy| &copy.to).collect();
    assert_eq!(to, [NADIA]);
    let owed = std::fs::read_dir(scene.place("spool/owed"))
        .unwrap()
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|extension| extension == "json")
        })
        .count();
    assert_eq!(owed, 1);
    scene.finish();
}

/// A rule that is switched off is an exception that is said aloud: at the start, and in every line.
#[test]
fn a_rule_that_is_off_is_said_and_finds_nothing() {
    let tail = format!(
        "[rules]\ndisabled = [\"sendgrid-wf-open\"]\n{}",
        stream("letters", "marketing", "")
    );
    let scene = Scene::start(&tail);
    let log = scene.served.log();
    assert!(log.contains("`sendgrid-wf-open` is switched off"), "{log}");
    let sized = letter_with(
        "",
        &format!("<img src=\"{KNOWN}\" width=\"600\" height=\"80\">"),
    );
    let told = scene.deliver(&[NADIA], &sized);
    assert!(told.has(KNOWN), "only that rule would have found it");
    assert_eq!(told.intent["findings"].as_array().unwrap().len(), 0);
    assert_eq!(
        told.intent["enforcement"]["rules_disabled"],
        serde_json::json!(["sendgrid-wf-open"])
    );
    // What another layer finds still goes.
    assert_eq!(reason(&scene, NADIA, &letter()), "no_consent");
    scene.finish();
}

/// One relay with the rule on, for the difference.
#[test]
fn the_same_image_goes_with_the_rule_on() {
    let scene = Scene::start(&stream("letters", "marketing", ""));
    let sized = letter_with(
        "",
        &format!("<img src=\"{KNOWN}\" width=\"600\" height=\"80\">"),
    );
    assert_eq!(reason(&scene, NADIA, &sized), "no_consent");
    scene.finish();
}

/// What cannot be inspected goes by the kind of the stream, and is held no longer than `hold_limit_seconds`.
#[test]
fn what_is_held_is_refused_once_its_time_is_over() {
    let tail = format!(
        "[relay]\nhold_limit_seconds = 2\n{}",
        stream("orders", "requested", "")
    );
    let scene = Scene::start(&tail);
    let unreadable = Fixture::read("utf32_requested_without_text").message;
    let told = scene.deliver(&[OTTO], &unreadable);
    assert!(told.reply.starts_with("451 "), "{}", told.reply);
    assert_eq!(told.intent["groups"][0]["reason"], "uninspectable:charset");
    std::thread::sleep(std::time::Duration::from_millis(2_200));
    let told = scene.deliver(&[OTTO], &unreadable);
    assert!(told.reply.starts_with("550 5.6.0 "), "{}", told.reply);
    assert!(told.copies.is_empty());
    // To somebody who granted it goes at once.
    scene.grant(NADIA, &[A]);
    let told = scene.deliver(&[NADIA], &unreadable);
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    assert_eq!(told.copies[0].without_received(), unreadable);
    scene.finish();
}

#[test]
fn strictest_gives_one_body_and_says_because_of_whom() {
    let tail = format!(
        "[relay]\nmixed_consent = \"strictest\"\n{}",
        stream("letters", "marketing", "")
    );
    let scene = Scene::start(&tail);
    scene.grant(NADIA, &[A]);
    let told = scene.deliver(&[NADIA, OTTO], &letter());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    assert_eq!(told.copies.len(), 1);
    assert_eq!(told.copies[0].to, [NADIA, OTTO]);
    assert!(!told.has(KNOWN));
    assert_eq!(told.reason(0, 0), "strictest_recipient");
    assert_eq!(told.reason(1, 0), "no_consent");
    assert_eq!(reason(&scene, NADIA, &letter()), "consent");
    scene.finish();
}

/// A part that is emptied for one is emptied for both, and the ledger does not say that she kept what was in it.
#[test]
fn strictest_says_so_of_an_emptied_part_too() {
    let tail = format!(
        "[relay]\nmixed_consent = \"strictest\"\n{}",
        stream("orders", "requested", "")
    );
    let scene = Scene::start(&tail);
    scene.grant(NADIA, &[A]);
    let told = scene.deliver(&[NADIA, OTTO], &Fixture::read("amp_requested").message);
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    assert_eq!(told.copies.len(), 1);
    assert!(!told.has("wf/open"));
    for finding in 0..2 {
        assert_eq!(told.reason(0, finding), "strictest_recipient");
        assert_eq!(told.reason(1, finding), "no_consent");
    }
    scene.finish();
}
