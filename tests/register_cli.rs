//! The register's own commands as an operator and an auditor use them: verify, erase, expire, get, history.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

const USAGE: i32 = 64;
const DATA: i32 = 65;
const CONFIG: i32 = 78;
const READER: &str = "reader@example.net";
const SHA256: &str = "3f0a377ba0a4a460ecb616f6507ce0d8cfa3e704025d4fda3ed0c5ca05468728";

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
        let text = format!(
            "[[listener]]\naddress = \"127.0.0.1:2525\"\n[[next_hop]]\naddress = \"127.0.0.1:10026\"\n{tail}\n"
        );
        std::fs::write(directory.path().join("pixelgate.toml"), text).unwrap();
        Self(directory)
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_pixelgate"))
            .args(["-c", "pixelgate.toml", "consent"])
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn grant(&self, at: &str) -> Ended {
        self.run(&[
            "set",
            "--to",
            READER,
            "--state",
            "granted",
            "--purposes",
            "campaign_performance",
            "--at",
            at,
            "--channel",
            "form",
            "--wording-version",
            "v1",
            "--wording-sha256",
            SHA256,
        ])
    }

    fn register(&self) -> rusqlite::Connection {
        let path: &Path = self.0.path();
        rusqlite::Connection::open(path.join("var/consent.db")).unwrap()
    }
}

#[test]
fn verify_prints_the_heads_that_an_auditor_compares_later() {
    let desk = Desk::new("");
    assert_eq!(desk.grant("2026-05-02T09:14:00Z").code, 0);
    let ended = desk.run(&["verify"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let head = ended
        .out
        .lines()
        .find(|line| line.starts_with("default=1:"))
        .unwrap();
    assert!(
        ended.out.starts_with("verified: 1 people, 1 changes"),
        "{ended:?}"
    );
    desk.run(&["set", "--to", READER, "--state", "withdrawn"]);
    let ended = desk.run(&["verify", "--head", head]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("1 heads compared"), "{ended:?}");
    // Without the controller's name, for the one that is given.
    let short = head.strip_prefix("default=").unwrap();
    assert_eq!(desk.run(&["verify", "--head", short]).code, 0);
    let other = desk.run(&["verify", "--controller", "bakery", "--head", short]);
    assert_eq!(other.code, DATA, "{other:?}");
    let (name, _) = head.rsplit_once(':').unwrap();
    let false_head = format!("{name}:{}", "0".repeat(64));
    let ended = desk.run(&["verify", "--head", &false_head]);
    assert_eq!(ended.code, DATA);
    assert!(ended.err.contains("default, record 1: "), "{ended:?}");
    for wrong in ["1", "x:ff", "0:", "default=1:ff"] {
        assert_eq!(
            desk.run(&["verify", "--head", wrong]).code,
            USAGE,
            "{wrong}"
        );
    }
    desk.register()
        .execute("UPDATE standings SET state = 'granted'", [])
        .unwrap();
    let ended = desk.run(&["verify"]);
    assert_eq!(ended.code, DATA);
    assert!(
        ended
            .err
            .contains("the standing is not what the records say"),
        "{ended:?}"
    );
    assert!(!ended.err.contains('@'));
}

#[test]
fn erase_leaves_a_tombstone_that_an_older_grant_does_not_lift_s19() {
    let desk = Desk::new("");
    desk.grant("2026-05-02T09:14:00Z");
    let ended = desk.run(&["erase", "--to", READER]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .out
            .contains("1 records blanked, 1 of them sealed away"),
        "{ended:?}"
    );
    assert!(!ended.out.contains('@'));
    // As of a moment that the tombstone covers there is nothing left to do.
    let again = desk.run(&["erase", "--to", READER, "--at", "2026-06-02T09:14:00Z"]);
    assert_eq!(
        (again.code, again.out.as_str()),
        (0, "the person was erased already\n")
    );
    let older = desk.grant("2026-06-02T09:14:00Z");
    assert!(older.out.starts_with("the person is erased"), "{older:?}");
    let history: Value = serde_json::from_str(&desk.run(&["history", "--to", READER]).out).unwrap();
    assert!(history.get("address").is_none());
    assert_eq!(history["changes"][0]["state"], "erased");
    assert_eq!(history["blanked"][0]["rule"], "erased");
    assert_eq!(history["blanked"][0]["n"], 1);
    assert!(
        desk.run(&["get", "--to", READER])
            .out
            .contains("campaign_performance: erased")
    );
    assert_eq!(desk.run(&["verify"]).code, 0);
    for wrong in [
        ["--to", "reader", "--at", "2026-05-02T09:14:00Z"],
        ["--to", READER, "--at", "soon"],
    ] {
        let mut line = vec!["erase"];
        line.extend(wrong);
        assert!([USAGE, DATA].contains(&desk.run(&line).code), "{wrong:?}");
    }
}

#[test]
fn set_to_erased_is_the_same_as_erase() {
    let desk = Desk::new("");
    desk.grant("2026-05-02T09:14:00Z");
    assert_eq!(
        desk.run(&["set", "--to", READER, "--state", "erased"]).code,
        0
    );
    let left: i64 = desk
        .register()
        .query_row(
            "SELECT count(*) FROM records WHERE payload LIKE '%granted%'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0);
    let defences: i64 = desk
        .register()
        .query_row("SELECT count(*) FROM defence", [], |row| row.get(0))
        .unwrap();
    assert_eq!(defences, 1);
    assert!(
        desk.run(&["verify"])
            .out
            .contains("1 blanked, 1 notes, 1 defence records")
    );
}

#[test]
fn expire_counts_first_and_takes_its_periods_from_the_configuration() {
    let desk = Desk::new("");
    let claim = [
        "set",
        "--to",
        READER,
        "--state",
        "granted",
        "--at",
        "2026-05-02T09:14:00Z",
    ];
    assert_eq!(desk.run(&claim).code, 0);
    let ended = desk.run(&["expire", "--dry-run"]);
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (
            0,
            "0 claims, 0 superseded changes, 0 superseded contact records, 0 defence records would go\n"
        )
    );
    assert!(
        desk.run(&["expire"])
            .out
            .ends_with("defence records went\n")
    );
    let wrong = Desk::new("[retention]\nclaims_days = 0");
    let ended = wrong.run(&["expire"]);
    assert_eq!(ended.code, CONFIG);
    assert!(ended.err.contains("claims_days"), "{ended:?}");
}

#[test]
fn every_field_of_a_form_can_be_said_and_is_shown() {
    let desk = Desk::new("[law]\nprofiles = [\"it-2026\"]\n");
    let said = "set --to reader@example.net --state granted --purposes campaign_performance --at 2026-05-02T09:14:00Z \
                --channel form --wording-version v1 --wording-sha256 SHA --collector agency --language fr \
                --affirmative-act ticked --notice n1 --controller-list l3 --controller-shown ads --controller-shown cdp \
                --evidence-sha256 SHA --scope pixel_only"
        .replace("SHA", SHA256);
    let ended = desk.run(&said.split_ascii_whitespace().collect::<Vec<_>>());
    assert_eq!(ended.code, 0, "{ended:?}");
    let history: Value = serde_json::from_str(&desk.run(&["history", "--to", READER]).out).unwrap();
    let change = &history["changes"][0];
    for (field, value) in [
        ("collector", "agency"),
        ("language", "fr"),
        ("affirmative_act", "ticked"),
        ("notice", "n1"),
        ("controller_list", "l3"),
        ("evidence_sha256", SHA256),
        ("scope", "pixel_only"),
    ] {
        assert_eq!(change[field], value, "{change}");
    }
    assert_eq!(
        change["controllers_shown"],
        serde_json::json!(["ads", "cdp"])
    );
    let ended = desk.run(&[
        "set",
        "--to",
        READER,
        "--state",
        "granted",
        "--scope",
        "everything",
    ]);
    assert_eq!(ended.code, USAGE);
    assert!(ended.err.contains("--scope"), "{ended:?}");
    // The wait after a no is that of the configured profiles; Italy's states none.
    desk.run(&["set", "--to", READER, "--state", "refused"]);
    let ended = desk.run(&["get", "--to", READER]);
    assert!(!ended.out.contains("asked again"), "{ended:?}");
}
