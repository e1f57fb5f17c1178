use super::file::make;
use super::*;

fn current(lookup: u32, seal: u32) -> Generations {
    Generations { lookup, seal }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_first_start_makes_keys_for_the_owner_alone_and_later_ones_find_them() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("a/keys");
    let first = Keys::open(&directory).unwrap();
    assert_eq!(mode(&directory), 0o700);
    let mut names: Vec<_> = directory
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap())
        .inspect(|entry| assert_eq!(mode(&entry.path()), 0o600))
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "chain-1.key",
            "defence-1.key",
            "ledger-1.key",
            "lookup-1.key",
            "seal-1.key"
        ]
    );
    let second = Keys::open(&directory).unwrap();
    assert_eq!(first.fingerprints(), second.fingerprints());
    assert_eq!(
        first.subject("shop", "a@example.net"),
        second.subject("shop", "a@example.net")
    );
    assert_eq!(
        first.ledger_hash("url", b"x"),
        second.ledger_hash("url", b"x")
    );
    assert_ne!(
        first.ledger_hash("url", b"x"),
        first.ledger_hash("message_id", b"x")
    );
}

#[test]
fn two_installations_have_nothing_in_common() {
    let temporary = tempfile::tempdir().unwrap();
    let one = Keys::open(&temporary.path().join("1")).unwrap();
    let two = Keys::open(&temporary.path().join("2")).unwrap();
    assert_ne!(one.subject("s", "a@x"), two.subject("s", "a@x"));
    assert_ne!(one.ledger_hash("url", b"x"), two.ledger_hash("url", b"x"));
    for (one, two) in one.fingerprints().iter().zip(two.fingerprints()) {
        assert_ne!(one.hex, two.hex);
    }
}

#[test]
fn many_that_start_at_once_agree_on_one_key() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("keys");
    let all: Vec<Vec<Fingerprint>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| Keys::open(&directory).unwrap().fingerprints().to_vec()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(directory.read_dir().unwrap().count(), 5, "a draft was left");
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("keys");
    Keys::open(&directory).unwrap();
    let key = directory.join("seal-1.key");
    for open in [0o640, 0o604, 0o660] {
        std::fs::set_permissions(&key, PermissionsExt::from_mode(open)).unwrap();
        let error = Keys::open(&directory).unwrap_err().to_string();
        assert!(
            error.contains("seal-1.key") && error.contains("chmod 0600"),
            "{error}"
        );
    }
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o400)).unwrap();
    Keys::open(&directory).unwrap();
    std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o770)).unwrap();
    let error = Keys::open(&directory).unwrap_err().to_string();
    assert!(error.contains("chmod 0700"), "{error}");
}

#[test]
fn a_file_that_is_not_its_key_is_refused_and_not_replaced() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("keys");
    Keys::open(&directory).unwrap();
    let (lookup, seal) = (directory.join("lookup-1.key"), directory.join("seal-1.key"));
    let good = std::fs::read_to_string(&lookup).unwrap();
    let other = std::fs::read_to_string(&seal).unwrap();
    let short = good.trim_end().strip_suffix(|_: char| true).unwrap();
    for bad in ["", "\n", other.as_str(), short, &good.replace(' ', "  ")] {
        std::fs::write(&lookup, bad).unwrap();
        let error = Keys::open(&directory).unwrap_err();
        assert!(matches!(error, KeysError::Malformed { .. }), "{bad:?}");
        assert_eq!(std::fs::read_to_string(&lookup).unwrap(), bad);
        let digits = bad.trim().rsplit(' ').next().unwrap_or_default();
        assert!(digits.is_empty() || !error.to_string().contains(digits));
    }
    std::fs::write(&lookup, good).unwrap();
    Keys::open(&directory).unwrap();
}

#[test]
fn hex_is_read_strictly() {
    use crate::consent::hex::read as from_hex;
    assert_eq!(from_hex::<2>("00Ff"), Some([0, 255]));
    for bad in ["", "0", "00", "000", "00000", "+0+0", "0g00", "ü00"] {
        assert_eq!(from_hex::<2>(bad), None, "{bad}");
    }
}

#[test]
fn a_person_is_known_under_every_generation_held_the_current_one_first() {
    let temporary = tempfile::tempdir().unwrap();
    let first = Keys::open(temporary.path()).unwrap();
    let old = first.subject("shop", "a@x");
    assert_eq!(first.identity("shop", "A@X").all(), [old]);
    let second = first.with_new(Kind::Lookup, 2).unwrap();
    // Made, and not yet the current one.
    assert_eq!(second.generations(), current(1, 1));
    assert_eq!(second.subject("shop", "a@x"), old);
    let before = second.identity("shop", "a@x");
    let after = second.with_generations(current(2, 1)).unwrap();
    let after = after.identity("shop", "a@x");
    assert_eq!((before.generation(), after.generation()), (1, 2));
    assert_eq!(before.all(), [old, after.current()]);
    assert_eq!(after.all(), [after.current(), old]);
    assert_ne!(after.current(), old);
    let third = second.with_new(Kind::Lookup, 3).unwrap();
    let third = third.with_generations(current(2, 1)).unwrap();
    let all = third.identity("shop", "a@x");
    assert_eq!(all.all()[0], after.current());
    assert_eq!(all.all()[2], old);
}

#[test]
fn a_generation_may_be_missing_below_another_and_is_not_made_anew() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path();
    Keys::open(directory)
        .unwrap()
        .with_new(Kind::Lookup, 3)
        .unwrap();
    std::fs::remove_file(directory.join("lookup-1.key")).unwrap();
    let keys = Keys::open(directory).unwrap();
    assert_eq!(keys.generations(), current(3, 1));
    assert!(!directory.join("lookup-1.key").exists());
    let error = keys.with_generations(current(1, 1)).unwrap_err();
    assert!(error.to_string().contains("lookup-1.key"), "{error}");
    let error = keys.with_generations(current(3, 2)).unwrap_err();
    assert!(error.to_string().contains("seal-2.key"), "{error}");
    // A running process makes nothing anew either.
    std::fs::remove_file(directory.join("chain-1.key")).unwrap();
    let error = keys.read_again().unwrap_err();
    assert!(error.to_string().contains("chain-1.key"), "{error}");
    assert!(!directory.join("chain-1.key").exists());
}

#[test]
fn every_generation_is_looked_at_as_closely_as_the_first() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path();
    let keys = Keys::open(directory).unwrap();
    keys.with_new(Kind::Lookup, 2).unwrap();
    let path = directory.join("lookup-2.key");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let error = Keys::open(directory).unwrap_err();
    assert!(matches!(error, KeysError::Exposed { .. }), "{error}");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    // The first generation under the second one's name.
    std::fs::copy(directory.join("lookup-1.key"), &path).unwrap();
    let error = Keys::open(directory).unwrap_err();
    assert!(matches!(error, KeysError::Malformed { .. }), "{error}");
    std::fs::remove_file(&path).unwrap();
    for name in [
        "lookup-02.key",
        "lookup-0.key",
        "lookup-x.key",
        "lookup-.key",
        "lookup-99999999999.key",
        "chain-2.key",
        "defence-2.key",
        "ledger-2.key",
    ] {
        std::fs::write(directory.join(name), "").unwrap();
        let error = Keys::open(directory).unwrap_err().to_string();
        assert!(error.contains(name), "{name}: {error}");
        std::fs::remove_file(directory.join(name)).unwrap();
    }
    // What is no key's name is nobody's business.
    for name in ["lookup-1.key.bak", "README", ".lookup-2.key.0011"] {
        std::fs::write(directory.join(name), "").unwrap();
    }
    Keys::open(directory).unwrap();
}

#[test]
fn generations_are_counted_and_no_more_than_the_limit_is_read() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path();
    Keys::open(directory).unwrap();
    for generation in 2..=u32::try_from(GENERATIONS_MAX).unwrap() {
        make(directory, Kind::Seal, generation).unwrap();
    }
    Keys::open(directory).unwrap();
    make(directory, Kind::Seal, 99).unwrap();
    let error = Keys::open(directory).unwrap_err().to_string();
    assert!(error.contains("more than 16 seal keys"), "{error}");
}

#[test]
fn a_key_that_the_relays_user_could_not_read_is_not_made() {
    use std::os::unix::fs::MetadataExt;
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path();
    let ours = directory.metadata().unwrap().uid();
    if ours != 0 {
        // Only root can give a directory away.
        return;
    }
    let keys = Keys::open(directory).unwrap();
    std::os::unix::fs::chown(directory, Some(12_345), None).unwrap();
    let error = keys.with_new(Kind::Lookup, 2).unwrap_err();
    assert!(matches!(error, KeysError::NotOurs { .. }), "{error}");
    assert!(error.to_string().contains("12345"), "{error}");
    assert_eq!(directory.read_dir().unwrap().count(), 5, "a draft was left");
    std::os::unix::fs::chown(directory, Some(ours), None).unwrap();
    keys.with_new(Kind::Lookup, 2).unwrap();
}

#[test]
fn a_key_that_was_lost_is_not_replaced_and_an_unfinished_first_start_is_finished() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path();
    let first = Keys::open(directory).unwrap();
    let listing = || -> std::collections::BTreeSet<_> {
        let entries = directory.read_dir().unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    let all = listing();
    for kind in [Kind::Lookup, Kind::Seal, Kind::Chain, Kind::Defence] {
        let path = first.path(kind, 1);
        let value = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let before = listing();
        let error = Keys::open(directory).unwrap_err();
        assert!(matches!(error, KeysError::Missing { .. }), "{error}");
        let name = format!("{}-1.key", kind.as_str());
        assert!(error.to_string().contains(&name), "{error}");
        assert_eq!(listing(), before);
        make(directory, kind, 1).unwrap();
        std::fs::write(&path, value).unwrap();
    }
    // Killed at the first start, after so many keys.
    for held in 0..5 {
        for kind in Kind::ALL.into_iter().skip(held) {
            std::fs::remove_file(first.path(kind, 1)).unwrap();
        }
        let again = Keys::open(directory).unwrap();
        assert_eq!(listing(), all);
        assert_eq!(again.generations(), current(1, 1));
    }
}
