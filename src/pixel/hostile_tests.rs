//! What holds for every document, and documents that nobody writes by accident.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::tests::{look, try_look};
use super::*;

/// All findings stripped, and what must hold of that.
fn strip_all(html: &[u8]) -> Option<Vec<u8>> {
    strip_all_of(html, Document::Html)
}

fn strip_all_of(html: &[u8], kind: Document) -> Option<Vec<u8>> {
    let look_by = |html: &[u8], whole: Option<&Whole>| {
        let knowledge = Knowledge {
            whole,
            ..Knowledge::of(Rules::built_in())
        };
        let limits = Limits::default();
        examine_at(html, encoding_rs::UTF_8, kind, &[], &knowledge, &limits)
    };
    let seen = look_by(html, None).ok()?;
    let try_look = |html: &[u8]| look_by(html, Some(&seen.whole));
    let mut edits: Vec<&Edit> = seen
        .findings
        .iter()
        .flat_map(|finding| &finding.edits)
        .collect();
    edits.sort_by_key(|edit| edit.range.start);
    for pair in edits.windows(2) {
        assert!(pair[0].range.end <= pair[1].range.start, "edits overlap");
    }
    for finding in &seen.findings {
        assert!(!finding.edits.is_empty() && !finding.evidence.is_empty());
        for edit in &finding.edits {
            let inside =
                finding.span.start <= edit.range.start && edit.range.end <= finding.span.end;
            let end_tag = kind == Document::Amp && html[edit.range.clone()].starts_with(b"</amp-");
            assert!(inside || end_tag);
            assert!(
                !edit
                    .replacement
                    .iter()
                    .any(|octet| matches!(octet, b'\r' | b'\n'))
            );
        }
    }
    let output = edited(html, edits.iter().copied()).unwrap();
    let again = try_look(&output).expect("what could be examined can be after the edits");
    assert_eq!(again.findings, [], "{}", output.escape_ascii());
    for finding in &seen.findings {
        let output = edited(html, &finding.edits).unwrap();
        let left = try_look(&output).expect("as above");
        let urls = |findings: &[Finding]| -> Vec<String> {
            findings.iter().map(|f| f.url.clone()).collect()
        };
        let others: Vec<Finding> = seen
            .findings
            .iter()
            .filter(|other| *other != finding)
            .cloned()
            .collect();
        assert_eq!(
            urls(&left.findings),
            urls(&others),
            "{}",
            output.escape_ascii()
        );
    }
    Some(output)
}

/// Pieces from which documents are made: whole elements, and what is left when a generator goes wrong.
const PIECES: &[&str] = &[
    "<img src=\"https://u1.ct.sendgrid.net/wf/open?upn=1\" width=1 height=1>",
    "<img src='//t.example/o?u=2' width=1\r\nheight=1 >",
    "<img/src=//t.example/o?u=3/width=1 height=1>",
    "<img style=\"display:none\" src=\"https://mandrillapp.com/track/open.php?u=1&amp;id=2\">",
    "<img srcset=\"https://pstmrk.it/open?m=1 2x\" src=a.png>",
    "<td background=\"https://x.mjt.lu/oo/a/b/e.gif\" style=\"background:url(&quot;https://x.emltrk.com/1?p&quot;) no-repeat\">",
    "<p style=background:url(https://x.emltrk.com/2)>",
    "<img src=https://x.emltrk.com/6 src=//t.example/o?u=6 srcset='//t.example/o?u=7'",
    "<style>",
    "</style>",
    "img{width:100%}",
    "@media print{a{background:url('https://x.emltrk.com/3')}}",
    "@import url(https://x.emltrk.com/4);",
    "<!--[if mso]>",
    "<![endif]-->",
    "<!--[if !mso]><!-->",
    "<!--<![endif]-->",
    "<v:fill src=\"https://x.emltrk.com/5\" />",
    "<noscript>",
    "</noscript>",
    "<!--",
    "-->",
    "<select>",
    "<xmp>",
    "</xmp>",
    "<textarea>",
    "</textarea>",
    "<svg>",
    "</svg>",
    "<input type=image src=//t.example/o?u=4 width=0 height=0>",
    "\r\n",
    " ",
    "\"",
    "'",
    ">",
    "<",
    "<img ",
    "src=",
    "=",
    "/",
    "&",
    "\0",
    "\u{e9}",
    "x",
    "<p title=\"",
    "{",
    "}",
    ";",
    "<base href=https://t.example/>",
    "<iframe src=//t.example/o?u=7 width=1 height=1></iframe>",
    "<iframe srcdoc=\"<img src=//t.example/o?u=8 width=1 height=1>\">",
    "<object data='data:image/svg+xml,<svg><image href=https://x.emltrk.com/7 /></svg>'>",
    "<picture><source srcset='//t.example/o?u=9 2x'>",
    "<link rel=preload href=//t.example/o?u=10\r\n>",
    "<script src=//t.example/o?u=11></script>",
    "<meta http-equiv=refresh content='0;url=//t.example/o?u=12'>",
    "<video poster=https://x.emltrk.com/8 src=https://x.emltrk.com/9>",
    "<image href=https://x.emltrk.com/10 src=https://x.emltrk.com/11 filter=url(https://x.emltrk.com/12)>",
    "<div style=\"opacity:0\">",
    "</div>",
    "<img src=//t.example/o?u=a8f3k2c97d4e>",
    "<p hidden style='--x:\"https://x.emltrk.com/13\"'>",
    "<img src=o?u=5 width=1 height=1>",
];

/// The same for AMP.
const AMP_PIECES: &[&str] = &[
    "<amp-img src=//t.example/o?u=1 width=1 height=1>",
    "</amp-img>",
    "<amp-pixel src=//t.example/o?u=2></amp-pixel>",
    "<amp-video poster=https://x.emltrk.com/1 style=\"background:url(https://x.emltrk.com/2)\">",
    "</amp-video>",
    "<source src=https://x.emltrk.com/3>",
    "<amp-list src=https://x.emltrk.com/4>",
    "</amp-list >",
    "<noscript>",
    "</noscript>",
    "<img src=https://x.emltrk.com/5>",
    "<span style=\"opacity:0\">",
    "</span>",
    "<amp-img src=//t.example/o?u=a8f3k2c97d4e>",
    "<!--",
    "-->",
    "<svg>",
    "<p>",
    "\r\n",
    "\"",
    "<",
    "</",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stripped_documents_hold_nothing_to_strip(picks in prop::collection::vec(0..PIECES.len(), 0..14)) {
        let html: String = picks.iter().map(|pick| PIECES[*pick]).collect();
        strip_all(html.as_bytes());
    }

    #[test]
    fn stripped_amp_documents_hold_nothing_to_strip(picks in prop::collection::vec(0..AMP_PIECES.len(), 0..14)) {
        let html: String = picks.iter().map(|pick| AMP_PIECES[*pick]).collect();
        strip_all_of(html.as_bytes(), Document::Amp);
    }

    #[test]
    fn any_octets_are_read_without_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        strip_all(&octets);
    }
}

/// Three copies of one URL are layout; where one of them goes with the tag that it stands in, two are left.
#[test]
fn what_is_taken_out_acquits_nothing_that_stays() {
    let spacer = "<img src=//t.example/o?u=4 width=1 height=1>";
    let with_it = "<img src=//t.example/o?u=6 srcset='//t.example/o?u=4 2x' width=1 height=1>";
    let seen = |html: &str| try_look(html.as_bytes()).unwrap().findings.len();
    assert_eq!(seen(&spacer.repeat(3)), 0);
    assert_eq!(seen(&[spacer, spacer, with_it].concat()), 3);
    assert_eq!(seen(&[spacer, spacer, spacer, with_it].concat()), 1);
    strip_all([spacer, spacer, with_it].concat().as_bytes());
    // A chain of them ends, and soon.
    let chain: String = (0..20_000)
        .map(|n| {
            let image = format!(
                "<img src=//t.example/o?u={n} srcset='//t.example/o?u={} 2x' width=1 height=1>",
                n + 1
            );
            [image.clone(), image].concat()
        })
        .collect();
    let _ = try_look(format!("{chain}<img src=//t.example/o?u=20000 width=1 height=1>").as_bytes());
}

/// Nobody writes this by accident.
fn hostile() -> Vec<(&'static str, String)> {
    let many = |unit: &str, times: usize| unit.repeat(times);
    let pixel = "<img src=//h/?u=1 width=1 height=1>";
    vec![
        (
            "attributes",
            format!(
                "<img {} src=//h/?u=1 width=1 height=1>",
                many("a=b ", 100_000)
            ),
        ),
        (
            "sources",
            format!("<img {}>", many("src=//h/?u=1 ", 50_000)),
        ),
        ("comments", many("<!--[if mso]><!--", 50_000)),
        (
            "nested conditions",
            format!("{}{pixel}", many("<!--[if mso]>", 100_000)),
        ),
        ("unclosed tags", many("<img src=\"", 100_000)),
        ("conditions", many("<!--[if x]><b><![endif]-->", 20_000)),
        ("divs", many("<div>", 200_000)),
    ]
}

fn hostile_too() -> Vec<(&'static str, String)> {
    let many = |unit: &str, times: usize| unit.repeat(times);
    let pixel = "<img src=//h/?u=1 width=1 height=1>";
    vec![
        ("nul", many("<im\0g src=//h/?\0u>", 50_000)),
        (
            "noscripts",
            format!("{}{pixel}", many("<noscript>", 100_000)),
        ),
        ("styles", many("<style>a{b:url(x)}</style>", 50_000)),
        (
            "nested styles",
            format!("<svg>{}", many("<style>", 100_000)),
        ),
        (
            "selectors",
            format!(
                "<style>{}</style>{}",
                many(".a .b,img.c{width:9px}", 50_000),
                many(
                    "<img class='a b c d e f' src=//h/?u=1 width=1 height=1>",
                    2_000
                )
            ),
        ),
        (
            "references",
            format!("<img src=\"{}\">", many("&amp", 300_000)),
        ),
        (
            "srcset",
            format!(
                "<img srcset=\"{}\" width=1 height=1>",
                many("//h/?u=1 1x,(", 100_000)
            ),
        ),
        (
            "path",
            format!("<img src=\"//h/{}\">", many("ut.php/", 200_000)),
        ),
        ("host", format!("<img src=\"//{}\">", many("a.", 300_000))),
        (
            "query",
            format!("<img src=\"//h/?{}\">", many("u=1&id=2&", 100_000)),
        ),
        (
            "classes",
            format!(
                "<style>img{{width:9px}}</style><img class=\"{}\" src=//h/?u=1 width=1 height=1>",
                many("a ", 300_000)
            ),
        ),
        (
            "five megabytes",
            many(
                "<table><tr><td style=\"width:1px\" class=a>text</td></tr></table>\r\n",
                80_000,
            ),
        ),
    ]
}

/// Documents in documents, and what is hidden by what stands around it.
fn hostile_inside() -> Vec<(&'static str, String)> {
    let many = |piece: &str, count: usize| piece.repeat(count);
    vec![
        (
            "documents in a document",
            format!(
                "<iframe srcdoc=\"{}\">",
                many("&lt;iframe srcdoc='&amp;lt;p&amp;gt;'&gt;", 20_000)
            ),
        ),
        (
            "documents side by side",
            many(
                "<iframe srcdoc='&lt;img src=//h/?u=1&gt;'></iframe>",
                10_000,
            ),
        ),
        (
            "data documents",
            many(
                "<img src='data:image/svg+xml,<svg><image href=//h/?u=1 /></svg>'>",
                10_000,
            ),
        ),
        (
            "hidden ancestors",
            format!(
                "{}{}{}",
                many(
                    "<div style='visibility:hidden;left:-9999px;position:absolute'>",
                    30_000
                ),
                many("<img src=//h/?u=1>", 10_000),
                many("</div>", 30_000)
            ),
        ),
        (
            "rows left open in hidden blocks",
            format!(
                "{}{}",
                many("<div hidden>", 30_000),
                many("<tr><td><li><p>", 30_000)
            ),
        ),
        (
            "everything hidden by many rules",
            format!(
                "<style>{}</style>{}",
                many("*{display:none;opacity:0}.a>.b{display:block}", 20_000),
                many("<div class='a b'><img class=b src=//h/?u=1></div>", 5_000)
            ),
        ),
        (
            "one long rule",
            format!(
                "<style>*{{{}}}</style>{}",
                many("display:none;margin:0 0 0 -9999px;", 30_000),
                many("<div><img src=//h/?u=1></div>", 5_000)
            ),
        ),
    ]
}

#[test]
fn hostile_documents_take_linear_time() {
    let all = [hostile(), hostile_too(), hostile_inside()];
    for (name, html) in all.into_iter().flatten() {
        let start = Instant::now();
        // Refused or read: both are right, a long wait is not.
        let _ = try_look(html.as_bytes());
        let elapsed = start.elapsed();
        // Unoptimised, on a busy machine: what is quadratic takes minutes.
        assert!(elapsed < Duration::from_secs(20), "{name}: {elapsed:?}");
    }
}

#[test]
fn cutting_an_image_must_not_make_another_one_the_image_of_a_picture() {
    let open = "https://mandrillapp.com/track/open.php?u=1&amp;id=2";
    let html = format!(
        "<picture><source srcset='//t.example/o?u=9 2x'><img style=\"display:none\" src=\"{open}\"><img src=\"{open}\" width=1 height=1>"
    );
    assert_eq!(look(&html).findings[0].treatment, Treatment::BlankImage);
    strip_all(html.as_bytes());
}

#[test]
fn cutting_an_image_must_not_change_how_the_rest_is_parsed() {
    // An image tag ends `svg`; without it `xmp` would be an svg element and what follows no text.
    let open = "https://mandrillapp.com/track/open.php?u=1&amp;id=2";
    let html = format!("<svg><img style=\"display:none\" src=\"{open}\"><xmp><img src=\"{open}\">");
    assert_eq!(look(&html).findings[0].treatment, Treatment::BlankImage);
    strip_all(html.as_bytes());
}
