//! A register with many people in it, and commands over it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use pixelgate::consent::{Assertion, ChangeKind, Form, Purpose, State};
use pixelgate::register::{Keys, Recorded, Register, RegisterError, Row, RowEntry, Settings};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::fixture::pixelgate_in;
use crate::support::{self, Config};

pub(crate) const PURPOSE: Purpose = Purpose::CampaignPerformance;

/// What a command ended with.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A directory with configuration, keys and register.
pub(crate) struct Shop(TempDir);

impl Shop {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        configure(directory.path());
        Self(directory)
    }

    /// With so many people who consented.
    pub(crate) fn with_people(count: usize) -> Self {
        let shop = Self::new();
        shop.grant(count);
        shop
    }

    pub(crate) fn grant(&self, count: usize) {
        let register = self.open();
        let people: Vec<usize> = (0..count).collect();
        for batch in people.chunks(1_000) {
            let rows: Vec<Row> = batch
                .iter()
                .map(|number| {
                    row(
                        &address(*number),
                        ChangeKind::Granted,
                        "2026-05-01T00:00:00Z",
                    )
                })
                .collect();
            let written = register.write_batch(&rows, Timestamp::now()).unwrap();
            assert!(written.iter().all(|one| *one == Recorded::New));
        }
    }

    /// The same files at another place.
    pub(crate) fn copied(&self) -> Self {
        let copy = Self::new();
        for name in ["consent.db", "consent.db-wal"] {
            if self.path(name).exists() {
                fs::copy(self.path(name), copy.path(name)).unwrap();
            }
        }
        fs::create_dir(copy.path("keys")).unwrap();
        fs::set_permissions(copy.path("keys"), PermissionsExt::from_mode(0o700)).unwrap();
        for key in self.keys() {
            fs::copy(self.path("keys").join(&key), copy.path("keys").join(&key)).unwrap();
        }
        copy
    }

    pub(crate) fn directory(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The names of the key files.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path("keys"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn open(&self) -> Register {
        open(self.directory())
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        run(self.directory(), arguments)
    }

    pub(crate) fn rows(&self) -> i64 {
        Connection::open(self.path("consent.db"))
            .unwrap()
            .query_row("SELECT count(*) FROM subjects", [], |row| row.get(0))
            .unwrap()
    }
}

pub(crate) fn open(directory: &Path) -> Register {
    let keys = Arc::new(Keys::open(&directory.join("keys")).unwrap());
    let settings = Settings {
        register: format!("sqlite:{}", directory.join("consent.db").display()),
        // Two busy cores are no reason to fail here.
        lookup_timeout_ms: 30_000,
        write_timeout_ms: 60_000,
        ..Settings::default()
    };
    Register::open(&settings, keys).unwrap()
}

pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Ended {
    let output = pixelgate_in(directory, arguments, b"");
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn configure(directory: &Path) {
    let text = Config::default().text(&support::free_port().to_string(), directory);
    fs::write(directory.join("pixelgate.toml"), text).unwrap();
}

pub(crate) fn address(number: usize) -> String {
    format!("p{number}@example.net")
}

pub(crate) fn row(address: &str, kind: ChangeKind, at: &str) -> Row {
    Row {
        controller: "shop".into(),
        address: address.into(),
        entry: RowEntry::Change(Assertion {
            purposes: BTreeSet::from([PURPOSE]),
            at: Some(at.parse().unwrap()),
            form: Form {
                channel: Some("form".into()),
                wording_version: Some("v1".into()),
                wording_sha256: Some([5; 32]),
                ..Form::default()
            },
            ..Assertion::new(kind)
        }),
    }
}

/// As the relay asks: once more when the keys have been rotated.
pub(crate) fn states(register: &Register, count: usize) -> Vec<State> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let people: Vec<usize> = (0..count).collect();
    let mut states = Vec::new();
    for batch in people.chunks(5_000) {
        let standings = (0..5)
            .find_map(|_| {
                let keys = register.keys();
                let identities: Vec<_> = batch
                    .iter()
                    .map(|number| keys.identity("shop", &address(*number)))
                    .collect();
                match runtime.block_on(register.look_up("shop", &identities)) {
                    Err(RegisterError::KeysRotated) => None,
                    answer => Some(answer.unwrap()),
                }
            })
            .expect("keys that are the register's");
        states.extend(standings.iter().map(|one| one.state(PURPOSE)));
    }
    states
}
