//! Messages that once got past the relay, were refused without a reason or took too long, each kept as the smallest input
//! that shows it. All through `relay::survey`, which `serve` and `strip` both ask.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pixelgate::pixel::Rules;
use pixelgate::relay::survey::{Lens, Survey, Uninspectable, survey};

/// A known endpoint of a vendor that is only known by its host.
const TRACKER: &str = "https://x1y2.r.us-east-1.awstrack.me/I0/0100018f2a3b/abc=1";

/// What a hostile message may cost here, in an unoptimised build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn surveyed(message: &[u8]) -> Survey {
    let lens = Lens::new(Arc::new(Rules::built_in().clone()), Arc::default());
    survey(message, &lens)
}

/// A message of one part: fields after the first ones, then the body.
fn message(fields: &str, body: &[u8]) -> Vec<u8> {
    let mut message = b"From: news@brand.example\r\nSubject: s\r\nMIME-Version: 1.0\r\n".to_vec();
    message.extend_from_slice(fields.as_bytes());
    message.extend_from_slice(b"\r\n\r\n");
    message.extend_from_slice(body);
    message.extend_from_slice(b"\r\n");
    message
}

fn html(body: &str) -> Survey {
    surveyed(&message(
        "Content-Type: text/html; charset=utf-8",
        body.as_bytes(),
    ))
}

fn base64(body: &str) -> Survey {
    surveyed(&message(
        "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64",
        body.as_bytes(),
    ))
}

fn encoded(octets: impl AsRef<[u8]>) -> String {
    encodify::base64::STANDARD.encode(octets.as_ref())
}

fn reasons(survey: &Survey) -> Vec<Uninspectable> {
    survey.uninspectable().map(|(_, why)| why).collect()
}

/// What would load is found and can be taken out.
#[track_caller]
fn stripped(survey: &Survey) {
    assert_eq!(survey.findings.len(), 1, "{survey:#?}");
    assert_eq!(reasons(survey), []);
}

/// Nothing is found and nothing stands in the way.
#[track_caller]
fn passes(survey: &Survey) {
    assert!(survey.findings.is_empty(), "{survey:#?}");
    assert_eq!(reasons(survey), []);
}

/// What would load is found, and since readers differ nobody gets it who may not.
#[track_caller]
fn refused(survey: &Survey) {
    assert!(!survey.findings.is_empty(), "{survey:#?}");
    assert!(!reasons(survey).is_empty(), "{survey:#?}");
}

// Base64 that readers decode differently (DESIGN 4: "no reading finds anything forbidden: pass")

#[test]
fn base64_that_goes_on_behind_its_padding_passes_where_no_reading_finds_anything() {
    let pieces = [encoded("<p>one"), encoded("<p>two!"), encoded("<p>three")];
    passes(&base64(&pieces.join("\r\n")));
    let footer = "\r\n_______________\r\nnews mailing list";
    passes(&base64(&(encoded("<p>hello world") + footer)));
    let whole = encoded("<p>hello, this is a longer text");
    let (start, end) = whole.split_at(18);
    passes(&base64(&format!("{start}={end}")));
    passes(&base64(&format!("={whole}")));
}

#[test]
fn base64_that_goes_on_behind_its_padding_hides_nothing() {
    let image = format!("<p>hello<img src=\"{TRACKER}\">world");
    // Seen by readers who start anew behind the padding.
    refused(&base64(&[encoded("<p>x"), encoded(&image)].join("\r\n")));
    // Seen by readers who skip the padding.
    let whole = encoded(&image);
    let (start, end) = whole.split_at(9);
    refused(&base64(&format!("{start}={end}")));
    // Seen by readers who stop at the padding.
    refused(&base64(&[encoded(&image), encoded("<p>x")].join("\r\n")));
}

#[test]
fn the_other_alphabet_of_base64_hides_nothing() {
    let image = format!("<p>\u{fb}\u{ff}???>>><img src=\"{TRACKER}\">");
    let other = encoded(&image).replace('+', "-").replace('/', "_");
    assert!(other.contains(['-', '_']), "else nothing is shown");
    refused(&base64(&other));
    passes(&base64(
        &encoded("<p>a???b>>>c").replace('/', "_").replace('+', "-"),
    ));
}

// NUL octets: some readers drop them, and text in two octets a letter is full of them

#[test]
fn wide_text_under_a_label_that_we_do_not_know_hides_nothing() {
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let fields = "Content-Type: text/html; charset=x-wide\r\nContent-Transfer-Encoding: base64";
    let image = format!("<p>hello<img src=\"{TRACKER}\">");
    let survey = |text: &str| surveyed(&message(fields, encoded(wide(text)).as_bytes()));
    refused(&survey(&image));
    passes(&survey("<p>hello"));
}

#[test]
fn a_nul_inside_a_tag_hides_nothing() {
    refused(&base64(&encoded(format!("<p><i\0mg src=\"{TRACKER}\">"))));
    passes(&base64(&encoded("<p>hello</p>\r\n\0\0")));
    stripped(&base64(&encoded(format!(
        "<p><img src=\"{TRACKER}\"></p>\r\n\0\0"
    ))));
}

// Time

#[test]
fn attachments_that_show_one_another_in_a_long_chain_cost_linear_time() {
    let count = 6_000;
    let mut body = String::from("--b\r\nContent-Type: text/html\r\n\r\n<img src=\"cid:1@x\">\r\n");
    for place in 1..count {
        let next = place + 1;
        write!(
            body,
            "--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment\r\nContent-ID: <{place}@x>\r\n\r\n\
             <img src=\"cid:{next}@x\">\r\n"
        )
        .unwrap();
    }
    body.push_str("--b--");
    let chain = message("Content-Type: multipart/mixed; boundary=b", body.as_bytes());
    let start = Instant::now();
    let survey = surveyed(&chain);
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert!(survey.out_of_scope.is_empty(), "the whole chain is shown");
    passes(&survey);
}

#[test]
fn markup_that_never_closes_is_read_as_clients_read_it() {
    passes(&html(&"<p>some text\r\n".repeat(30_000)));
    let rows = "<tr><td>a<td>b\r\n".repeat(10_000);
    stripped(&html(&format!("<table>{rows}<td><img src=\"{TRACKER}\">")));
}

#[test]
fn tags_that_begin_inside_one_another_cost_linear_time() {
    let start = Instant::now();
    let survey = html(&format!("<select><xmp>{}", "<a ".repeat(200_000)));
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert_eq!(reasons(&survey), [Uninspectable::TokenLimit]);
}

// Style sheets end where browsers end them

#[test]
fn a_style_sheet_ends_at_its_own_end_tag() {
    stripped(&html(&format!(
        "<style>/*</stylex>*/ body{{background:url({TRACKER})}}</style><p>x"
    )));
    passes(&html(&format!("<style>/*</style foo>*/ url({TRACKER})")));
}

#[test]
fn a_style_sheet_inside_another_reading_of_the_document_is_read_too() {
    // Clients with scripts take the first sheet for text of `noscript`, those without take the second for its comment.
    stripped(&html(&format!(
        "<noscript><style>/*</noscript><style>a{{background:url({TRACKER})}}</style><a>x</a>"
    )));
    stripped(&html(&format!(
        "<noscript><style>b{{}}</noscript><style>a{{background:url({TRACKER})}}</style><a>x</a>"
    )));
    stripped(&html(&format!(
        "<svg><style>/*<style>a{{background:url({TRACKER})}}</style></svg>"
    )));
}

// What relative references are relative to

#[test]
fn every_base_counts_for_some_client() {
    let other = "<base href=\"https://brand.example/\">";
    let vendor = "<base href=\"https://x.awstrack.me/\">";
    let image = "<img src=\"I0/0100018f/abc=1\">";
    stripped(&html(&format!("{other}{vendor}{image}")));
    stripped(&html(&format!(
        "<!--[if mso]>{other}<![endif]-->{vendor}{image}"
    )));
    stripped(&html(&format!(
        "{vendor}{vendor}<p style=\"background:url(I0/0100018f/abc=1)\">"
    )));
    passes(&html(&format!("{other}{image}")));
}

#[test]
fn a_header_field_may_name_the_base() {
    for field in [
        "Content-Base: https://x.awstrack.me/",
        "Content-Location: \"https://x.awstrack.me/\"",
        "Content-Location:\r\n https://x.awstrack\r\n .me/mail.html",
    ] {
        let whole = format!("{field}\r\nContent-Type: text/html");
        let image = b"<p><img src=\"I0/0100018f/abc=1\">";
        stripped(&surveyed(&message(&whole, image)));
        let inner = [
            b"--b\r\nContent-Type: text/html\r\n\r\n".as_slice(),
            image,
            b"\r\n--b--",
        ]
        .concat();
        let around = format!("{field}\r\nContent-Type: multipart/related; boundary=b");
        stripped(&surveyed(&message(&around, &inner)));
    }
    passes(&surveyed(&message(
        "Content-Location: mail.html\r\nContent-Type: text/html",
        b"<p><img src=\"I0/0100018f/abc=1\">",
    )));
}

// Structure

#[test]
fn a_boundary_in_single_quotes_hides_nothing() {
    let inner = format!(
        "--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--",
        encoded(format!("<p><img src=\"{TRACKER}\">"))
    );
    let fields = "Content-Type: multipart/mixed; boundary='b'";
    refused(&surveyed(&message(fields, inner.as_bytes())));
}

// Spellings of one URL

#[test]
fn spellings_of_an_endpoint_that_reach_it_are_found() {
    for url in [
        "https://x.awstrack.\u{ff4d}e/I0/0100/abc",
        "https://x.aws&shy;track.me/I0/0100/abc",
        "https://x.awstrack.\u{24dc}e/I0/0100/abc",
        "https://x.aws\u{200b}track.me/I0/0100/abc",
        "https://\u{e9}.aw\u{17f}track.me/I0/0100/abc",
        "https://x.awstrack.me//I0/0100/abc",
        "https://u1.ct.sendgrid.net/wf//open?%75p%6E=u001.abcDEF",
    ] {
        stripped(&html(&format!("<p><img src=\"{url}\">")));
    }
}
