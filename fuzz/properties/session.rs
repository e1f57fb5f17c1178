//! Whatever a client says in a whole session, in any pieces: the same replies come, each line of them sound; as many messages are
//! stored as were answered so; and what is stored has no bare CR, bare LF or NUL and stood in what the client said.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use pixelgate::ledger::{Ledger, StartFacts};
use pixelgate::next_hop::NextHop;
use pixelgate::pixel::Rules;
use pixelgate::register::{Keys, Register};
use pixelgate::relay::Relay;
use pixelgate::relay::examine::{Examiner, today};
use pixelgate::session::door::{Door, Identity};
use pixelgate::session::memory::Memory;
use pixelgate::session::{self, Peer, Shared};
use pixelgate::smtp::Protocol;
use pixelgate::spool::Spool;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

const LISTENER: &str = "127.0.0.1:2525";
/// Longer inputs show nothing more.
const INPUT_OCTETS: usize = 4_096;

struct Place {
    directory: TempDir,
    shared: Arc<Shared>,
}

/// A relay in front of a maildir, all of it in a directory of its own; small limits, so that inputs reach them.
fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let directory = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .expect("a directory");
        let at = |name: &str| directory.path().join(name).display().to_string();
        let text = format!(
            "[[listener]]\naddress = \"{LISTENER}\"\n[[next_hop]]\naddress = \"maildir:{}\"\n\
             [limits]\ncommand_line_octets = 1024\nrecipients = 100\n[consent]\nregister = \"sqlite:{}\"\n\
             [keys]\ndirectory = \"{}\"\n[spool]\ndirectory = \"{}\"\n[ledger]\ndirectory = \"{}\"\n",
            at("outbox"), at("consent.db"), at("keys"), at("spool"), at("ledger"),
        );
        let read = pixelgate::config::read(Path::new("fuzz.toml"), &text, today(Timestamp::now()));
        let file = read.expect("a configuration").file;
        let keys = Arc::new(Keys::open(&file.keys.directory).expect("keys"));
        let register = Register::open(&file.consent, Arc::clone(&keys)).expect("a register");
        let relay = Relay {
            name: "relay.example".to_owned(),
            examiner: Examiner {
                name: "relay.example".to_owned(),
                settings: Arc::new(file.relay.clone()),
                stops: file.stops,
                streams: file.streams(),
                lawbook: file.lawbook().expect("the law"),
                rules: Arc::new(Rules::built_in().without(&[]).expect("rules")),
                rules_disabled: Vec::new(),
                learning: None,
                register: Arc::new(register),
                keys,
            },
            next_hop: Arc::new(NextHop::in_order(file.next_hops.clone()).expect("a next hop")),
            spool: Spool::open(&file.spool).expect("a spool"),
            ledger: Ledger::open(&file.ledger, &StartFacts::default()).expect("a ledger"),
            counters: Arc::default(),
            message_octets: 1 << 20,
        };
        let shared = Arc::new(Shared {
            hostname: "relay.example".to_owned(),
            memory: Memory::new(file.limits.memory_octets),
            limits: file.limits.clone(),
            spill_directory: file.spool.directory.clone(),
            counters: Arc::default(),
            relay: Arc::new(relay),
        });
        Place { directory, shared }
    })
}

/// What a session answers, and what is stored of it.
fn said(input: &[u8], protocol: Protocol, sizes: &[u8]) -> (String, Vec<Vec<u8>>) {
    let place = place();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let answers = runtime.block_on(async {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let door = Door {
            listener: LISTENER.to_owned(),
            protocol,
            ..Door::default()
        };
        let (_kept, doorway) = watch::channel(Arc::new(door));
        let peer = Peer {
            doorway,
            identity: Identity {
                local: true,
                ..Identity::default()
            },
            session: "fuzz".to_owned(),
        };
        let (live, stopping) = (
            watch::Sender::new(Arc::clone(&place.shared)),
            watch::Sender::new(false),
        );
        let (from, to) = (live.subscribe(), stopping.subscribe());
        let session = tokio::spawn(async move { session::run(theirs, from, &peer, to).await });
        let (mut reading, mut writing) = tokio::io::split(ours);
        let mut rest = input;
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let size = sizes
                .next()
                .map_or(rest.len(), |size| usize::from(*size).max(1));
            let (now, later) = rest.split_at(size.min(rest.len()));
            // It may have closed already.
            let _ = writing.write_all(now).await;
            tokio::task::yield_now().await;
            rest = later;
        }
        let _ = writing.shutdown().await;
        let mut answers = Vec::new();
        let _ = reading.read_to_end(&mut answers).await;
        session.await.expect("a session does not panic");
        answers
    });
    let new = place.directory.path().join("outbox/new");
    let mut stored = Vec::new();
    for file in std::fs::read_dir(new).into_iter().flatten() {
        let path = file.expect("a file").path();
        stored.push(std::fs::read(&path).expect("a message"));
        std::fs::remove_file(path).expect("removed");
    }
    stored.sort();
    (
        String::from_utf8(answers).expect("replies are UTF-8"),
        stored,
    )
}

/// The message behind our one field.
fn below_received(message: &[u8]) -> &[u8] {
    let mut end = 0;
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if end > 0 && !line.starts_with(b"\t") && !line.starts_with(b" ") {
            break;
        }
        end += line.len();
    }
    &message[end..]
}

/// Holds for every input: the protocol and the number of sizes, the sizes, what the client says.
pub(crate) fn hold(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else {
        return;
    };
    let protocol = if *first >= 128 {
        Protocol::Lmtp
    } else {
        Protocol::Smtp
    };
    let (sizes, octets) = rest.split_at(rest.len().min(usize::from(*first % 8)));
    // AUTH has its delay, QUIT its end; neither is looked for here.
    if octets.len() > INPUT_OCTETS {
        return;
    }
    let (answers, stored) = said(octets, protocol, &[]);
    let (again, stored_again) = said(octets, protocol, sizes);
    assert_eq!(answers, again, "other replies to other pieces");
    let bodies = |stored: &[Vec<u8>]| -> Vec<Vec<u8>> {
        let mut bodies: Vec<_> = stored
            .iter()
            .map(|message| below_received(message).to_vec())
            .collect();
        bodies.sort();
        bodies
    };
    assert_eq!(
        bodies(&stored),
        bodies(&stored_again),
        "other messages by other pieces"
    );
    assert!(answers.is_empty() || answers.ends_with("\r\n"));
    for line in answers.split_terminator("\r\n") {
        let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
        assert!(
            code.is_some_and(|code| (200..600).contains(&code)),
            "{line:?}"
        );
        assert!(
            !line.chars().any(char::is_control) && line.len() <= 998,
            "{line:?}"
        );
    }
    let told = answers
        .lines()
        .filter(|line| line.starts_with("250 2.0.0 stored"))
        .count();
    match protocol {
        Protocol::Smtp => assert_eq!(told, stored.len()),
        Protocol::Lmtp => assert!(told >= stored.len() && (told == 0) == stored.is_empty()),
    }
    for message in &stored {
        assert!(!message.contains(&0));
        for line in message.split_inclusive(|octet| *octet == b'\n') {
            let bare = line.strip_suffix(b"\r\n").expect("a line ends by CRLF");
            assert!(!bare.contains(&b'\r') && !bare.contains(&b'\n'));
        }
    }
}
