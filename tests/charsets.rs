//! HTML in charsets in which a tag need not be ASCII octets: nothing hides there, what is found is taken out in the charset of the
//! part, and every other octet stays. All through `relay::survey`, which `serve` and `strip` both ask; the judge of what is left is
//! what a browser decodes (`encoding_rs`), examined as plain UTF-8.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::sync::Arc;

use bytes::Bytes;
use encoding_rs::{Encoding as Charset, GBK, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE};
use pixelgate::mime::{Encoding, Spliced, decode, same_outside};
use pixelgate::pixel::{Document, Limits, Rules, examine};
use pixelgate::relay::survey::{Lens, Survey, Uninspectable, survey};
use proptest::prelude::*;

/// At a known endpoint.
const TRACKER: &str = "https://u1.ct.sendgrid.net/wf/open?upn=1";

fn image() -> String {
    format!("<img src=\"{TRACKER}\" width=1 height=1>")
}

fn surveyed(message: &[u8]) -> Survey {
    survey(
        message,
        &Lens::new(Arc::new(Rules::built_in().clone()), Arc::default()),
    )
}

fn message(label: &str, octets: &[u8]) -> Vec<u8> {
    let label = match label {
        "" => String::new(),
        label => format!("; charset={label}"),
    };
    let fields = format!(
        "From: news@brand.example\r\nMIME-Version: 1.0\r\nContent-Type: text/html{label}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    );
    let mut message = fields.into_bytes();
    let text = encodify::base64::STANDARD.encode(octets);
    for line in text.as_bytes().chunks(76) {
        message.extend_from_slice(line);
        message.extend_from_slice(b"\r\n");
    }
    message
}

fn reasons(survey: &Survey) -> Vec<Uninspectable> {
    survey.uninspectable().map(|(_, why)| why).collect()
}

/// Everything is taken out: the message afterwards, and the octets of its part.
fn without_findings(message: &[u8], survey: &Survey) -> (Vec<u8>, Vec<u8>) {
    let part = &survey.tree.parts[0];
    let raw = &message[part.body.clone()];
    let edits = survey
        .findings
        .iter()
        .flat_map(|found| &found.finding.edits);
    let edits: Vec<_> = edits
        .map(|edit| (edit.range.clone(), edit.replacement.clone()))
        .collect();
    let splices = decode(raw, Encoding::Base64)
        .unwrap()
        .splices(raw, part.body.start, &edits)
        .unwrap();
    let variant = Spliced::new(Bytes::copy_from_slice(message), splices.clone())
        .unwrap()
        .to_bytes();
    assert!(same_outside(message, &splices, &variant));
    let body = surveyed(&variant).tree.parts[0].body.clone();
    let octets = decode(&variant[body], Encoding::Base64)
        .unwrap()
        .bytes
        .into_owned();
    (variant.to_vec(), octets)
}

/// What an examination finds in plain UTF-8.
fn trackers(text: &str) -> usize {
    let seen = examine(
        text.as_bytes(),
        UTF_8,
        Document::Html,
        Rules::built_in(),
        &Limits::default(),
    );
    seen.map_or(0, |seen| seen.findings.len())
}

fn wide(text: &str, order: &'static Charset) -> Vec<u8> {
    let units = text.encode_utf16();
    match order == UTF_16LE {
        true => units.flat_map(u16::to_le_bytes).collect(),
        false => units.flat_map(u16::to_be_bytes).collect(),
    }
}

fn iso_2022_jp(text: &str) -> Vec<u8> {
    ISO_2022_JP.encode(text).0.into_owned()
}

/// HZ by RFC 1843.
fn hz(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut shifted = false;
    for letter in text.chars() {
        if letter.is_ascii() == shifted {
            octets.extend_from_slice(if shifted { b"~}" } else { b"~{" });
            shifted = !shifted;
        }
        let mut room = [0; 4];
        let (of_gb, _, _) = GBK.encode(letter.encode_utf8(&mut room));
        octets.extend(of_gb.iter().map(|octet| octet & 0x7f));
        if letter == '~' {
            octets.push(b'~');
        }
    }
    octets.extend_from_slice(if shifted { b"~}" } else { b"" });
    octets
}

/// UTF-7 by RFC 2152, with these letters in base64 although they need not be.
fn utf_7(text: &str, also: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut run: Vec<u8> = Vec::new();
    for letter in text.chars().chain(['\n']) {
        if !letter.is_ascii() || also.contains(letter) {
            run.extend(
                letter
                    .encode_utf16(&mut [0; 2])
                    .iter()
                    .flat_map(|unit| unit.to_be_bytes()),
            );
            continue;
        }
        if !run.is_empty() {
            let digits = encodify::base64::STANDARD.encode(&run);
            octets.extend_from_slice(format!("+{}-", digits.trim_end_matches('=')).as_bytes());
            run.clear();
        }
        octets.extend_from_slice(if letter == '+' {
            b"+-"
        } else {
            std::slice::from_ref(&ASCII[letter as usize])
        });
    }
    octets.pop();
    octets
}

const ASCII: [u8; 128] = {
    let mut all = [0; 128];
    let mut at = 0;
    while at < 128 {
        all[at] = at as u8;
        at += 1;
    }
    all
};

/// Found, and taken out in the charset: what follows reads as before.
#[track_caller]
fn stripped(label: &str, octets: &[u8], kept: &[u8]) {
    let message = message(label, octets);
    let survey = surveyed(&message);
    assert_eq!(reasons(&survey), [], "{label} {}", octets.escape_ascii());
    assert_eq!(
        survey.findings.len(),
        1,
        "{label} {}",
        octets.escape_ascii()
    );
    let (variant, left) = without_findings(&message, &survey);
    let again = surveyed(&variant);
    assert!(again.findings.is_empty() && again.blind.is_empty());
    assert!(left.ends_with(kept), "{}", left.escape_ascii());
}

/// Nobody gets it who may not: something in it cannot be read or cannot be edited.
#[track_caller]
fn refused(label: &str, octets: &[u8], why: Uninspectable) {
    let survey = surveyed(&message(label, octets));
    assert!(
        reasons(&survey).contains(&why),
        "{label} {} {:?}",
        octets.escape_ascii(),
        reasons(&survey)
    );
}

#[track_caller]
fn passes(label: &str, octets: &[u8]) {
    let survey = surveyed(&message(label, octets));
    assert!(survey.findings.is_empty(), "{:?}", survey.findings);
    assert_eq!(reasons(&survey), [], "{label} {}", octets.escape_ascii());
}

#[test]
fn a_tracker_is_taken_out_in_the_charset_of_its_part() {
    // "社" is `<R` to who reads octets of ISO-2022-JP, "格" has `<` in UTF-16, "家" is `<R` in HZ.
    let text = |word: &str| format!("<p>{word}{}{word}</p>\r\n{word}", image());
    let japanese = text("株式会社の価格");
    stripped(
        "iso-2022-jp",
        &iso_2022_jp(&japanese),
        &iso_2022_jp("株式会社の価格</p>\r\n株式会社の価格"),
    );
    for (order, label) in [
        (UTF_16LE, "utf-16le"),
        (UTF_16BE, "utf-16be"),
        (UTF_16LE, "utf-16"),
        (UTF_16BE, "utf16"),
        (UTF_16LE, "unicode"),
    ] {
        let kept = wide("株式会社の価格</p>\r\n株式会社の価格", order);
        stripped(label, &wide(&japanese, order), &kept);
        let marked = wide(&format!("\u{feff}{japanese}"), order);
        for label in [label, "", "utf-8", "us-ascii"] {
            stripped(label, &marked, &kept);
        }
    }
    stripped("hz-gb-2312", &hz(&text("面包~")), &hz("面包~</p>\r\n面包~"));
    stripped(
        "utf-7",
        &utf_7(&text("chléb + 🥖"), ""),
        &utf_7("chléb + 🥖</p>\r\nchléb + 🥖", ""),
    );
    // Half-width katakana, Roman and the old set.
    let shifts = [
        b"<p>\x1b(I1\x1b(J\\~\x1b$@<R\x1b(B".as_slice(),
        image().as_bytes(),
        b"\x1b(J~\x1b(B",
    ]
    .concat();
    stripped("iso-2022-jp", &shifts, b"\x1b(J~\x1b(B");
    // Labelled UTF-16, and ASCII.
    stripped("utf-16", image().as_bytes(), b"");
}

#[test]
fn what_holds_nothing_forbidden_passes() {
    let letter =
        "<p>株式会社の価格<img src=\"https://shop.example/logo.png\" width=200 height=80></p>";
    passes("iso-2022-jp", &iso_2022_jp(letter));
    passes("utf-16", &wide(letter, UTF_16LE));
    passes("utf-16be", &wide(letter, UTF_16BE));
    passes("hz-gb-2312", &hz("<p>家~面包</p>"));
    passes("utf-7", &utf_7("<p>chléb + 🥖</p>", ""));
    passes("utf-7", &utf_7("<p>chléb + 🥖</p>", "<>=\"&"));
}

#[test]
fn utf_7_hides_no_tag() {
    for also in ["<", "<>", "i", "/", "<>=\":/imgsrc"] {
        refused(
            "utf-7",
            &utf_7(&image(), also),
            Uninspectable::ReadingsDiffer,
        );
        refused(
            "utf-8",
            &[b"<meta charset=utf-7>".as_slice(), &utf_7(&image(), also)].concat(),
            Uninspectable::ReadingsDiffer,
        );
    }
    // A comment, or a quote, that only one of them sees.
    let image = image();
    refused(
        "utf-7",
        format!("+ADwAIQ---{image}--+AD4-").as_bytes(),
        Uninspectable::ReadingsDiffer,
    );
    refused(
        "utf-7",
        format!("<!--+AC0ALQA+-{image}-->").as_bytes(),
        Uninspectable::ReadingsDiffer,
    );
    refused(
        "utf-7",
        format!("<p title=\"+ACIAPg-{image}\">").as_bytes(),
        Uninspectable::ReadingsDiffer,
    );
    // Runs that are cut short, too long, or half a character.
    for broken in [
        "+", "+A", "+AD", "+ADw8", "+ADx-", "+2D0-", "+3Kk-", "+ADwAP-",
    ] {
        refused(
            "utf-7",
            format!("{broken} {image}").as_bytes(),
            Uninspectable::Charset,
        );
    }
}

#[test]
fn hz_hides_no_tag() {
    let image = image();
    // Seen by who does not know it.
    refused(
        "hz-gb-2312",
        format!("~{{{}~}}", image.replace(' ', "/")).as_bytes(),
        Uninspectable::ReadingsDiffer,
    );
    // Seen by who does.
    refused(
        "hz-gb-2312",
        format!("~{{<!~}}--{image}-->").as_bytes(),
        Uninspectable::ReadingsDiffer,
    );
    for broken in [
        "~{<R",
        "~{<~}",
        "~",
        "~a",
        "~\r\n",
        "~{<R\r\n~}",
        "~}",
        "~{~{<R~}",
    ] {
        refused(
            "hz-gb-2312",
            format!("{broken}{image}").as_bytes(),
            Uninspectable::Charset,
        );
    }
}

#[test]
fn iso_2022_jp_hides_no_tag() {
    let image = image();
    for broken in [
        // Other sets, shifts of other members, escapes that are cut short, a line that does not end in ASCII.
        "\x1b$(D<!--\x1b(B",
        "\x1b$A<!--\x1b(B",
        "\x1b$(C<!--\x1b(B",
        "\x1b(H<!--\x1b(B",
        "\x1b.A\x1bN<!--",
        "\x0e<!--\x0f",
        "\x1b",
        "\x1b$",
        "\x1b$B<!--\r\n\x1b(B",
        "\x1b$B<!-\x1b(B",
        "<!-\x1b(J\x1b(B-",
    ] {
        refused(
            "iso-2022-jp",
            format!("<p>{broken}{image}-->").as_bytes(),
            Uninspectable::Charset,
        );
    }
    // Katakana that are a comment, or the end of one, to who does not know that set and goes on in ASCII.
    for kana in ["<!--", "-->", "\"", "*/", "\\"] {
        refused(
            "iso-2022-jp",
            format!("<p>\x1b(I{kana}\x1b(B{image}-->").as_bytes(),
            Uninspectable::Charset,
        );
    }
    // Windows reads the yen of JIS Roman as a backslash: the string ends elsewhere.
    let windows =
        format!("<p style='font:\"\x1b(J\\\x1b(B\"a\";background:url({TRACKER});x:\"b\"'>");
    refused(
        "iso-2022-jp",
        windows.as_bytes(),
        Uninspectable::ReadingsDiffer,
    );
    // In the text it is a price, whoever reads it.
    passes("iso-2022-jp", b"<p>\x1b(J\\1,000\x1b(B</p>");
    let priced = format!("<p>\x1b(J\\1,000\x1b(B</p>{image}<p>\x1b(J\\\x1b(B");
    stripped("iso-2022-jp", priced.as_bytes(), b"<p>\x1b(J\\\x1b(B");
    // Unfinished.
    refused(
        "iso-2022-jp",
        format!("{image}\x1b$B<R").as_bytes(),
        Uninspectable::Charset,
    );
    // Seen by who does not know it at all, by label or by guess.
    refused(
        "iso-2022-jp",
        format!("\x1b$B{}!\x1b(B", image.replace(' ', "/")).as_bytes(),
        Uninspectable::ReadingsDiffer,
    );
    refused(
        "",
        format!("<p>\x1b$B<!--\x1b(B{image}-->").as_bytes(),
        Uninspectable::ReadingsDiffer,
    );
    // Named by a meta against the header.
    let by_meta = format!("<meta charset=iso-2022-jp><p>\x1b$B<!--\x1b(B{image}-->");
    refused("utf-8", by_meta.as_bytes(), Uninspectable::ReadingsDiffer);
    // A yen sign to one, a backslash, which is a slash in a URL, to the other.
    let roman = format!(
        "<p>\x1b(J<img src=\"{}\">\x1b(B",
        TRACKER.replace('/', "\\")
    );
    refused(
        "iso-2022-jp",
        roman.as_bytes(),
        Uninspectable::ReadingsDiffer,
    );
}

#[test]
fn utf_16_hides_no_tag() {
    let image = image();
    // Octets too many, half a character, marks in the middle.
    for before in ["<p>\u{feff}", "<p>\u{fffe}"] {
        stripped(
            "utf-16le",
            &wide(&format!("{before}{image}"), UTF_16LE),
            b"",
        );
    }
    stripped(
        "utf-16le",
        &[
            wide("<p>", UTF_16LE),
            vec![0x3d, 0xd8],
            wide(&image, UTF_16LE),
        ]
        .concat(),
        b"",
    );
    stripped(
        "utf-16be",
        &[wide(&image, UTF_16BE), vec![0xd8]].concat(),
        b"\xd8",
    );
    stripped(
        "utf-16be",
        &[wide(&image, UTF_16BE), vec![0xd8, 0x3d, 0]].concat(),
        b"\xd8\x3d\0",
    );
    // Displaced by one octet it is the other order, for who goes by the tags.
    let displaced = [b"\0".as_slice(), &wide(&image, UTF_16LE)].concat();
    refused("utf-16le", &displaced, Uninspectable::ReadingsDiffer);
    // A page in each order, in octets and in letters, by mark and by label.
    let (low, high) = (wide(&image, UTF_16LE), wide(&image, UTF_16BE));
    refused(
        "utf-16",
        &[low.as_slice(), &high].concat(),
        Uninspectable::ReadingsDiffer,
    );
    refused(
        "utf-16be",
        &[b"\xff\xfe".as_slice(), &low, &high].concat(),
        Uninspectable::ReadingsDiffer,
    );
    refused(
        "utf-16",
        &[low.as_slice(), image.as_bytes()].concat(),
        Uninspectable::ReadingsDiffer,
    );
    refused(
        "utf-8",
        &[b"\xff\xfe".as_slice(), &low, image.as_bytes()].concat(),
        Uninspectable::ReadingsDiffer,
    );
    // Without a mark or a label, and four octets a letter: those who drop NUL read it.
    refused("utf-8", &low, Uninspectable::ReadingsDiffer);
    let four: Vec<u8> = image
        .chars()
        .flat_map(|letter| (letter as u32).to_le_bytes())
        .collect();
    refused(
        "",
        &[b"\xff\xfe\0\0".as_slice(), &four].concat(),
        Uninspectable::ReadingsDiffer,
    );
    refused("utf-32", &four, Uninspectable::Charset);
}

/// A reader that drops NUL sees a tag where others see none, however much stands before it.
#[test]
fn much_nul_hides_no_tag() {
    let hidden = image().replace("<img", "<im\0g");
    for (letters, why) in [
        ("a\0", Uninspectable::ReadingsDiffer),
        ("a\0b", Uninspectable::Charset),
    ] {
        let page = format!("<p>{}{hidden}", letters.repeat(1_100_000));
        refused("utf-8", page.as_bytes(), why);
    }
}

/// What only the reader who knows no UTF-16 would load counts, also beside what everybody loads and may see.
#[test]
fn a_known_source_hides_no_other() {
    let known = "https://i.shop.example/p/a8f3k2c97d1b4e6f55.png";
    let other = "https://t.shop.example/o/b7e2m4x81q0z9w3k66.gif";
    let page = format!("<p><img src=\"{known}\" width=300 height=200>");
    let set = format!("<img srcset=\"{known} 1x, {other} 2x\" width=1 height=1>");
    assert_eq!(set.len() % 2, 0, "whole letters of UTF-16");
    passes("utf-16le", &wide(&page, UTF_16LE));
    let both = [wide(&page, UTF_16LE), set.into_bytes()].concat();
    refused("utf-16le", &both, Uninspectable::ReadingsDiffer);
}

fn letters() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just(image()),
        1 => Just(format!("<div style=\"background:url({TRACKER})\">")),
        1 => Just(format!("<style>p{{background:url('{TRACKER}')}}</style>")),
        1 => Just("<img src=\"https://shop.example/logo.png\" width=200 height=80 alt=\"社\">".to_owned()),
        1 => Just("<!-- 社 -->".to_owned()),
        4 => Just("株式会社".to_owned()),
        2 => Just("価格".to_owned()),
        1 => Just("家".to_owned()),
        2 => Just("<p>a ~ b + c</p>\r\n".to_owned()),
        1 => Just("<a title='社' href=\"https://shop.example/?q=a+b\">x</a>".to_owned()),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// A label, and text in that charset.
fn written(number: usize, text: &str) -> (&'static str, Vec<u8>) {
    match number {
        0 => ("utf-16", wide(&format!("\u{feff}{text}"), UTF_16LE)),
        1 => ("utf-16be", wide(text, UTF_16BE)),
        2 => ("utf-16le", wide(text, UTF_16LE)),
        3 => ("iso-2022-jp", iso_2022_jp(text)),
        4 => ("hz-gb-2312", hz(text)),
        5 => ("utf-7", utf_7(text, "")),
        _ => ("utf-7", utf_7(text, "<>")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whole or damaged: what is stripped is gone in every reading, for a browser too; what cannot be is refused.
    #[test]
    fn nothing_forbidden_is_left(
        text in letters(), number in 0..7_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, any::<u8>()), 0..3),
    ) {
        let (label, mut octets) = written(number, &text);
        for (at, kind, octet) in damage {
            if octets.is_empty() {
                break;
            }
            let at = at.index(octets.len());
            match kind {
                0 => octets[at] = octet,
                1 => octets.truncate(at),
                _ => drop(octets.remove(at)),
            }
        }
        let message = message(label, &octets);
        let survey = surveyed(&message);
        if reasons(&survey).is_empty() {
            let (variant, left) = without_findings(&message, &survey);
            let again = surveyed(&variant);
            prop_assert!(again.findings.is_empty() && again.blind.is_empty(), "{} {}", label, octets.escape_ascii());
            let browser = Charset::for_label(label.as_bytes()).filter(|charset| *charset != encoding_rs::REPLACEMENT);
            for charset in [browser.unwrap_or(UTF_8), UTF_8] {
                let (seen, _, _) = charset.decode(&left);
                prop_assert_eq!(trackers(&seen), 0, "{} {}", label, left.escape_ascii());
            }
        }
    }

    /// What a browser shows beside the trackers is what it showed before, letter for letter.
    #[test]
    fn the_text_stays(text in letters(), number in 0..5_usize) {
        let (label, octets) = written(number, &text);
        let message = message(label, &octets);
        let survey = surveyed(&message);
        prop_assume!(reasons(&survey).is_empty());
        let (_, left) = without_findings(&message, &survey);
        let shown = |octets: &[u8]| -> String {
            let charset = Charset::for_label(label.as_bytes()).filter(|charset| *charset != encoding_rs::REPLACEMENT);
            let (seen, _, _) = charset.unwrap_or(UTF_8).decode(octets);
            seen.chars().filter(|letter| !letter.is_ascii()).collect()
        };
        prop_assert_eq!(shown(&left), shown(&octets));
    }
}
