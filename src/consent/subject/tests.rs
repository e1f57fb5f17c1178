use super::*;

fn key() -> LookupKey {
    LookupKey::new(&[7; KEY_OCTETS])
}

fn same(left: &str, right: &str) -> bool {
    Subject::of(&key(), "shop", left) == Subject::of(&key(), "shop", right)
}

#[test]
fn one_mailbox_in_its_spellings_is_one_subject() {
    for spelling in [
        "anna@example.net",
        "Anna@Example.NET",
        "  anna@example.net\t",
        "\"anna\"@example.net",
        "\"a\\nna\"@example.net",
        "anna@example.net.",
    ] {
        assert!(same("anna@example.net", spelling), "{spelling}");
    }
    assert!(same("anna@bücher.example", "ANNA@xn--bcher-kva.example"));
    assert!(same("anna@BÜCHER.example", "anna@bücher.example"));
    assert!(same("GRÜN@example.net", "grün@example.net"));
    assert!(same("x@[IPv6:2001:DB8::1]", "x@[ipv6:2001:db8::1]"));
    assert!(same("Postmaster", "postmaster"));
}

#[test]
fn different_mailboxes_stay_apart() {
    for other in [
        "anna+news@example.net",
        "an.na@example.net",
        "anna@example.org",
        "anna@sub.example.net",
        "anna",
        "",
        "anna@",
    ] {
        assert!(!same("anna@example.net", other), "{other}");
    }
    assert_eq!(normalised("\"a@b\"@example.net"), "a@b@example.net");
    assert_eq!(normalised("\"a\\\"b\"@example.net"), "a\"b@example.net");
    // A lone quote is not a quoted string.
    assert_eq!(normalised("\"@example.net"), "\"@example.net");
}

#[test]
fn controllers_and_keys_cannot_be_joined() {
    let address = "anna@example.net";
    let here = Subject::of(&key(), "shop", address);
    assert_ne!(here, Subject::of(&key(), "bank", address));
    let other_key = LookupKey::new(&[8; KEY_OCTETS]);
    assert_ne!(here, Subject::of(&other_key, "shop", address));
}

#[test]
fn the_hash_is_the_documented_one() {
    let expected = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]),
        b"shop\0anna@example.net",
    );
    let subject = Subject::of(&key(), "shop", "Anna@example.net");
    assert_eq!(subject.as_bytes().as_slice(), expected.as_ref());
    let shown = subject.to_string();
    assert_eq!(shown.len(), 32);
    assert!(shown.bytes().all(|octet| octet.is_ascii_hexdigit()));
    assert!(!format!("{subject:?}{:?}", key()).contains("anna"));
}

#[test]
fn percentiles_cover_the_whole_range() {
    let mut seen = [0_u32; 100];
    for number in 0..10_000 {
        let subject = Subject::of(&key(), "shop", &format!("p{number}@example.net"));
        seen[usize::from(subject.percentile())] += 1;
    }
    assert!(seen.iter().all(|count| (50..=160).contains(count)));
}
