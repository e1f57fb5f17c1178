//! Nothing else changes (DESIGN promise 2): who consents gets the original, however the octets arrive, and `strip` writes what
//! `serve` sends. Over every fixture and, where it is there, over the real set (`$PIXELGATE_REALMAIL`, else
//! `../shared/realmail`), whose messages are brought to CRLF first; what is skipped is counted aloud.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "support/fixture.rs"]
mod fixture;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use fixture::{
    CONSENT_PURPOSES, Expected, Fixture, READER, import, names, pixelgate, row, send, send_in,
    take_outbox,
};
use support::{Config, Served};

/// Who granted everything, to every controller that a fixture or the built-in stream names.
const GRANTED: &str = "granted@example.net";
/// How many of the smallest real messages go through every chunking.
const REAL_CHUNKED: usize = 12;

/// One relay for all fixtures with the same configuration; the consenting reader is in its register.
fn relays() -> Vec<(Served, Vec<Fixture>)> {
    let mut by_config: BTreeMap<String, Vec<Fixture>> = BTreeMap::new();
    for name in names() {
        let fixture = Fixture::read(&name);
        by_config
            .entry(fixture.config.clone())
            .or_default()
            .push(fixture);
    }
    by_config
        .into_iter()
        .map(|(config, fixtures)| (relay(config), fixtures))
        .collect()
}

fn relay(config: String) -> Served {
    let served = Served::start(&Config {
        tail: config,
        ..Config::default()
    });
    let rows: Vec<String> = ["default", "bakery"]
        .iter()
        .map(|controller| row(controller, GRANTED, "granted", &CONSENT_PURPOSES))
        .collect();
    import(&served, &rows);
    served
}

/// The real messages in CRLF, by name; those that SMTP cannot carry at all are counted.
fn real_mail() -> Vec<(String, Vec<u8>)> {
    let place = std::env::var_os("PIXELGATE_REALMAIL")
        .map_or_else(|| PathBuf::from("../shared/realmail"), PathBuf::from);
    let place = match place.join("mail") {
        inner if inner.is_dir() => inner,
        _ => place,
    };
    let Ok(entries) = fs::read_dir(&place) else {
        aloud(&format!(
            "SKIPPED: the real set is not at {}: 0 messages were tried; set PIXELGATE_REALMAIL",
            place.display()
        ));
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .collect();
    files.sort();
    let mut skipped = 0;
    let mut messages = Vec::new();
    for file in files {
        let octets = fs::read(&file).unwrap();
        if octets.contains(&0) {
            skipped += 1;
            continue;
        }
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        messages.push((name, crlf(&octets)));
    }
    aloud(&format!(
        "real set: {} messages, {skipped} SKIPPED that hold NUL",
        messages.len()
    ));
    assert!(!messages.is_empty(), "no message at {}", place.display());
    messages
}

/// A line that shows even when the test passes.
fn aloud(line: &str) {
    // Not `eprintln!`, which the test runner keeps to itself.
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

/// Every line end CRLF, the last line's too.
fn crlf(octets: &[u8]) -> Vec<u8> {
    let mut made = Vec::with_capacity(octets.len() + octets.len() / 40);
    let mut before = 0;
    for octet in octets {
        match octet {
            b'\n' if before == b'\r' => {}
            b'\n' | b'\r' => made.extend_from_slice(b"\r\n"),
            _ => made.push(*octet),
        }
        before = *octet;
    }
    if !made.ends_with(b"\r\n") {
        made.extend_from_slice(b"\r\n");
    }
    made
}

fn lf(octets: &[u8]) -> Vec<u8> {
    let mut made = octets.to_vec();
    made.retain(|octet| *octet != b'\r');
    made
}

/// The message without the fields that are for us, found by the test's own reading of RFC 5322 2.2.
fn without_own_fields(message: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(message.len());
    let (mut header, mut cutting) = (true, false);
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if header {
            if line == b"\r\n" {
                header = false;
            } else if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                cutting = line.len() > 10 && line[..10].eq_ignore_ascii_case(b"pixelgate-");
            }
            if header && cutting {
                continue;
            }
        }
        kept.extend_from_slice(line);
    }
    kept
}

fn one_copy(served: &Served, what: &str) -> Vec<u8> {
    let taken = take_outbox(served);
    assert_eq!(taken.len(), 1, "{what}");
    taken[0].without_received().to_vec()
}

fn assert_same(left: &[u8], right: &[u8], what: &str) {
    if left != right {
        let same = left.iter().zip(right).take_while(|(a, b)| a == b).count();
        let around = |octets: &[u8]| {
            octets[same..octets.len().min(same + 80)]
                .escape_ascii()
                .to_string()
        };
        panic!(
            "{what}: {} and {} octets, different from {same} on: `{}` and `{}`",
            left.len(),
            right.len(),
            around(left),
            around(right)
        );
    }
}

#[test]
fn who_consents_gets_the_original() {
    for (served, fixtures) in relays() {
        for fixture in fixtures {
            let from = format!("{}{}", fixture.from, fixture.mail);
            let reply = send(&served, &from, &[GRANTED], &fixture.message);
            assert!(reply.starts_with("250 "), "{}: {reply}", fixture.name);
            let copy = one_copy(&served, &fixture.name);
            assert_same(&without_own_fields(&fixture.message), &copy, &fixture.name);
        }
    }
}

#[test]
fn who_consents_gets_the_original_of_real_mail() {
    let served = relay(String::new());
    for (name, message) in real_mail() {
        let reply = send(&served, "<letter@news.example>", &[GRANTED], &message);
        assert!(reply.starts_with("250 "), "{name}: {reply}");
        assert_same(&message, &one_copy(&served, &name), &name);
    }
}

/// The copy to somebody without consent, in several chunkings of the data: the same octets each time.
#[test]
fn how_the_octets_arrive_does_not_matter() {
    const CHUNKED: [&str; 14] = [
        "base64_short_url",
        "dots",
        "long_lines",
        "missing_close_boundary",
        "mso_comment",
        "nested_multipart",
        "pixelgate_fields",
        "prefix_boundary",
        "qp_pixel_at_line_end",
        "qp_soft_break_in_tag",
        "iso2022jp_7bit",
        "utf16_base64",
        "utf32_granted",
        "utf32_requested",
    ];
    let mut tried = 0;
    for (served, fixtures) in relays() {
        for fixture in fixtures {
            if !CHUNKED.contains(&fixture.name.as_str()) {
                continue;
            }
            tried += 1;
            in_every_chunking(&served, &fixture.name, &fixture.message);
        }
    }
    assert_eq!(tried, CHUNKED.len());
}

#[test]
fn how_the_octets_of_real_mail_arrive_does_not_matter() {
    let mut messages = real_mail();
    messages.sort_by_key(|(_, message)| message.len());
    let served = relay(String::new());
    for (name, message) in messages.into_iter().take(REAL_CHUNKED) {
        in_every_chunking(&served, &name, &message);
    }
}

fn in_every_chunking(served: &Served, name: &str, message: &[u8]) {
    let told = |next: &mut dyn FnMut(usize) -> usize| {
        let reply = send_in(served, "<letter@news.example>", &[READER], message, next);
        let copies: Vec<Vec<u8>> = take_outbox(served)
            .iter()
            .map(|copy| copy.without_received().to_vec())
            .collect();
        (reply, copies)
    };
    let whole = told(&mut |_| usize::MAX);
    for size in [1, 2, 3, 7, 1000] {
        assert_eq!(told(&mut |_| size), whole, "{name} in pieces of {size}");
    }
    for seed in [1_u64, 20_261_122] {
        let mut state = seed;
        let chunked = told(&mut |left| {
            // xorshift64: no two pieces alike, and the same ones at every run.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let most = [2, 17, 64, 1460, left][usize::try_from(state % 5).unwrap()];
            usize::try_from(state >> 8).unwrap() % most.max(1) + 1
        });
        assert_eq!(chunked, whole, "{name} in random pieces, seed {seed}");
    }
}

/// What `strip` says and writes for one message, exit code and standard output.
fn stripped(served: &Served, from: &str, to: &str, more: &[&str], input: &[u8]) -> (i32, Vec<u8>) {
    let from = from.trim_matches(['<', '>']);
    let mut arguments = vec!["strip", "--to", to, "--from", from];
    arguments.extend(more);
    let output = pixelgate(served, &arguments, input);
    (output.status.code().unwrap(), output.stdout)
}

#[test]
fn strip_writes_what_serve_sends() {
    for (served, fixtures) in relays() {
        for fixture in fixtures {
            for to in [READER, GRANTED] {
                same_as_served(&served, &fixture.name, &fixture.from, to, &fixture.message);
            }
        }
    }
}

#[test]
fn strip_writes_what_serve_sends_of_real_mail() {
    let served = relay(String::new());
    for (name, message) in real_mail() {
        same_as_served(&served, &name, "<letter@news.example>", READER, &message);
    }
}

fn same_as_served(served: &Served, name: &str, from: &str, to: &str, message: &[u8]) {
    let reply = send(served, from, &[to], message);
    let (code, written) = stripped(served, from, to, &[], message);
    let taken = take_outbox(served);
    match taken.as_slice() {
        [] => {
            assert!(!reply.starts_with('2'), "{name}: {reply}");
            assert_eq!((code, written.len()), (65, 0), "{name}: {reply}");
        }
        [copy] => {
            assert_eq!(code, 0, "{name}: {reply}");
            assert_same(copy.without_received(), &written, name);
        }
        _ => panic!("{name}: {} copies", taken.len()),
    }
}

/// LF in, LF out, and the same but for that; the message from a file as from standard input.
#[test]
fn line_ends_of_a_file_are_kept() {
    for (served, fixtures) in relays() {
        for fixture in fixtures {
            let Expected::Copy(Some(expected)) = &fixture.expected else {
                continue;
            };
            let to = match fixture.consent {
                Some(_) => continue,
                None => READER,
            };
            let name = &fixture.name;
            let (code, written) = stripped(&served, &fixture.from, to, &[], &lf(&fixture.message));
            assert_eq!(code, 0, "{name}");
            assert_same(&lf(expected), &written, name);
            let file = served.directory().join("message.eml");
            fs::write(&file, lf(&fixture.message)).unwrap();
            let path = file.to_str().unwrap();
            let (_, written) = stripped(&served, &fixture.from, to, &["--crlf", path], b"");
            assert_same(expected, &written, name);
        }
    }
}

#[test]
fn mixed_line_ends_are_refused_unless_crlf_is_asked_for() {
    let served = relay(String::new());
    let fixture = Fixture::read("html_7bit");
    let Expected::Copy(Some(expected)) = fixture.expected else {
        panic!("html_7bit has a copy");
    };
    let position = |octet| {
        let places = fixture.message.iter().enumerate();
        places
            .filter(move |(_, found)| **found == octet)
            .map(|(place, _)| place)
    };
    let without_one_cr: Vec<Vec<u8>> = position(b'\r')
        .step_by(4)
        .map(|place| {
            let mut message = fixture.message.clone();
            message.remove(place);
            message
        })
        .collect();
    let without_one_lf = position(b'\n').step_by(4).map(|place| {
        let mut message = fixture.message.clone();
        message.remove(place);
        message
    });
    for mixed in without_one_cr.into_iter().chain(without_one_lf) {
        let output = pixelgate(&served, &["strip", "--to", READER], &mixed);
        assert_eq!(output.status.code(), Some(65));
        assert!(output.stdout.is_empty());
        let said = output.stderr.escape_ascii().to_string();
        assert!(said.contains("--crlf"), "{said}");
        let output = pixelgate(&served, &["strip", "--to", READER, "--crlf"], &mixed);
        assert_eq!(output.status.code(), Some(0));
        assert_same(&expected, &output.stdout, "--crlf");
    }
    let lone_cr = fixture
        .message
        .iter()
        .copied()
        .filter(|octet| *octet != b'\n')
        .collect::<Vec<u8>>();
    let (code, written) = stripped(&served, "<a@news.example>", READER, &[], &lone_cr);
    assert_eq!((code, written.len()), (65, 0), "CR alone is no line end");
}
