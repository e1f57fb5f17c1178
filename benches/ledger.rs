//! What a day of mail costs in the ledger: octets a message, a question about one person, the whole chain checked.
//!
//! `cargo bench --bench ledger -- --messages 1000000 --dir /var/tmp/ledger-bench` writes that many messages (an intent and
//! an outcome each: one recipient, three findings, kept ones synced) by the relay's own way, waits until closed segments are
//! packed, and measures. The directory must not exist; it stays, to be looked at.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pixelgate::ledger::read::Ledgers;
use pixelgate::ledger::{
    Decision, Enforcement, Fate, Finding, Group, Host, Intent, Ledger, LedgerError, Outcome,
    Settings, StartFacts, verify,
};
use ring::digest;

/// Messages on their way at once.
const AT_ONCE: u64 = 256;
/// People who are asked about.
const QUESTIONS: u64 = 20;

type Failed = Box<dyn Error + Send + Sync>;

struct Wanted {
    messages: u64,
    directory: PathBuf,
}

fn main() -> Result<(), Failed> {
    let Some(wanted) = wanted()? else {
        // `cargo test --benches` and `cargo bench` alone run every bench: nobody asked for gigabytes.
        return say("ledger: give --messages N --dir DIR");
    };
    let settings = Settings {
        directory: wanted.directory.clone(),
        write_timeout_ms: 60_000,
        ..Settings::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    let begin = Instant::now();
    runtime.block_on(write(&settings, wanted.messages))?;
    let took = begin.elapsed();
    say(&format!(
        "{} messages written in {:.1} s: {:.0} a second",
        wanted.messages,
        took.as_secs_f64(),
        wanted.messages as f64 / took.as_secs_f64()
    ))?;
    let begin = Instant::now();
    pack(&settings)?;
    let took = begin.elapsed().as_secs_f64();
    say(&format!("what was still plain was packed in {took:.1} s"))?;
    sizes(&settings.directory, wanted.messages)?;
    questions(&settings.directory, wanted.messages)?;
    check(&settings.directory)?;
    say(&format!("most memory this process held: {}", memory()?))
}

fn wanted() -> Result<Option<Wanted>, Failed> {
    let (mut messages, mut directory) = (None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--messages" => messages = Some(arguments.next().ok_or("--messages N")?.parse()?),
            "--dir" => directory = Some(PathBuf::from(arguments.next().ok_or("--dir DIR")?)),
            _ => {}
        }
    }
    let (Some(messages), Some(directory)) = (messages, directory) else {
        return Ok(None);
    };
    if directory.exists() {
        return Err(format!("{} exists already", directory.display()).into());
    }
    Ok(Some(Wanted {
        messages,
        directory,
    }))
}

async fn write(settings: &Settings, messages: u64) -> Result<(), Failed> {
    let ledger = Ledger::open(settings, &StartFacts::default())?;
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (ledger, next) = (Arc::clone(&ledger), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= messages {
                    return Ok::<(), LedgerError>(());
                }
                // Every second recipient said yes; only then is the line on the disk before the mail goes.
                let keeps = number.is_multiple_of(2);
                ledger.intent(intent(number, keeps), keeps).await?;
                ledger.outcome(outcome(number)).await?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    ledger.close();
    Ok(())
}

/// Hex digits that look like a keyed hash.
fn hash(of: &str, number: u64, digits: usize) -> String {
    let digest = digest::digest(&digest::SHA256, format!("{of}{number}").as_bytes());
    let hex = digest.as_ref().iter().map(|octet| format!("{octet:02x}"));
    hex.collect::<String>().chars().take(digits).collect()
}

fn id(number: u64) -> String {
    format!("19c2{:08x}-{}", number, hash("id", number, 12))
}

fn findings(number: u64) -> Vec<Finding> {
    let finding = |n: u32, host: &str, url: String, rule: &str, purposes: &[&str]| Finding {
        n,
        part: "1.2".to_owned(),
        line: 40 + u64::from(n) * 17,
        vector: "img".to_owned(),
        host: Host::new(host, |label| hash(label, 0, 16)),
        url_hash: url,
        evidence: vec![format!("known_endpoint:{rule}"), "tiny:1x1".to_owned()],
        verdict: "tracker".to_owned(),
        treatment: "blank_in_place".to_owned(),
        purposes: purposes.iter().map(ToString::to_string).collect(),
        partner: None,
    };
    vec![
        finding(
            0,
            "open.esp.example",
            hash("open", number, 32),
            "esp-open",
            &["campaign_performance"],
        ),
        finding(1, "ads.example", hash("ad", 0, 32), "ads-view", &[]),
        finding(
            2,
            "click.esp.example",
            hash("second", number, 32),
            "esp-open",
            &["campaign_performance"],
        ),
    ]
}

fn intent(number: u64, keeps: bool) -> Intent {
    let stripped = |finding: u32, reason: &str| Decision {
        finding,
        action: "stripped".to_owned(),
        basis: None,
        reason: Some(reason.to_owned()),
        records: Vec::new(),
    };
    let first = match keeps {
        true => Decision {
            finding: 0,
            action: "kept".to_owned(),
            basis: Some("consent".to_owned()),
            reason: None,
            records: vec![hash("proof", number, 32)],
        },
        false => stripped(0, "unknown"),
    };
    Intent {
        id: id(number),
        attempt: 1,
        listener: "127.0.0.1:2525".to_owned(),
        stream: "newsletter".to_owned(),
        stream_kind: "marketing".to_owned(),
        controller: "shop".to_owned(),
        message_sha256: hash("message", number, 64),
        message_octets: 38_000 + number % 4_000,
        message_id_hash: Some(hash("message-id", number, 32)),
        enforcement: Enforcement {
            mode: "enforce".to_owned(),
            ..Enforcement::default()
        },
        looked_up_at: Some(jiff::Timestamp::now()),
        findings: findings(number),
        groups: vec![Group {
            subjects: vec![hash("subject", number, 32)],
            copy: "stripped".to_owned(),
            reason: None,
            shadow: false,
            profile: Some("fr-2026".to_owned()),
            decisions: vec![
                Decision {
                    finding: 2,
                    ..first.clone()
                },
                first,
                stripped(1, "undeclared"),
            ],
            parts: Vec::new(),
        }],
        dkim_domains: vec![Host::new("shop.example", |label| hash(label, 0, 16))],
        ..Intent::default()
    }
}

fn outcome(number: u64) -> Outcome {
    Outcome {
        id: id(number),
        attempt: 1,
        fates: vec![Fate {
            fate: "taken".to_owned(),
            code: Some(250),
            status: Some("2.0.0".to_owned()),
            subjects: vec![hash("subject", number, 32)],
        }],
        answered: Some(250),
        dkim_broken: vec![Host::new("shop.example", |label| hash(label, 0, 16))],
    }
}

/// A start packs what was left; only the segment that grows stays plain.
fn pack(settings: &Settings) -> Result<(), Failed> {
    let ledger = Ledger::open(settings, &StartFacts::default())?;
    let until = Instant::now() + Duration::from_secs(3_600);
    while octets(&settings.directory, ".jsonl")?.0 > 1 {
        if Instant::now() > until {
            return Err("not packed within an hour".into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    ledger.close();
    Ok(())
}

/// How many files end so, and their octets.
fn octets(directory: &Path, ending: &str) -> Result<(u64, u64), Failed> {
    let mut sum = (0, 0);
    for entry in directory.read_dir()? {
        let entry = entry?;
        if entry.path().display().to_string().ends_with(ending) {
            sum = (sum.0 + 1, sum.1 + entry.metadata()?.len());
        }
    }
    Ok(sum)
}

fn sizes(directory: &Path, messages: u64) -> Result<(), Failed> {
    let mut all = 0;
    let ledgers = Ledgers::open(&[directory.to_owned()])?;
    ledgers.each_raw(None, None, |line| {
        all += line.len() as u64 + 1;
        Ok::<(), LedgerError>(())
    })?;
    let (_, growing) = octets(directory, ".jsonl")?;
    let (files, packed) = octets(directory, ".jsonl.zst")?;
    let (_, index) = octets(directory, ".idx")?;
    let each = all as f64 / messages as f64;
    say(&format!("plain: {each:.0} octets a message, {all} in all"))?;
    if all == growing {
        return say("nothing is packed: all of it fits into one segment");
    }
    let share = each / (all - growing) as f64;
    say(&format!(
        "packed: {:.0} octets a message, index: {:.0} ({files} segments, {packed} and {index} octets; {growing} still plain)",
        packed as f64 * share,
        index as f64 * share,
    ))
}

/// Asks the kernel to forget what it holds of the files; whether it was asked.
fn forget(directory: &Path) -> Result<bool, Failed> {
    let mut asked = true;
    for entry in directory.read_dir()? {
        let dropped = Command::new("dd")
            .arg(format!("if={}", entry?.path().display()))
            .args(["iflag=nocache", "count=0"])
            .stderr(Stdio::null())
            .status();
        asked &= dropped.is_ok_and(|status| status.success());
    }
    Ok(asked)
}

fn questions(directory: &Path, messages: u64) -> Result<(), Failed> {
    for cold in [true, false] {
        let mut took = Vec::new();
        let mut asked = true;
        for question in 0..QUESTIONS {
            let number = (question * 7_919_317 + 11) % messages;
            if cold {
                asked &= forget(directory)?;
            }
            let begin = Instant::now();
            let ledgers = Ledgers::open(&[directory.to_owned()])?;
            let found = ledgers.of_subjects(&[hash("subject", number, 32)], None, None)?;
            took.push(begin.elapsed());
            if found.len() != 2 || !ledgers.remarks().is_empty() {
                return Err(format!("message {number}: {} lines found", found.len()).into());
            }
        }
        took.sort();
        let at = |share: usize| {
            took.get(took.len() * share / 100)
                .copied()
                .unwrap_or_default()
        };
        say(&format!(
            "one person asked about, {}: p50 {:.1?}, most {:.1?}",
            match (cold, asked) {
                (true, true) => "cold (files dropped from the cache)",
                (true, false) => "not cold: the cache could not be dropped",
                (false, _) => "warm",
            },
            at(50),
            took.last().copied().unwrap_or_default()
        ))?;
    }
    Ok(())
}

fn check(directory: &Path) -> Result<(), Failed> {
    let begin = Instant::now();
    let verified = verify(directory)?;
    let took = begin.elapsed().as_secs_f64();
    say(&format!(
        "verify: {} lines in {took:.1} s: {:.0} lines a second",
        verified.lines,
        verified.lines as f64 / took
    ))
}

fn memory() -> Result<String, Failed> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(line.unwrap_or("unknown").trim().to_owned())
}

fn say(text: &str) -> Result<(), Failed> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
