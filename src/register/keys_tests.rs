use super::*;

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
    assert_eq!(names, ["ledger-1.key", "lookup-1.key", "seal-1.key"]);
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
    assert_eq!(directory.read_dir().unwrap().count(), 3, "a draft was left");
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
    assert_eq!(from_hex::<2>("00Ff"), Some([0, 255]));
    for bad in ["", "0", "00", "000", "00000", "+0+0", "0g00", "ü00"] {
        assert_eq!(from_hex::<2>(bad), None, "{bad}");
    }
}
