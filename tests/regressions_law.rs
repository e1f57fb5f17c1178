//! What once let a tracker stay against the law, each through the doors that operators use.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::process::Command;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pixelgate::consent::{Assertion, ChangeKind, Form, Purpose, State};
use pixelgate::register::{Keys, Register, Row, RowEntry, Settings};
use tempfile::TempDir;

const READER: &str = "reader@example.net";

/// A register where the reader said yes by a clock that was two days ahead of today's.
fn consented_the_day_after_tomorrow() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let text =
        "[[listener]]\naddress = \"127.0.0.1:2525\"\n[[next_hop]]\naddress = \"127.0.0.1:10026\"\n";
    std::fs::write(directory.path().join("pixelgate.toml"), text).unwrap();
    let then = Timestamp::now() + SignedDuration::from_hours(48);
    let said = Assertion {
        purposes: [Purpose::CampaignPerformance].into(),
        at: Some(then),
        form: Form {
            channel: Some("form".to_owned()),
            wording_version: Some("v1".to_owned()),
            wording_sha256: Some([1; 32]),
            ..Form::default()
        },
        ..Assertion::new(ChangeKind::Granted)
    };
    let row = Row {
        controller: "default".to_owned(),
        address: READER.to_owned(),
        entry: RowEntry::Change(said),
    };
    let register = open(&directory);
    register.record(&row, then).unwrap();
    assert_eq!(stands(&register), State::Granted);
    directory
}

fn open(directory: &TempDir) -> Register {
    let var = directory.path().join("var");
    std::fs::create_dir_all(&var).unwrap();
    let settings = Settings {
        register: format!("sqlite:{}", var.join("consent.db").display()),
        ..Settings::default()
    };
    let keys = Arc::new(Keys::open(&var.join("keys")).unwrap());
    Register::open(&settings, keys).unwrap()
}

fn stands(register: &Register) -> State {
    let standing = register.get("default", READER).unwrap();
    standing.state(Purpose::CampaignPerformance)
}

fn consent(directory: &TempDir, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pixelgate"))
        .args(["-c", "pixelgate.toml", "consent"])
        .args(arguments)
        .current_dir(directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}{:?}", output.stderr);
    told
}

/// A withdrawal dated by a clock that was set back was older than the consent it takes back: recorded, without effect, and
/// the person tracked again once the clock was right.
#[test]
fn a_no_of_now_counts_whatever_the_clock_of_this_machine() {
    for (arguments, state) in [
        (
            &["set", "--to", READER, "--state", "withdrawn"][..],
            State::Withdrawn,
        ),
        (&["erase", "--to", READER], State::Erased),
    ] {
        let directory = consented_the_day_after_tomorrow();
        let told = consent(&directory, arguments);
        assert!(told.contains("clock of this machine is behind"), "{told}");
        assert_eq!(stands(&open(&directory)), state, "{told}");
        consent(&directory, &["verify"]);
    }
}
