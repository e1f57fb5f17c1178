//! Beside a running relay and beside withdrawals by command line.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pixelgate::consent::State;
use serde_json::Value;

use crate::fixture::{import, pixelgate, row, send, take_outbox};
use crate::shop::{Shop, address, run, states};
use crate::support::{Config, Served};

const URL: &str = "https://click.news.example/wf/open?upn=u001.bmFkaWE";
const NADIA: &str = "nadia@people.example";

fn letter() -> Vec<u8> {
    format!(
        "From: <letter@news.example>\r\nTo: <{NADIA}>\r\nMessage-ID: <1@news.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>bread</p>\r\n\
         <img src=\"{URL}\" width=\"1\" height=\"1\"></body></html>\r\n"
    )
    .into_bytes()
}

fn relay() -> Served {
    Served::start(&Config {
        tail: "[[stream]]\nname = \"letter\"\ncontroller = \"shop\"\nkind = \"marketing\"\n\
               withdrawal_link = { elsewhere = \"in the account\" }\n\
               [[stream.tracker]]\nhosts = [\"*\"]\npurposes = [\"campaign_performance\"]\n"
            .to_owned(),
        ..Config::default()
    })
}

/// Whether the pixel of one letter stayed.
fn is_kept(served: &Served) -> bool {
    let reply = send(served, "<letter@news.example>", &[NADIA], &letter());
    assert!(reply.starts_with("250 "), "{reply}");
    let copies = take_outbox(served);
    assert_eq!(copies.len(), 1);
    memchr::memmem::find(&copies[0].message, URL.as_bytes()).is_some()
}

/// The subjects in the ledger's intents, in order.
fn named(served: &Served) -> Vec<String> {
    let mut subjects = Vec::new();
    for entry in fs::read_dir(served.directory().join("ledger")).unwrap() {
        let text = fs::read(entry.unwrap().path()).unwrap_or_default();
        for line in text.split(|octet| *octet == b'\n') {
            let Ok(line) = serde_json::from_slice::<Value>(line) else {
                continue;
            };
            if line["kind"] == "intent" {
                let subject = line["groups"][0]["subjects"][0].as_str();
                subjects.push(subject.unwrap().to_owned());
            }
        }
    }
    subjects
}

#[test]
fn a_running_relay_follows_and_every_letter_is_decided_as_before() {
    let served = relay();
    let granted = row("shop", NADIA, "granted", &["campaign_performance"]);
    import(&served, &[granted]);
    assert!(is_kept(&served));
    for (kind, generation) in [("lookup", 2), ("seal", 2), ("lookup", 3)] {
        let ended = run(served.directory(), &["keys", "rotate", kind]);
        assert_eq!(ended.code, 0, "{ended:?}");
        let current = format!("{kind} key {generation} is the current one");
        assert!(ended.out.contains(&current), "{ended:?}");
        assert!(is_kept(&served), "{}", served.log());
    }
    let subjects = named(&served);
    assert_eq!(subjects.len(), 4, "{subjects:?}");
    // The ledger's name of the person follows the look-up key, and only that.
    assert_ne!(subjects[0], subjects[1]);
    assert_eq!(subjects[1], subjects[2]);
    assert_ne!(subjects[2], subjects[3]);
    let whom = ["--controller", "shop", "--to", NADIA];
    let mut words = vec!["consent", "set", "--state", "withdrawn"];
    words.extend(whom);
    let output = pixelgate(&served, &words, b"");
    assert!(output.status.success(), "{output:?}");
    assert!(!is_kept(&served));
}

#[test]
fn a_relay_that_lacks_the_new_file_keeps_nothing_says_why_and_goes_on_when_it_has_it() {
    let served = relay();
    let granted = row("shop", NADIA, "granted", &["campaign_performance"]);
    import(&served, &[granted]);
    assert!(is_kept(&served));
    let ended = run(served.directory(), &["keys", "rotate", "lookup"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let (key, aside) = (
        served.directory().join("keys/lookup-2.key"),
        served.directory().join("aside"),
    );
    fs::rename(&key, &aside).unwrap();
    assert!(!is_kept(&served));
    assert!(!is_kept(&served));
    let log = served.log();
    assert!(
        log.contains("lookup-2.key") && log.contains("put that file back"),
        "{log}"
    );
    fs::rename(&aside, &key).unwrap();
    assert!(is_kept(&served), "{}", served.log());
}

/// How many people stand in the register; the full size by `PIXELGATE_TEST_PEOPLE=100000`.
fn people() -> usize {
    std::env::var("PIXELGATE_TEST_PEOPLE").map_or(20_000, |count| count.parse().unwrap())
}

#[test]
fn no_withdrawal_by_command_line_is_lost_while_rows_are_carried_over() {
    let people = people();
    let shop = Shop::with_people(people);
    let directory = shop.directory().to_owned();
    let mut withdrawn = Vec::new();
    let mut beside = 0;
    let mut slowest = Duration::ZERO;
    for kind in ["lookup", "seal"] {
        let mut rotation = Command::new(env!("CARGO_BIN_EXE_pixelgate"))
            .args(["-c", "pixelgate.toml", "keys", "rotate", kind])
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // From the end, where the rotation comes last, and until it is over.
        for number in (0..people).rev().step_by(people / 60) {
            let number = number - usize::from(kind == "seal");
            let over = rotation.try_wait().unwrap().is_some();
            beside += u32::from(!over);
            let begun = Instant::now();
            let ended = run(
                &directory,
                &[
                    "consent",
                    "set",
                    "--controller",
                    "shop",
                    "--state",
                    "withdrawn",
                    "--to",
                    &address(number),
                ],
            );
            assert_eq!(ended.code, 0, "{ended:?}");
            slowest = slowest.max(begun.elapsed());
            withdrawn.push(number);
            if over && withdrawn.len() % 10 == 0 {
                break;
            }
        }
        let output = rotation.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    println!("{beside} withdrawals beside {people} rows, the slowest {slowest:?}");
    assert!(beside > 2, "the rotation was over before the withdrawals");
    let register = shop.open();
    let found = states(&register, people);
    for number in &withdrawn {
        assert_eq!(found[*number], State::Withdrawn, "{number}");
    }
    let gone = found.iter().filter(|state| **state == State::Withdrawn);
    assert_eq!(gone.count(), withdrawn.len());
    assert_eq!(shop.rows(), i64::try_from(people).unwrap());
    register.verify(&[]).unwrap();
}
