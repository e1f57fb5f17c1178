//! Where tags are found, by which reading.

use super::*;

fn limits(token_octets: usize) -> Limits {
    Limits {
        token_octets,
        ..Limits::default()
    }
}

fn parsed(html: &[u8]) -> Vec<(&[u8], Place)> {
    let readings = read(html, encoding_rs::UTF_8, &limits(1 << 20)).unwrap();
    readings
        .parsed
        .iter()
        .map(|spot| (&html[spot.range.clone()], spot.place))
        .collect()
}

#[test]
fn tags_with_their_places() {
    assert_eq!(
        parsed(b"<p a='<b>'>x<!-- <i> --><noscript><u></noscript><!--[if mso]><v:fill src=x /><![endif]--><!--[if !mso]><!--><s><!--<![endif]-->"),
        [
            (&b"<p a='<b>'>"[..], Place::Body),
            (b"<noscript>", Place::Body),
            (b"<u>", Place::Noscript),
            (b"<v:fill src=x />", Place::Conditional),
            (b"<s>", Place::Body),
        ]
    );
}

#[test]
fn other_comments_and_raw_text_hold_no_tags() {
    assert_eq!(
        parsed(b"<!-- [if x] <img> --><!-- <img> -->").len(),
        1,
        "blanks before the bracket still open it"
    );
    for html in [
        &b"<!-- x <img src=a> -->"[..],
        b"<!if mso <img>",
        b"<textarea><img></textarea>",
        b"<title><img></title>",
        b"<script><img></script>",
        b"<style><img></style>",
        b"<xmp><img></xmp>",
        b"<iframe><img></iframe>",
    ] {
        assert!(
            !parsed(html).iter().any(|(tag, _)| tag.starts_with(b"<img")),
            "{html:?}"
        );
    }
}

#[test]
fn a_conditional_comment_left_open_is_read_to_the_end() {
    assert_eq!(
        parsed(b"x<!--[if mso]><img src=a>"),
        [(&b"<img src=a>"[..], Place::Conditional)]
    );
}

#[test]
fn a_tag_left_open_is_closed_by_what_comes_behind_the_message() {
    assert_eq!(parsed(b"x<img src=a"), [(&b"<img src=a"[..], Place::Body)]);
    assert!(parsed(b"a < b").is_empty(), "that is no tag");
}

#[test]
fn downlevel_revealed_comments_are_plain() {
    assert_eq!(
        parsed(b"<![if !vml]><img><![endif]>"),
        [(&b"<img>"[..], Place::Body)]
    );
}

#[test]
fn a_tag_that_only_the_scriptless_see() {
    let html = b"<noscript><img alt=\"</noscript>\" src=x>";
    let tags = parsed(html);
    assert!(
        tags.contains(&(&b"<img alt=\"</noscript>\" src=x>"[..], Place::Noscript)),
        "{tags:?}"
    );
}

#[test]
fn an_ambiguity_brings_the_scanner_in() {
    let html = b"<select><xmp><img></select><img x>";
    let readings = read(html, encoding_rs::UTF_8, &limits(1 << 20)).unwrap();
    let scanned = readings.scanned.unwrap();
    assert_eq!(scanned.len(), 4);
    assert!(
        scanned
            .iter()
            .any(|spot| &html[spot.range.clone()] == b"<img x>")
    );
    assert!(
        read(b"<p><img>", encoding_rs::UTF_8, &limits(1 << 20))
            .unwrap()
            .scanned
            .is_none()
    );
}

#[test]
fn limits_are_errors() {
    // More open elements than the parser may remember.
    assert_eq!(
        read(
            &b"<p>".repeat(600_000),
            encoding_rs::UTF_8,
            &limits(1 << 16)
        )
        .unwrap_err(),
        Uninspectable::TokenLimit
    );
    assert_eq!(
        read(b"x", encoding_rs::UTF_16LE, &limits(1 << 16)).unwrap_err(),
        Uninspectable::Charset
    );
    assert_eq!(
        read(b"x", encoding_rs::ISO_2022_JP, &limits(1 << 16)).unwrap_err(),
        Uninspectable::Charset
    );
    // Unclosed tags in a row, in a document that brings the scanner in: quadratic, so refused.
    let nested = [&b"<select><xmp></select>"[..], &b"<a x='".repeat(20_001)].concat();
    assert_eq!(
        read(&nested, encoding_rs::UTF_8, &limits(1 << 24)).unwrap_err(),
        Uninspectable::TokenLimit
    );
}

fn spot(range: Range<usize>, limit: usize) -> Spot {
    Spot {
        range,
        place: Place::Body,
        limit,
        end: None,
    }
}

#[test]
fn style_texts_end_at_the_next_end_tag() {
    let html = b"<style>a</style><style>b<style>c";
    let texts = |spots: &[Spot]| -> Vec<Range<usize>> {
        style_texts(html, spots.iter())
            .unwrap()
            .into_iter()
            .map(|(range, _)| range)
            .collect()
    };
    let all = [spot(0..7, 32), spot(16..23, 32), spot(24..31, 32)];
    assert_eq!(texts(&all), [7..8, 23..32, 31..32]);
    let within_a_comment = [spot(16..23, 28)];
    assert_eq!(
        texts(&within_a_comment).first(),
        Some(&(23..28)),
        "no further than the comment"
    );
}

#[test]
fn spans_across_another_reading() {
    let spots = [spot(0..10, 90), spot(5..20, 90), spot(30..40, 90)];
    let tag = |span: Range<usize>| overlapping(&spots, [(&span, true)].into_iter());
    assert!(tag(0..10));
    assert!(tag(5..20));
    assert!(tag(6..8));
    assert!(!tag(30..40));
    assert!(!tag(32..35));
    let text = |span: Range<usize>| overlapping(&spots, [(&span, false)].into_iter());
    assert!(text(18..25));
    assert!(!text(22..28));
    assert!(text(25..35));
    assert!(text(32..35), "text of a style element is no part of a tag");
}

/// What each start tag's own end tag is; `None` where it has none, or browsers disagree.
fn ends(html: &str) -> Vec<(String, Option<String>)> {
    let readings = read(html.as_bytes(), encoding_rs::UTF_8, &limits(1 << 20)).unwrap();
    let text = |range: Range<usize>| html.get(range).unwrap().to_owned();
    let spots = readings.parsed.into_iter();
    spots
        .map(|spot| (text(spot.range), spot.end.map(text)))
        .collect()
}

#[test]
fn end_tags_belong_to_their_start_tags() {
    let of = |html: &str, tag: &str| {
        let found = ends(html).into_iter().find(|(start, _)| start == tag);
        found.unwrap().1
    };
    assert_eq!(of("<b><p>x</p ></b>", "<p>").as_deref(), Some("</p >"));
    assert_eq!(of("<b><p>x</p></b>", "<b>").as_deref(), Some("</b>"));
    assert_eq!(of("<b><p>x</b>", "<p>"), None, "closed by another's");
    assert_eq!(of("<b>x", "<b>"), None);
    assert_eq!(of("<b>x</b", "<b>"), None);
    assert_eq!(of("<img>x</img>", "<img>"), None);
    assert_eq!(
        of("<i><textarea></i></textarea></i>", "<i>").as_deref(),
        Some("</i>")
    );
    let inside = "<noscript><b></noscript>x</b>";
    assert_eq!(
        of(inside, "<b>"),
        None,
        "only without scripts, and there another's"
    );
    let word = "<b><!--[if mso]><i></b></i><![endif]--></b>";
    assert_eq!(of(word, "<i>").as_deref(), Some("</i>"));
    assert_eq!(
        of("<b></b><select><xmp></select>", "<b>"),
        None,
        "browsers disagree"
    );
}
