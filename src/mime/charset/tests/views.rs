//! Octets as text and the way back: what is decoded, what is refused, and that an edit of the text is that edit of the octets.

use proptest::prelude::*;

use super::*;

fn text(form: Form, raw: &[u8]) -> Result<String, Uninspectable> {
    View::new(form, raw).map(|view| String::from_utf8(view.octets().to_vec()).unwrap())
}

/// The octets with this text, each time it stands there, edited.
fn edited(form: Form, raw: &[u8], wanted: &str, replacement: &str) -> Option<Vec<u8>> {
    let view = View::new(form, raw).unwrap();
    let whole = std::str::from_utf8(view.octets()).unwrap();
    let mut raw = raw.to_vec();
    for (at, _) in whole
        .match_indices(wanted)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        let (range, octets) = view.raw_edit(at..at + wanted.len(), replacement.as_bytes())?;
        raw.splice(range, octets);
    }
    Some(raw)
}

#[test]
fn utf_16_is_decoded_as_browsers_do() {
    let low = |text: &str| wide(text, u16::to_le_bytes);
    assert_eq!(
        text(Utf16Le, &low("a\u{20ac}\u{1f4a9}b")).unwrap(),
        "a\u{20ac}\u{1f4a9}b"
    );
    assert_eq!(
        text(Utf16Be, b"\0a\x20\xac\xd8\x3d\xdc\xa9").unwrap(),
        "a\u{20ac}\u{1f4a9}"
    );
    // A mark is no text at the start, and text in the middle.
    assert_eq!(
        text(Utf16Le, &low("\u{feff}<\u{feff}p>")).unwrap(),
        "<\u{feff}p>"
    );
    // The other way round it is no mark at all, wherever it stands.
    assert_eq!(
        text(Utf16Be, b"\xff\xfe\0a\xff\xfe\0b").unwrap(),
        "\u{fffe}a\u{fffe}b"
    );
    // Half a character swallows nothing behind it.
    assert_eq!(
        text(Utf16Be, b"\xd8\x3d\0<\xdc\xa9\0p").unwrap(),
        "\u{fffd}<\u{fffd}p"
    );
    assert_eq!(text(Utf16Le, b"<\0p\0\x3d").unwrap(), "<p\u{fffd}");
    assert_eq!(text(Utf16Le, b"<\0\x3d\xd8").unwrap(), "<\u{fffd}");
    for raw in [b"".as_slice(), b"\xff", b"\xff\xfe", b"\xff\xfe\xff\xfe"] {
        assert!(text(Utf16Le, raw).is_ok());
    }
}

#[test]
fn iso_2022_jp_is_decoded() {
    // JIS X 0208 old and new, Roman, half-width katakana. "<R" is one character in two octets.
    let raw = b"a\x1b$B<R\x1b(B<b>\x1b(J\\~x\x1b(I1\x1b$@0!\x1b(B";
    assert_eq!(
        text(Iso2022Jp, raw).unwrap(),
        "a\u{793e}<b>\u{a5}\u{203e}x\u{ff71}\u{4e9c}"
    );
    let (theirs, _, broken) = ISO_2022_JP.decode(raw);
    assert_eq!(
        (theirs.as_ref(), broken),
        ("a\u{793e}<b>\u{a5}\u{203e}x\u{ff71}\u{4e9c}", false)
    );
}

#[test]
fn iso_2022_jp_that_readers_would_go_on_with_in_different_states_is_refused() {
    for raw in [
        // Sets of other members of ISO 2022: JIS X 0212, GB 2312, KS C 5601, the right half of Latin-1, Swedish.
        b"\x1b$(D<!\x1b(B".as_slice(),
        b"\x1b$A<!\x1b(B",
        b"\x1b$(C<!\x1b(B",
        b"\x1b.A\x1bN<",
        b"\x1b(H<",
        b"\x1b$)C\x0e<!\x0f",
        // Cut short, and escapes inside escapes.
        b"\x1b",
        b"\x1b$",
        b"\x1b(",
        b"a\x1b$B",
        b"\x1b$B<",
        b"\x1b$\x1b(B",
        b"\x1b$B<\x1b(B",
        b"\x1b\0$B<!\x1b(B",
        // A line that does not end in ASCII: some readers go back by themselves.
        b"\x1b$B<!\r\n<img>\x1b(B",
        b"\x1b$B<!\n<img>\x1b(B",
        b"\x1b(I1\n<img>\x1b(B",
        // A blank between two octets, eight bits, other shifts.
        b"\x1b$B <!\x1b(B",
        b"\x83<\x1b$B<!\x1b(B",
        b"\x1b$B\xbc\xd2\x1b(B",
        b"\x0e1\x0f",
        b"\x1b(I<img\x1b(B",
        b"\x1b$B<!\x1b(J",
        // Two in a row: U+FFFD to a browser, which is no comment then, and nothing to others.
        b"<!-\x1b(J\x1b(B- ><img>-->",
    ] {
        assert_eq!(
            text(Iso2022Jp, raw),
            Err(Uninspectable::Stateful),
            "{}",
            raw.escape_ascii()
        );
    }
}

#[test]
fn hz_is_decoded_and_refused() {
    // The example of RFC 1843.
    let raw = b"This sentence is in GB.~{<:Ky2;S{#,NpJ)l6HK!#~}Bye. ~~";
    assert_eq!(
        text(Hz, raw).unwrap(),
        "This sentence is in GB.\u{5df1}\u{6240}\u{4e0d}\u{6b32}\u{ff0c}\u{52ff}\u{65bd}\u{65bc}\u{4eba}\u{3002}Bye. ~"
    );
    for raw in [
        b"~{<R".as_slice(),
        b"~",
        b"~a",
        b"~\n<img>",
        b"~\r\n<img>",
        b"~{<R\r\n<img>~}",
        b"~{<~}",
        b"~{<~{<R~}",
        b"~{~{<R~}",
        b"~}",
        b"~{ <R~}",
        b"\xbc\xd2~{<R~}",
        b"~{\x78\x21~}",
        b"a\0~~",
    ] {
        assert_eq!(
            text(Hz, raw),
            Err(Uninspectable::Stateful),
            "{}",
            raw.escape_ascii()
        );
    }
}

#[test]
fn utf_7_is_decoded_and_refused() {
    // The examples of RFC 2152.
    assert_eq!(text(Utf7, b"A+ImIDkQ.").unwrap(), "A\u{2262}\u{391}.");
    assert_eq!(
        text(Utf7, b"Hi Mom -+Jjo--!").unwrap(),
        "Hi Mom -\u{263a}-!"
    );
    assert_eq!(
        text(Utf7, b"+ZeVnLIqe-").unwrap(),
        "\u{65e5}\u{672c}\u{8a9e}"
    );
    assert_eq!(
        text(Utf7, b"1 +- 1, +ADw-img+AD4 x").unwrap(),
        "1 + 1, <img> x"
    );
    assert_eq!(text(Utf7, b"+2D3cqQ-").unwrap(), "\u{1f4a9}");
    for raw in [
        b"+".as_slice(),
        b"a+",
        b"+ <img>",
        b"+A",
        b"+AD",
        b"+ADw8",
        b"+ADx-",
        b"+ADwAP-",
        // Half a character of UTF-16.
        b"+2D0-",
        b"+3Kk-",
        b"+2D3YPQ-",
        b"+ADw-\xc3\xa9",
        b"a\0+ADw-",
    ] {
        assert_eq!(
            text(Utf7, raw),
            Err(Uninspectable::Stateful),
            "{}",
            raw.escape_ascii()
        );
    }
}

#[test]
fn an_edit_begins_and_ends_in_one_state() {
    let cut = |raw: &[u8], wanted: &str| edited(Iso2022Jp, raw, wanted, "");
    // The shifts around it stay where they are.
    let raw = b"\x1b$B<R\x1b(B<b>\x1b$B<R\x1b(B";
    assert_eq!(cut(raw, "<b>").unwrap(), b"\x1b$B<R\x1b$B<R\x1b(B");
    assert_eq!(
        edited(Iso2022Jp, raw, "<b>", "<i>").unwrap(),
        b"\x1b$B<R\x1b(B<i>\x1b$B<R\x1b(B"
    );
    // What is inside goes with its shifts, at the end too.
    let raw = b"<b a=\x1b$B<R\x1b(B>\x1b$B<R\x1b(B";
    assert_eq!(cut(raw, "<b a=\u{793e}>").unwrap(), b"\x1b$B<R\x1b(B");
    assert_eq!(cut(raw, "=\u{793e}").unwrap(), b"<b a>\x1b$B<R\x1b(B");
    // Into the midst of it: the state is what it was, and the replacement is ASCII.
    let raw = b"x\x1b$B<R$3\x1b(By";
    assert_eq!(
        edited(Iso2022Jp, raw, "x\u{793e}", "z").unwrap(),
        b"z\x1b$B$3\x1b(By"
    );
    assert_eq!(
        edited(Iso2022Jp, raw, "\u{3053}", "z").unwrap(),
        b"x\x1b$B<R\x1b(Bz\x1b(By"
    );
    assert_eq!(
        edited(Iso2022Jp, b"\x1b(J<b>\x1b(B", "b", "i").unwrap(),
        b"\x1b(J<i>\x1b(B"
    );
    assert_eq!(
        edited(Iso2022Jp, b"\x1b(J<b>\x1b(B", "b", "~").unwrap(),
        b"\x1b(J<\x1b(B~\x1b(J>\x1b(B"
    );
    assert_eq!(edited(Iso2022Jp, b"\x1b(J<b>\x1b(B", "b", "\u{e9}"), None);
}

#[test]
fn hz_and_utf_7_are_edited_whole() {
    let raw = b"<b a=\"~{IgIg~}\">~{Ig~}";
    let character = text(Hz, b"~{Ig~}").unwrap();
    assert_eq!(
        edited(Hz, raw, &character.repeat(2), "~").unwrap(),
        b"<b a=\"~~\">~{Ig~}"
    );
    assert_eq!(
        edited(Hz, raw, "<b", "<i").unwrap(),
        b"<i a=\"~{IgIg~}\">~{Ig~}"
    );
    // Two characters in the same octets are not parted.
    assert_eq!(edited(Utf7, b"+ADwAYg-", "<", ""), None);
    assert_eq!(edited(Utf7, b"+ADwAYg-", "<b", "+").unwrap(), b"+-");
    assert_eq!(
        edited(Utf7, b"+ADw-b+AD4-", "b", "i").unwrap(),
        b"+ADw-i+AD4-"
    );
    // What follows a run without its hyphen must not become part of it.
    assert_eq!(edited(Utf7, b"+ZeU<b>x", "<b>", "").unwrap(), b"+ZeU-x");
    assert_eq!(edited(Utf7, b"+ZeU<b> ", "<b>", "").unwrap(), b"+ZeU ");
    assert_eq!(edited(Utf7, b"+ZeU<b>", "<b>", "-").unwrap(), b"+ZeU--");
    assert_eq!(edited(Utf7, b"ZeU<b>x", "<b>", "").unwrap(), b"ZeUx");
}

/// What is made of nothing but changes from one way to write to another costs memory for each: it is not followed for ever.
#[test]
fn a_patchwork_is_not_followed_for_ever() {
    let patches = |count: usize| wide(&"a\u{793e}".repeat(count), u16::to_le_bytes);
    assert!(View::new(Utf16Le, &patches(100_000)).is_ok());
    let refused = View::new(Utf16Le, &patches(600_000)).map(|_| ());
    assert_eq!(refused, Err(Uninspectable::Patchwork));
}

#[test]
fn octets_are_edited_where_they_stand() {
    assert_eq!(
        edited(WithoutNul(UTF_8), b"\xff\xfe<\0b\0>\0x\0", "<b>", "").unwrap(),
        b"\xff\xfex\0"
    );
    assert_eq!(
        edited(Octets(UTF_8), b"\xff\xfe<b>x", "<b>", "").unwrap(),
        b"\xff\xfex"
    );
    assert_eq!(edited(Utf16Be, b"\0<\xff\xfe", "<", ""), None);
    assert_eq!(
        edited(Octets(UTF_8), b"<b>x", "<b>", "<i>").unwrap(),
        b"<i>x"
    );
    assert_eq!(
        edited(
            Utf16Be,
            b"\xfe\xff\0<\0b\0>\xd8\x3d\xdc\xa9",
            "<b>",
            "\u{e9}"
        )
        .unwrap(),
        b"\xfe\xff\0\xe9\xd8\x3d\xdc\xa9"
    );
}

const FORMS: [Form; 5] = [Utf16Le, Utf16Be, Iso2022Jp, Hz, Utf7];

/// Octets that shift, break off and mean different things in different states.
fn awkward() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"<img src=x>".to_vec()),
        2 => Just(b"<!--".to_vec()),
        2 => Just(b"-->".to_vec()),
        4 => Just(b"\x1b$B".to_vec()),
        4 => Just(b"\x1b(B".to_vec()),
        1 => Just(b"\x1b(J".to_vec()),
        1 => Just(b"\x1b(I".to_vec()),
        4 => Just(b"<R$3".to_vec()),
        4 => Just(b"~{".to_vec()),
        4 => Just(b"~}".to_vec()),
        1 => Just(b"~~".to_vec()),
        3 => Just(b"+ZeU-".to_vec()),
        3 => Just(b"+ADwAYg".to_vec()),
        2 => Just(b"+-".to_vec()),
        1 => Just(b"+2D3cqQ-".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"-".to_vec()),
        2 => Just(b"a".to_vec()),
        2 => Just(wide("<img>\u{793e}\u{1f4a9}", u16::to_le_bytes)),
        2 => Just(wide("<img>\u{683c}\u{feff}", u16::to_be_bytes)),
        1 => any::<[u8; 1]>().prop_map(|octet| octet.to_vec()),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Promise 2 in every charset: the text after the edit is the text with the edit, and no octet outside it has changed.
    #[test]
    fn an_edit_of_the_text_is_that_edit_of_the_octets(
        raw in awkward(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(),
        replacement in prop_oneof![Just(""), Just("<i>"), Just("+a-~"), Just("-"), Just("\\~")],
    ) {
        for form in FORMS {
            let Ok(before) = text(form, &raw) else {
                continue;
            };
            let edges: Vec<usize> = before.char_indices().map(|(at, _)| at).chain([before.len()]).collect();
            let (one, other) = (*from.get(&edges), *to.get(&edges));
            let range = one.min(other)..one.max(other);
            let view = View::new(form, &raw).unwrap();
            let Some((octets, written)) = view.raw_edit(range.clone(), replacement.as_bytes()) else {
                // Characters of UTF-7 that share their octets; an octet too many at the end of UTF-16.
                let odd = raw.len() % 2 != 0 && range.start == before.len();
                // What would stand first then is a byte-order mark.
                let rest = before.get(range.end..).unwrap();
                let marks = range.start == 0 && rest.starts_with(['\u{feff}', '\u{fffe}']);
                let wide = form == Utf16Le || form == Utf16Be;
                prop_assert!(form == Utf7 || wide && (odd || marks), "{form:?} {}", raw.escape_ascii());
                continue;
            };
            prop_assert!(octets.start <= octets.end && octets.end <= raw.len());
            let mut changed = raw.clone();
            changed.splice(octets, written);
            let mut expected = before.clone();
            expected.replace_range(range, replacement);
            prop_assert_eq!(text(form, &changed), Ok(expected), "{:?} {}", form, raw.escape_ascii());
        }
    }

    /// Where a browser knows the charset, what is decoded is what it decodes.
    #[test]
    fn what_is_decoded_is_what_a_browser_decodes(raw in awkward()) {
        let (theirs, _) = ISO_2022_JP.decode_without_bom_handling(&raw);
        if let Ok(ours) = text(Iso2022Jp, &raw) {
            prop_assert_eq!(ours, theirs.into_owned());
        }
        for (form, encoding) in [(Utf16Le, UTF_16LE), (Utf16Be, UTF_16BE)] {
            let (theirs, _) = encoding.decode_with_bom_removal(&raw);
            prop_assert_eq!(text(form, &raw), Ok(theirs.into_owned()));
        }
    }

    #[test]
    fn whatever_octets_there_are_some_reading_is_named(raw in awkward(), label in prop::sample::select(vec!["", "utf-16", "utf-16be", "iso-2022-jp", "hz", "utf-7", "big5"])) {
        let labels: Vec<&str> = [label].into_iter().filter(|label| !label.is_empty()).collect();
        if let Ok(found) = charset(&labels, &raw) {
            prop_assert!(found.readings.first().is_some_and(|first| first.sure));
        }
    }
}
