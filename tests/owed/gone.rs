//! What is owed outlives the configuration it came by, and the disk it lies on. Whose mail it is cannot be told any more, so
//! nothing is kept; what cannot be read back lies in `dead/`, and the others go on.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use base64::Engine as _;

use crate::*;

fn of(tail: &str, config: &Config) -> Config {
    Config {
        tail: tail.to_owned(),
        ..config.clone()
    }
}

/// [`DORA`] has consented and is owed a copy; afterwards the configuration is another. Whether her copy kept its tracker.
fn kept_after(first: &str, then: &str, send: impl Fn(&Served) -> Told) -> bool {
    let hop = IllMannered::start(
        Script::smtp().rule(
            Rule::on(Verb::Dot, [Act::say(LATER)])
                .containing(DORA)
                .times(1),
        ),
    );
    let config = config_for(&hop);
    let mut served = start(&of(first, &config));
    let told = send(&served);
    assert_told(&told, "250 ", &served);
    assert_eq!(owed(&served).len(), 1, "{}", served.log());
    served.kill();
    served.start_again(&Config {
        spool: eager(),
        ..of(then, &config)
    });
    wait_until("her copy", &served, || copies(&hop, DORA) == 1);
    let transactions = in_transit(&hop);
    let hers = transactions
        .iter()
        .filter(|transaction| paths(&transaction.taken) == [DORA]);
    let copies: Vec<_> = hers.map(|copy| is_kept(&copy.octets, &letter())).collect();
    assert_eq!(copies.len(), 1);
    copies[0]
}

/// Two variants of which the second, for DORA, is not taken at first.
fn to_dora() -> Submission {
    Submission::new(&[BEN, DORA], letter())
}

fn stream(controller: &str, more: &str) -> String {
    format!(
        "[[stream]]\nname = \"letters\"\ncontroller = \"{controller}\"\nkind = \"marketing\"\n{more}\n\
         withdrawal_link = {{ elsewhere = \"in the account\" }}\n\
         [[stream.tracker]]\nhosts = [\"*\"]\npurposes = [\"campaign_performance\"]\n"
    )
}

#[test]
fn the_same_configuration_keeps_what_was_consented_to() {
    let send = |served: &Served| to_dora().send(served.address());
    assert!(kept_after("", "", send));
    let same = stream("default", "");
    assert!(kept_after(&same, &same, send));
}

#[test]
fn a_controller_that_is_gone() {
    let send = |served: &Served| to_dora().send(served.address());
    let (first, then) = (stream("default", ""), stream("other", ""));
    assert!(!kept_after(&first, &then, send));
}

#[test]
fn a_listener_that_is_gone() {
    let second = support::free_port();
    let first =
        format!("[[listener]]\naddress = \"{second}\"\ntrusted_networks = [\"127.0.0.1/32\"]");
    assert!(!kept_after(&first, "", |_| to_dora().send(second)));
}

#[test]
fn a_login_that_is_gone() {
    let second = support::free_port();
    let (_directory, file) = password_file();
    let listener = format!(
        "[[listener]]\naddress = \"{second}\"\ntrusted_networks = [\"127.0.0.1/32\"]\n\
         auth = {{ file = \"{file}\", plaintext = true }}\n"
    );
    let login = "[[login]]\nname = \"injector\"\ncontrollers = [\"default\"]\n";
    let send = |served: &Served| logged_in(served, second);
    let with = format!("{listener}{login}");
    assert!(kept_after(&with, &with, send), "the login is there");
    assert!(!kept_after(&with, &listener, send), "it is not");
}

fn password_file() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut made = Command::new(env!("CARGO_BIN_EXE_pixelgate"))
        .args(["keys", "password", "injector"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = made.stdin.take().unwrap();
    input.write_all(b"secret\n").unwrap();
    drop(input);
    let line = made.wait_with_output().unwrap().stdout;
    let file = directory.path().join("logins");
    fs::write(&file, line).unwrap();
    let file = file.display().to_string();
    (directory, file)
}

/// The same transaction by somebody who logs in.
fn logged_in(served: &Served, address: SocketAddr) -> Told {
    let mut client = Client::connect(address);
    said(&mut client);
    let who = base64::engine::general_purpose::STANDARD.encode("\0injector\0secret");
    for line in [
        "EHLO client.example",
        &format!("AUTH PLAIN {who}"),
        &format!("MAIL FROM:<{SENDER}>"),
        &format!("RCPT TO:<{BEN}>"),
        &format!("RCPT TO:<{DORA}>"),
        "DATA",
    ] {
        client.send(format!("{line}\r\n").as_bytes());
        let reply = said(&mut client);
        assert!(
            reply.starts_with(['2', '3']),
            "{line}: {reply}\n{}",
            served.log()
        );
    }
    client.send(&on_the_wire(&letter()));
    Told {
        dot: vec![said(&mut client)],
        ..Told::default()
    }
}

/// At a reload as at a start: the next attempt goes by the configuration that is in force.
#[test]
fn a_reload_takes_a_listener_away() {
    let second = support::free_port();
    let hop = IllMannered::start(
        Script::smtp().rule(
            Rule::on(Verb::Dot, [Act::say(LATER)])
                .containing(DORA)
                .times(2),
        ),
    );
    let config = config_for(&hop);
    let both = of(
        &format!("[[listener]]\naddress = \"{second}\"\ntrusted_networks = [\"127.0.0.1/32\"]"),
        &config,
    );
    let served = start(&both);
    assert_told(&to_dora().send(second), "250 ", &served);
    assert_eq!(owed(&served).len(), 1);
    let text = config.text(&served.address().to_string(), served.directory());
    fs::write(served.directory().join("pixelgate.toml"), text).unwrap();
    served.signal("HUP");
    wait_until("the reload", &served, || {
        served.log().contains("no longer listening")
    });
    for _ in 0..2 {
        let before = hop.transactions().len();
        let (code, _, err) = spool(&served, &["retry", "--all"]);
        assert_eq!(code, 0, "{err}");
        wait_until("an attempt", &served, || hop.transactions().len() > before);
        wait_until("its end", &served, || {
            listed(&served)
                .iter()
                .all(|entry| entry["state"] != "in_hand")
        });
    }
    let given = in_transit(&hop);
    assert_eq!(paths(&given.last().unwrap().taken), [DORA]);
    assert!(!is_kept(&given.last().unwrap().octets, &letter()));
}

/// Three entries, of which two are damaged: they lie in `dead/`, named in the log, and the third is delivered.
#[test]
fn damaged_entries_are_kept_for_the_operator_and_the_others_go_on() {
    let hop = IllMannered::start(Script::smtp().rule(later(4)));
    let config = config_for(&hop);
    let mut served = start(&config);
    for _ in 0..4 {
        assert_told(&mixed().send(served.address()), "250 ", &served);
    }
    served.kill();
    let place = |what: &str| served.directory().join("spool").join(what);
    let ids = ids(&served);
    // Cut short; overwritten in its length; an envelope that is none.
    let message = fs::read(place(&format!("messages/{}.eml", ids[0]))).unwrap();
    fs::write(place(&format!("messages/{}.eml", ids[0])), &message[..100]).unwrap();
    let other = vec![b'x'; message.len()];
    fs::write(place(&format!("messages/{}.eml", ids[1])), other).unwrap();
    fs::write(place(&format!("owed/{}.json", ids[2])), "{\"version\":1").unwrap();
    served.start_again(&Config {
        spool: eager(),
        ..config
    });
    wait_until("the one that is whole", &served, || copies(&hop, BEN) == 1);
    let dead = || files(&served.directory().join("spool/dead"));
    wait_until("the others", &served, || dead().len() == 3);
    let entries = listed(&served);
    assert_eq!(entries.len(), 3, "{entries:?}");
    let log = served.log();
    for id in &ids[..3] {
        let said = log
            .lines()
            .any(|line| line.contains(id) && line.contains("dead/"));
        assert!(said, "{id}\n{log}");
        let (code, _, err) = spool(&served, &["retry", id]);
        assert_ne!(code, 0, "a damaged message must not go out");
        assert!(err.contains(id) && err.contains("read back"), "{err}");
    }
    let messages = files(&served.directory().join("spool/messages"));
    assert_eq!(messages.len(), 3, "nothing is lost");
    assert_eq!(count(&hop), [4, 1, 1, 4]);
    assert_own_variants(&hop, &letter());
}
