//! What a service manager does for a relay: sockets that it opens (sd_listen_fds(3)), and what it is told (sd_notify(3)).

use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::{Config, PATIENCE, Served, free_port};
use crate::talk::{Talk, text_of, texts};

/// Opens sockets, puts them at 3 and up, and becomes the relay: `NAME=ADDRESS …`, ADDRESS a TCP address or a path.
const LAUNCHER: &str = r#"
import os, socket, sys
names, sockets = [], []
arguments = sys.argv[1:]
while arguments[0] != "--":
    name, address = arguments.pop(0).split("=", 1)
    if address.startswith("/"):
        opened = socket.socket(socket.AF_UNIX)
        opened.bind(address)
    else:
        host, port = address.rsplit(":", 1)
        opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, int(port)))
    opened.listen(16)
    names.append(name)
    sockets.append(os.dup2(opened.fileno(), 100 + len(sockets)))
for number, descriptor in enumerate(sockets):
    os.dup2(descriptor, 3 + number)
    os.set_inheritable(3 + number, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=":".join(names))
os.execv(arguments[1], arguments[1:])
"#;

fn launched(sockets: &[String], tail: &str) -> Config {
    let mut under = vec!["python3".to_owned(), "-c".to_owned(), LAUNCHER.to_owned()];
    under.extend_from_slice(sockets);
    under.push("--".to_owned());
    Config {
        under,
        tail: tail.to_owned(),
        ..Config::default()
    }
}

fn wait_for(what: &str, served: &Served, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < until, "never: {what}\n{}", served.log());
        sleep(Duration::from_millis(20));
    }
}

fn reloads(served: &Served) -> usize {
    served
        .log()
        .matches("the configuration is in force")
        .count()
}

fn reload(served: &Served, text: &str) {
    let before = reloads(served);
    fs::write(served.directory().join("pixelgate.toml"), text).unwrap();
    served.signal("HUP");
    wait_for("reloaded", served, || reloads(served) > before);
}

/// A connection in the backlog of a socket nobody accepts from is silent; one that is served is greeted.
fn is_served(address: SocketAddr) -> bool {
    let mut talk = Talk::tcp(address);
    !talk.is_silent(Duration::from_millis(400))
}

#[test]
fn sockets_are_taken_by_their_names_and_come_back_after_a_reload() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smtp.sock");
    let (one, two) = (free_port(), free_port());
    let sockets = [
        format!("mail={one}"),
        format!("local={}", path.display()),
        // Two sockets of one unit have one name.
        format!("mail={two}"),
    ];
    let both =
        "[[listener]]\naddress = \"systemd:mail\"\n[[listener]]\naddress = \"systemd:local\"\n";
    let config = launched(&sockets, both);
    let mut served = Served::start(&config);
    for (number, mut talk) in [Talk::tcp(one), Talk::tcp(two), Talk::unix(&path)]
        .into_iter()
        .enumerate()
    {
        talk.expect("220");
        talk.says("EHLO client.example", "250");
        assert!(talk.mail("b@example.net", &number.to_string())[0].starts_with("250"));
    }
    assert_eq!(texts(&served.outbox()), ["0", "1", "2"]);
    let text = |config: &Config| config.text(&served.address().to_string(), served.directory());
    // A reload keeps them; one that takes a listener away and one that brings it back find the same socket.
    let (with, without) = (
        text(&config),
        text(&launched(
            &sockets,
            "[[listener]]\naddress = \"systemd:local\"\n",
        )),
    );
    reload(&served, &with);
    Talk::tcp(one).expect("220");
    reload(&served, &without);
    assert!(!is_served(one), "nobody accepts");
    Talk::unix(&path).expect("220");
    reload(&served, &with);
    assert!(is_served(one) && is_served(two));
    assert!(served.stop().success());
    assert!(path.exists(), "its file is the service manager's");
}

#[test]
fn a_name_that_was_not_handed_over_ends_the_start() {
    let refused = |sockets: &[String], name: &str| {
        let directory = tempfile::tempdir().unwrap();
        let config = launched(sockets, "");
        let place = directory.path().join("pixelgate.toml");
        fs::write(
            &place,
            config.text(&format!("systemd:{name}"), directory.path()),
        )
        .unwrap();
        let output = Command::new("timeout")
            .arg("20")
            .args(&config.under)
            .arg(env!("CARGO_BIN_EXE_pixelgate"))
            .args(["serve", "-c"])
            .arg(place)
            .output()
            .unwrap();
        let said = text_of(&output.stderr);
        (output.status.code(), said)
    };
    let (code, said) = refused(&[], "mail");
    assert_eq!(code, Some(69), "{said}");
    assert!(
        said.contains("systemd:mail: no socket of that name was handed over"),
        "{said}"
    );
    let (code, said) = refused(&[format!("other={}", free_port())], "mail");
    assert_eq!(code, Some(69), "{said}");
    assert!(
        said.contains("systemd:other") && said.contains("no [[listener]] has it"),
        "{said}"
    );
    let (code, said) = refused(&[], "");
    assert_eq!(code, Some(78), "{said}");
    // A reload that asks for one changes nothing.
    let served = Served::start(&Config::default());
    let text = Config {
        tail: "[[listener]]\naddress = \"systemd:mail\"\n".to_owned(),
        ..Config::default()
    };
    fs::write(
        served.directory().join("pixelgate.toml"),
        text.text(&served.address().to_string(), served.directory()),
    )
    .unwrap();
    served.signal("HUP");
    wait_for("refused", &served, || served.log().contains("not reloaded"));
    Talk::tcp(served.address()).expect("220");
}

/// Everything said to the socket so far, each datagram with `|` between its lines.
struct Heard(UnixDatagram, Vec<String>);

impl Heard {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        Self(socket, Vec::new())
    }

    fn wait_for(&mut self, served: &Served, word: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut octets = [0; 4096];
        loop {
            if let Ok(count) = self.0.recv(&mut octets) {
                let said = text_of(&octets[..count]).trim_end().replace('\n', "|");
                self.1.push(said.clone());
                if said.contains(word) {
                    return said;
                }
            }
            assert!(
                Instant::now() < until,
                "never {word}: {:?}\n{}",
                self.1,
                served.log()
            );
        }
    }
}

#[test]
fn the_service_manager_is_told_of_every_stage() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let mut heard = Heard::at(&path);
    let config = Config {
        under: vec![
            "env".to_owned(),
            format!("NOTIFY_SOCKET={}", path.display()),
            "WATCHDOG_USEC=400000".to_owned(),
        ],
        ..Config::default()
    };
    let mut served = Served::start(&config);
    heard.wait_for(&served, "READY=1");
    // Twice within the patience that was asked for.
    heard.wait_for(&served, "WATCHDOG=1");
    heard.wait_for(&served, "WATCHDOG=1");
    served.signal("HUP");
    let reloading = heard.wait_for(&served, "RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    heard.wait_for(&served, "READY=1");
    // A bad file is answered by READY, too: the relay goes on, and the log says why nothing changed.
    fs::write(served.directory().join("pixelgate.toml"), "nonsense").unwrap();
    served.signal("HUP");
    heard.wait_for(&served, "RELOADING=1");
    heard.wait_for(&served, "READY=1");
    assert!(served.log().contains("not reloaded"));
    let mut talk = Talk::greeted(served.address());
    talk.says("MAIL FROM:<a@client.example>", "250");
    served.signal("TERM");
    heard.wait_for(&served, "STOPPING=1");
    // It still has a transaction to wait for, and still turns.
    heard.wait_for(&served, "WATCHDOG=1");
    talk.says("QUIT", "221");
    assert!(served.wait().success());
}

#[test]
fn what_was_handed_to_another_process_is_not_ours() {
    // LISTEN_FDS of another process is not ours (sd_listen_fds(3)).
    let config = Config {
        under: vec![
            "env".to_owned(),
            "LISTEN_PID=1".to_owned(),
            "LISTEN_FDS=1".to_owned(),
            "LISTEN_FDNAMES=mail".to_owned(),
        ],
        ..Config::default()
    };
    let served = Served::start(&config);
    assert!(!served.log().contains("handed over"), "{}", served.log());
    Talk::tcp(served.address()).expect("220");
}
