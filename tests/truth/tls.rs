//! TLS towards the next hop: what each mode makes of each way in which it goes wrong.

use std::time::Duration;

use crate::authority::Authority;
use crate::ill_mannered::{Act, IllMannered, Rule, Verb};
use crate::rule::{BOTH, Place, Speaks};
use crate::*;

/// An alert that ends a handshake: fatal, handshake_failure (RFC 8446 6).
const ALERT: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28];

const MODES: [&str; 4] = ["none", "opportunistic", "required", "verified"];

/// How TLS goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    /// With the right certificate.
    Right,
    /// With one of another authority.
    Stranger,
    /// With one for another name.
    OtherName,
    /// Not announced.
    NotOffered,
    /// STARTTLS is answered 454.
    Refused,
    /// The handshake is refused.
    Alert,
    /// The connection is closed in the handshake.
    Closed,
    /// Something that is no TLS at all.
    Garbage,
    /// Nothing.
    Silent,
    /// A reply in clear behind the 220, as somebody in the middle puts it there.
    Injected,
}

const ALL: [Tls; 10] = [
    Tls::Right,
    Tls::Stranger,
    Tls::OtherName,
    Tls::NotOffered,
    Tls::Refused,
    Tls::Alert,
    Tls::Closed,
    Tls::Garbage,
    Tls::Silent,
    Tls::Injected,
];

/// How the mail goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    InClear,
    Secure,
    /// 421 4.3.2 at the greeting.
    Nowhere,
}

/// The rule.
fn goes(mode: &str, tls: Tls) -> Goes {
    match (mode, tls) {
        ("none", _) => Goes::InClear,
        // Whoever puts words behind the 220 is no accident.
        (_, Tls::Injected) => Goes::Nowhere,
        (_, Tls::Right) => Goes::Secure,
        ("opportunistic" | "required", Tls::Stranger | Tls::OtherName) => Goes::Secure,
        ("opportunistic", _) => Goes::InClear,
        _ => Goes::Nowhere,
    }
}

#[test]
fn every_mode_and_every_trouble() {
    let mut all = Vec::new();
    for speaks in BOTH {
        for mode in MODES {
            for tls in ALL {
                all.push((speaks, mode, tls));
            }
        }
    }
    let authorities = [Authority::new(), Authority::new()];
    let wrong = at_once(8, &all, |&(speaks, mode, tls)| {
        run(&authorities, speaks, mode, tls)
    });
    let wrong: Vec<String> = wrong.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn run(authorities: &[Authority; 2], speaks: Speaks, mode: &str, tls: Tls) -> Vec<String> {
    let [ours, strangers] = authorities;
    let server = match tls {
        Tls::Stranger => strangers.server("mx.example.net").0,
        Tls::OtherName => ours.server("other.example.net").0,
        _ => ours.server("mx.example.net").0,
    };
    let script = match tls {
        Tls::NotOffered => script(speaks),
        _ => script(speaks).starttls(server),
    };
    let go = Act::say("220 2.0.0 go on");
    let acts = match tls {
        Tls::Right | Tls::Stranger | Tls::OtherName | Tls::NotOffered => Vec::new(),
        Tls::Refused => vec![Act::say("454 4.7.0 not now")],
        Tls::Alert => vec![go, wait(), Act::Raw(ALERT.to_vec()), wait(), Act::Close],
        Tls::Closed => vec![go, wait(), Act::Close],
        Tls::Garbage => vec![
            go,
            wait(),
            Act::Raw(b"250 hello\r\n".to_vec()),
            wait(),
            Act::Close,
        ],
        Tls::Silent => vec![go, Act::Stall(Duration::from_secs(120))],
        Tls::Injected => vec![Act::Raw(
            b"220 2.0.0 go on\r\n250 2.0.0 injected\r\n".to_vec(),
        )],
    };
    let hop = IllMannered::start(script.rule(Rule::on(Verb::Starttls, acts)));
    let directory = tempfile::tempdir().unwrap();
    let ca_file = ours.write(directory.path());
    let more = match mode {
        "verified" => format!(
            "tls = {{ mode = \"{mode}\", ca_file = \"{}\", name = \"mx.example.net\" }}",
            ca_file.display()
        ),
        _ => format!("tls = {{ mode = \"{mode}\" }}"),
    };
    let relay = Relay::start(&hop, speaks, &[more]);
    let mut wrong = Vec::new();
    for client in BOTH {
        for place in [Place::Only, Place::First] {
            let sender = format!("{}-{place:?}@news.example.com", word(client));
            let told = send(&relay, client, &sender, place.recipients(), letter());
            let given = hop.transactions_from(&sender);
            let secure = given.iter().all(|transaction| transaction.secure);
            let in_clear = given.iter().all(|transaction| !transaction.secure);
            let taken: usize = given
                .iter()
                .map(|transaction| transaction.taken.len())
                .sum();
            let delivered = taken == place.recipients().len()
                && told.dot.iter().all(|reply| reply.starts_with("250"))
                && !told.dot.is_empty();
            let right = match goes(mode, tls) {
                Goes::InClear => delivered && in_clear,
                Goes::Secure => delivered && secure,
                Goes::Nowhere => told.greeting.starts_with("421 4.3.2 ") && given.is_empty(),
            };
            if !right || !spool_is_empty(&relay.served) {
                let log = relay.served.log();
                wrong.push(format!(
                    "{speaks:?} {mode} {tls:?} {client:?} {place:?}: {told:?}, taken {taken}, secure {secure}\n{log}"
                ));
            }
        }
    }
    wrong
}

/// Long enough that what follows comes in another segment.
fn wait() -> Act {
    Act::Stall(Duration::from_millis(150))
}
