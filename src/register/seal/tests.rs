use super::*;
use crate::consent::LookupKey;

fn subject(address: &str) -> Subject {
    Subject::of(&LookupKey::new(&[1; 32]), "shop", address)
}

fn seals(keys: &[(u32, u8)], current: u32) -> Seals {
    let key = |(generation, octet): &(u32, u8)| {
        let key = SealKey::new(*generation, &[*octet; 32]).unwrap();
        (*generation, key)
    };
    Seals::new(Arc::new(keys.iter().map(key).collect()), current).unwrap()
}

#[test]
fn an_address_opens_in_its_own_row_only() {
    let key = seals(&[(1, 2)], 1);
    let anna = subject("anna@example.net");
    let sealed = key.seal("shop", &anna, "Anna@example.net").unwrap();
    assert_eq!(
        key.unseal("shop", &anna, &sealed).as_deref(),
        Ok("Anna@example.net")
    );
    let damaged = Err(SealError::Damaged);
    assert_eq!(key.unseal("bank", &anna, &sealed), damaged);
    assert_eq!(key.unseal("shop", &subject("b@x"), &sealed), damaged);
    assert_eq!(seals(&[(1, 3)], 1).unseal("shop", &anna, &sealed), damaged);
    let later = seals(&[(2, 2)], 2).unseal("shop", &anna, &sealed);
    assert_eq!(later, Err(SealError::NoKey { generation: 1 }));
    assert!(later.unwrap_err().to_string().contains("seal-1.key"));
}

#[test]
fn sealed_under_the_current_generation_and_opened_under_any_held() {
    let anna = subject("anna@example.net");
    let before = seals(&[(1, 2)], 1);
    let old = before.seal("shop", &anna, "a@x").unwrap();
    let rotated = seals(&[(1, 2), (2, 3)], 2);
    let new = rotated.seal("shop", &anna, "a@x").unwrap();
    assert_eq!((generation(&old), generation(&new)), (Ok(1), Ok(2)));
    for sealed in [&old, &new] {
        assert_eq!(rotated.unseal("shop", &anna, sealed).as_deref(), Ok("a@x"));
    }
    // A key that lies there and is not yet the current one opens, and nothing is sealed under it.
    let not_yet = seals(&[(1, 2), (2, 3)], 1);
    let sealed = not_yet.seal("shop", &anna, "a@x").unwrap();
    assert_eq!(generation(&sealed), Ok(1));
    assert!(Seals::new(Arc::default(), 1).is_none());
    // The number in the head is bound: another one does not make another key's octets.
    let mut renamed = old;
    renamed[4] = 2;
    let damaged = Err(SealError::Damaged);
    assert_eq!(rotated.unseal("shop", &anna, &renamed), damaged);
}

#[test]
fn every_changed_octet_and_every_cut_is_noticed() {
    let key = seals(&[(1, 2)], 1);
    let anna = subject("anna@example.net");
    let sealed = key.seal("shop", &anna, "anna@example.net").unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(key.unseal("shop", &anna, &changed).is_err(), "{at}");
        assert!(key.unseal("shop", &anna, &sealed[..at]).is_err(), "{at}");
    }
}

#[test]
fn what_it_is_bound_to_cannot_be_cut_otherwise() {
    let key = SealKey::new(1, &[2; 32]).unwrap();
    let sealed = key.seal_bound(&[b"ab", b"c"], b"proof").unwrap();
    assert_eq!(
        key.unseal_bound(&[b"ab", b"c"], &sealed).as_deref(),
        Ok(b"proof".as_slice())
    );
    for other in [
        [b"a".as_slice(), b"bc"].as_slice(),
        &[b"abc"],
        &[b"ab", b"c", b""],
        &[],
    ] {
        assert_eq!(
            key.unseal_bound(other, &sealed),
            Err(SealError::Damaged),
            "{other:?}"
        );
    }
}

#[test]
fn the_same_address_never_seals_to_the_same_octets() {
    let key = seals(&[(1, 2)], 1);
    let anna = subject("anna@example.net");
    let sealed = |_| key.seal("shop", &anna, "anna@example.net").unwrap();
    let all: std::collections::BTreeSet<_> = (0..100).map(sealed).collect();
    assert_eq!(all.len(), 100);
}
