use encoding_rs::{BIG5, EUC_KR, GB18030, GBK, SHIFT_JIS};

use super::Form::{Hz, Iso2022Jp, Octets, Utf7, Utf16Be, Utf16Le, WithoutNul};
use super::*;

mod views;

/// The charsets of octets in which a tag is ASCII, all of them sure, and whether there is doubt.
fn found(labels: &[&str], decoded: &[u8]) -> Result<(Vec<&'static Encoding>, bool), Uninspectable> {
    charset(labels, decoded).map(|found| {
        let encodings = found.readings.iter().map(|reading| match reading {
            Reading {
                form: Octets(encoding),
                sure: true,
            } => *encoding,
            other => panic!("{other:?}"),
        });
        (encodings.collect(), found.doubtful)
    })
}

/// The readings that are sure, and the others.
fn weighed(labels: &[&str], decoded: &[u8]) -> (Vec<Form>, Vec<Form>) {
    let found = charset(labels, decoded).unwrap().readings;
    let (sure, others): (Vec<Reading>, Vec<Reading>) =
        found.into_iter().partition(|reading| reading.sure);
    let forms = |readings: Vec<Reading>| readings.iter().map(|reading| reading.form).collect();
    (forms(sure), forms(others))
}

fn wide(text: &str, octets: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(octets).collect()
}

#[test]
fn labels() {
    for (label, expected) in [
        ("utf-8", UTF_8),
        ("UTF8", UTF_8),
        ("us-ascii", WINDOWS_1252),
        ("ISO-8859-1", WINDOWS_1252),
        ("cp1252", WINDOWS_1252),
        ("big5", BIG5),
        ("gb2312", GBK),
        ("gb18030", GB18030),
        ("ks_c_5601-1987", EUC_KR),
        ("shift_jis", SHIFT_JIS),
        ("\"utf-8\"", UTF_8),
        ("utf-8; format=flowed", UTF_8),
        ("'utf-8'", UTF_8),
    ] {
        assert_eq!(
            found(&[label], b"<p>"),
            Ok((vec![expected], false)),
            "{label}"
        );
    }
}

#[test]
fn charsets_that_nobody_here_can_read_are_refused() {
    for (label, why) in [
        ("utf-32", Uninspectable::Wide),
        ("iso-10646-ucs-4", Uninspectable::Wide),
        ("utf-7-imap", Uninspectable::Stateful),
        ("iso-2022-jp-2", Uninspectable::Stateful),
        ("cp50221", Uninspectable::Stateful),
        ("iso-2022-kr", Uninspectable::NotAscii),
        ("iso-2022-cn", Uninspectable::NotAscii),
        ("ibm037", Uninspectable::NotAscii),
    ] {
        assert_eq!(found(&[label], b"<p>"), Err(why), "{label}");
        assert_eq!(found(&["utf-8", label], b"<p>"), Err(why), "{label}");
    }
}

#[test]
fn utf_16_is_read_by_its_mark_its_label_and_its_tags() {
    let low = wide("<p>\u{683c}", u16::to_le_bytes);
    let high = wide("<p>\u{683c}", u16::to_be_bytes);
    let marked = |mark: &[u8], text: &[u8]| [mark, text].concat();
    let octets = Octets(UTF_8);
    let nul = WithoutNul(UTF_8);
    for label in ["utf-16", "UTF16", "UCS-2", "unicode"] {
        assert_eq!(
            weighed(&[label], &low),
            (vec![Utf16Le], vec![Utf16Be, octets, nul]),
            "{label}"
        );
        assert_eq!(
            weighed(&[label], &high),
            (vec![Utf16Be], vec![Utf16Le, octets, nul]),
            "{label}"
        );
    }
    assert_eq!(
        weighed(&["utf-16le"], &low),
        (vec![Utf16Le], vec![octets, nul])
    );
    assert_eq!(
        weighed(&["UTF-16BE"], &high),
        (vec![Utf16Be], vec![octets, nul])
    );
    // A mark beats the label, and what the label says is looked at nonetheless.
    let by_mark = marked(b"\xff\xfe", &low);
    let octets = Octets(WINDOWS_1252);
    let nul = WithoutNul(WINDOWS_1252);
    for labels in [&["utf-16"][..], &[]] {
        assert_eq!(
            weighed(labels, &by_mark),
            (vec![Utf16Le], vec![octets, nul])
        );
    }
    assert_eq!(
        weighed(&["utf-16be"], &by_mark),
        (vec![Utf16Le], vec![Utf16Be, octets, nul])
    );
    assert_eq!(
        weighed(&["utf-8"], &marked(b"\xfe\xff", &high)),
        (vec![Utf16Be], vec![Octets(UTF_8), WithoutNul(UTF_8)])
    );
    // What is labelled UTF-16 and is not: the tags are where they are.
    assert_eq!(
        weighed(&["utf-16"], b"<p>"),
        (vec![Octets(UTF_8)], vec![Utf16Le, Utf16Be])
    );
    // Tags in both: whoever reads it so sees a page.
    let both = marked(&low, &high);
    assert_eq!(weighed(&["utf-16"], &both).0, [Utf16Le, Utf16Be]);
}

#[test]
fn charsets_with_shift_states() {
    let japanese = b"<p>\x1b$B$3\x1b(B</p>";
    assert_eq!(
        weighed(&["iso-2022-jp"], japanese),
        (vec![Iso2022Jp], vec![Octets(UTF_8)])
    );
    // Browsers know no UTF-7, and read no octet of HZ.
    assert_eq!(
        weighed(&["utf-7"], b"<p>+ZeU-"),
        (vec![Utf7, Octets(UTF_8)], vec![])
    );
    assert_eq!(
        weighed(&["hz-gb-2312"], b"<p>~{<R~}"),
        (vec![Hz, Octets(UTF_8)], vec![])
    );
    // Without a single shift they are ASCII.
    for label in ["iso-2022-jp", "utf-7", "UNICODE-1-1-UTF-7", "hz"] {
        assert_eq!(
            weighed(&[label], b"<p>"),
            (vec![Octets(UTF_8)], vec![]),
            "{label}"
        );
    }
    // Without a label some readers guess ISO-2022-JP by its escapes.
    assert_eq!(
        weighed(&[], japanese),
        (vec![Octets(UTF_8), Iso2022Jp], vec![])
    );
    assert!(found(&["utf-8"], b"\x1b$B").is_ok());
    // HTML that is handed on without its header.
    let meta = b"<meta charset=utf-7><p>+ZeU-";
    assert_eq!(weighed(&[], meta), (vec![Utf7, Octets(UTF_8)], vec![]));
    assert_eq!(
        weighed(&["utf-8"], meta),
        (vec![Octets(UTF_8), Utf7], vec![])
    );
    // Octets that are none of it are not read so because of a meta.
    let other = "<meta charset=iso-2022-jp><p>\u{e9}\u{1b}$B".as_bytes();
    assert_eq!(found(&["utf-8"], other), Ok((vec![UTF_8], true)));
    // What is, and is not well-formed, goes on in a state that nobody knows.
    let ill = b"<meta charset=iso-2022-jp><p>\x1b$B\x1b(J";
    assert_eq!(found(&["utf-8"], ill), Err(Uninspectable::Stateful));
}

#[test]
fn labels_nobody_knows_are_read_as_clients_do() {
    for label in [
        "default",
        "default_charset",
        "u\"tf-8",
        "utf-",
        "",
        "x-unknown",
    ] {
        assert_eq!(
            found(&[label], b"<p>\xe9"),
            Ok((vec![WINDOWS_1252], true)),
            "{label}"
        );
        assert_eq!(
            found(&[label], "<p>é".as_bytes()),
            Ok((vec![UTF_8], true)),
            "{label}"
        );
    }
    assert_eq!(found(&[], b"<p>"), Ok((vec![UTF_8], false)));
}

#[test]
fn several_readings() {
    assert_eq!(
        found(&["utf-8", "shift_jis"], b"<p>"),
        Ok((vec![UTF_8, SHIFT_JIS], true))
    );
    assert_eq!(
        found(&["big5"], b"\xef\xbb\xbf<p>"),
        Ok((vec![BIG5, UTF_8], true))
    );
    let meta = b"<html><META http-equiv=x content=\"text/html; charset=Big5\">";
    assert_eq!(found(&["utf-8"], meta), Ok((vec![UTF_8, BIG5], true)));
    assert_eq!(found(&[], meta), Ok((vec![BIG5], false)));
}

#[test]
fn a_meta_of_utf_16_in_ascii_is_utf_8() {
    // As the HTML standard has it, and as mail clients write it.
    assert_eq!(
        found(&[], b"<meta charset=\"utf-16\">"),
        Ok((vec![UTF_8], false))
    );
}

#[test]
fn nul_is_dropped_by_some() {
    let octets = b"<i\0mg>";
    assert_eq!(
        weighed(&["big5"], octets),
        (vec![Octets(BIG5)], vec![WithoutNul(BIG5)])
    );
}
