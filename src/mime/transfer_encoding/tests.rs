use bytes::Bytes;
use proptest::prelude::*;

use super::super::splice::{Spliced, same_outside};
use super::*;

/// What the edits ask for, done to the decoded octets.
fn edited(decoded: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut whole = decoded.to_vec();
    for (range, text) in edits.iter().rev() {
        whole.splice(range.clone(), text.iter().copied());
    }
    whole
}

/// Applies edits through splices and checks all that must hold whatever the encoding.
fn spliced(raw: &[u8], encoding: Encoding, edits: &[Edit]) -> Result<Vec<u8>, SpliceError> {
    let decoded = decode(raw, encoding).unwrap();
    let splices = decoded.splices(raw, 0, edits)?;
    let variant = Spliced::new(Bytes::copy_from_slice(raw), splices.clone()).unwrap();
    let variant = variant.to_bytes().to_vec();
    assert!(same_outside(raw, &splices, &variant));
    Ok(variant)
}

fn has_bare_newline(octets: &[u8]) -> bool {
    octets.iter().enumerate().any(|(at, octet)| match octet {
        b'\r' => octets.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || octets[at - 1] != b'\r',
        _ => false,
    })
}

fn lines(octets: &[u8]) -> Vec<&[u8]> {
    octets
        .split(|octet| *octet == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .collect()
}

fn longest_line(octets: &[u8]) -> usize {
    lines(octets).iter().map(|line| line.len()).max().unwrap()
}

fn hyphen_lines(octets: &[u8]) -> usize {
    lines(octets)
        .iter()
        .filter(|line| line.starts_with(b"--"))
        .count()
}

/// Text made of the things that quoted-printable and line limits stumble over.
fn awkward(pieces: Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"a".to_vec()),
        2 => Just(b" ".to_vec()),
        1 => Just(b"\t".to_vec()),
        2 => Just(b"-".to_vec()),
        2 => Just(b"=".to_vec()),
        2 => Just(b"4".to_vec()),
        1 => Just(b"C".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        1 => Just(b"=\r\n".to_vec()),
        1 => Just(b"= \t\r\n".to_vec()),
        1 => Just(b"=3D".to_vec()),
        1 => Just(b"=e9".to_vec()),
        1 => Just(b"=0D=0A".to_vec()),
        1 => Just(b"=20".to_vec()),
        1 => Just(b"\xc3\xa9".to_vec()),
        1 => Just(b"<img src=3D\"https://x.example/o.gif?u=3D1\">".to_vec()),
        1 => Just(vec![b'x'; 70]),
    ];
    prop::collection::vec(piece, pieces).prop_map(|pieces| pieces.concat())
}

/// What an edit may put in place: anything, blanks and hyphens above all.
fn replacement() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"b".to_vec()),
        Just(b" ".to_vec()),
        Just(b"-".to_vec()),
        Just(b"=".to_vec()),
        Just(b"41".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\xe9".to_vec()),
        Just(vec![b'y'; 40]),
    ];
    prop_oneof![
        1 => Just(Vec::new()),
        2 => prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat()),
    ]
}

type Seeds = Vec<(prop::sample::Index, prop::sample::Index, Vec<u8>)>;

fn seeds() -> impl Strategy<Value = Seeds> {
    prop::collection::vec(
        (
            any::<prop::sample::Index>(),
            any::<prop::sample::Index>(),
            replacement(),
        ),
        0..5,
    )
}

/// Disjoint edits of `length` octets, in order.
fn edits_of(seeds: Seeds, length: usize) -> Vec<Edit> {
    let mut places: Vec<usize> = seeds
        .iter()
        .flat_map(|(start, end, _)| [start.index(length + 1), end.index(length + 1)])
        .collect();
    places.sort_unstable();
    places
        .chunks_exact(2)
        .zip(seeds)
        .map(|(pair, (_, _, text))| (pair[0]..pair[1], text))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn quoted_printable_edits_are_exact(raw in awkward(0..60), seeds in seeds()) {
        let decoded = decode(&raw, Encoding::QuotedPrintable).unwrap().bytes.into_owned();
        let edits = edits_of(seeds, decoded.len());
        let variant = spliced(&raw, Encoding::QuotedPrintable, &edits).unwrap();
        let again = decode(&variant, Encoding::QuotedPrintable).unwrap().bytes.into_owned();
        prop_assert_eq!(again.escape_ascii().to_string(), edited(&decoded, &edits).escape_ascii().to_string(), "{} from {} by {:?}", variant.escape_ascii(), raw.escape_ascii(), edits);
        prop_assert!(!has_bare_newline(&variant));
        // Two more where a hyphen had to be escaped at the start of a full line.
        let hyphen = if variant.windows(3).any(|octets| octets == b"=2D") { 2 } else { 0 };
        prop_assert!(longest_line(&variant) <= longest_line(&raw).max(76) + hyphen, "{}", variant.escape_ascii());
        prop_assert!(hyphen_lines(&variant) <= hyphen_lines(&raw), "{} from {} by {:?}", variant.escape_ascii(), raw.escape_ascii(), edits);
    }

    #[test]
    fn tokens_read_as_the_codec_does(raw in awkward(0..60)) {
        let theirs = encodify::qp::BODY.decode(&raw).unwrap().into_owned();
        let ours = quoted_printable::tokens_decoded(&raw);
        prop_assert_eq!(ours.escape_ascii().to_string(), theirs.escape_ascii().to_string());
    }

    #[test]
    fn base64_edits_are_exact(
        content in prop::collection::vec(any::<u8>(), 0..300),
        width in prop_oneof![Just(4_usize), Just(60), Just(76), Just(2_000)],
        padded in any::<bool>(),
        tail in prop_oneof![Just(""), Just("\r\n"), Just("\r\n\r\n")],
        seeds in seeds(),
    ) {
        let symbols = match padded {
            true => encodify::base64::STANDARD.encode(&content),
            false => encodify::base64::STANDARD_NO_PAD.encode(&content),
        };
        let wrapped: Vec<&[u8]> = symbols.as_bytes().chunks(width).collect();
        let mut raw = wrapped.join(b"\r\n".as_slice());
        raw.extend_from_slice(tail.as_bytes());
        let decoded = decode(&raw, Encoding::Base64).unwrap().bytes.into_owned();
        prop_assert_eq!(&decoded, &content);
        let edits = edits_of(seeds, decoded.len());
        let variant = spliced(&raw, Encoding::Base64, &edits).unwrap();
        let again = decode(&variant, Encoding::Base64).unwrap().bytes.into_owned();
        prop_assert_eq!(again, edited(&decoded, &edits), "{}", variant.escape_ascii());
        prop_assert!(!has_bare_newline(&variant));
        prop_assert!(longest_line(&variant) <= longest_line(&raw).max(76));
    }

    #[test]
    fn identity_edits_are_exact(raw in awkward(0..60), seeds in seeds()) {
        let edits = edits_of(seeds, raw.len());
        match spliced(&raw, Encoding::Identity, &edits) {
            Ok(variant) => {
                prop_assert_eq!(&variant, &edited(&raw, &edits));
                prop_assert!(!has_bare_newline(&variant));
            }
            Err(error) => prop_assert!(
                matches!(error, SpliceError::Delimiter | SpliceError::BareNewline),
                "{error}"
            ),
        }
    }

    #[test]
    fn identity_lines_never_grow_past_the_limit(
        lengths in prop::collection::vec(0_usize..1_500, 1..6),
        seeds in seeds(),
        long in prop::collection::vec(0_usize..900, 5),
    ) {
        let raw = lengths.iter().map(|length| vec![b'x'; *length]).collect::<Vec<_>>().join(b"\r\n".as_slice());
        let mut edits = edits_of(seeds, raw.len());
        for ((_, text), length) in edits.iter_mut().zip(long) {
            *text = vec![b'y'; length];
        }
        prop_assume!(!edits.iter().any(|(range, _)| raw[..range.start].ends_with(b"\r") || raw[..range.end].ends_with(b"\r")));
        let variant = spliced(&raw, Encoding::Identity, &edits).unwrap();
        prop_assert!(longest_line(&variant) <= longest_line(&raw).max(998));
        prop_assert!(!has_bare_newline(&variant));
        let bare = |octets: &[u8]| octets.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect::<Vec<_>>();
        prop_assert_eq!(bare(&variant), bare(&edited(&raw, &edits)));
    }
}

#[test]
fn base64_is_patched_in_place_where_the_length_fits() {
    let html = b"<p>Hello</p><img src=\"https://t.example/o.gif\" width=1 height=1><p>Bye, and thank you</p>".repeat(3);
    let raw = encodify::base64::MIME.encode(&html).into_bytes();
    let decoded = decode(&raw, Encoding::Base64).unwrap();
    // Nine octets less: the groups behind the edit stay as they are.
    let splices = decoded
        .splices(&raw, 100, &[(12..21, b"".to_vec())])
        .unwrap();
    assert_eq!(splices.len(), 1);
    assert_eq!(splices[0].range.start, 100 + 16);
    assert!(splices[0].range.len() <= 16, "{splices:?}");
    // One octet less: from the touched group to the end.
    let splices = decoded
        .splices(&raw, 100, &[(12..13, b"".to_vec())])
        .unwrap();
    assert_eq!(splices[0].range.end, 100 + raw.trim_ascii_end().len());
}

#[test]
fn base64_keeps_its_lines_where_the_length_stays() {
    let raw = b"QUJDREVGR0hJ\r\nSktMTU5PUFFS\r\nU1RVVldYWVo=\r\n";
    let variant = spliced(raw, Encoding::Base64, &[(8..10, b"..".to_vec())]).unwrap();
    assert_eq!(variant, b"QUJDREVGR0gu\r\nLktMTU5PUFFS\r\nU1RVVldYWVo=\r\n");
}

#[test]
fn quoted_printable_touches_nothing_but_the_tag() {
    let raw = b"a =\r\n<img src=3D\"https://t.example/?u=3D1\"=\r\n width=3D1> b\r\n";
    let decoded = decode(raw, Encoding::QuotedPrintable).unwrap();
    let start = decoded
        .bytes
        .iter()
        .position(|octet| *octet == b'<')
        .unwrap();
    let end = decoded
        .bytes
        .iter()
        .position(|octet| *octet == b'>')
        .unwrap()
        + 1;
    let variant = spliced(raw, Encoding::QuotedPrintable, &[(start..end, Vec::new())]).unwrap();
    assert_eq!(variant, b"a =\r\n b\r\n");
}

#[test]
fn quoted_printable_leaves_no_blank_before_a_line_end() {
    let variant = spliced(
        b"see <img>\r\nx",
        Encoding::QuotedPrintable,
        &[(4..9, Vec::new())],
    )
    .unwrap();
    assert_eq!(variant, b"see=20\r\nx");
    let variant = spliced(
        b"see <img>\r\nx",
        Encoding::QuotedPrintable,
        &[(4..9, b"<p> ".to_vec())],
    )
    .unwrap();
    assert_eq!(variant, b"see <p>=20\r\nx");
}

#[test]
fn quoted_printable_makes_no_delimiter() {
    let variant = spliced(
        b"<img>--b",
        Encoding::QuotedPrintable,
        &[(0..5, Vec::new())],
    )
    .unwrap();
    assert_eq!(variant, b"=2D-b");
}

#[test]
fn quoted_printable_makes_no_escape_of_stray_octets() {
    let variant = spliced(
        b"1=<img>41",
        Encoding::QuotedPrintable,
        &[(2..7, Vec::new())],
    )
    .unwrap();
    assert_eq!(variant, b"1=3D41");
}

#[test]
fn identity_refuses_what_it_cannot_escape() {
    assert_eq!(
        spliced(b"<img>--b", Encoding::Identity, &[(0..5, Vec::new())]),
        Err(SpliceError::Delimiter)
    );
    assert_eq!(
        spliced(b"<img>\r\n", Encoding::Identity, &[(0..6, Vec::new())]),
        Err(SpliceError::BareNewline)
    );
    assert_eq!(
        spliced(b"<img>", Encoding::Identity, &[(0..1, b"a\nb".to_vec())]),
        Err(SpliceError::BareNewline)
    );
    assert_eq!(
        spliced(b"<img>", Encoding::Identity, &[(0..1, vec![b'a'; 999])]),
        Err(SpliceError::LineTooLong)
    );
}

#[test]
fn identity_keeps_a_line_end_where_joined_lines_would_be_too_long() {
    let raw = [vec![b'a'; 900], b"<img\r\nsrc=x>".to_vec(), vec![b'b'; 900]].concat();
    let variant = spliced(&raw, Encoding::Identity, &[(900..912, Vec::new())]).unwrap();
    assert_eq!(
        variant,
        [vec![b'a'; 900], b"\r\n".to_vec(), vec![b'b'; 900]].concat()
    );
}

#[test]
fn edits_that_do_not_fit_are_refused() {
    let decoded = decode(b"abc", Encoding::Identity).unwrap();
    let refused = |edits: &[Edit]| decoded.splices(b"abc", 0, edits).unwrap_err();
    assert_eq!(
        refused(&[(0..2, Vec::new()), (1..3, Vec::new())]),
        SpliceError::Edits
    );
    assert_eq!(refused(&[(2..4, Vec::new())]), SpliceError::Edits);
    for encoding in [
        Encoding::Identity,
        Encoding::QuotedPrintable,
        Encoding::Base64,
    ] {
        let decoded = decode(b"QUJD", encoding).unwrap();
        assert_eq!(
            decoded.splices(b"", 0, &[(0..1, Vec::new())]),
            Err(SpliceError::OtherBody),
            "{encoding:?}"
        );
    }
}

#[test]
fn decodes_as_clients_do() {
    let plain = |raw: &[u8], encoding| decode(raw, encoding).unwrap().bytes.into_owned();
    assert_eq!(
        plain(b"=3c=3Cimg=\r\n>=", Encoding::QuotedPrintable),
        b"<<img>"
    );
    assert_eq!(
        plain(b"a  \r\nb=  \r\nc=zz", Encoding::QuotedPrintable),
        b"a\r\nbc=zz"
    );
    assert_eq!(plain(b"PG*lt\r\n Zz4=", Encoding::Base64), b"<img>");
    assert_eq!(plain(b"PGltZz4", Encoding::Base64), b"<img>");
    // What follows the padding is blank: readers agree.
    assert_eq!(plain(b"PGltZz4=\r\nIA==\r\n", Encoding::Base64), b"<img>");
    assert_eq!(
        decode(b"PGltZz4=\r\nPGltZz4=\r\n", Encoding::Base64),
        Err(Undecodable::Disagree)
    );
    assert_eq!(
        decode(b"begin 644 x", Encoding::Unknown),
        Err(Undecodable::UnknownEncoding)
    );
}

#[test]
fn encoding_labels() {
    use Encoding::{Base64, Identity, QuotedPrintable, Unknown};
    let cases: [(&str, &[Encoding], bool); 14] = [
        ("quoted-printable", &[QuotedPrintable], false),
        (" BASE64 ", &[Base64], false),
        ("7bit", &[Identity], false),
        ("8bit", &[Identity], false),
        ("binary", &[Identity], false),
        ("Quoted-Printable (c)", &[QuotedPrintable, Identity], true),
        ("\"base64\"", &[Base64, Identity], true),
        ("base64; x=y", &[Base64, Identity], true),
        ("8bit+", &[Identity], true),
        ("hexa", &[Identity], true),
        ("8bith", &[Identity], true),
        ("quoted_printable", &[Identity, QuotedPrintable], true),
        ("base-64", &[Identity, Base64], true),
        ("x-uuencode", &[Unknown], true),
    ];
    for (label, expected, doubtful) in cases {
        assert_eq!(
            readings(label.as_bytes()),
            (expected.to_vec(), doubtful),
            "{label}"
        );
    }
}
