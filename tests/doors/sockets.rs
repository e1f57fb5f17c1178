//! Where a relay listens: several addresses at once, IPv6, Unix sockets that are stale or somebody's.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::support::{Config, Served, free_port};
use crate::talk::{Talk, text_of, texts};

#[test]
fn several_listeners_each_with_its_own_rules() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smtp.sock");
    // What a killed relay leaves behind.
    drop(UnixListener::bind(&path).unwrap());
    let six = std::net::TcpListener::bind("[::1]:0").unwrap();
    let six_address = six.local_addr().unwrap();
    drop(six);
    let (closed, lmtp) = (free_port(), free_port());
    let config = Config {
        tail: format!(
            "[[listener]]\naddress = \"unix:{}\"\ntrusted_networks = []\n\
             [[listener]]\naddress = \"{six_address}\"\n\
             [[listener]]\naddress = \"{closed}\"\ntrusted_networks = []\n\
             [[listener]]\naddress = \"{lmtp}\"\nprotocol = \"lmtp\"\n",
            path.display()
        ),
        ..Config::default()
    };
    let mut served = Served::start(&config);
    let mut talk = Talk::unix(&path);
    talk.expect("220");
    talk.says("EHLO client.example", "250");
    assert!(talk.mail("b@example.net", "unix")[0].starts_with("250"));
    let mut talk = Talk::greeted(six_address);
    assert!(talk.mail("b@example.net", "six")[0].starts_with("250"));
    let mut talk = Talk::tcp(closed);
    talk.expect("554 5.7.1");
    let mut talk = Talk::tcp(lmtp);
    talk.expect("220");
    talk.says("EHLO client.example", "500");
    talk.says("LHLO client.example", "250");
    assert_eq!(texts(&served.outbox()), ["six", "unix"]);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let outbox: Vec<String> = served
        .outbox()
        .iter()
        .map(|message| text_of(message))
        .collect();
    assert!(
        outbox.iter().any(|message| message.contains("[IPv6:::1]")),
        "{outbox:?}"
    );
    assert!(served.stop().success());
    assert!(!path.exists(), "its file goes with it");
}

#[test]
fn a_socket_that_answers_and_a_file_that_is_none_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smtp.sock");
    let start = || {
        let place = directory.path().join("pixelgate.toml");
        let text = Config::default().text(&format!("unix:{}", path.display()), directory.path());
        std::fs::write(&place, text).unwrap();
        let output = Command::new("timeout")
            .args(["20", env!("CARGO_BIN_EXE_pixelgate"), "serve", "-c"])
            .arg(place)
            .output()
            .unwrap();
        let said = text_of(&output.stderr);
        (output.status.code(), said)
    };
    let somebody = UnixListener::bind(&path).unwrap();
    let (code, said) = start();
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("another process does"), "{said}");
    drop(somebody);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "mine").unwrap();
    let (code, said) = start();
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("is not a socket"), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

/// Somebody put another socket in the place of ours: that one is not ours to remove.
#[test]
fn the_socket_of_a_successor_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smtp.sock");
    let mut served = Served::start(&Config {
        tail: format!("[[listener]]\naddress = \"unix:{}\"\n", path.display()),
        ..Config::default()
    });
    std::fs::remove_file(&path).unwrap();
    let _successor = UnixListener::bind(&path).unwrap();
    assert!(served.stop().success());
    assert!(path.exists());
}
