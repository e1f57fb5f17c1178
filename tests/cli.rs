//! The command line as others build on it (DESIGN 8): exit codes, the texts an operator acts on, the fields of `--explain`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "support/fixture.rs"]
mod fixture;
mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use fixture::{Fixture, READER, pixelgate_in, row};
use pixelgate::config;
use serde_json::Value;
use support::{Config, PATIENCE, Served};
use tempfile::TempDir;

const USAGE: i32 = 64;
const DATA: i32 = 65;
const UNAVAILABLE: i32 = 69;
const AGAIN: i32 = 75;
const CONFIG: i32 = 78;

/// What a command ended with.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

/// A directory with a configuration.
struct Desk(TempDir);

impl Desk {
    fn new(tail: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = Config {
            tail: tail.to_owned(),
            ..Config::default()
        };
        let text = config.text(&support::free_port().to_string(), directory.path());
        fs::write(directory.path().join("pixelgate.toml"), text).unwrap();
        Self(directory)
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.run_on(arguments, b"")
    }

    fn run_on(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let output = pixelgate_in(self.0.path(), arguments, input);
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }
}

/// A command that is expected to end by itself; one that does not is ended after a while.
fn ends(directory: &Path, arguments: &[&str]) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pixelgate"))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let until = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{arguments:?} did not end");
        }
        sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_wrong_command_line_is_64_and_help_is_0() {
    let desk = Desk::new("");
    for arguments in [
        vec![],
        vec!["serv"],
        vec!["strip"],
        vec!["strip", "--to", "no address"],
        vec!["strip", "--to", READER, "--from", "<>x"],
        vec!["strip", "--to", READER, "--no-such"],
        vec!["consent"],
        vec!["consent", "import"],
        vec!["consent", "set", "--to", READER, "--state", "grantd"],
        vec![
            "consent",
            "set",
            "--to",
            READER,
            "--state",
            "granted",
            "--purposes",
            "everything",
        ],
        vec![
            "consent",
            "set",
            "--to",
            READER,
            "--state",
            "refused",
            "--at",
            "yesterday",
        ],
        vec![
            "consent",
            "set",
            "--to",
            READER,
            "--state",
            "granted",
            "--wording-sha256",
            "3f0a",
        ],
    ] {
        let ended = desk.run(&arguments);
        assert_eq!(ended.code, USAGE, "{arguments:?} {ended:?}");
        assert!(ended.out.is_empty() && !ended.err.is_empty(), "{ended:?}");
    }
    let ended = desk.run(&["consent", "set", "--to", READER, "--state", "grantd"]);
    assert!(ended.err.contains("grantd") && ended.err.contains("granted, refused, withdrawn"));
    for arguments in [["--help"], ["--version"]] {
        let ended = desk.run(&arguments);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    }
    assert!(desk.run(&["--version"]).out.starts_with("pixelgate "));
}

#[test]
fn the_configuration_is_named_anywhere_or_found_where_it_should_be() {
    let desk = Desk::new("");
    let before = ends(desk.0.path(), &["-c", "pixelgate.toml", "check"]);
    let behind = ends(desk.0.path(), &["check", "--config", "pixelgate.toml"]);
    assert_eq!((before.code, behind.code), (0, 0));
    assert_eq!(before.out, behind.out);
    let nowhere = ends(desk.0.path(), &["check"]);
    assert_eq!(nowhere.code, CONFIG);
    assert!(
        nowhere.err.contains("config/pixelgate.toml")
            && nowhere.err.contains("/etc/pixelgate/pixelgate.toml"),
        "{nowhere:?}"
    );
    fs::create_dir(desk.0.path().join("config")).unwrap();
    fs::rename(
        desk.0.path().join("pixelgate.toml"),
        desk.0.path().join("config/pixelgate.toml"),
    )
    .unwrap();
    assert_eq!(ends(desk.0.path(), &["check"]).code, 0);
}

/// `tests/cli/wrong_configurations.txt`, block by block: exit code, line, and words.
#[test]
fn a_wrong_configuration_is_78_with_place_and_repair() {
    let table = fs::read_to_string("tests/cli/wrong_configurations.txt").unwrap();
    let blocks: Vec<&str> = table.split("====\n").skip(1).collect();
    assert!(blocks.len() >= 20, "{} blocks", blocks.len());
    for block in blocks {
        let desk = Desk::new(block);
        let text = fs::read_to_string(desk.0.path().join("pixelgate.toml")).unwrap();
        let (line, marked) = text
            .lines()
            .enumerate()
            .find(|(_, line)| line.contains("#!"))
            .unwrap();
        let words = marked.split_once("#!").unwrap().1;
        for command in [vec!["check"], vec!["serve"], vec!["strip", "--to", READER]] {
            let mut arguments = vec!["-c", "pixelgate.toml"];
            arguments.extend(command);
            let ended = ends(desk.0.path(), &arguments);
            assert_eq!(ended.code, CONFIG, "{block} {ended:?}");
            assert!(ended.out.is_empty(), "{ended:?}");
            assert_eq!(line_told(&ended.err), line + 1, "{block} {ended:?}");
            for word in words.split('|') {
                assert!(ended.err.contains(word.trim()), "{word} in {}", ended.err);
            }
        }
    }
}

/// `pixelgate: pixelgate.toml:LINE:COLUMN: …`
fn line_told(err: &str) -> usize {
    let rest = err
        .strip_prefix("pixelgate: pixelgate.toml:")
        .unwrap_or_else(|| panic!("no place in {err}"));
    rest.split(':').next().unwrap().parse().unwrap()
}

/// What a table of its own module checks gets file and line as well, and `check` finds it before `serve` does.
#[test]
fn a_wrong_store_is_found_by_check() {
    for (from, to, words) in [
        ("sqlite:", "postgres:", ["register", "sqlite:PATH"]),
        (
            "[keys]",
            "lookup_timeout_ms = 0\n[keys]",
            ["lookup_timeout_ms", "between 1 and"],
        ),
        (
            "[ledger]\n",
            "[ledger]\nnode = \"a b\"\n",
            ["node", "letters"],
        ),
        (
            "[ledger]\n",
            "[ledger]\nqueue_lines = 0\n",
            ["queue_lines", "between 1 and"],
        ),
        ("[spool]\n", "[spool]\nbytes = 0\n", ["bytes", ""]),
    ] {
        let desk = Desk::new("");
        let path = desk.0.path().join("pixelgate.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        for command in ["check", "serve"] {
            let ended = ends(desk.0.path(), &["-c", "pixelgate.toml", command]);
            assert_eq!(ended.code, CONFIG, "{to} {ended:?}");
            assert!(line_told(&ended.err) > 1, "{ended:?}");
            for word in words {
                assert!(ended.err.contains(word), "{word} in {}", ended.err);
            }
        }
    }
}

#[test]
fn check_says_what_the_configuration_means() {
    let stream = "[rules]\ndisabled = [\"mailchimp\"]\n[stops]\nhold_edits = true\n[[stream]]\nname = \"letters\"\ncontroller = \"bakery\"\n\
                  kind = \"prospecting\"\nwithdrawal_link = { url_prefix = \"https://www.example.com/privacy/\" }\n[[stream.tracker]]\n\
                  hosts = [\"open.example.com\", \"*.track.example.net\"]\npurposes = [\"campaign_performance\", \"personalisation\"]\nrecipient = \"Opens Ltd\"\n";
    let ended = Desk::new(stream).run(&["check"]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    for words in [
        "pixelgate.toml: right\n",
        "mail taken from ",
        "next hop maildir:",
        "stream `letters`: prospecting mail of controller `bakery`\n",
        "open.example.com, *.track.example.net needs consent to campaign_performance and personalisation (for Opens Ltd)",
        "any other host needs consent to every purpose",
        "nothing is kept without a link that starts with https://www.example.com/privacy/",
        "detection rules: ",
        "sendgrid-wf-open",
        "note: detection rule `mailchimp` is switched off: what only it finds leaves without consent",
        "note: stops.hold_edits",
        "visible images that are individual",
    ] {
        assert!(ended.out.contains(words), "{words} in {}", ended.out);
    }
    let ended = Desk::new("").run(&["check"]);
    assert!(ended.out.contains("note: no [[stream]] is configured"));
    assert!(
        ended
            .out
            .contains("stream `default`: marketing mail of controller `default`")
    );
}

#[test]
fn a_second_relay_on_the_same_directories_is_75_and_names_who_has_them() {
    let served = Served::start(&Config::default());
    let text = fs::read_to_string(served.directory().join("pixelgate.toml")).unwrap();
    let spool = served.directory().join("spool").display().to_string();
    let ledger = served.directory().join("ledger").display().to_string();
    let other = |directory: &str| format!("{directory}-other");
    let elsewhere = text.replace(
        &served.address().to_string(),
        &support::free_port().to_string(),
    );
    let pid = served.pid().to_string();
    let run = |text: &str| {
        fs::write(served.directory().join("second.toml"), text).unwrap();
        ends(served.directory(), &["-c", "second.toml", "serve"])
    };
    let ended = run(&elsewhere);
    assert_eq!(ended.code, AGAIN, "{ended:?}");
    assert!(
        ended.err.contains(&spool) && ended.err.contains(&pid),
        "{ended:?}"
    );
    let ended = run(&elsewhere.replace(&spool, &other(&spool)));
    assert_eq!(ended.code, AGAIN, "{ended:?}");
    assert!(
        ended.err.contains(&ledger) && ended.err.contains(&pid),
        "{ended:?}"
    );
    let ended = run(&text
        .replace(&spool, &other(&spool))
        .replace(&ledger, &other(&ledger)));
    assert_eq!(ended.code, UNAVAILABLE, "{ended:?}");
    assert!(
        ended.err.contains(&served.address().to_string()),
        "{ended:?}"
    );
}

/// Another key makes strangers of everybody in the register: no command goes on with it.
#[test]
fn a_register_of_another_key_is_78() {
    let desk = Desk::new("");
    assert_eq!(desk.run(&["consent", "get", "--to", READER]).code, 0);
    fs::rename(desk.0.path().join("keys"), desk.0.path().join("old-keys")).unwrap();
    for arguments in [
        vec!["-c", "pixelgate.toml", "consent", "get", "--to", READER],
        vec!["-c", "pixelgate.toml", "serve"],
        vec!["-c", "pixelgate.toml", "strip", "--to", READER],
    ] {
        let ended = ends(desk.0.path(), &arguments);
        assert_eq!(ended.code, CONFIG, "{ended:?}");
        assert!(
            ended.err.contains("another") && ended.err.contains("key"),
            "{ended:?}"
        );
    }
}

#[test]
fn consent_is_set_shown_and_remembered() {
    let desk = Desk::new("");
    let ended = desk.run(&["consent", "get", "--to", READER]);
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (0, "nothing is recorded: every tracker is stripped\n")
    );
    let claim = [
        "consent",
        "set",
        "--to",
        READER,
        "--state",
        "granted",
        "--purposes",
        "campaign_performance",
        "--at",
        "2026-05-02T09:14:00Z",
        "--channel",
        "form",
    ];
    let ended = desk.run(&claim);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .out
            .contains("recorded as a claim, which permits nothing: wording_version is missing")
            && ended
                .out
                .contains("campaign_performance: claimed without proof"),
        "{ended:?}"
    );
    let sha256 = "3f0a377ba0a4a460ecb616f6507ce0d8cfa3e704025d4fda3ed0c5ca05468728";
    let mut grant = claim.to_vec();
    grant.extend(["--wording-version", "2026-04", "--wording-sha256", sha256]);
    let ended = desk.run(&grant);
    assert!(
        ended.out.starts_with(
            "recorded\ncampaign_performance: granted since 2026-05-02T09:14:00Z (record "
        ),
        "{ended:?}"
    );
    assert!(
        desk.run(&grant)
            .out
            .starts_with("this was recorded already\n")
    );
    let ended = desk.run(&["consent", "set", "--to", READER, "--state", "withdrawn"]);
    assert!(
        ended.out.contains("campaign_performance: withdrawn since "),
        "{ended:?}"
    );
    let got = desk.run(&["consent", "get", "--to", READER]).out;
    let states = ended.out.strip_prefix("recorded\n").unwrap();
    let more = got.strip_prefix(states).unwrap();
    // D23: a no is asked about again after six months at the earliest.
    assert!(more.starts_with("may be asked again after "), "{got}");

    let history: Value =
        serde_json::from_str(&desk.run(&["consent", "history", "--to", READER]).out).unwrap();
    assert_eq!(history["address"], READER);
    let kinds: Vec<&str> = history["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["state"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["granted", "granted", "withdrawn"]);
    assert_eq!(history["changes"][1]["wording_sha256"], sha256);

    // Of another controller nothing is known.
    let ended = desk.run(&["consent", "get", "--to", READER, "--controller", "bakery"]);
    assert!(ended.out.starts_with("nothing is recorded"), "{ended:?}");
}

#[test]
fn what_is_no_address_is_65() {
    let desk = Desk::new("");
    for arguments in [
        ["consent", "get", "--to", "reader"].as_slice(),
        &["consent", "history", "--to", "a@b, c@d"],
        &["consent", "set", "--to", "reader", "--state", "refused"],
    ] {
        let ended = desk.run(arguments);
        assert_eq!(ended.code, DATA, "{arguments:?} {ended:?}");
        assert!(ended.err.contains("`address`"), "{ended:?}");
    }
}

#[test]
fn an_import_says_what_it_took_and_what_it_refused() {
    let desk = Desk::new("");
    let grant = row("default", READER, "granted", &["campaign_performance"]);
    let mut claim: Value = serde_json::from_str(&grant).unwrap();
    claim["address"] = "claim@example.net".into();
    claim.as_object_mut().unwrap().remove("at");
    let refusal = row("default", "no@example.net", "refused", &[]);
    desk.write("rows.jsonl", &format!("{grant}\n{claim}\n{refusal}\n"));
    let ended = desk.run(&["consent", "import", "rows.jsonl"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    for line in [
        "3  rows",
        "1    grants with proof",
        "1    claims: a yes without proof, which permits nothing",
        "1      `at` is missing",
        "1      refused",
        "3  records written",
        "0  there already",
    ] {
        assert!(
            ended.out.lines().any(|found| found.trim() == line),
            "{line}: {}",
            ended.out
        );
    }
    let again = desk.run(&["consent", "import", "rows.jsonl"]).out;
    assert!(
        again.contains("0  records written") && again.contains("3  there already"),
        "{again}"
    );

    let future = grant.replace("2026-05-02", "2096-05-02");
    desk.write("rows.jsonl", &format!("{future}\n"));
    let ended = desk.run(&["consent", "import", "rows.jsonl"]);
    assert_eq!(ended.code, DATA, "{ended:?}");
    assert!(
        ended.out.contains("line 1") && ended.out.contains("future"),
        "{ended:?}"
    );

    for (rows, words) in [
        (format!("{grant}\n{{\n"), "line 2"),
        (grant.replace("granted", "maybe"), "maybe"),
        (grant.replace("campaign_performance", "opens"), "opens"),
        (grant.replace("\"channel\"", "\"chanel\""), "chanel"),
        (grant.replace(READER, "reader"), "`address`"),
    ] {
        desk.write("rows.jsonl", &format!("{rows}\n"));
        let ended = desk.run(&["consent", "import", "rows.jsonl"]);
        assert_eq!(ended.code, DATA, "{rows} {ended:?}");
        assert!(
            ended.err.contains(words) && ended.err.contains("nothing was imported"),
            "{ended:?}"
        );
        assert!(!ended.err.contains(READER), "{ended:?}");
    }
    assert_eq!(desk.run(&["consent", "import", "missing.jsonl"]).code, DATA);
}

fn explained(desk: &Desk, name: &str) -> (Ended, Vec<Value>) {
    let message = Fixture::read(name).message;
    let output = pixelgate_in(
        desk.0.path(),
        &["strip", "--explain", "--to", READER],
        &message,
    );
    let ended = Ended {
        code: output.status.code().unwrap(),
        out: output.stdout.escape_ascii().to_string(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    let objects = ended
        .err
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    (ended, objects)
}

/// Every field of a finding, for those who read it by machine.
const EXPLAINED: &[&str] = &[
    "action",
    "basis",
    "evidence",
    "finding",
    "host",
    "line",
    "part",
    "proof",
    "reason",
    "stream",
    "to",
    "treatment",
    "uninspectable",
    "url_hash",
    "url_sha256",
    "vector",
    "verdict",
];

#[test]
fn explain_names_every_field_of_a_finding() {
    let desk = Desk::new("");
    let (ended, objects) = explained(&desk, "two_on_one_line");
    assert_eq!(ended.code, 0);
    assert_eq!(objects.len(), 4, "{}", ended.err);
    for object in &objects[..2] {
        let mut fields: Vec<&str> = object
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        fields.sort_unstable();
        assert_eq!(fields, EXPLAINED);
        assert_eq!(
            (&object["action"], &object["reason"]),
            (&"stripped".into(), &"no_consent".into())
        );
        assert_eq!(
            (&object["verdict"], &object["part"], &object["line"]),
            (&"tracker".into(), &"1".into(), &5.into())
        );
        assert_eq!(
            (&object["vector"], &object["treatment"]),
            (&"img".into(), &"blank_image".into())
        );
        assert_eq!(
            (&object["to"], &object["stream"]),
            (&READER.into(), &"default".into())
        );
    }
}

/// The same for people: sentences, each with the code that ledger and JSON have; no URL.
#[test]
fn explain_tells_people_what_was_found_where_and_why() {
    let desk = Desk::new("");
    let message = Fixture::read("two_on_one_line").message;
    let words = ["strip", "--explain=text", "--to", READER];
    let output = pixelgate_in(desk.0.path(), &words, &message);
    let told = String::from_utf8(output.stderr).unwrap();
    let flowing: String = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for sentence in [
        &format!("2 findings for {READER}, judged as mail of stream default."),
        "1. Part 1, line 5: a picture from click.news.example is a tracker: it reports that this person opened the message [tracker].",
        "- It is loaded from an address known for counting openings (rule sendgrid-wf-open). [known_endpoint:sendgrid-wf-open]",
        "- Nobody can see it: it is drawn at 1x1 pixels. [tiny:1x1]",
        "Decided: taken out, because no consent is recorded for this [stripped, no_consent].",
        "Done: the picture keeps its place and size and shows nothing [blank_image].",
        "2 ranges of the message,",
    ] {
        assert!(flowing.contains(sentence), "{sentence}\n{told}");
    }
    assert!(!told.contains("upn="), "no URL in clear: {told}");
    let words = ["strip", "--explain=text", "--to", READER];
    let signed = Fixture::read("signed_with_pixel").message;
    let told = String::from_utf8(pixelgate_in(desk.0.path(), &words, &signed).stderr).unwrap();
    assert!(told.contains("It cannot be taken out"), "{told}");
}

#[test]
fn explain_says_what_was_found_replaced_and_decided() {
    let desk = Desk::new("");
    let (ended, objects) = explained(&desk, "two_on_one_line");
    assert_eq!(objects[0]["host"], "click.news.example");
    assert_eq!(
        objects[0]["evidence"],
        serde_json::json!(["known_endpoint:sendgrid-wf-open", "tiny:1x1"])
    );
    assert_eq!(objects[1]["evidence"], serde_json::json!(["tiny:1x1"]));
    let message = Fixture::read("two_on_one_line").message;
    for object in &objects[2..] {
        let edge = |n: usize| usize::try_from(object["range"][n].as_u64().unwrap()).unwrap();
        let replaced = message[edge(0)..edge(1)].escape_ascii().to_string();
        assert!(
            replaced.contains("https://") && object["octets"].is_u64(),
            "{replaced}"
        );
    }
    assert!(
        !ended.err.contains("upn="),
        "no URL in clear: {}",
        ended.err
    );

    // What a grant changes.
    desk.write(
        "rows.jsonl",
        &row("default", READER, "granted", &["campaign_performance"]),
    );
    assert_eq!(desk.run(&["consent", "import", "rows.jsonl"]).code, 0);
    let (_, objects) = explained(&desk, "two_on_one_line");
    assert_eq!(objects.len(), 2, "nothing is replaced");
    assert_eq!(
        (&objects[0]["action"], &objects[0]["basis"]),
        (&"kept".into(), &"consent".into())
    );
    assert_eq!(objects[0]["proof"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_not_ours_to_change_is_reported() {
    let desk = Desk::new("");
    let reported = |name: &str| -> Vec<(String, String, u64)> {
        let (ended, objects) = explained(&desk, name);
        assert_eq!(ended.code, 0, "{}", ended.err);
        let said = objects.iter().map(|object| {
            let word = |key: &str| object[key].as_str().unwrap().to_owned();
            (
                word("reported"),
                word("part"),
                object["line"].as_u64().unwrap(),
            )
        });
        said.collect()
    };
    let receipt = |line| ("receipt_request".to_owned(), "1".to_owned(), line);
    assert_eq!(reported("receipt_request"), [receipt(6), receipt(7)]);
    let calendar = |kind: &str, line| (kind.to_owned(), "1.2".to_owned(), line);
    assert_eq!(
        reported("calendar_html"),
        [
            calendar("calendar_html", 4),
            calendar("calendar_tracker", 5)
        ]
    );
}

#[test]
fn what_serve_would_not_send_is_65_and_explained() {
    let desk = Desk::new("");
    let (ended, objects) = explained(&desk, "utf32_marketing");
    assert_eq!((ended.code, ended.out.as_str()), (DATA, ""));
    assert!(ended.err.contains("rejected (550)"), "{}", ended.err);
    assert_eq!(objects.len(), 1);
    assert_eq!(
        (
            &objects[0]["uninspectable"],
            &objects[0]["action"],
            &objects[0]["part"]
        ),
        (&"charset".into(), &"rejected".into(), &"1.2".into())
    );
    let (ended, objects) = explained(&desk, "signed_with_pixel");
    assert_eq!(ended.code, DATA);
    assert_eq!(objects[0]["uninspectable"], "signed");
    let ended = desk.run_on(&["strip", "--to", READER], b"Subject: x\r\n\r\n\0\r\n");
    assert_eq!(ended.code, DATA);
    assert!(ended.err.contains("NUL"), "{ended:?}");
    assert_eq!(
        desk.run(&["strip", "--to", READER, "missing.eml"]).code,
        DATA
    );
    let small = Desk::new("");
    let path = small.0.path().join("pixelgate.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replacen(
            "[limits]\n",
            "[limits]\nmessage_octets = 65536\nheader_octets = 65536\nline_octets = 65536\n",
            1,
        ),
    )
    .unwrap();
    let ended = small.run_on(
        &["strip", "--to", READER],
        "x: y\n".repeat(20_000).as_bytes(),
    );
    assert_eq!(ended.code, DATA, "{ended:?}");
    assert!(
        ended.err.contains("limits.message_octets is 65536"),
        "{ended:?}"
    );
}

// --- the shipped configuration ---------------------------------------------------------------------------------------

fn shipped() -> String {
    fs::read_to_string("config/pixelgate.toml").unwrap()
}

fn read(text: &str) -> Result<String, String> {
    let today = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    config::read(Path::new("config/pixelgate.toml"), text, today)
        .map(|config| format!("{:#?}", config.file))
        .map_err(|error| error.to_string())
}

/// `#key = value` and `#[[table]]`: a line that can be taken into use by taking the `#` away.
fn is_switched_off(line: &str) -> bool {
    line.strip_prefix('#').is_some_and(|rest| {
        rest.starts_with('[')
            || rest.split_once(" = ").is_some_and(|(key, _)| {
                !key.is_empty()
                    && key
                        .bytes()
                        .all(|octet| octet.is_ascii_lowercase() || b"_0123456789".contains(&octet))
            })
    })
}

/// Lines of tables that have no default: streams, controllers, rules that are switched on.
fn is_an_example(text: &str, number: usize) -> bool {
    let before: Vec<&str> = text.lines().take(number + 1).collect();
    let table = before
        .iter()
        .rev()
        .find(|line| line.starts_with('[') || line.starts_with("#["))
        .unwrap();
    ["stream", "controller", "switched_on", "login"]
        .iter()
        .any(|word| table.contains(word))
}

/// Alone or together: a line without its `#` is understood, and says what holds anyway.
#[test]
fn every_line_of_the_shipped_configuration_is_the_default() {
    let text = shipped();
    let defaults = read(&text).unwrap();
    let chosen: Vec<usize> = text
        .lines()
        .enumerate()
        .filter(|(number, line)| is_switched_off(line) && !is_an_example(&text, *number))
        .map(|(number, _)| number)
        .collect();
    assert!(chosen.len() > 60, "{} lines", chosen.len());
    let with = |numbers: &[usize]| {
        let lines =
            text.lines()
                .enumerate()
                .map(|(number, line)| match numbers.contains(&number) {
                    true => line.strip_prefix('#').unwrap(),
                    false => line,
                });
        read(&lines.collect::<Vec<_>>().join("\n"))
    };
    let mut examples = Vec::new();
    for number in &chosen {
        let line = text.lines().nth(*number).unwrap();
        match with(&[*number]) {
            Ok(values) if values == defaults => {}
            Ok(_) => examples.push(line.split_once(" = ").unwrap().0),
            Err(error) => panic!("{line}: {error}"),
        }
    }
    assert_eq!(examples, ["#name"], "the machine's own name is no constant");
    with(&chosen).unwrap();
}

#[test]
fn the_examples_of_the_shipped_configuration_hold() {
    let text = shipped();
    let lines: Vec<&str> = text
        .lines()
        .enumerate()
        .map(
            |(number, line)| match is_switched_off(line) && is_an_example(&text, number) {
                true => line.strip_prefix('#').unwrap(),
                false => line,
            },
        )
        .collect();
    let values = read(&lines.join("\n")).unwrap();
    for words in [
        "\"newsletter\"",
        "CheckedLink",
        "\"*.track.example.net\"",
        "CampaignPerformance",
        "fr-2026/aggregate_anonymous",
        "country_default: \"FR\"",
    ] {
        assert!(values.contains(words), "{words} in {values}");
    }
}

/// `check` says which reading of which law decides, that nobody verified it, and what an unknown country means.
#[test]
fn check_prints_the_law() {
    let desk = Desk::new("");
    let said = desk.run(&["check"]).out;
    for words in [
        "profile fr-2026, effective 2026-04-14, people in FR",
        "profile strict-edpb, effective 2024-10-07, no country's own",
        "not verified by a person: the primary text was not read",
        "OFF: aggregate_anonymous without consent (counted)",
        "every loaded profile has to permit (fr-2026, it-2026, strict-edpb); the legacy rule (D8) never applies to them, for it-2026 and strict-edpb has none",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
}

/// Whose mail a message is depends on the listener: `strip` treats it as the one that is named, or the first, would.
#[test]
fn strip_takes_the_listener_it_would_come_by() {
    let desk = Desk::new(
        "[[listener]]\naddress = \"127.0.0.1:2599\"\ncontrollers = { header = \"Pixelgate-Controller\" }\n\
         [[stream]]\nname = \"letters\"\nkind = \"marketing\"\nlisteners = [\"127.0.0.1:2599\"]\n\
         withdrawal_link = { elsewhere = \"in the account\" }\n\
         [[stream.tracker]]\nhosts = [\"click.news.example\"]\npurposes = [\"campaign_performance\"]\n",
    );
    let letter = "Pixelgate-Controller: shop\r\nContent-Type: text/html\r\n\r\n\
                  <img src=\"https://click.news.example/wf/open?upn=u001.x\" width=\"1\" height=\"1\">\r\n";
    let strip = |more: &[&str]| {
        let words = [&["strip", "--to", READER, "--explain"], more].concat();
        desk.run_on(&words, letter.as_bytes())
    };
    let first = strip(&[]);
    assert!(
        first.err.contains("\"reason\":\"unassigned\""),
        "{}",
        first.err
    );
    let second = strip(&["--listener", "127.0.0.1:2599"]);
    assert!(
        second.err.contains("\"reason\":\"no_consent\""),
        "{}",
        second.err
    );
    assert!(!second.out.contains("wf/open") && !second.out.contains("Pixelgate"));
    assert_eq!(strip(&["--listener", "127.0.0.1:2598"]).code, 64);
}
