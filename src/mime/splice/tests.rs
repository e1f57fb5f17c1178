use proptest::prelude::*;

use super::*;

fn spliced(
    original: &'static str,
    splices: &[(Range<usize>, &'static str)],
) -> Result<Spliced, Overlap> {
    let splices = splices
        .iter()
        .map(|(range, text)| Splice::new(range.clone(), Bytes::from_static(text.as_bytes())))
        .collect();
    Spliced::new(Bytes::from_static(original.as_bytes()), splices)
}

#[test]
fn replaces_cuts_and_inserts_in_any_order_given() {
    let variant = spliced(
        "0123456789",
        &[
            (8..9, ""),
            (0..0, "<"),
            (2..4, "two"),
            (4..4, "|"),
            (10..10, ">"),
        ],
    )
    .unwrap();
    assert_eq!(variant.to_bytes(), "<01two|45679>");
    assert_eq!(variant.len(), 13);
    assert!(same_outside(
        b"0123456789",
        variant.splices(),
        b"<01two|45679>"
    ));
}

#[test]
fn untouched_shares_the_original() {
    let original = Bytes::from(b"Subject: x\r\n\r\nbody\r\n".to_vec());
    let variant = Spliced::untouched(original.clone());
    assert_eq!(variant.to_bytes().as_ptr(), original.as_ptr());
    assert_eq!(variant.pieces().count(), 1);
    assert_eq!(variant.pieces().next().unwrap().as_ptr(), original.as_ptr());
}

#[test]
fn pieces_are_slices_of_the_original_not_copies() {
    let original = Bytes::from(b"abcdef".to_vec());
    let variant = Spliced::new(original.clone(), vec![Splice::cut(2..3)]).unwrap();
    let pieces: Vec<&[u8]> = variant.pieces().collect();
    assert_eq!(pieces, [b"ab".as_slice(), b"def"]);
    assert_eq!(pieces[1].as_ptr(), original[3..].as_ptr());
}

#[test]
fn insertions_at_one_place_keep_the_order_given() {
    let variant = spliced("ab", &[(1..2, "B"), (1..1, "x"), (1..1, "y")]).unwrap();
    assert_eq!(variant.to_bytes(), "axyB");
}

#[test]
fn ranges_that_do_not_fit_are_refused() {
    assert_eq!(
        spliced("0123456789", &[(2..5, ""), (4..6, "")]),
        Err(Overlap::Shared {
            first: 2..5,
            second: 4..6
        })
    );
    assert_eq!(
        spliced("0123456789", &[(2..5, ""), (3..3, "x")]),
        Err(Overlap::Shared {
            first: 2..5,
            second: 3..3
        })
    );
    assert_eq!(
        spliced("01", &[(1..3, "")]),
        Err(Overlap::PastEnd {
            range: 1..3,
            octets: 2
        })
    );
    #[expect(clippy::reversed_empty_ranges, reason = "the point of the test")]
    let backwards = 2..1;
    assert_eq!(
        spliced("012", &[(backwards.clone(), "")]),
        Err(Overlap::Backwards { range: backwards })
    );
}

#[test]
fn same_outside_sees_a_single_changed_octet() {
    let splices = [Splice::new(2..4, "..")];
    assert!(same_outside(b"abcdef", &splices, b"ab..ef"));
    assert!(!same_outside(b"abcdef", &splices, b"aB..ef"));
    assert!(!same_outside(b"abcdef", &splices, b"ab..eF"));
    assert!(!same_outside(b"abcdef", &splices, b"ab..efg"));
    assert!(!same_outside(b"abcdef", &splices, b"ab..e"));
    assert!(!same_outside(b"abcdef", &splices, b"ab.!ef"));
    assert!(!same_outside(b"abcdef", &[Splice::cut(2..9)], b"ab"));
    assert!(!same_outside(
        b"abcdef",
        &[Splice::cut(2..4), Splice::cut(3..5)],
        b"abf"
    ));
}

type Edit = (Range<usize>, Vec<u8>);

/// Cuts a message at sorted places, so that every other stretch can be replaced without overlap.
fn cases() -> impl Strategy<Value = (Vec<u8>, Vec<Edit>)> {
    (
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(
            (
                any::<prop::sample::Index>(),
                prop::collection::vec(any::<u8>(), 0..8),
            ),
            0..12,
        ),
    )
        .prop_map(|(original, seeds)| {
            let mut places: Vec<usize> = seeds
                .iter()
                .map(|(at, _)| at.index(original.len() + 1))
                .collect();
            places.sort_unstable();
            let edits = places
                .chunks_exact(2)
                .zip(&seeds)
                .map(|(pair, (_, text))| (pair[0]..pair[1], text.clone()))
                .collect();
            (original, edits)
        })
}

proptest! {
    #[test]
    fn variant_equals_the_edits_applied_one_by_one_from_the_end((original, edits) in cases()) {
        let mut expected = original.clone();
        for (range, text) in edits.iter().rev() {
            expected.splice(range.clone(), text.iter().copied());
        }
        let splices: Vec<Splice> = edits.into_iter().map(|(range, text)| Splice::new(range, text)).collect();
        let variant = Spliced::new(Bytes::from(original.clone()), splices).unwrap();
        prop_assert_eq!(variant.to_bytes().to_vec(), expected.clone());
        prop_assert_eq!(variant.len(), expected.len());
        prop_assert_eq!(variant.pieces().map(<[u8]>::len).sum::<usize>(), expected.len());
        prop_assert!(variant.pieces().all(|piece| !piece.is_empty()));
        prop_assert!(same_outside(&original, variant.splices(), &expected));
    }

    #[test]
    fn any_octet_changed_outside_is_seen((original, edits) in cases(), at in any::<prop::sample::Index>()) {
        let splices: Vec<Splice> = edits.into_iter().map(|(range, text)| Splice::new(range, text)).collect();
        let variant = Spliced::new(Bytes::from(original.clone()), splices).unwrap();
        let mut octets = variant.to_bytes().to_vec();
        prop_assume!(!octets.is_empty());
        let at = at.index(octets.len());
        octets[at] ^= 1;
        prop_assert!(!same_outside(&original, variant.splices(), &octets));
    }
}
