use encoding_rs::{BIG5, EUC_KR, GB18030, GBK, SHIFT_JIS};

use super::*;

fn found(labels: &[&str], decoded: &[u8]) -> Result<(Vec<&'static Encoding>, bool), Uninspectable> {
    charset(labels, decoded).map(|found| (found.encodings, found.doubtful))
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
fn charsets_in_which_a_tag_can_hide_are_refused() {
    for (label, why) in [
        ("utf-16", Uninspectable::Wide),
        ("UTF-16BE", Uninspectable::Wide),
        ("ucs-2", Uninspectable::Wide),
        ("utf-32", Uninspectable::Wide),
        ("utf-7", Uninspectable::Stateful),
        ("UNICODE-1-1-UTF-7", Uninspectable::Stateful),
        ("iso-2022-jp", Uninspectable::Stateful),
        ("iso-2022-jp-2", Uninspectable::Stateful),
        ("iso-2022-kr", Uninspectable::NotAscii),
        ("hz-gb-2312", Uninspectable::NotAscii),
        ("ibm037", Uninspectable::NotAscii),
    ] {
        assert_eq!(found(&[label], b"<p>"), Err(why), "{label}");
        assert_eq!(found(&["utf-8", label], b"<p>"), Err(why), "{label}");
    }
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
fn octets_that_contradict_the_label() {
    for mark in [b"\xff\xfe<\0".as_slice(), b"\xfe\xff\0<"] {
        assert_eq!(found(&["utf-8"], mark), Err(Uninspectable::Wide));
        assert_eq!(found(&[], mark), Err(Uninspectable::Wide));
    }
    // Without a label some readers guess ISO-2022-JP by its escapes.
    assert_eq!(
        found(&[], b"\x1b$B<!--\x1b(B<img>"),
        Err(Uninspectable::Stateful)
    );
    assert!(found(&["utf-8"], b"\x1b$B").is_ok());
    assert_eq!(
        found(&[], b"<meta charset=utf-7>"),
        Err(Uninspectable::Stateful)
    );
    assert_eq!(
        found(&["utf-8"], b"<meta charset=utf-7>"),
        Ok((vec![UTF_8], true))
    );
    // As the HTML standard has it, and as mail clients write it.
    assert_eq!(
        found(&[], b"<meta charset=\"utf-16\">"),
        Ok((vec![UTF_8], false))
    );
}
