//! A rotation that dies, at every step and at moments of chance, and is run again.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pixelgate::consent::{ChangeKind, State};
use pixelgate::register::keys::Kind;
use pixelgate::register::rotate::Step;

use crate::shop::{Shop, address, open, row, states};
use crate::support::PATIENCE;

/// `KIND:STEP:DIRECTORY`: this test is the process that dies.
const ROLE: &str = "PIXELGATE_TEST_KEYS";
/// Three batches.
const PEOPLE: usize = 2_300;
const ERASED: usize = 7;

fn kind_of(word: &str) -> Kind {
    match word {
        "lookup" => Kind::Lookup,
        _ => Kind::Seal,
    }
}

/// Plays the process that dies; false in the test itself.
fn dies() -> bool {
    let Ok(role) = std::env::var(ROLE) else {
        return false;
    };
    let mut parts = role.splitn(3, ':');
    let kind = kind_of(parts.next().unwrap());
    let mut left: usize = parts.next().unwrap().parse().unwrap();
    let directory = PathBuf::from(parts.next().unwrap());
    let mut die = |_: Step| {
        left -= 1;
        if left == 0 {
            std::process::abort();
        }
    };
    open(&directory).rotate(kind, &mut die).unwrap();
    true
}

/// Whether it died; false when the rotation had no such step.
fn die_at(kind: &str, step: usize, shop: &Shop) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "killed::at_every_step_and_everybody_is_found_before_and_after_it_is_finished",
            "--exact",
        ])
        .env(
            ROLE,
            format!("{kind}:{step}:{}", shop.directory().display()),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return !status.success();
        }
        if Instant::now() > until {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the rotation did not end");
        }
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn at_every_step_and_everybody_is_found_before_and_after_it_is_finished() {
    if dies() {
        return;
    }
    let original = Shop::with_people(PEOPLE);
    let register = original.open();
    for number in 0..ERASED {
        let erased = row(&address(number), ChangeKind::Erased, "2026-06-01T00:00:00Z");
        register.record(&erased, Timestamp::now()).unwrap();
    }
    let mut expected = states(&register, PEOPLE);
    drop(register);
    for kind in ["lookup", "seal"] {
        let mut step = 0;
        loop {
            step += 1;
            let shop = original.copied();
            if !die_at(kind, step, &shop) {
                break;
            }
            let register = shop.open();
            assert_eq!(states(&register, PEOPLE), expected, "{kind} {step}");
            register.verify(&[]).unwrap();
            // Somebody whose row may be carried over, and somebody whose row may not.
            for number in [ERASED, PEOPLE - 1] {
                let no = row(
                    &address(number),
                    ChangeKind::Withdrawn,
                    "2026-07-01T00:00:00Z",
                );
                register.record(&no, Timestamp::now()).unwrap();
                expected[number] = State::Withdrawn;
            }
            let ended = shop.run(&["keys", "rotate", kind]);
            assert_eq!(ended.code, 0, "{kind} {step}: {ended:?}");
            // Dead before the small write: the key was never the current one and a new one is made.
            let (generation, resumed) = if step == 1 { (3, false) } else { (2, true) };
            assert_eq!(ended.out.contains("interrupted"), resumed, "{ended:?}");
            assert!(
                ended
                    .out
                    .contains(&format!("{kind} key {generation} is the current one")),
                "{ended:?}"
            );
            assert_eq!(states(&register, PEOPLE), expected, "{kind} {step}");
            assert_eq!(
                shop.rows(),
                i64::try_from(PEOPLE).unwrap(),
                "a person twice"
            );
            register.verify(&[]).unwrap();
            let outlook = register.rotation_outlook(kind_of(kind)).unwrap();
            assert!(!outlook.unfinished);
            let living: u64 = outlook.tallies.iter().map(|one| one.living).sum();
            let current = outlook.tallies.last().unwrap();
            assert_eq!((current.generation, current.living), (generation, living));
            for number in [ERASED, PEOPLE - 1] {
                expected[number] = State::Granted;
            }
        }
        // Made, current, three batches with a step before and one after the commit, counted.
        assert_eq!(step, 10, "{kind}");
    }
}

#[test]
fn by_kill_9_whenever_it_is() {
    let shop = Shop::with_people(6_000);
    let expected = states(&shop.open(), 6_000);
    let mut killed = 0;
    for round in 0..6_u64 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pixelgate"))
            .args(["-c", "pixelgate.toml", "keys", "rotate", "lookup"])
            .current_dir(shop.directory())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(60 + 90 * round));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(status.success() || status.code().is_none(), "{status}");
        killed += u32::from(!status.success());
        let register = shop.open();
        assert_eq!(states(&register, 6_000), expected, "round {round}");
    }
    assert!(killed > 0, "every rotation was over before its kill");
    let ended = shop.run(&["keys", "rotate", "lookup"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let register = shop.open();
    assert_eq!(states(&register, 6_000), expected);
    assert_eq!(shop.rows(), 6_000);
    register.verify(&[]).unwrap();
}
