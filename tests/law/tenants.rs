//! D20: one relay, two controllers that know nothing of each other. What one may not know stands neither in a reply nor in
//! a log, whatever its mail says.

use serde_json::Value;

use crate::fixture::CONSENT_PURPOSES;
use crate::letters::{OPEN, STOP, issue, letter_with, pixel, without};
use crate::press::{NADIA, Press, grant, own, same};
use crate::support::Config;

const HOST: &str = "open.press.example";
/// Tenant B: named by no configuration, known to the register alone.
const BIRCH: &str = "birch-and-daughters";

/// One stream for whomever the connection speaks for.
fn press(controllers: &str) -> Press {
    let stream = format!(
        "[[stream]]\nname = \"week\"\nkind = \"marketing\"\n\
         withdrawal_link = {{ url_prefix = \"https://press.example/privacy/\" }}\n{}",
        own(&["campaign_performance"]).concat()
    );
    Press::start_with(Config {
        listener: vec![format!("controllers = {controllers}")],
        tail: stream,
        ..Config::default()
    })
}

/// B's grant to everything; A has nothing.
fn granted_to_birch() -> Value {
    let mut row = grant(NADIA, &CONSENT_PURPOSES);
    row["controller"] = BIRCH.into();
    row
}

/// Mail of tenant A that pretends, in every way that a message can.
fn pretending() -> Vec<(&'static str, Vec<u8>)> {
    let mail = |header: &str| letter_with(header, &[STOP, &pixel(OPEN)]);
    let from_b = String::from_utf8(issue())
        .unwrap()
        .replace("letter@press.example", "letter@birch-and-daughters.example")
        .replace("The Press", "birch-and-daughters");
    vec![
        ("B's From", from_b.into_bytes()),
        (
            "B's header",
            mail("Pixelgate-Controller: birch-and-daughters\r\n"),
        ),
        (
            "two headers",
            mail("Pixelgate-Controller: alder\r\nPixelgate-Controller: birch-and-daughters\r\n"),
        ),
        (
            "B's twice",
            mail(
                "Pixelgate-Controller: birch-and-daughters\r\nPixelgate-Controller: birch-and-daughters\r\n",
            ),
        ),
        (
            "folded",
            mail("Pixelgate-Controller:\r\n birch-and-daughters\r\n"),
        ),
        (
            "folded behind A's",
            mail("Pixelgate-Controller: alder\r\n birch-and-daughters\r\n"),
        ),
        (
            "with a comment",
            mail("Pixelgate-Controller: birch-and-daughters (really)\r\n"),
        ),
        (
            "a list",
            mail("Pixelgate-Controller: alder, birch-and-daughters\r\n"),
        ),
        (
            "in other letters",
            mail("Pixelgate-Controller: Birch-And-Daughters\r\n"),
        ),
        (
            "B's stream",
            mail("Pixelgate-Stream: birch-and-daughters\r\n"),
        ),
    ]
}

#[test]
fn d20_what_a_tenant_says_of_itself_opens_nobody_elses_records() {
    let press = press("[\"alder\"]");
    press.import(&[granted_to_birch()]);
    for (how, mail) in pretending() {
        let told = press.deliver(&[NADIA], &mail);
        assert!(told.reply.starts_with("250 "), "{how}: {}", told.reply);
        let copy = told.copy_to(NADIA).without_received();
        assert!(
            memchr::memmem::find(copy, b"u=9f2c41d07a").is_none(),
            "{how}: kept"
        );
        assert!(!told.reply.contains("birch"), "{how}: {}", told.reply);
        let decision = &told.intent["groups"][0]["decisions"][0];
        let expected = match how {
            "B's From" => "no_consent",
            _ => "unassigned",
        };
        assert_eq!(decision["reason"], expected, "{how}");
        assert!(decision.get("records").is_none(), "{how}: {decision}");
    }
    // What a tenant says rightly is heeded, and the field is removed.
    let mail = letter_with("Pixelgate-Controller: alder\r\n", &[STOP, &pixel(OPEN)]);
    let told = press.deliver(&[NADIA], &mail);
    same(
        told.copy_to(NADIA).without_received(),
        &without(&issue(), &[OPEN]),
    );
    assert_eq!(
        press.verdict(&told.intent, "alder", NADIA, HOST),
        "stripped no_consent strictest"
    );
    let log = press.served.log().to_ascii_lowercase();
    assert!(!log.contains("birch"), "{log}");
    let lines = [press.lines("intent"), press.lines("outcome")].concat();
    for line in lines {
        assert!(!line.to_string().to_lowercase().contains("birch"), "{line}");
    }
    press.finish();
}

/// A trusted injector names the controller of each message; the same address is two people to two controllers.
#[test]
fn d20_the_same_address_is_kept_for_who_was_granted_and_stripped_for_who_was_not() {
    let press = press("{ header = \"Pixelgate-Controller\" }");
    press.import(&[granted_to_birch()]);
    let mail = |name: &str| {
        let field = format!("Pixelgate-Controller: {name}\r\n");
        letter_with(&field, &[STOP, &pixel(OPEN)])
    };
    let told = press.deliver(&[NADIA], &mail(BIRCH));
    same(told.copy_to(NADIA).without_received(), &issue());
    assert_eq!(
        press.verdict(&told.intent, BIRCH, NADIA, HOST),
        "kept consent strictest"
    );
    let of_birch = told.intent["groups"][0]["subjects"][0].clone();
    let told = press.deliver(&[NADIA], &mail("alder"));
    same(
        told.copy_to(NADIA).without_received(),
        &without(&issue(), &[OPEN]),
    );
    assert_eq!(
        press.verdict(&told.intent, "alder", NADIA, HOST),
        "stripped no_consent strictest"
    );
    let of_alder = told.intent["groups"][0]["subjects"][0].clone();
    assert_ne!(of_birch, of_alder, "two ledgers cannot be joined");
    // Named by nobody, or by too many, it is nobody's.
    for header in [
        "",
        "Pixelgate-Controller: alder\r\nPixelgate-Controller: birch-and-daughters\r\n",
        "Pixelgate-Controller:\r\n birch-and-daughters\r\n",
    ] {
        let told = press.deliver(&[NADIA], &letter_with(header, &[STOP, &pixel(OPEN)]));
        assert!(told.reply.starts_with("250 "), "{}", told.reply);
        let decision = &told.intent["groups"][0]["decisions"][0];
        assert_eq!(decision["reason"], "unassigned", "{header}");
        let copy = told.copy_to(NADIA).without_received();
        assert!(memchr::memmem::find(copy, b"u=9f2c41d07a").is_none());
    }
    press.finish();
}
