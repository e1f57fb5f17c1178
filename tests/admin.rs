//! The admin listener: what it says of a running relay is true, every number stands in `docs/metrics.md`, and nobody keeps it
//! from answering.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "support/ill_mannered.rs"]
mod ill_mannered;
mod support;
#[path = "support/traffic.rs"]
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ill_mannered::{IllMannered, Script};
use support::{Client, Config, PATIENCE, Served, free_port};
use traffic::{
    ANNA, BEN, Submission, config_for, consent, letter, next_hop_lines, plain_letter, sleepy,
};

fn watched(mut config: Config) -> (Served, SocketAddr) {
    let address = free_port();
    config.tail = format!("[admin]\naddress = \"{address}\"\n{}", config.tail);
    let served = Served::start(&config);
    // It is bound before the relay says that it is ready, and behind the listeners.
    wait_for("the admin listener", &served, || {
        TcpStream::connect(address).is_ok()
    });
    (served, address)
}

#[track_caller]
fn wait_for(what: &str, served: &Served, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < until, "never: {what}\n{}", served.log());
        sleep(Duration::from_millis(50));
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes back for these octets until the other side closes.
fn exchange(address: SocketAddr, octets: &[u8]) -> String {
    let mut stream = connect(address);
    // It may answer and close before it has read all of it.
    let _ = stream.write_all(octets);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).expect("UTF-8")
}

fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = exchange(address, request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, head.to_ascii_lowercase(), body.to_owned())
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (code, _, body) = ask(address, "GET", path);
    (code, body)
}

fn why_not_ready(address: SocketAddr) -> Vec<String> {
    let (code, body) = get(address, "/readyz");
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let words = body["not_ready"].as_array().expect("a list");
    assert_eq!(body["ready"], serde_json::json!(words.is_empty()));
    assert_eq!(code, if words.is_empty() { 200 } else { 503 });
    words
        .iter()
        .map(|word| word.as_str().unwrap().to_owned())
        .collect()
}

/// One family of the text.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    /// By the labels as they stand.
    samples: BTreeMap<String, u64>,
}

/// OpenMetrics as far as a relay needs it, and no further: every line has its place, every family is told once.
fn read(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let body = text.strip_suffix("# EOF\n").expect("ends with # EOF");
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let (what, rest) = rest.split_once(' ').expect(line);
            let (name, value) = rest.split_once(' ').expect(line);
            let known = families.contains_key(name);
            assert!(!known || current == name, "{name} is told twice");
            name.clone_into(&mut current);
            let family = families.entry(current.clone()).or_default();
            assert!(family.samples.is_empty(), "{line}: behind its samples");
            let field = match what {
                "HELP" => &mut family.help,
                "TYPE" => &mut family.kind,
                other => panic!("{other}: {line}"),
            };
            assert!(field.is_empty(), "{line}: twice");
            value.clone_into(field);
            continue;
        }
        assert!(!line.contains("{}"), "{line}");
        let (name, value) = line.rsplit_once(' ').expect(line);
        let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
        let labels = labels.strip_suffix('}').expect(line);
        assert!(labels.matches('"').count() % 2 == 0, "{line}");
        let family = families.get_mut(&current).expect(line);
        let suffix = name.strip_prefix(&current).expect(line);
        match family.kind.as_str() {
            "counter" => assert_eq!(suffix, "_total", "{line}"),
            "gauge" => assert_eq!(suffix, "", "{line}"),
            other => panic!("{other}: {line}"),
        }
        let known = family
            .samples
            .insert(labels.to_owned(), value.parse().expect(line));
        assert!(known.is_none(), "{line}: twice");
    }
    for (name, family) in &families {
        assert!(name.starts_with("pixelgate_"), "{name}");
        assert!(!family.help.is_empty() && !family.kind.is_empty(), "{name}");
    }
    families
}

fn metrics(address: SocketAddr) -> BTreeMap<String, Family> {
    let (code, head, body) = ask(address, "GET", "/metrics");
    assert_eq!(code, 200);
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    read(&body)
}

fn value(address: SocketAddr, name: &str, labels: &str) -> u64 {
    number(&metrics(address), name, labels)
}

#[test]
fn what_is_no_openmetrics_is_seen() {
    let good =
        "# HELP pixelgate_a A.\n# TYPE pixelgate_a counter\npixelgate_a_total{x=\"y\"} 1\n# EOF\n";
    assert_eq!(read(good)["pixelgate_a"].samples["x=\"y\""], 1);
    for bad in [
        good.replace("# EOF\n", ""),
        good.replace("_total", ""),
        good.replace("# TYPE pixelgate_a counter\n", ""),
        format!("{}{good}", good.replace("# EOF\n", "")),
        good.replace("# EOF", "pixelgate_a_total{x=\"y\"} 2\n# EOF"),
        good.replace("} 1", "} one"),
    ] {
        assert!(std::panic::catch_unwind(|| read(&bad)).is_err(), "{bad}");
    }
}

#[test]
fn questions_are_answered_and_nothing_else() {
    let (_served, address) = watched(Config::default());
    assert_eq!(get(address, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(why_not_ready(address), [""; 0]);
    assert_eq!(get(address, "/").0, 404);
    assert_eq!(get(address, "/healthz/../metrics").0, 404);
    assert_eq!(ask(address, "POST", "/healthz").0, 405);
    assert_eq!(ask(address, "DELETE", "/metrics").0, 405);
    let (code, _, body) = ask(address, "HEAD", "/metrics");
    assert_eq!((code, body.as_str()), (200, ""));
}

#[test]
fn every_family_is_in_the_document_and_the_other_way_round() {
    let (_served, address) = watched(Config::default());
    let shown: BTreeSet<(String, String)> = metrics(address)
        .into_iter()
        .map(|(name, family)| match family.kind.as_str() {
            "counter" => (format!("{name}_total"), family.kind),
            _ => (name, family.kind),
        })
        .collect();
    let document = std::fs::read_to_string("docs/metrics.md").unwrap();
    let told: BTreeSet<(String, String)> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `pixelgate_"))
        .map(|line| {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            assert!(columns[3].len() > 10, "{line}: says nothing");
            let name = columns[0].trim_end_matches('`');
            (format!("pixelgate_{name}"), columns[1].to_owned())
        })
        .collect();
    // What has no number before the first time is not shown yet.
    let later = [
        "messages",
        "messages_changed",
        "messages_shadowed",
        "sessions_ended",
        "messages_refused",
    ]
    .map(|name| (format!("pixelgate_{name}_total"), "counter".to_owned()));
    let told_now: BTreeSet<_> = told
        .iter()
        .filter(|one| !later.contains(one))
        .cloned()
        .collect();
    assert_eq!(shown, told_now);
    for one in later {
        assert!(told.contains(&one), "{one:?}");
    }
}

/// Name, labels, number, after what `numbers_say_what_happened` does.
const EXPECTED: &[(&str, &str, u64)] = &[
    ("messages", "stream=\"default\"", 2),
    ("messages_changed", "stream=\"default\"", 2),
    ("events", "event=\"dkim_broken\"", 1),
    ("events", "event=\"asked_early\"", 0),
    ("events", "event=\"ledger_line_missing\"", 0),
    ("decisions", "action=\"kept\"", 1),
    ("decisions", "action=\"held\"", 0),
    ("copies", "fate=\"taken\"", 3),
    ("copies", "fate=\"unknown\"", 0),
    ("messages_refused", "reason=\"bare_lf\"", 1),
    ("sessions_ended", "reason=\"not_smtp\"", 1),
    ("uninspectable", "reason=\"charset\"", 0),
    ("out_of_scope", "reason=\"attachment\"", 0),
    ("reported", "kind=\"receipt_request\"", 0),
    ("stop", "stop=\"strip_all\"", 0),
    ("shadow", "stream=\"default\"", 0),
    ("spool_entries", "state=\"owed\"", 0),
    ("replies", "class=\"3xx\"", 3),
    ("reloads", "", 0),
    ("sessions", "", 1),
    ("sessions_begun", "", 4),
    ("tls_handshakes", "outcome=\"failed\"", 0),
    ("logins", "outcome=\"failed\"", 0),
];

fn number(families: &BTreeMap<String, Family>, name: &str, labels: &str) -> u64 {
    let family = families.get(&format!("pixelgate_{name}"));
    let family = family.unwrap_or_else(|| panic!("{name}: {families:#?}"));
    let number = family.samples.get(labels).copied();
    number.unwrap_or_else(|| panic!("{name}{{{labels}}}: {family:?}"))
}

#[test]
fn numbers_say_what_happened() {
    let hop = IllMannered::start(Script::smtp());
    let (served, address) = watched(config_for(&hop));
    consent(&served, ANNA, "granted");
    let told = Submission::new(&[ANNA, BEN], letter()).send(served.address());
    assert!(told.last().starts_with("250 "), "{told:?}");
    let signed = [
        b"DKIM-Signature: v=1; a=rsa-sha256; d=news.example; s=a; h=from; bh=x; b=x\r\n".to_vec(),
        letter(),
    ]
    .concat();
    assert!(
        Submission::new(&[BEN], signed)
            .send(served.address())
            .last()
            .starts_with("250 ")
    );
    // Refused for its octets; and a client that is no mail client.
    let mut client = Client::connect(served.address());
    client.send(b"EHLO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n");
    for _ in 0..5 {
        client.reply();
    }
    client.send(b"bare\nline\r\n.\r\n");
    assert!(client.reply()[0].starts_with("550"));
    let mut browser = Client::connect(served.address());
    browser.reply();
    browser.send(b"GET / HTTP/1.1\r\n");
    assert!(browser.reply()[0].starts_with("500"));
    assert_eq!(browser.line(), None);
    drop(browser);
    // Its end is seen a moment later.
    wait_for("one session", &served, || {
        value(address, "sessions", "") == 1
    });

    let families = metrics(address);
    let number = |name: &str, labels: &str| number(&families, name, labels);
    for (name, labels, wanted) in EXPECTED {
        assert_eq!(number(name, labels), *wanted, "{name}{{{labels}}}");
    }
    let well = format!("next_hop=\"{}\"", hop.address());
    assert_eq!(number("next_hop_failures", &well), 0);
    assert!(number("decisions", "action=\"stripped\"") >= 2);
    assert!(number("decisions_not_kept", "reason=\"no_consent\"") >= 2);
    // Nothing about people or addresses.
    let (_, text) = get(address, "/metrics");
    for word in ["anna", "ben@", "one.example", "click.example", "wf/open"] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn a_reload_is_counted_and_its_exceptions_are_shown() {
    let (served, address) = watched(Config::default());
    let place = served.directory().join("pixelgate.toml");
    let text = std::fs::read_to_string(&place).unwrap();
    std::fs::write(
        &place,
        format!("{text}\n[stops]\nstrip_all = true\n[rules]\ndisabled = [\"sendgrid-wf-open\"]\n"),
    )
    .unwrap();
    served.signal("HUP");
    wait_for("counted", &served, || value(address, "reloads", "") == 1);
    assert_eq!(value(address, "stop", "stop=\"strip_all\""), 1);
    assert_eq!(value(address, "rules_disabled", ""), 1);
    std::fs::write(&place, "nonsense").unwrap();
    served.signal("HUP");
    wait_for("counted", &served, || {
        value(address, "reloads_failed", "") == 1
    });
    assert_eq!(value(address, "reloads", ""), 1);
}

/// Whoever goes by `/readyz` sends no client before it is well, so it has to become well without one.
#[test]
fn it_is_ready_when_a_next_hop_takes_mail() {
    let place = free_port();
    let hop = || IllMannered::start_on(&place.to_string(), Script::smtp());
    let mut config = Config {
        spool: sleepy(),
        ..Config::default()
    };
    config.next_hop = {
        let first = hop();
        next_hop_lines(&first, "smtp", &[])
    };
    let (mut served, address) = watched(config);
    assert_eq!(why_not_ready(address), ["no next hop takes mail"]);
    assert_eq!(get(address, "/healthz").0, 200, "alive all the same");
    {
        let _hop = hop();
        wait_for("ready", &served, || why_not_ready(address).is_empty());
        assert!(
            Submission::new(&[BEN], plain_letter())
                .send(served.address())
                .last()
                .starts_with("250 ")
        );
    }
    // Gone again: found out by the next mail, and not forgotten by the passing of time.
    let told = Submission::new(&[BEN], plain_letter()).send(served.address());
    assert!(told.last().starts_with("451 4.4"), "{told:?}");
    assert_eq!(why_not_ready(address), ["no next hop takes mail"]);
    sleep(Duration::from_secs(6));
    assert_eq!(why_not_ready(address), ["no next hop takes mail"]);
    let _hop = hop();
    wait_for("ready again", &served, || why_not_ready(address).is_empty());
    // A load balancer should look elsewhere while what is open is finished.
    let mut client = Client::connect(served.address());
    client.send(b"EHLO a\r\nMAIL FROM:<a@b.example>\r\n");
    for _ in 0..3 {
        client.reply();
    }
    served.signal("TERM");
    wait_for("stopping", &served, || {
        why_not_ready(address) == ["the relay is being stopped"]
    });
    client.send(b"QUIT\r\n");
    assert!(served.wait().success());
}

#[test]
fn it_is_not_ready_without_room_in_the_spool() {
    let (_served, address) = watched(Config {
        spool: vec!["free_bytes = 9000000000000000000".to_owned()],
        ..Config::default()
    });
    let why = why_not_ready(address);
    assert_eq!(why.len(), 1, "{why:?}");
    assert!(why[0].contains("free_bytes"), "{why:?}");
}

#[test]
fn a_mistake_does_not_open_it_to_everybody() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("pixelgate.toml");
    let config = Config {
        tail: "[admin]\naddress = \"0.0.0.0:9925\"".to_owned(),
        ..Config::default()
    };
    std::fs::write(&place, config.text("127.0.0.1:0", directory.path())).unwrap();
    let output = std::process::Command::new("timeout")
        .args(["20", env!("CARGO_BIN_EXE_pixelgate"), "serve", "-c"])
        .arg(&place)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("allow_remote"), "{said}");
}

/// A line of a header now and then: whether the other side has enough of it.
fn drips_to_its_end(address: SocketAddr) -> bool {
    let mut slow = connect(address);
    let begun = Instant::now();
    let _ = slow.write_all(b"GET /healthz HTTP/1.1\r\n");
    slow.set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut octet = [0];
    loop {
        let _ = slow.write_all(b"X: y\r\n");
        match slow.read(&mut octet) {
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            _ => return true,
        }
        if begun.elapsed() > PATIENCE {
            return false;
        }
    }
}

#[test]
fn hostile_http_keeps_nobody_out() {
    let (served, address) = watched(Config::default());
    // A hundred that say nothing, or half of something, and hold on.
    let held: Vec<TcpStream> = (0..100)
        .map(|number| {
            let mut stream = connect(address);
            let said: &[u8] = [&b""[..], b"GET /metrics HT", b"GET / HTTP/1.1\r\nA: "][number % 3];
            let _ = stream.write_all(said);
            stream
        })
        .collect();
    for _ in 0..5 {
        assert_eq!(get(address, "/healthz").0, 200);
    }
    assert!(
        value(
            address,
            "build",
            &format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))
        ) == 1
    );
    let huge = [
        b"GET / HTTP/1.1\r\nX: ".to_vec(),
        vec![b'x'; 1 << 20],
        b"\r\n\r\n".to_vec(),
    ]
    .concat();
    let many = [
        b"GET / HTTP/1.1\r\n".to_vec(),
        b"X: y\r\n".repeat(50_000),
        b"\r\n".to_vec(),
    ]
    .concat();
    let garbage = vec![0xff; 10_000];
    let smtp = b"EHLO client.example\r\nMAIL FROM:<a@b.example>\r\n";
    for octets in [
        &huge[..],
        &many,
        &garbage,
        smtp,
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
    ] {
        let answer = exchange(address, octets);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    }
    // A header that drips for longer than it may is over, however alive it seems.
    assert!(drips_to_its_end(address), "still open");
    assert_eq!(get(address, "/healthz").0, 200);
    drop(held);
    // Mail never noticed.
    let mut client = Client::connect(served.address());
    assert!(client.reply()[0].starts_with("220"));
}
