//! Another configuration for a running relay: in force at once and whole for what begins after it, never for what was begun
//! before; and where anything about it is wrong, nothing changes and the log says what.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "doors/authority.rs"]
mod authority;
#[path = "support/ill_mannered.rs"]
mod ill_mannered;
mod support;
#[path = "doors/talk.rs"]
mod talk;
#[path = "support/traffic.rs"]
mod traffic;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use authority::{Authority, RELAY};
use ill_mannered::{IllMannered, Script};
use support::{Config, PATIENCE, Served, free_port};
use talk::{Talk, texts};
use traffic::{ANNA, TRACE, TRACKER, consent, next_hop_lines};

const IN_FORCE: &str = "the configuration is in force";
const REFUSED: &str = "not reloaded: the relay goes on as before";

/// Until something is so.
#[track_caller]
fn wait_for(what: &str, served: &Served, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < until, "never: {what}\n{}", served.log());
        sleep(Duration::from_millis(20));
    }
}

fn write(served: &Served, config: &Config) {
    let text = config.text(&served.address().to_string(), served.directory());
    // As an editor does: another file in its place.
    let place = served.directory().join("pixelgate.toml");
    fs::write(place.with_extension("new"), text).unwrap();
    fs::rename(place.with_extension("new"), place).unwrap();
}

/// Writes it, sends SIGHUP, and waits for what the log says of it.
#[track_caller]
fn reload(served: &Served, config: &Config, outcome: &str) {
    write(served, config);
    hang_up(served, outcome);
}

#[track_caller]
fn hang_up(served: &Served, outcome: &str) {
    let before = served.log().matches(outcome).count();
    served.signal("HUP");
    wait_for(outcome, served, || {
        served.log().matches(outcome).count() > before
    });
}

fn with_tail(tail: &str) -> Config {
    Config {
        tail: tail.to_owned(),
        ..Config::default()
    }
}

fn newsletter() -> String {
    format!(
        "Subject: news\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>news</p>{TRACKER}\r\n.\r\n"
    )
}

/// A transaction up to the 354.
fn until_data(talk: &mut Talk, to: &str) {
    talk.says("MAIL FROM:<letter@news.example>", "250");
    talk.says(&format!("RCPT TO:<{to}>"), "250");
    talk.says("DATA", "354");
}

#[test]
fn what_was_begun_ends_by_the_old_and_what_begins_goes_by_the_new() {
    let served = Served::start(&Config::default());
    let mut open = Talk::greeted(served.address());
    until_data(&mut open, "b@example.net");
    let mut idle = Talk::greeted(served.address());
    reload(&served, &with_tail("[stops]\nhold_edits = true"), IN_FORCE);
    open.send(newsletter().as_bytes());
    open.expect("250");
    assert_eq!(served.outbox().len(), 1);
    // Both sessions are older than the configuration; their next transactions are not.
    for talk in [&mut open, &mut idle] {
        until_data(talk, "b@example.net");
        talk.send(newsletter().as_bytes());
        talk.expect("451");
    }
    reload(&served, &Config::default(), IN_FORCE);
    until_data(&mut idle, "b@example.net");
    idle.send(newsletter().as_bytes());
    idle.expect("250");
    assert_eq!(served.outbox().len(), 2);
}

/// Each time the message of one configuration or of the other, never a third thing, and no client is let down.
#[test]
fn mail_in_the_midst_of_reloads_is_never_let_down() {
    let served = Served::start(&Config::default());
    let ended = AtomicBool::new(false);
    let sent: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let (address, ended) = (served.address(), &ended);
                scope.spawn(move || {
                    let mut sent = 0;
                    while !ended.load(Ordering::Relaxed) {
                        let mut talk = Talk::greeted(address);
                        for _ in 0..5 {
                            assert!(talk.mail("b@example.net", "steady")[0].starts_with("250"));
                            sent += 1;
                        }
                        talk.says("QUIT", "221");
                    }
                    sent
                })
            })
            .collect();
        for round in 0..6 {
            let name = format!("[server]\nname = \"relay{round}.example\"");
            reload(&served, &with_tail(&name), IN_FORCE);
        }
        ended.store(true, Ordering::Relaxed);
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    assert!(sent >= 3);
    assert_eq!(served.outbox().len(), sent);
    let mut talk = Talk::tcp(served.address());
    talk.expect("220 relay5.example");
}

/// Whoever sees that it listens may ask for a reload: a signal that nobody receives yet would end the process.
#[test]
fn a_signal_in_the_first_moment_is_obeyed() {
    for _ in 0..5 {
        let mut served = Served::start(&Config::default());
        hang_up(&served, IN_FORCE);
        assert!(!served.has_ended(), "{}", served.log());
    }
}

#[test]
fn a_file_that_changes_is_read_without_a_signal() {
    let served = Served::start(&Config::default());
    write(&served, &with_tail("[server]\nname = \"other.example\""));
    wait_for("read", &served, || served.log().contains(IN_FORCE));
    Talk::tcp(served.address()).expect("220 other.example");
    sleep(Duration::from_millis(5500));
    assert_eq!(
        served.log().matches(IN_FORCE).count(),
        1,
        "and then left alone"
    );
}

#[test]
fn what_is_wrong_changes_nothing_and_is_named() {
    let served = Served::start(&Config::default());
    let somebody = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = somebody.local_addr().unwrap();
    let rename = "[server]\nname = \"wrong.example\"\n";
    for (tail, said) in [
        (
            "[stops]\nstrip_al = true",
            vec!["pixelgate.toml:", "strip_al"],
        ),
        ("[[[", vec!["pixelgate.toml:"]),
        (
            "[rules]\ndisabled = [\"no-such-rule\"]",
            vec!["pixelgate.toml:", "no-such-rule"],
        ),
        (
            "[law]\nprofiles = [\"./gone.toml\"]",
            vec!["pixelgate.toml:", "gone.toml"],
        ),
        (
            &format!("[[listener]]\naddress = \"{taken}\""),
            vec!["cannot listen on", &taken.to_string()],
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:1\"\ntls = { certificate = \"gone.pem\", key = \"gone.key\" }",
            vec!["listener 127.0.0.1:1", "gone.pem"],
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:1\"\nauth = { file = \"gone\", plaintext = true }",
            vec!["listener 127.0.0.1:1", "gone"],
        ),
    ] {
        let before = served.log().len();
        reload(&served, &with_tail(&format!("{rename}{tail}")), REFUSED);
        let log = served.log()[before..].to_owned();
        for word in said {
            assert!(log.contains(word), "{tail}: {word} in\n{log}");
        }
        assert!(!log.contains(IN_FORCE), "{log}");
        let mut talk = Talk::tcp(served.address());
        let greeting = talk.expect("220");
        assert!(!greeting[0].contains("wrong.example"), "{tail}");
    }
    fs::remove_file(served.directory().join("pixelgate.toml")).unwrap();
    hang_up(&served, REFUSED);
    let mut talk = Talk::greeted(served.address());
    assert!(talk.mail("b@example.net", "as before")[0].starts_with("250"));
    reload(&served, &with_tail(rename), IN_FORCE);
    Talk::tcp(served.address()).expect("220 wrong.example");
}

#[test]
fn rules_stops_and_profiles_take_effect() {
    let served = Served::start(&Config::default());
    // Without a size only the rule of its endpoint finds it.
    let unsized_tracker = TRACKER.replace(" width=\"1\" height=\"1\"", "");
    let letter = format!(
        "Subject: news\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>news</p>{unsized_tracker}\r\n.\r\n"
    );
    let outcome = |to: &str| {
        let before = served.outbox();
        let mut talk = Talk::greeted(served.address());
        until_data(&mut talk, to);
        talk.send(letter.as_bytes());
        talk.expect("250");
        let new = served
            .outbox()
            .into_iter()
            .find(|message| !before.contains(message));
        String::from_utf8(new.unwrap()).unwrap().contains(TRACE)
    };
    consent(&served, ANNA, "granted");
    let nobody = "nobody@example.net";
    assert!(!outcome(nobody) && outcome(ANNA));
    reload(
        &served,
        &with_tail("[rules]\ndisabled = [\"sendgrid-wf-open\"]"),
        IN_FORCE,
    );
    assert!(outcome(nobody), "the rule is off");
    assert!(served.log().contains("`sendgrid-wf-open` is switched off"));
    reload(&served, &with_tail("[stops]\nstrip_all = true"), IN_FORCE);
    assert!(!outcome(ANNA), "strip_all");
    // A profile file: read again when it changes, by itself; one that is broken changes nothing.
    let profile = served.directory().join("ours.toml");
    let text = fs::read_to_string("src/consent/profiles/strict-edpb.toml").unwrap();
    fs::write(&profile, &text).unwrap();
    let law = format!("[law]\nprofiles = [\"{}\"]", profile.display());
    reload(&served, &with_tail(&law), IN_FORCE);
    assert!(outcome(ANNA));
    let before = served.log().len();
    fs::write(&profile, "nonsense").unwrap();
    wait_for("refused", &served, || {
        served.log()[before..].contains(REFUSED)
    });
    assert!(served.log()[before..].contains("ours.toml"));
    let before = served.log().len();
    fs::write(&profile, text).unwrap();
    wait_for("mended", &served, || {
        served.log()[before..].contains(IN_FORCE)
    });
}

#[test]
fn certificates_and_logins_are_read_again_by_themselves() {
    let authority = Authority::new();
    let first = authority.sign(RELAY);
    let logins = authority.path().join("logins");
    let line = |name: &str| pixelgate::session::logins::line(name, b"sesame").unwrap();
    fs::write(&logins, line("old")).unwrap();
    let served = Served::start(&Config {
        listener: vec![
            first.listener(""),
            format!("auth = {{ file = \"{}\" }}", logins.display()),
            "trusted_networks = [\"192.0.2.1\"]".to_owned(),
        ],
        ..Config::default()
    });
    let client = authority.client(None);
    let login = |name: &str| {
        use base64::Engine as _;
        let said = base64::engine::general_purpose::STANDARD.encode(format!("\0{name}\0sesame"));
        format!("AUTH PLAIN {said}")
    };
    let mut old = Talk::starttls(served.address(), &client);
    old.says(&login("old"), "235");
    old.says("MAIL FROM:<a@client.example>", "250");
    let shown = first.der();
    assert_eq!(old.certificate(), shown);

    // A pair that does not fit yet, as while it is being replaced.
    let second = authority.sign(RELAY);
    let certificate = fs::read(&second.certificate).unwrap();
    fs::write(&second.certificate, "-----BEGIN CERT").unwrap();
    wait_for("refused", &served, || served.log().contains(REFUSED));
    assert!(
        served.log().contains("relay.example.pem"),
        "{}",
        served.log()
    );
    assert_eq!(
        Talk::starttls(served.address(), &client).certificate(),
        shown
    );
    fs::write(&second.certificate, certificate).unwrap();
    fs::write(&logins, line("new")).unwrap();
    wait_for("read", &served, || served.log().contains(IN_FORCE));
    let mut new = Talk::starttls(served.address(), &client);
    assert_eq!(new.certificate(), second.der());
    new.says(&login("old"), "535");
    new.says(&login("new"), "235");
    // Who logged in with a name that is gone finishes what was begun, and nothing after it.
    old.says("RCPT TO:<b@example.net>", "250");
    old.says("DATA", "354");
    old.send(b"Subject: a\r\n\r\nbegun\r\n.\r\n");
    old.expect("250");
    old.says("MAIL FROM:<a@client.example>", "530");
    assert_eq!(texts(&served.outbox()), ["begun"]);
}

/// What was tried and refused because a file was missing is tried again when the file is there.
#[test]
fn a_file_that_was_missing_is_waited_for() {
    let authority = Authority::new();
    let pair = authority.sign(RELAY);
    let key = fs::read(&pair.key).unwrap();
    fs::remove_file(&pair.key).unwrap();
    let served = Served::start(&Config::default());
    let config = Config {
        listener: vec![pair.listener("")],
        ..Config::default()
    };
    reload(&served, &config, REFUSED);
    fs::write(&pair.key, key).unwrap();
    wait_for("in force", &served, || served.log().contains(IN_FORCE));
    let mut talk = Talk::greeted(served.address());
    talk.says("STARTTLS", "220");
}

#[test]
fn listeners_come_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smtp.sock");
    let more = free_port();
    let served = Served::start(&Config::default());
    let both = with_tail(&format!(
        "[[listener]]\naddress = \"{more}\"\n[[listener]]\naddress = \"unix:{}\"\n",
        path.display()
    ));
    reload(&served, &both, IN_FORCE);
    let mut stays = Talk::greeted(more);
    let mut local = Talk::unix(&path);
    local.expect("220");
    reload(&served, &Config::default(), IN_FORCE);
    assert!(
        std::net::TcpStream::connect(more).is_err(),
        "no longer listening"
    );
    assert!(!path.exists());
    // A session of a listener that is gone goes on to its end.
    assert!(stays.mail("b@example.net", "to the end")[0].starts_with("250"));
    // At once again, at the same addresses, several times: what is gone is really gone when the log says so.
    for _ in 0..5 {
        reload(&served, &both, IN_FORCE);
        Talk::tcp(more).expect("220");
        Talk::unix(&path).expect("220");
        reload(&served, &Config::default(), IN_FORCE);
    }
    Talk::tcp(served.address()).expect("220");
}

#[test]
fn who_may_send_is_asked_again_for_each_transaction() {
    let served = Served::start(&Config::default());
    let mut talk = Talk::greeted(served.address());
    until_data(&mut talk, "b@example.net");
    let nobody = Config {
        listener: vec!["trusted_networks = [\"192.0.2.1\"]".to_owned()],
        ..Config::default()
    };
    reload(&served, &nobody, IN_FORCE);
    talk.send(b"Subject: a\r\n\r\nbegun\r\n.\r\n");
    talk.expect("250");
    talk.says("MAIL FROM:<a@client.example>", "554 5.7.1");
    assert!(talk.is_closed());
    Talk::tcp(served.address()).expect("554");
}

#[test]
fn limits_and_next_hops_are_exchanged() {
    let (old, new) = (
        IllMannered::start(Script::smtp()),
        IllMannered::start(Script::smtp()),
    );
    let towards = |hop: &IllMannered, limit: &str| Config {
        next_hop: next_hop_lines(hop, "smtp", &[]),
        limits: vec![limit.to_owned()],
        ..Config::default()
    };
    let served = Served::start(&towards(&old, "sessions = 100"));
    let mut talk = Talk::greeted(served.address());
    until_data(&mut talk, "b@example.net");
    reload(&served, &towards(&new, "sessions = 2"), IN_FORCE);
    talk.send(b"Subject: a\r\n\r\nfirst\r\n.\r\n");
    talk.expect("250");
    assert!(talk.mail("b@example.net", "second")[0].starts_with("250"));
    assert_eq!((old.taken().len(), new.taken().len()), (1, 1));
    assert!(old.wait_all_closed(PATIENCE), "its idle connections end");
    let _second = Talk::greeted(served.address());
    let refused = Talk::tcp(served.address()).expect("421");
    assert!(refused[0].contains("sessions = 2"), "{refused:?}");
}

/// A session that was there before goes by the new limits from its next MAIL on.
#[test]
fn limits_reach_a_client_that_is_there_already() {
    let config = |limits: &[&str]| Config {
        limits: limits.iter().map(|&line| line.to_owned()).collect(),
        ..Config::default()
    };
    let served = Served::start(&config(&["recipients = 1000", "bad_commands = 1000"]));
    let mut talk = Talk::greeted(served.address());
    talk.says("EHLO client.example", "250");
    reload(
        &served,
        &config(&["recipients = 100", "bad_commands = 3"]),
        IN_FORCE,
    );
    talk.says("MAIL FROM:<a@client.example>", "250");
    for number in 0..100 {
        talk.says(&format!("RCPT TO:<b{number}@example.net>"), "250");
    }
    talk.says("RCPT TO:<one.more@example.net>", "452");
    for _ in 0..3 {
        talk.says("NONSENSE", "500");
    }
    talk.says("NONSENSE", "421");
}

/// A next hop with files stays with its connections as long as they hold the same, however often they were written.
#[test]
fn a_next_hop_with_files_is_exchanged_only_with_them() {
    let directory = tempfile::tempdir().unwrap();
    let password = directory.path().join("password");
    fs::write(&password, "first").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let script = |word| {
        let login = Script::smtp().login("PLAIN", "relay", word);
        IllMannered::start(login)
    };
    let hop = script("first");
    let towards = |limit: &str| Config {
        next_hop: [
            next_hop_lines(&hop, "smtp", &[]),
            vec![format!(
                "[next_hop.auth]\nuser = \"relay\"\npassword_file = \"{}\"\nplaintext = true",
                password.display()
            )],
        ]
        .concat(),
        limits: vec![limit.to_owned()],
        ..Config::default()
    };
    let served = Served::start(&towards("sessions = 100"));
    let send = || {
        let mut talk = Talk::greeted(served.address());
        talk.says("EHLO client.example", "250");
        assert!(talk.mail("b@example.net", "to it")[0].starts_with("250"));
    };
    send();
    let before = hop.connections();
    fs::write(&password, "first").unwrap();
    reload(&served, &towards("sessions = 90"), IN_FORCE);
    send();
    assert_eq!(hop.connections(), before, "the same connection");
    fs::write(&password, "second").unwrap();
    reload(&served, &towards("sessions = 80"), IN_FORCE);
    wait_for("another login", &served, || {
        let said = hop.commands();
        said.iter().filter(|line| line.starts_with("AUTH")).count() > before
    });
}

#[test]
fn what_is_read_at_the_start_only_is_named() {
    let served = Served::start(&Config::default());
    let elsewhere = served.directory().join("elsewhere");
    let config = Config {
        spool: vec!["bytes = 100000000".to_owned()],
        limits: vec![
            "session_memory_octets = 1000".to_owned(),
            "reading_memory_octets = 1".to_owned(),
        ],
        tail: "[admin]\naddress = \"127.0.0.1:1\"\n[log]\nlevel = \"debug\"\n[server]\ndrain_seconds = 5".to_owned(),
        ..Config::default()
    };
    write(&served, &config);
    let place = served.directory().join("pixelgate.toml");
    let text = fs::read_to_string(&place).unwrap();
    let spool = served.directory().join("spool");
    let moved = text.replace(
        &format!("\"{}\"", spool.display()),
        &format!("\"{}\"", elsewhere.display()),
    );
    fs::write(place, moved).unwrap();
    hang_up(&served, IN_FORCE);
    let log = served.log();
    for what in ["[spool]", "[admin]", "[log]", "server.drain_seconds"] {
        let named = format!("{what} is read at the start only");
        assert!(log.contains(&named), "{what}:\n{log}");
    }
    assert!(!log.contains("[ledger] is read"), "{log}");
    // What goes into a file while it is read goes where the spool is, not where it will be.
    let mut talk = Talk::greeted(served.address());
    let long = ["x".repeat(900).as_str(); 200].join("\r\n");
    assert!(talk.mail("b@example.net", &long)[0].starts_with("250"));
    assert!(!elsewhere.exists());
}
