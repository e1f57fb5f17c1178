//! TLS and logins towards a next hop. What each mode makes of each failure is held by `tests/truth/tls.rs`.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use pixelgate::next_hop::NextHop;
use pixelgate::next_hop::secure::{TlsMode, TlsSettings};
use pixelgate::next_hop::settings::AuthSettings;
use pixelgate::smtp::path::ForwardPath;
use pixelgate::smtp::xforward::{Attribute, Xforward};

use crate::authority::Authority;
use crate::ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use crate::*;

async fn send(settings: Settings) -> String {
    send_by(&NextHop::new(settings).unwrap(), &Xforward::default()).await
}

async fn send_by(next_hop: &NextHop, xforward: &Xforward) -> String {
    let rcpts = [rcpt("a@x.example")];
    let fates = next_hop
        .transact(&mail(), &rcpts, xforward, &message(), soon())
        .await;
    told(&fates)
}

fn tls(hop: &IllMannered, mode: TlsMode) -> Settings {
    Settings {
        tls: TlsSettings {
            mode,
            ..TlsSettings::default()
        },
        ..settings_for(hop)
    }
}

#[tokio::test]
async fn a_certificate_proves_the_name_of_the_address() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca_file = Some(authority.write(directory.path()));
    for (name, expected) in [("127.0.0.1", "T250"), ("127.0.0.2", "N451")] {
        let hop = IllMannered::start(Script::smtp().starttls(authority.server(name).0));
        let mut settings = tls(&hop, TlsMode::Verified);
        settings.tls.ca_file.clone_from(&ca_file);
        assert_eq!(send(settings).await, expected, "{name}");
        assert_eq!(hop.taken().len(), usize::from(expected == "T250"));
        assert!(hop.taken().iter().all(|transaction| transaction.secure));
    }
}

#[tokio::test]
async fn a_fingerprint_believes_one_certificate_and_no_other() {
    let authority = Authority::new();
    let (server, fingerprint) = authority.server("whatever.example");
    let (other, _) = authority.server("whatever.example");
    for (server, expected) in [(server, "T250"), (other, "N451")] {
        let hop = IllMannered::start(Script::smtp().starttls(server));
        let mut settings = tls(&hop, TlsMode::Verified);
        let text = format!("\"{fingerprint}\"");
        settings.tls.fingerprint = Some(serde_json::from_str(&text).unwrap());
        assert_eq!(send(settings).await, expected);
        assert_eq!(hop.transactions().len(), usize::from(expected == "T250"));
    }
}

#[tokio::test]
async fn implicit_tls_begins_with_the_first_octet_and_never_falls_back() {
    let (server, _) = Authority::new().server("whatever.example");
    for mode in [TlsMode::Opportunistic, TlsMode::Required] {
        let hop = IllMannered::start(Script::smtp().implicit_tls(std::sync::Arc::clone(&server)));
        let mut settings = tls(&hop, mode);
        settings.tls.implicit = true;
        assert_eq!(send(settings).await, "T250", "{mode:?}");
        assert!(hop.taken()[0].secure);

        let clear = IllMannered::start(Script::smtp());
        let mut settings = tls(&clear, mode);
        settings.tls.implicit = true;
        assert_eq!(send(settings).await, "N451", "{mode:?}");
        assert_eq!(clear.transactions(), []);
    }
}

/// What a server says before TLS counts for nothing behind it: EHLO is said again.
#[tokio::test]
async fn ehlo_is_said_again_under_tls() {
    let (server, _) = Authority::new().server("whatever.example");
    let hop = IllMannered::start(
        Script::smtp().starttls(server).rule(
            Rule::on(
                Verb::Ehlo,
                [Act::say(
                    "250-hi\r\n250-DSN\r\n250-XPIXELGATE\r\n250 STARTTLS",
                )],
            )
            .times(1),
        ),
    );
    let next_hop = NextHop::new(tls(&hop, TlsMode::Required)).unwrap();
    assert_eq!(send_by(&next_hop, &Xforward::default()).await, "T250");
    assert!(next_hop.extensions().unwrap().smtputf8);
    let commands = hop.commands();
    assert_eq!(
        commands[..4],
        [
            "EHLO localhost",
            "STARTTLS",
            "EHLO localhost",
            "MAIL FROM:<from@example.org>"
        ]
    );
}

fn login(directory: &Path, hop: &IllMannered, mode: TlsMode, password: &str) -> Settings {
    let file = directory.join("password");
    std::fs::write(&file, format!("{password}\n")).unwrap();
    Settings {
        auth: Some(AuthSettings {
            user: "relay".to_owned(),
            password_file: file,
            plaintext: false,
        }),
        ..tls(hop, mode)
    }
}

#[tokio::test]
async fn we_log_in_by_plain_or_login_under_tls() {
    let directory = tempfile::tempdir().unwrap();
    let (server, _) = Authority::new().server("whatever.example");
    for mechanisms in ["PLAIN LOGIN", "LOGIN", "CRAM-MD5 PLAIN"] {
        let script = Script::smtp().starttls(std::sync::Arc::clone(&server));
        let hop = IllMannered::start(script.login(mechanisms, "relay", "s3cret \u{e9}"));
        let settings = login(directory.path(), &hop, TlsMode::Required, "s3cret \u{e9}");
        assert_eq!(send(settings).await, "T250", "{mechanisms}");
        let taken = hop.taken();
        assert_eq!(taken[0].login.as_deref(), Some("relay"), "{mechanisms}");
        let commands = hop.commands();
        let at = |verb: &str| commands.iter().position(|line| line.starts_with(verb));
        assert!(at("STARTTLS") < at("AUTH"), "{commands:?}");
        assert!(at("AUTH") < at("MAIL"), "{commands:?}");
    }
}

/// A refused login is about us: our operator is to blame, the mail is not.
#[tokio::test]
async fn a_refused_login_is_451_and_no_mail_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let (server, _) = Authority::new().server("whatever.example");
    for (script, password) in [
        (Script::smtp().login("PLAIN", "relay", "right"), "wrong"),
        (Script::smtp().login("LOGIN", "relay", "right"), "wrong"),
        (Script::smtp().login("CRAM-MD5", "relay", "right"), "right"),
        (Script::smtp(), "right"),
        (
            Script::smtp()
                .login("PLAIN", "relay", "right")
                .at(Verb::Auth, [Act::say("454 4.7.0 not now")]),
            "right",
        ),
        (
            Script::smtp()
                .login("PLAIN", "relay", "right")
                .at(Verb::Auth, [Act::Close]),
            "right",
        ),
    ] {
        let hop = IllMannered::start(script.starttls(std::sync::Arc::clone(&server)));
        let settings = login(directory.path(), &hop, TlsMode::Required, password);
        let next_hop = NextHop::new(settings).unwrap();
        let error = next_hop.reach().await.unwrap_err();
        assert_eq!(error.to_reply().code(), 451);
        let reply = error.to_reply().text();
        assert!(!reply.contains("5.7.8"), "the next hop's words: {reply}");
        assert!(!format!("{error} {error:?}").contains("wrong"), "{error}");
        assert_eq!(send_by(&next_hop, &Xforward::default()).await, "N451");
        assert_eq!(hop.transactions(), []);
    }
}

#[tokio::test]
async fn a_password_is_said_in_clear_only_where_that_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let offers = || Script::smtp().login("PLAIN LOGIN", "relay", "right");
    // TLS is not there, and opportunistic would go on in clear.
    let hop = IllMannered::start(offers());
    let settings = login(directory.path(), &hop, TlsMode::Opportunistic, "right");
    assert_eq!(send(settings.clone()).await, "N451");
    assert!(!hop.commands().iter().any(|line| line.starts_with("AUTH")));
    // TLS is offered and fails.
    let (server, _) = Authority::new().server("whatever.example");
    let failing = offers()
        .starttls(server)
        .at(Verb::Starttls, [Act::say("454 4.7.0 not now")]);
    let hop = IllMannered::start(failing);
    let settings = login(directory.path(), &hop, TlsMode::Opportunistic, "right");
    assert_eq!(send(settings).await, "N451");
    assert!(!hop.commands().iter().any(|line| line.starts_with("AUTH")));
    // Without TLS it has to be said so.
    let mut settings = login(directory.path(), &hop, TlsMode::None, "right");
    assert!(NextHop::new(settings.clone()).is_err());
    let hop = IllMannered::start(offers());
    settings.address = hop.address().to_string().parse().unwrap();
    settings.auth.as_mut().unwrap().plaintext = true;
    assert_eq!(send(settings).await, "T250");
    assert_eq!(hop.taken()[0].login.as_deref(), Some("relay"));
}

/// Reports of our own go the same way as mail.
#[tokio::test]
async fn our_own_mail_goes_under_tls_and_behind_the_login() {
    let directory = tempfile::tempdir().unwrap();
    let (server, _) = Authority::new().server("whatever.example");
    let script = Script::smtp()
        .starttls(server)
        .login("PLAIN", "relay", "right");
    let hop = IllMannered::start(script);
    let settings = login(directory.path(), &hop, TlsMode::Required, "right");
    let to = ForwardPath::Mailbox(mailbox("sender@example.org"));
    let fate = NextHop::new(settings)
        .unwrap()
        .submit(&to, Bytes::from_static(b"Subject: x\r\n\r\ny\r\n"), soon())
        .await;
    assert_eq!(told(&[fate]), "T250");
    let taken = hop.taken();
    assert!(taken[0].secure && taken[0].login.is_some());
    assert_eq!(taken[0].mail, "MAIL FROM:<>");
}

/// A MAIL that was refused ends no transaction, so the next hop has not forgotten by itself.
#[tokio::test]
async fn a_refused_mail_leaves_nobodys_name_on_the_connection() {
    for (announce, refusal) in [(true, "451 4.7.1 later"), (false, "550 5.7.1 not you")] {
        let script = match announce {
            true => Script::smtp(),
            false => Script::smtp().announce(&[]),
        };
        let refused = Rule::on(Verb::Mail, [Act::say(refusal)]).times(2);
        let hop = IllMannered::start(script.also("XFORWARD NAME").rule(refused));
        let next_hop = smtp(&hop);
        let named = Xforward(BTreeMap::from([(
            Attribute::Name,
            "one.example".to_owned(),
        )]));
        assert_ne!(send_by(&next_hop, &named).await, "T250");
        let (transit, reply) = next_hop.begin(&mail(), &named).await.unwrap();
        assert!(!reply.is_done());
        drop(transit.reset().await);
        assert_eq!(send_by(&next_hop, &Xforward::default()).await, "T250");
        assert_eq!(hop.connections(), 1);
        assert_eq!(hop.taken()[0].xforward, [""; 0]);
    }
}

/// One connection serves many clients; each transaction says whose it is, all of it.
#[tokio::test]
async fn a_shared_connection_says_anew_whose_mail_it_carries() {
    let hop = IllMannered::start(Script::smtp().also("XFORWARD NAME ADDR HELO"));
    let next_hop = smtp(&hop);
    let client = |pairs: &[(Attribute, &str)]| {
        let mut xforward = Xforward::default();
        xforward.update(pairs.iter().map(|(a, v)| (*a, (*v).to_owned())).collect());
        xforward
    };
    let one = client(&[(Attribute::Name, "one.example"), (Attribute::Helo, "one")]);
    let two = client(&[(Attribute::Addr, "192.0.2.2")]);
    let none = Xforward(BTreeMap::new());
    for xforward in [&one, &two, &none, &one] {
        assert_eq!(send_by(&next_hop, xforward).await, "T250");
    }
    assert_eq!(hop.connections(), 1);
    let said: Vec<Vec<String>> = hop.taken().into_iter().map(|t| t.xforward).collect();
    assert_eq!(
        said,
        [
            vec!["XFORWARD NAME=one.example ADDR=[UNAVAILABLE] HELO=one"],
            vec!["XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.2 HELO=[UNAVAILABLE]"],
            vec![],
            vec!["XFORWARD NAME=one.example ADDR=[UNAVAILABLE] HELO=one"],
        ]
    );
}
