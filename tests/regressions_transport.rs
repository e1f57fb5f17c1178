//! Faults of transport and truth that were found once: each test failed before its repair.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "support/ill_mannered.rs"]
mod ill_mannered;
mod support;
#[path = "support/traffic.rs"]
mod traffic;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use support::{Client, Config, PATIENCE, Served};
use traffic::{
    ANNA, BEN, CLEO, SENDER, Submission, TRACE, block, config_for, contains, copies, dead, eager,
    letter, next_hop_lines, on_the_wire, said, start, wait_until,
};

/// The second variant of a mixed transaction: the live MAIL, one again for each variant.
const SECOND_VARIANT: usize = 3;

/// What the ledger says.
fn ledger(served: &Served) -> String {
    let directory = served.directory().join("ledger");
    let files = traffic::files(&directory);
    let segments = files.iter().filter(|name| name.ends_with(".jsonl"));
    segments
        .map(|name| fs::read_to_string(directory.join(name)).unwrap())
        .collect()
}

fn eagerly(hop: &IllMannered) -> Config {
    Config {
        spool: eager(),
        ..config_for(hop)
    }
}

#[test]
fn a_stop_does_not_wait_for_the_next_hop_of_an_owed_copy() {
    let script = Script::smtp()
        .rule(Rule::on(Verb::Dot, [Act::say("451 4.3.0 later")]).transaction(SECOND_VARIANT))
        .rule(Rule::on(Verb::Dot, [Act::Stop("owed")]).transaction(SECOND_VARIANT + 1));
    let hop = IllMannered::start(script);
    let patient = ["answer_within_seconds = 300", "dot_timeout_seconds = 300"];
    let mut served = start(&Config {
        next_hop: next_hop_lines(&hop, "smtp", &patient),
        tail: "[server]\ndrain_seconds = 1".to_owned(),
        ..eagerly(&hop)
    });
    let told = Submission::new(&[ANNA, BEN], letter()).send(served.address());
    assert!(told.last().starts_with("250 "), "{told:?}");
    assert!(hop.wait_stopped("owed", PATIENCE), "{}", served.log());
    let before = Instant::now();
    assert!(served.stop().success());
    // The drain, the farewells, and what blocks on a disk: all bounded, and less than deploy/ gives it.
    assert!(before.elapsed() < Duration::from_secs(12));
    assert_eq!(traffic::owed(&served).len(), 1, "still owed");
}

#[test]
fn a_copy_taken_before_a_report_is_not_sent_again_for_it() {
    let script = Script::smtp()
        .rule(
            Rule::on(Verb::Rcpt, [Act::say("550 5.1.1 gone")])
                .containing(BEN)
                .transaction(SECOND_VARIANT),
        )
        .rule(Rule::on(Verb::Dot, [Act::say("451 4.3.0 later")]).transaction(SECOND_VARIANT))
        .rule(
            Rule::on(Verb::Dot, [Act::Stop("report")])
                .containing(SENDER)
                .times(1),
        );
    let hop = IllMannered::start(script);
    let config = eagerly(&hop);
    let mut served = start(&config);
    let told = Submission::new(&[ANNA, BEN, CLEO], letter()).send(served.address());
    assert!(told.last().starts_with("250 "), "{told:?}");
    assert!(hop.wait_stopped("report", PATIENCE), "{}", served.log());
    assert_eq!(copies(&hop, CLEO), 1, "taken in the same attempt");
    served.kill();
    served.start_again(&config);
    wait_until("the end of the debt", &served, || {
        traffic::spool_is_empty(&served)
    });
    assert_eq!(copies(&hop, CLEO), 1);
    assert_eq!(copies(&hop, ANNA), 1);
}

#[test]
fn a_report_that_nobody_takes_comes_to_an_end() {
    let script = Script::smtp()
        .rule(Rule::on(Verb::Dot, [Act::say("550 5.7.1 no")]).transaction(SECOND_VARIANT))
        .rule(Rule::on(Verb::Rcpt, [Act::say("451 4.2.0 later")]).containing(SENDER));
    let hop = IllMannered::start(script);
    let mut config = eagerly(&hop);
    config.spool.push("expire_after_seconds = 1".to_owned());
    let served = start(&config);
    let told = Submission::new(&[ANNA, BEN], letter()).send(served.address());
    assert!(told.last().starts_with("250 "), "{told:?}");
    // It lies in `dead/` a moment before it no longer lies among what is owed.
    wait_until("dead/", &served, || {
        dead(&served).len() == 1 && traffic::owed(&served).is_empty()
    });
}

#[test]
fn a_refused_message_that_drags_on_holds_no_room() {
    let served = start(&Config {
        limits: vec![
            "message_octets = 65536".to_owned(),
            "memory_octets = 65536".to_owned(),
        ],
        ..Config::default()
    });
    let mut large = b"Subject: large\r\n\r\n".to_vec();
    for _ in 0..60 {
        large.extend_from_slice(&[b'y'; 998]);
        large.extend_from_slice(b"\r\n");
    }
    let submission = Submission::new(&[BEN], large.clone());
    let mut told = traffic::Told::default();
    let (mut dragging, _) = submission.until_data(served.address(), &mut told).unwrap();
    dragging.send(&large);
    // Read and counted; then refused, and no end in sight.
    let busy = || {
        let (mut client, _) = submission
            .until_data(served.address(), &mut traffic::Told::default())
            .unwrap();
        // In two pieces, so that the first is counted while it waits for the second.
        let (first, second) = large.split_at(large.len() / 2);
        client.send(first);
        std::thread::sleep(Duration::from_millis(50));
        client.send(second);
        client.send(b".\r\n");
        said(&mut client)
    };
    wait_until("the first message's room", &served, || {
        busy().starts_with("452 ")
    });
    dragging.send(b"bare\nline");
    wait_until("room again", &served, || busy().starts_with("250 "));
    dragging.send(b"\r\n.\r\n");
    assert!(said(&mut dragging).starts_with("550 5.6."));
}

/// RFC 2920 3.2: what was answered is sent as soon as there is nothing more to read. Some clients say MAIL, RCPT and BDAT in one
/// write and hear the answers to the first two before they go on with the chunk.
#[test]
fn replies_do_not_wait_for_the_rest_of_a_chunk() {
    let served = Served::start(&Config::default());
    let mut client = Client::connect(served.address());
    said(&mut client);
    client.send(b"EHLO client.example\r\n");
    client.reply();
    client.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<b@c.example>\r\nBDAT 17 LAST\r\nSubject:");
    assert_eq!(said(&mut client), "250 2.1.0 ok");
    assert_eq!(said(&mut client), "250 2.1.5 ok");
    client.send(b" a\r\n\r\nx\r\n");
    assert_eq!(said(&mut client), "250 2.0.0 stored");
    // The same where the chunk has no place and is thrown away.
    client.send(b"NOOP\r\nBDAT 4 LAST\r\nab");
    assert!(said(&mut client).starts_with("250 "));
    client.send(b"cd");
    assert!(said(&mut client).starts_with("503 "));
}

#[test]
fn over_lmtp_the_rejected_is_not_told_the_words_of_the_held() {
    let streams = "[[stream]]\nname = \"tickets\"\ncontroller = \"default\"\nkind = \"requested\"\n\
        withdrawal_link = { elsewhere = \"in the account\" }\n\
        [[stream.tracker]]\nhosts = [\"click.example.com\"]\npurposes = [\"campaign_performance\"]\n\
        [[stream.tracker]]\nhosts = [\"*\"]\npurposes = [\"personalisation\"]";
    let hop = IllMannered::start(Script::smtp());
    let served = start(&Config {
        listener: vec!["protocol = \"lmtp\"".to_owned()],
        tail: streams.to_owned(),
        ..config_for(&hop)
    });
    let tracker = traffic::TRACKER;
    let message = format!(
        "From: letter@news.example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n\
         --o\r\nContent-Type: multipart/signed; boundary=s; protocol=\"application/pkcs7-signature\"; micalg=sha-256\r\n\r\n\
         --s\r\nContent-Type: text/html\r\n\r\n<p>signed</p>{tracker}\r\n\
         --s\r\nContent-Type: application/pkcs7-signature\r\n\r\nx\r\n--s--\r\n\
         --o\r\nContent-Type: text/html; charset=utf-32\r\nContent-Transfer-Encoding: base64\r\n\r\n\
         AAD+/wAAADwAAABwAAAAPgAAAGEAAAA8AAAALwAAAHAAAAA+\r\n--o--\r\n"
    );
    let told = Submission {
        lmtp: true,
        ..Submission::new(&[ANNA, BEN], message.into_bytes())
    }
    .send(served.address());
    // Anna lets the signed tracker stay; what nobody can see waits. Ben's copy will never go.
    assert!(told.dot[0].starts_with("451 4.6.0 "), "{told:?}");
    assert!(told.dot[1].starts_with("550 5.6.0 "), "{told:?}");
    assert_eq!(hop.transactions(), []);
}

/// A stream that only looks on.
fn shadow() -> String {
    let until = jiff::Zoned::now()
        .date()
        .tomorrow()
        .unwrap()
        .tomorrow()
        .unwrap();
    format!(
        "[[stream]]\nname = \"news\"\ncontroller = \"default\"\nkind = \"marketing\"\n\
         withdrawal_link = {{ elsewhere = \"in the account\" }}\n\
         enforcement = {{ shadow_until = {until}, by = \"Ada\" }}\n\
         [[stream.tracker]]\nhosts = [\"*\"]\npurposes = [\"campaign_performance\"]"
    )
}

#[test]
fn the_ledger_does_not_say_stripped_where_a_shadow_let_it_go() {
    let served = start(&Config {
        tail: shadow(),
        ..Config::default()
    });
    let told = Submission::new(&[BEN], letter()).send(served.address());
    assert!(told.last().starts_with("250 "), "{told:?}");
    assert!(contains(&served.outbox()[0], TRACE.as_bytes()));
    let ledger = ledger(&served);
    assert!(
        ledger.contains("\"action\":\"would_strip\",\"reason\":\"no_consent\""),
        "{ledger}"
    );
    assert!(!ledger.contains("\"action\":\"stripped\""), "{ledger}");
}

#[test]
fn without_a_ledger_not_even_a_shadow_lets_a_tracker_go() {
    let served = start(&Config {
        tail: shadow(),
        ..Config::default()
    });
    block(&served.directory().join("ledger"));
    let told = Submission::new(&[BEN], letter()).send(served.address());
    assert!(told.last().starts_with("250 "), "{told:?}");
    assert!(!contains(&served.outbox()[0], TRACE.as_bytes()));
}

/// Makes each `fdatasync` of the relay, which only its ledger calls, wait; ended by its own process id.
struct SlowSync(std::process::Child);

impl SlowSync {
    fn of(served: &Served, delay: &str) -> Self {
        let mut tracer = Command::new("strace")
            .args(["-f", "-e", "trace=fdatasync", "-e"])
            .arg(format!("inject=fdatasync:delay_enter={delay}"))
            .args(["-p", &served.pid().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace");
        let mut said = String::new();
        BufReader::new(tracer.stderr.as_mut().unwrap())
            .read_line(&mut said)
            .unwrap();
        assert!(said.contains("attached"), "{said}");
        Self(tracer)
    }
}

impl Drop for SlowSync {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nothing_is_kept_on_an_answer_that_grew_old_while_the_ledger_was_slow() {
    let hop = IllMannered::start(Script::smtp());
    let patient = ["answer_within_seconds = 60"];
    let served = Served::start(&Config {
        next_hop: next_hop_lines(&hop, "smtp", &patient),
        tail: "write_timeout_ms = 15000".to_owned(),
        ..config_for(&hop)
    });
    traffic::grant(&served);
    let slow = SlowSync::of(&served, "6500000");
    let told = Submission::new(&[ANNA], letter()).send(served.address());
    drop(slow);
    assert!(told.last().starts_with("250 "), "{told:?}");
    let taken = hop.taken();
    assert!(
        !contains(&taken[0].octets, TRACE.as_bytes()),
        "an old answer"
    );
}

#[test]
fn many_findings_for_many_people_fit_into_memory() {
    const PEOPLE: usize = 400;
    let served = start(&Config::default());
    let rows = (0..PEOPLE).map(|n| {
        format!(
            "{{\"controller\":\"default\",\"address\":\"p{n}@x.example\",\"state\":\"granted\",\"purposes\":[\"campaign_performance\"],\
             \"at\":\"2026-05-02T09:14:00Z\",\"channel\":\"form\",\"wording_version\":\"1\",\"wording_sha256\":\"{}\"}}\n",
            "a".repeat(64)
        )
    });
    let file = served.directory().join("people.jsonl");
    fs::write(&file, rows.collect::<String>()).unwrap();
    let output = traffic::pixelgate(&served, &["consent", "import", &file.display().to_string()]);
    assert!(output.status.success(), "{output:?}");
    let pixels =
        (0..5_000).map(|n| format!("<img src=\"http://t.example/o?u={n}\" width=1 height=1>\r\n"));
    let message = format!(
        "MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n{}",
        pixels.collect::<String>()
    );
    let people: Vec<String> = (0..PEOPLE).map(|n| format!("p{n}@x.example")).collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    let mut told = traffic::Told::default();
    let (mut client, _) = Submission::new(&people, Vec::new())
        .until_data(served.address(), &mut told)
        .unwrap();
    client.send(&on_the_wire(message.as_bytes()));
    assert!(said(&mut client).starts_with("250 "));
    let status = fs::read_to_string(format!("/proc/{}/status", served.pid())).unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let kilobytes: usize = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kilobytes < 256 * 1024, "{peak}");
}

fn check(text: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pixelgate.toml");
    fs::write(&file, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_pixelgate"))
        .args(["check", "-c"])
        .arg(&file)
        .current_dir(directory.path())
        .output()
        .unwrap()
}

#[test]
fn check_refuses_what_serve_would() {
    let doors =
        "[[listener]]\naddress = \"127.0.0.1:2525\"\n[[next_hop]]\naddress = \"maildir:o\"\n";
    assert!(check(doors).status.success());
    for (text, named) in [
        ("[consent]\nregister = \"mysql:x\"", "register"),
        ("[consent]\nlookup_timeout_ms = 0", "lookup_timeout_ms"),
        ("[ledger]\nnode = \"a b\"", "node"),
        (
            "[server]\ndrain_seconds = 9223372036854775807",
            "drain_seconds",
        ),
        (
            "[limits]\ncommand_timeout_seconds = 9223372036854775807",
            "command_timeout_seconds",
        ),
        (
            "[next_hop.limits]\nanswer_within_seconds = 9223372036854775807",
            "answer_within_seconds",
        ),
    ] {
        let output = check(&format!("{doors}{text}\n"));
        let said = output.stderr.escape_ascii().to_string();
        assert_eq!(output.status.code(), Some(78), "{text}: {said}");
        assert!(
            said.contains(named) && said.contains("pixelgate.toml:"),
            "{text}: {said}"
        );
    }
}

#[test]
fn the_shipped_configuration_shows_keys_that_exist_and_their_defaults() {
    let shipped = include_str!("../config/pixelgate.toml");
    let is_key = |line: &str| {
        let key = line.split(" = ").next().unwrap_or_default();
        line.contains(" = ")
            && key
                .bytes()
                .all(|octet| octet.is_ascii_lowercase() || octet == b'_')
    };
    let mut shown = String::new();
    for line in shipped.lines() {
        match line.strip_prefix('#') {
            Some(rest) if is_key(rest) || rest.starts_with("[[") => shown.push_str(rest),
            _ => shown.push_str(line),
        }
        shown.push('\n');
    }
    let output = check(&shown);
    assert!(output.status.success(), "{output:?}");
    let path = std::path::Path::new("pixelgate.toml");
    let today = jiff::civil::date(2026, 11, 22);
    let read = |text: &str| pixelgate::config::read(path, text, today).unwrap().file;
    let (plain, shown) = (read(shipped), read(&shown));
    assert_eq!(plain.limits, shown.limits);
    assert_eq!(plain.spool, shown.spool);
    assert_eq!(plain.ledger, shown.ledger);
    assert_eq!(plain.consent, shown.consent);
    assert_eq!(plain.next_hops, shown.next_hops);
    assert_eq!(plain.listeners, shown.listeners);
    assert_eq!(format!("{:?}", plain.relay), format!("{:?}", shown.relay));
    assert_eq!(plain.server.drain_seconds, shown.server.drain_seconds);
}
