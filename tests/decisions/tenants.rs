//! D20: several tenants behind one relay. Whatever tenant A writes into its mail, nothing of tenant B's is used, and nothing
//! of B's is said.

use std::net::SocketAddr;

use crate::fixture::{import, row};
use crate::scene::{KNOWN, NADIA, Scene, Told, letter_with, pixel, tracker};
use crate::support::{Config, free_port};

const A: &str = "campaign_performance";

/// Tenant A at the first listener, tenant B at the second, a trusted injector at the third; she consented to B.
fn three_doors() -> (Scene, SocketAddr, SocketAddr) {
    let (bank, injector) = (free_port(), free_port());
    let tracker = tracker(&["click.news.example"], &[A]);
    let stream = |name: &str, more: &str| {
        format!(
            "[[stream]]\nname = \"{name}\"\nkind = \"marketing\"\nwithdrawal_link = {{ elsewhere = \"in the account\" }}\n{more}\n{tracker}"
        )
    };
    let config = Config {
        listener: vec!["controllers = [\"shop\"]".to_owned()],
        tail: format!(
            "[[listener]]\naddress = \"{bank}\"\ncontrollers = [\"bank\"]\n\
             [[listener]]\naddress = \"{injector}\"\ncontrollers = {{ header = \"Pixelgate-Controller\" }}\n{}{}",
            stream("letters", ""),
            stream(
                "bank-letters",
                &format!("controller = \"bank\"\nlisteners = [\"{bank}\"]")
            ),
        ),
        ..Config::default()
    };
    let scene = Scene::start_with(config);
    import(&scene.served, &[row("bank", NADIA, "granted", &[A])]);
    (scene, bank, injector)
}

fn from(whom: &str, header: &str) -> Vec<u8> {
    let letter = String::from_utf8(letter_with(header, &pixel(KNOWN))).unwrap();
    letter
        .replace(
            "From: <letter@news.example>",
            &format!("From: <letters@{whom}.example>"),
        )
        .into_bytes()
}

/// Nothing of B's was used, and nothing of B's is in the copy's header that we own.
fn nothing_kept(told: &Told, expected: (&str, &str), what: &str) {
    assert!(told.reply.starts_with("250 "), "{what}: {}", told.reply);
    assert!(
        !told.reply.to_ascii_lowercase().contains("bank"),
        "{}",
        told.reply
    );
    assert!(!told.has(KNOWN), "{what}");
    assert_eq!(told.intent["controller"], expected.0, "{what}");
    assert_eq!(told.reason(0, 0), expected.1, "{what}");
    let copy = told.copies[0].without_received().escape_ascii().to_string();
    assert!(!copy.to_ascii_lowercase().contains("pixelgate-"), "{copy}");
}

/// Controller and reason: A's own mail, to somebody who consented to nothing of A's.
const OWN: (&str, &str) = ("shop", "no_consent");
/// Nobody's.
const NOBODYS: (&str, &str) = ("unassigned", "unassigned");
/// What A tries, and whose mail that makes it.
const ATTEMPTS: [(&str, &str, (&str, &str)); 13] = [
    ("B's From", "", OWN),
    ("its own header", "Pixelgate-Controller: shop\r\n", OWN),
    ("B's header", "Pixelgate-Controller: bank\r\n", NOBODYS),
    (
        "two headers",
        "Pixelgate-Controller: shop\r\nPixelgate-Controller: bank\r\n",
        NOBODYS,
    ),
    (
        "two headers",
        "Pixelgate-Controller: bank\r\npixelgate-controller: bank\r\n",
        NOBODYS,
    ),
    (
        "folded header",
        "Pixelgate-Controller:\r\n bank\r\n",
        NOBODYS,
    ),
    (
        "folded header",
        "Pixelgate-Controller: shop\r\n\tbank\r\n",
        NOBODYS,
    ),
    (
        "folded, its own",
        "Pixelgate-Controller:\r\n shop\r\n",
        NOBODYS,
    ),
    ("a list", "Pixelgate-Controller: shop,bank\r\n", NOBODYS),
    ("an empty header", "Pixelgate-Controller:\r\n", NOBODYS),
    (
        "blank before the colon",
        "Pixelgate-Controller : bank\r\n",
        NOBODYS,
    ),
    ("B's stream", "Pixelgate-Stream: bank-letters\r\n", NOBODYS),
    (
        "B's stream, its own name",
        "Pixelgate-Stream: bank-letters\r\nPixelgate-Controller: shop\r\n",
        NOBODYS,
    ),
];

#[test]
fn tenant_a_gets_nothing_of_tenant_bs() {
    let (scene, bank, injector) = three_doors();
    for (what, header, expected) in ATTEMPTS {
        nothing_kept(
            &scene.deliver(&[NADIA], &from("bank", header)),
            expected,
            what,
        );
    }
    for (what, header) in [
        ("no header at a trusted injector", ""),
        (
            "two of them",
            "Pixelgate-Controller: bank\r\nPixelgate-Controller: bank\r\n",
        ),
        ("a folded one", "Pixelgate-Controller:\r\n bank\r\n"),
    ] {
        let told = scene.deliver_by(injector, &[NADIA], &from("bank", header));
        nothing_kept(&told, NOBODYS, what);
    }
    let log = scene.served.log();
    assert!(!log.to_ascii_lowercase().contains("bank"), "{log}");
    let before: String = scene
        .lines("intent")
        .iter()
        .map(ToString::to_string)
        .collect();

    // B's own mail keeps its pixel, and by the injector who may name B; so the register was right all along.
    let told = scene.deliver_by(bank, &[NADIA], &from("shop", ""));
    assert_eq!(
        (told.has(KNOWN), told.reason(0, 0).as_str()),
        (true, "consent")
    );
    assert_eq!(told.intent["stream"], "bank-letters");
    let hers = told.intent["groups"][0]["subjects"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let named = from("shop", "Pixelgate-Controller: bank\r\n");
    let told = scene.deliver_by(injector, &[NADIA], &named);
    assert_eq!(
        (told.has(KNOWN), told.reason(0, 0).as_str()),
        (true, "consent")
    );
    assert_eq!(told.intent["controller"], "bank");
    assert_eq!(told.intent["groups"][0]["subjects"][0], hers.as_str());
    assert!(
        !before.contains(&hers) && !log.contains(&hers),
        "who she is to B was written for A"
    );
    scene.finish();
}

/// Controllers need no listing: the injector names one that no file has heard of.
#[test]
fn a_controller_needs_no_line_in_the_configuration() {
    let (scene, _, injector) = three_doors();
    import(
        &scene.served,
        &[row("bakery-77.eu", NADIA, "granted", &[A])],
    );
    for (name, reason) in [("bakery-77.eu", "consent"), ("bakery-78.eu", "no_consent")] {
        let letter = from("x", &format!("Pixelgate-Controller: {name}\r\n"));
        let told = scene.deliver_by(injector, &[NADIA], &letter);
        assert_eq!(told.reason(0, 0), reason);
        assert_eq!(told.intent["controller"], name);
        assert_eq!(told.has(KNOWN), reason == "consent");
    }
    scene.finish();
}
