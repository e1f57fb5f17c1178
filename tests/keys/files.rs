//! Key files that are missing, wrong, open to others or somebody's mistake, and what the operator reads.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use crate::shop::{Ended, Shop, address};

const USAGE: i32 = 64;
const UNAVAILABLE: i32 = 69;
const AGAIN: i32 = 75;
const CONFIG: i32 = 78;

fn erase(shop: &Shop, number: usize) {
    let ended = shop.run(&[
        "consent",
        "set",
        "--controller",
        "shop",
        "--to",
        &address(number),
        "--state",
        "erased",
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[track_caller]
fn says(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{ended:?}");
    let text = format!("{}{}", ended.out, ended.err);
    for word in words {
        assert!(text.contains(word), "no {word:?} in:\n{text}");
    }
    // Neither a key's value nor an address.
    let digits = |word: &str| word.len() >= 64 && word.bytes().all(|one| one.is_ascii_hexdigit());
    assert!(!text.split_whitespace().any(digits), "{text}");
    assert!(!text.contains("@example.net"), "{text}");
}

#[test]
fn what_is_done_is_said_before_and_after() {
    let shop = Shop::with_people(12);
    erase(&shop, 3);
    let before = shop.keys();
    let ended = shop.run(&["keys", "rotate", "lookup", "--dry-run"]);
    says(
        &ended,
        0,
        &[
            "lookup key 1 is the current one",
            "lookup-2.key would be made",
            "11 people would be carried over to lookup key 2",
            "1 erased person would remain",
        ],
    );
    assert_eq!(shop.keys(), before);
    let ended = shop.run(&["keys", "rotate", "lookup"]);
    says(
        &ended,
        0,
        &[
            "lookup key 2 is the current one; 11 people were carried over",
            "back up now, and not beside the register: ",
            "keys/lookup-2.key",
            "1 erased person remains under generation 1: keep ",
            "keys/lookup-1.key",
        ],
    );
    // No terminal, no progress line.
    assert_eq!(ended.err, "");
    let ended = shop.run(&["keys", "rotate", "seal"]);
    says(
        &ended,
        0,
        &[
            "seal key 2 is the current one; 11 people were carried over",
            "nothing is sealed under generation 1 any more",
            "keys/seal-1.key may be destroyed",
        ],
    );
    let mode = |name: &str| {
        let metadata = shop.path("keys").join(name).metadata().unwrap();
        metadata.permissions().mode() & 0o7777
    };
    assert_eq!((mode("lookup-2.key"), mode("seal-2.key")), (0o600, 0o600));
    // What may be destroyed may be.
    fs::remove_file(shop.path("keys/seal-1.key")).unwrap();
    let ended = shop.run(&[
        "consent",
        "history",
        "--controller",
        "shop",
        "--to",
        &address(5),
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains(&address(5)), "{ended:?}");
    shop.open().verify(&[]).unwrap();
}

#[test]
fn a_missing_wrong_or_open_key_is_refused_by_name() {
    let shop = Shop::with_people(5);
    erase(&shop, 1);
    says(&shop.run(&["keys", "rotate", "lookup"]), 0, &[]);
    let commands: [&[&str]; 3] = [
        &[
            "consent",
            "get",
            "--controller",
            "shop",
            "--to",
            "x@y.example",
        ],
        &["keys", "rotate", "seal"],
        &["serve"],
    ];
    let key = |name: &str| shop.path("keys").join(name);
    // The current one, and one that an erased person stands under.
    for name in ["lookup-2.key", "lookup-1.key"] {
        fs::rename(key(name), shop.path("aside")).unwrap();
        for command in commands {
            says(
                &shop.run(command),
                CONFIG,
                &["consent.db", name, "put that file back", "fingerprint"],
            );
        }
        // Another key under its name: as long, as private, and not the one.
        let line = fs::read_to_string(shop.path("aside")).unwrap();
        let (start, last) = line.trim_end().split_at(line.trim_end().len() - 1);
        let other = if last == "0" { "1" } else { "0" };
        fs::write(key(name), format!("{start}{other}\n")).unwrap();
        fs::set_permissions(key(name), PermissionsExt::from_mode(0o600)).unwrap();
        for command in commands {
            let words = ["was made with another lookup key", "consent.db", "keys"];
            says(&shop.run(command), CONFIG, &words);
        }
        fs::rename(shop.path("aside"), key(name)).unwrap();
    }
    fs::set_permissions(key("lookup-1.key"), PermissionsExt::from_mode(0o644)).unwrap();
    for command in commands {
        let words = ["lookup-1.key", "chmod 0600"];
        says(&shop.run(command), UNAVAILABLE, &words);
    }
    fs::set_permissions(key("lookup-1.key"), PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(key("seal-02.key"), "").unwrap();
    says(&shop.run(commands[0]), UNAVAILABLE, &["seal-02.key"]);
    fs::remove_file(key("seal-02.key")).unwrap();
    says(&shop.run(commands[0]), 0, &[]);
    says(&shop.run(&["keys", "rotate", "chain"]), USAGE, &["chain"]);
    says(&shop.run(&["keys", "rotate"]), USAGE, &[]);
}

#[test]
fn of_two_rotations_at_once_the_second_is_told_to_try_again() {
    let shop = Shop::with_people(5);
    // As the first one holds it.
    let lock = File::create(shop.path("consent.db.rotation")).unwrap();
    lock.lock().unwrap();
    for kind in ["lookup", "seal"] {
        let words = ["another process is rotating a key", "consent.db"];
        says(&shop.run(&["keys", "rotate", kind]), AGAIN, &words);
    }
    // To look on is free.
    says(&shop.run(&["keys", "rotate", "seal", "--dry-run"]), 0, &[]);
    assert_eq!(shop.keys().len(), 5, "a key was made");
    drop(lock);
    says(&shop.run(&["keys", "rotate", "seal"]), 0, &[]);
}
