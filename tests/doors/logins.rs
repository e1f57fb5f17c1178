//! AUTH PLAIN and LOGIN (RFC 4954), and certificates of clients: strangers who prove a name may send, and only as that name.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::authority::{Authority, RELAY};
use crate::support::{Config, Served};
use crate::talk::{Talk, text_of, texts};

/// Nobody is trusted by address.
const STRANGERS: &str = "trusted_networks = [\"192.0.2.1\"]";

fn passwords(authority: &Authority) -> PathBuf {
    let file = authority.path().join("logins");
    let line = |name: &str, password: &str| {
        pixelgate::session::logins::line(name, password.as_bytes()).unwrap()
    };
    let lines = [line("shop", "open sesame"), line("bank", "other words")];
    fs::write(&file, lines.join("\n")).unwrap();
    file
}

fn relay(authority: &Authority, more: &str) -> Config {
    let file = passwords(authority);
    Config {
        listener: vec![
            authority.sign(RELAY).listener(""),
            format!("auth = {{ file = \"{}\"{more} }}", file.display()),
            STRANGERS.to_owned(),
        ],
        ..Config::default()
    }
}

fn plain(name: &str, password: &str) -> String {
    STANDARD.encode(format!("\0{name}\0{password}"))
}

#[test]
fn a_password_is_for_tls_only_and_makes_a_stranger_a_client() {
    let authority = Authority::new();
    let served = Served::start(&relay(&authority, ""));
    let mut talk = Talk::tcp(served.address());
    talk.expect("220");
    let clear = talk.extensions();
    assert!(
        !clear.iter().any(|line| line.starts_with("AUTH")),
        "{clear:?}"
    );
    talk.says("AUTH PLAIN", "538 5.7.11");
    talk.says("MAIL FROM:<a@client.example>", "530 5.7.0");
    talk.says("STARTTLS", "220");
    let mut talk = talk.secured(&authority.client(None));
    talk.says("AUTH PLAIN", "503");
    assert!(talk.extensions().contains(&"AUTH PLAIN LOGIN".to_owned()));
    talk.says("MAIL FROM:<a@client.example>", "530 5.7.0");
    talk.says(
        &format!("AUTH PLAIN {}", plain("shop", "open sesame")),
        "235 2.7.0",
    );
    talk.says(
        &format!("AUTH PLAIN {}", plain("shop", "open sesame")),
        "503",
    );
    assert!(
        !talk
            .extensions()
            .iter()
            .any(|line| line.starts_with("AUTH"))
    );
    assert!(talk.mail("b@example.net", "known")[0].starts_with("250"));
    let outbox = served.outbox();
    assert_eq!(texts(&outbox), ["known"]);
    let received = text_of(&outbox[0]);
    assert!(received.contains("with ESMTPSA"), "{received}");
}

#[test]
fn every_way_to_say_a_password_and_every_way_to_fail() {
    let authority = Authority::new();
    let mut config = relay(&authority, "");
    config.limits = vec!["auth_failures = 30".to_owned()];
    let served = Served::start(&config);
    let client = authority.client(None);
    let encoded = |text: &str| STANDARD.encode(text);
    let (name, password) = (encoded("shop"), encoded("open sesame"));
    let whole = plain("shop", "open sesame");
    let right: [&[(&str, &str)]; 4] = [
        (&[(&format!("auth plain {whole}"), "235")]),
        (&[("AUTH PLAIN", "334 "), (&whole, "235")]),
        (&[
            ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
            (&name, "334 UGFzc3dvcmQ6"),
            (&password, "235"),
        ]),
        (&[
            (&format!("AUTH LOGIN {name}"), "334 UGFzc3dvcmQ6"),
            (&password, "235"),
        ]),
    ];
    for dialog in right {
        let mut talk = Talk::starttls(served.address(), &client);
        for (line, reply) in dialog {
            talk.says(line, reply);
        }
        talk.says("MAIL FROM:<a@client.example>", "250");
    }
    let as_another = encoded("bank\0shop\0open sesame");
    let wrong: [&[(&str, &str)]; 11] = [
        (&[(
            &format!("AUTH PLAIN {}", plain("shop", "wrong")),
            "535 5.7.8",
        )]),
        (&[(
            &format!("AUTH PLAIN {}", plain("nobody", "open sesame")),
            "535 5.7.8",
        )]),
        (&[(&format!("AUTH PLAIN {as_another}"), "535 5.7.8")]),
        (&[(&format!("AUTH PLAIN {}", encoded("shop")), "501 5.5.2")]),
        (&[("AUTH PLAIN =", "501 5.5.2")]),
        (&[("AUTH PLAIN *", "501")]),
        (&[("AUTH PLAIN", "334 "), ("*", "501 5.7.0")]),
        (&[("AUTH PLAIN", "334 "), ("not base64!", "501 5.5.2")]),
        (&[("AUTH LOGIN", "334 "), (&name, "334 "), ("*", "501 5.7.0")]),
        (&[("AUTH CRAM-MD5", "504")]),
        (&[("AUTH", "501")]),
    ];
    let mut talk = Talk::starttls(served.address(), &client);
    for dialog in wrong {
        for (line, reply) in dialog {
            talk.says(line, reply);
        }
        talk.says("MAIL FROM:<a@client.example>", "530 5.7.0");
    }
    // A response line that is too long is one failure, and no command.
    talk.says("AUTH PLAIN", "334 ");
    talk.says(&"A".repeat(20_000), "500");
    talk.says("NOOP", "250");
    let log = served.log();
    assert!(!log.contains("sesame") && !log.contains("nobody"), "{log}");
}

#[test]
fn whoever_guesses_is_sent_away() {
    let authority = Authority::new();
    let served = Served::start(&relay(&authority, ""));
    let mut talk = Talk::starttls(served.address(), &authority.client(None));
    for _ in 0..2 {
        talk.says(&format!("AUTH PLAIN {}", plain("shop", "wrong")), "535");
    }
    talk.says(&format!("AUTH PLAIN {}", plain("shop", "wrong")), "535");
    talk.expect("421 4.7.0 Too many failed logins (auth_failures = 3)");
    assert!(talk.is_closed());
}

#[test]
fn in_clear_where_the_operator_says_so() {
    let authority = Authority::new();
    let served = Served::start(&relay(&authority, ", plaintext = true"));
    let mut talk = Talk::greeted(served.address());
    // Pipelined behind the login is what the login permits.
    talk.send(
        format!(
            "AUTH PLAIN {}\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.net>\r\n",
            plain("shop", "open sesame")
        )
        .as_bytes(),
    );
    talk.expect("235");
    talk.expect("250");
    talk.expect("250");
}

/// The connection fixes whose mail it may be: a login is more exact than an address.
#[test]
fn streams_go_by_the_name_that_was_proven() {
    let authority = Authority::new();
    let mut config = relay(&authority, "");
    config.tail = r#"
[[stream]]
name = "of-the-shop"
controller = "shop"
kind = "marketing"
logins = ["shop"]
withdrawal_link = { elsewhere = "in the account" }
[[stream]]
name = "of-the-bank"
controller = "bank"
kind = "requested"
logins = ["bank"]
withdrawal_link = { elsewhere = "in the account" }
"#
    .to_owned();
    let served = Served::start(&config);
    let client = authority.client(None);
    for (name, password) in [("shop", "open sesame"), ("bank", "other words")] {
        let mut talk = Talk::starttls(served.address(), &client);
        talk.says(&format!("AUTH PLAIN {}", plain(name, password)), "235");
        assert!(talk.mail("b@example.net", name)[0].starts_with("250"));
        talk.says("QUIT", "221");
    }
    let log = served.log();
    for stream in ["of-the-shop", "of-the-bank"] {
        assert_eq!(
            log.matches(&format!("stream=\"{stream}\"")).count(),
            1,
            "{log}"
        );
    }
}

#[test]
fn a_certificate_is_as_good_as_a_password_and_only_for_its_login() {
    let (authority, others) = (Authority::new(), Authority::new());
    let by_hash = authority.sign("one.example");
    let by_name = authority.sign("two.example");
    let nobodys = authority.sign("three.example");
    let foreign = others.sign("two.example");
    let more = format!(", client_ca = \"{}\"", authority.file().display());
    let mut config = Config {
        listener: vec![authority.sign(RELAY).listener(&more), STRANGERS.to_owned()],
        tail: format!(
            "[[login]]\nname = \"one\"\ncertificate_sha256 = [\"{}\"]\n[[login]]\nname = \"two\"\ncertificate_names = [\"TWO.example\"]\n",
            by_hash.sha256()
        ),
        ..Config::default()
    };
    let served = Served::start(&config);
    for (pair, reply) in [
        (Some(&by_hash), "250"),
        (Some(&by_name), "250"),
        (Some(&nobodys), "530 5.7.0"),
        (None, "530 5.7.0"),
    ] {
        let mut talk = Talk::starttls(served.address(), &authority.client(pair));
        talk.says("MAIL FROM:<a@client.example>", reply);
    }
    // In clear the certificate was never shown, and one of another authority ends the handshake.
    let mut talk = Talk::greeted(served.address());
    talk.says("MAIL FROM:<a@client.example>", "530 5.7.0");
    talk.says("STARTTLS", "220");
    let mut talk = talk.secured(&authority.client(Some(&foreign)));
    talk.send(b"EHLO client.example\r\n");
    assert!(talk.is_closed());

    config.listener[0] = config.listener[0].replace(" }", ", client_required = true }");
    let served = Served::start(&config);
    let mut talk = Talk::starttls(served.address(), &authority.client(Some(&nobodys)));
    talk.says("MAIL FROM:<a@client.example>", "530 5.7.0");
    let mut talk = Talk::greeted(served.address());
    talk.says("STARTTLS", "220");
    let mut talk = talk.secured(&authority.client(None));
    talk.send(b"EHLO client.example\r\n");
    assert!(talk.is_closed(), "client_required");
}
