//! REQUIRETLS (RFC 8689): promised only where it can be kept, all the way; and Postfix's `Require-TLS-ESMTP`, which carries it
//! through filters, survives in every copy.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::authority::{Authority, RELAY};
use crate::ill_mannered::{IllMannered, Script};
use crate::support::{Config, PATIENCE, Served};
use crate::talk::{Talk, text_of};
use crate::traffic::{FOUR, Submission, config_for, in_transit, letter, start};

/// A next hop with STARTTLS that takes everything and keeps each MAIL command.
struct SecureHop {
    address: SocketAddr,
    mails: Arc<Mutex<Vec<String>>>,
}

impl SecureHop {
    fn start(config: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&mails);
        // Ends with the test's process; it only ever waits.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, seen) = (Arc::clone(&config), Arc::clone(&seen));
                thread::spawn(move || serve(stream, config, &seen));
            }
        });
        Self { address, mails }
    }

    fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, config: Arc<ServerConfig>, seen: &Mutex<Vec<String>>) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(b"220 hop.example\r\n");
    // Octet by octet: nothing of the handshake may be taken for commands.
    let mut line = Vec::new();
    let mut octet = [0];
    loop {
        match stream.read(&mut octet) {
            Ok(1) => line.push(octet[0]),
            _ => return,
        }
        if !line.ends_with(b"\r\n") {
            continue;
        }
        let command = text_of(&line).to_ascii_uppercase();
        line.clear();
        if command.starts_with("STARTTLS") {
            let _ = stream.write_all(b"220 go on\r\n");
            break;
        }
        // In clear it promises nothing.
        let _ = stream.write_all(b"250-hop.example\r\n250 STARTTLS\r\n");
    }
    let connection = ServerConnection::new(config).unwrap();
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    let mut line = String::new();
    let mut content = false;
    loop {
        line.clear();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let reply: &[u8] = match (content, line.trim_end()) {
            (true, ".") => {
                content = false;
                b"250 taken\r\n"
            }
            (true, _) => continue,
            (false, command) if command.starts_with("EHLO") => {
                b"250-hop.example\r\n250-PIPELINING\r\n250 REQUIRETLS\r\n"
            }
            (false, "DATA") => {
                content = true;
                b"354 go on\r\n"
            }
            (false, "QUIT") => b"221 bye\r\n",
            (false, command) => {
                if command.starts_with("MAIL") {
                    seen.lock().unwrap().push(command.to_owned());
                }
                b"250 ok\r\n"
            }
        };
        let stream = reader.get_mut();
        if stream
            .write_all(reply)
            .and_then(|()| stream.flush())
            .is_err()
        {
            return;
        }
    }
}

fn relay(authority: &Authority, hop: &SecureHop, tls: &str) -> Config {
    let logins = authority.path().join("logins");
    let line = pixelgate::session::logins::line("shop", b"sesame").unwrap();
    std::fs::write(&logins, line).unwrap();
    Config {
        listener: vec![
            authority.sign(RELAY).listener(""),
            format!("auth = {{ file = \"{}\" }}", logins.display()),
        ],
        next_hop: vec![format!("address = \"{}\"", hop.address), tls.to_owned()],
        ..Config::default()
    }
}

const REQUIRED: &str = "MAIL FROM:<a@client.example> REQUIRETLS";

#[test]
fn it_is_promised_under_tls_to_a_next_hop_that_is_proven() {
    let authority = Authority::new();
    let hop = SecureHop::start(authority.sign("hop.example").server());
    let verified = format!(
        "tls = {{ mode = \"verified\", ca_file = \"{}\", name = \"hop.example\" }}",
        authority.file().display()
    );
    let served = Served::start(&relay(&authority, &hop, &verified));
    let promised = |lines: &[String]| lines.contains(&"REQUIRETLS".to_owned());
    let mut talk = Talk::tcp(served.address());
    talk.expect("220");
    assert!(!promised(&talk.extensions()), "in clear");
    talk.says(REQUIRED, "555");
    talk.says("STARTTLS", "220");
    let mut talk = talk.secured(&authority.client(None));
    assert!(promised(&talk.extensions()), "{}", served.log());
    // A login asks for no other EHLO, so what EHLO said stands.
    let response = base64::engine::general_purpose::STANDARD.encode("\0shop\0sesame");
    talk.says(&format!("AUTH PLAIN {response}"), "235");
    talk.says(REQUIRED, "250");
    talk.says("RCPT TO:<b@example.net>", "250");
    talk.says("DATA", "354");
    talk.says("Subject: a\r\n\r\na\r\n.", "250 taken");
    assert_eq!(hop.mails(), [REQUIRED]);
}

#[test]
fn it_is_not_promised_to_a_next_hop_that_anybody_could_be() {
    let authority = Authority::new();
    let hop = SecureHop::start(authority.sign("hop.example").server());
    for tls in [
        "tls = { mode = \"required\" }",
        "tls = { mode = \"opportunistic\" }",
    ] {
        let served = Served::start(&relay(&authority, &hop, tls));
        let mut talk = Talk::starttls(served.address(), &authority.client(None));
        let announced = talk.extensions();
        assert!(
            !announced.contains(&"REQUIRETLS".to_owned()),
            "{tls}: {announced:?}"
        );
        talk.says(REQUIRED, "555");
    }
    assert_eq!(hop.mails(), [""; 0]);
}

#[test]
fn the_header_that_carries_it_survives_in_every_copy() {
    let hop = IllMannered::start(Script::smtp());
    let served = start(&config_for(&hop));
    let message = [b"Require-TLS-ESMTP: yes\r\n".to_vec(), letter()].concat();
    let told = Submission::new(&FOUR, message.clone()).send(served.address());
    assert!(told.last().starts_with("250 "), "{told:?}");
    let copies = in_transit(&hop);
    assert!(copies.len() >= 2, "two treatments, two variants");
    for copy in copies {
        let text = text_of(&copy.octets);
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.matches("Require-TLS-ESMTP: yes").count(), 1, "{head}");
    }
}
