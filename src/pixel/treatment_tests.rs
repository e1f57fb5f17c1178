//! The table, row by row, and what no edit may do.

use super::*;
use crate::pixel::{Examination, Finding, Limits, Rules, edited, examine};

const OPEN: &str = "https://x.ct.sendgrid.net/wf/open?upn=abc";

fn look(html: &str) -> Examination {
    examine(
        html.as_bytes(),
        encoding_rs::UTF_8,
        Document::Html,
        Rules::built_in(),
        &Limits::default(),
    )
    .unwrap()
}

/// The one finding of a document, and the document with it stripped; `OPEN` stands for `%%`.
fn strip(html: &str) -> (Finding, String) {
    let html = html.replace("%%", OPEN);
    let mut seen = look(&html);
    assert_eq!(seen.findings.len(), 1, "{html}");
    let finding = seen.findings.remove(0);
    for edit in &finding.edits {
        assert!(
            finding.span.start <= edit.range.start && edit.range.end <= finding.span.end,
            "{html}"
        );
        assert!(
            !edit.replacement.contains(&b'\r') && !edit.replacement.contains(&b'\n'),
            "{html}"
        );
    }
    let stripped = String::from_utf8(edited(html.as_bytes(), &finding.edits).unwrap()).unwrap();
    assert!(
        !stripped.contains("sendgrid") && !stripped.contains("upn"),
        "{stripped}"
    );
    assert!(!stripped.contains(" \r"), "{stripped}");
    assert_eq!(look(&stripped).findings, [], "{stripped}");
    (finding, stripped.replace(TRANSPARENT_GIF, "GIF"))
}

fn same_modulo_3(finding: &Finding) -> bool {
    finding
        .edits
        .iter()
        .all(|edit| edit.range.len() % 3 == edit.replacement.len() % 3)
}

/// Blanks that only fill up are not what these tests compare.
fn squeezed(text: &str) -> String {
    let mut squeezed = text.to_owned();
    while squeezed.contains("  ") {
        squeezed = squeezed.replace("  ", " ");
    }
    squeezed
}

const IMAGES: &[(&str, &str)] = &[
    (
        "<img src=\"%%\" width=\"1\" height=\"1\">",
        "<img src=\"GIF\" width=\"1\" height=\"1\">",
    ),
    (
        "<IMG height=0 width=0 SRC='%%' alt=''>",
        "<IMG height=0 width=0 src=\"GIF\" alt=''>",
    ),
    (
        "<img src=%% alt=x>",
        "<img src=\"GIF\" width=\"1\" height=\"1\" alt=x>",
    ),
    (
        "<img/src=%% width=1/>",
        "<img/ src=\"GIF\" height=\"1\" width=1/>",
    ),
    (
        "<img src=\"%%\" width=\"600\" height=\"80\">",
        "<img src=\"GIF\" width=\"600\" height=\"80\">",
    ),
    (
        "<img src=\"%%\" width=\"100%\" height=1>",
        "<img src=\"GIF\" width=\"100%\" height=1>",
    ),
    (
        "<img src=\"%%\" style=\"width:2px;height:0\">",
        "<img src=\"GIF\" width=\"2\" height=\"0\" style=\"width:2px;height:0\">",
    ),
    (
        "<img src=\"%%\" width=\"\" height=auto>",
        "<img src=\"GIF\" width=\"1\" height=\"1\">",
    ),
    (
        "<img srcset=\"%% 2x\" src=\"%%\" width=1 height=1>",
        "<img srcset=\"\" src=\"GIF\" width=1 height=1>",
    ),
    (
        "<img srcset=\"%% 2x\">",
        "<img srcset=\"\" src=\"GIF\" width=\"1\" height=\"1\">",
    ),
    (
        "<img src=\"https://h/logo.png\" srcset=\"%% 2x\">",
        "<img src=\"https://h/logo.png\" srcset=\"\">",
    ),
    (
        "<img src=\"https://h/logo.png\" src=\"%%\">",
        "<img src=\"https://h/logo.png\" src=\"GIF\">",
    ),
    (
        "<img src=\"%%\" src=\"//h/?u=1\">",
        "<img src=\"GIF\" width=\"1\" height=\"1\" src=\"GIF\">",
    ),
    (
        "<image src=\"%%\" width=1 height=1 />",
        "<image src=\"GIF\" width=1 height=1 />",
    ),
    (
        "<input type=IMAGE src=\"%%\" width=1 height=1>",
        "<input type=IMAGE src=\"GIF\" width=1 height=1>",
    ),
    (
        "<img src=\"%%\" style=\"visibility:hidden\" width=9 height=9>",
        "<img src=\"GIF\" style=\"visibility:hidden\" width=9 height=9>",
    ),
    (
        "<noscript><img src=\"%%\" width=1 height=1></noscript>",
        "<noscript><img src=\"GIF\" width=1 height=1></noscript>",
    ),
];

#[test]
fn images_keep_tag_and_box() {
    for (before, after) in IMAGES {
        let (finding, stripped) = strip(before);
        assert_eq!(finding.treatment, Treatment::BlankImage, "{before}");
        assert!(same_modulo_3(&finding), "{before}");
        // Blanks before an attribute name only fill up.
        let normal = |text: &str| squeezed(text).replace("<img/ ", "<img/");
        assert_eq!(normal(&stripped), normal(after), "{before}");
    }
}

#[test]
fn an_element_without_a_box_is_cut() {
    for before in [
        "<p>a<img src=\"%%\" style=\"display:none\">b</p>",
        "<p>a<img style='Display : none !important' src=\"%%\" width=1 height=1>b</p>",
        "<style>img{display:block}</style><p>a<img src=\"%%\" style=\"display:none\">b</p>",
        "<style>img{display:block!important}</style><p>a<img src=\"%%\" style=\"display:none!important\">b</p>",
    ] {
        let (finding, stripped) = strip(before);
        assert_eq!(finding.treatment, Treatment::CutElement, "{before}");
        assert!(same_modulo_3(&finding), "{before}");
        assert!(squeezed(&stripped).contains("<p>a<!--"), "{stripped}");
        assert!(stripped.ends_with("-->b</p>"), "{stripped}");
    }
    for before in [
        "<style>img{display:block!important}</style><img src=\"%%\" style=\"display:none\">",
        "<style>@media x{.m{display:inline!important}}</style><img class=m src=\"%%\" style=\"display:none\">",
        "<img hidden src=\"%%\">",
        "<img src=\"%%\" style=\"display:none;display:block\">",
    ] {
        assert_eq!(strip(before).0.treatment, Treatment::BlankImage, "{before}");
    }
}

#[test]
fn what_only_word_sees_loses_its_source() {
    for (before, after) in [
        (
            "<!--[if mso]><img width=1 src=\"%%\" height=1><![endif]-->",
            "<!--[if mso]><img width=1 height=1><![endif]-->",
        ),
        (
            "<!--[if mso]><v:image src=\"%%\" style=\"width:9px\"/><![endif]-->",
            "<!--[if mso]><v:image style=\"width:9px\"/><![endif]-->",
        ),
        (
            "<v:fill type=\"frame\" src=\"%%\" color=\"#fff\" />",
            "<v:fill type=\"frame\" color=\"#fff\" />",
        ),
        (
            "<v:imagedata src='%%'></v:imagedata>",
            "<v:imagedata ></v:imagedata>",
        ),
        (
            "<!--[if mso]><v:image style=\"x\"\r\n  src=\"%%\"\r\n  a=b/><![endif]-->",
            "<!--[if mso]><v:image style=\"x\"\r\n a=b/><![endif]-->",
        ),
        (
            "<!--[if mso]><v:image\r\n  src=\"%%\"\r\n/><![endif]-->",
            "<!--[if mso]><v:image\r\n/><![endif]-->",
        ),
    ] {
        let (finding, stripped) = strip(before);
        assert_eq!(finding.treatment, Treatment::CutSource, "{before}");
        assert_eq!(squeezed(&stripped), squeezed(after), "{before}");
    }
}

#[test]
fn backgrounds_and_css() {
    for (before, after, treatment) in [
        (
            "<td background=\"%%\" width=9>",
            "<td width=9>",
            Treatment::CutBackground,
        ),
        (
            "<td style=\"color:red;background:url('%%') no-repeat\">",
            "<td style=\"color:red;background: none no-repeat\">",
            Treatment::CssNone,
        ),
        (
            "<td style='background:url(&quot;%%&quot;)'>",
            "<td style='background: none'>",
            Treatment::CssNone,
        ),
        (
            "<td style=background:url(%%)>",
            "<td style=background:none>",
            Treatment::CssNone,
        ),
        (
            "<td style=\"background:url(%%)no-repeat\">",
            "<td style=\"background: none/**/no-repeat\">",
            Treatment::CssNone,
        ),
        (
            "<td style=\"list-style-image:url(%%)\">",
            "<td style=\"list-style-image: url(GIF)\">",
            Treatment::CssBlankImage,
        ),
        (
            "<td style=\"background:image-set('%%' 1x)\">",
            "<td style=\"background:image-set( url(GIF) 1x)\">",
            Treatment::CssBlankImage,
        ),
        (
            "<style>@media print{#_t{background-image:url('%%')}}</style>",
            "<style>@media print{#_t{background-image: none}}</style>",
            Treatment::CssNone,
        ),
        (
            "<style>@import \"%%\";</style>",
            "<style>@import url(data:text/css,);</style>",
            Treatment::CssBlankSheet,
        ),
        (
            "<style>a{background:u\\72l(%%",
            "<style>a{background: none",
            Treatment::CssNone,
        ),
    ] {
        let (finding, stripped) = strip(before);
        assert_eq!(finding.treatment, treatment, "{before}");
        let normal = |text: &str| {
            squeezed(text)
                .replace(": none", ":none")
                .replace(": url", ":url")
                .replace("( url", "(url")
        };
        assert_eq!(normal(&stripped), normal(after), "{before}");
    }
}

#[test]
fn no_edit_leaves_a_blank_before_a_line_end() {
    for before in [
        "<img src=\"%%\"\r\nwidth=1\r\nheight=1\r\n>",
        "<img\r\nsrc=\"%%\"\r\n>",
        "<td style=\"background:url(%%)\r\n\">",
        "<td style=\"background:\r\nurl(%%)\r\nno-repeat\">",
        "<td\r\nbackground=\"%%\"\r\nwidth=9>",
        "<style>a{background:\r\nurl(%%)\r\n}</style>",
        "<p><img src=\"%%\" style=\"display:none\">\r\n</p>",
    ] {
        strip(before);
    }
}

#[test]
fn findings_of_one_tag_are_stripped_apart() {
    let html = format!(
        "<img src=\"{OPEN}1\" style=\"display:none;background:url({OPEN}2);cursor:url('{OPEN}3')\" background={OPEN}4>"
    );
    let seen = look(&html);
    assert_eq!(seen.findings.len(), 4);
    for stripped in 0..4_usize {
        let finding = &seen.findings[stripped];
        let output = edited(html.as_bytes(), &finding.edits).unwrap();
        let output = String::from_utf8(output).unwrap();
        let left: Vec<String> = look(&output)
            .findings
            .into_iter()
            .map(|finding| finding.url)
            .collect();
        assert_eq!(left.len(), 3, "{output}");
        assert!(!left.contains(&finding.url));
    }
    let all = edited(
        html.as_bytes(),
        seen.findings.iter().flat_map(|finding| &finding.edits),
    )
    .unwrap();
    assert_eq!(look(std::str::from_utf8(&all).unwrap()).findings, []);
}

#[test]
fn amp_is_found_in_and_not_edited() {
    let html = format!(
        "<amp-img src=\"{OPEN}\" width=1 height=1></amp-img><amp-pixel src=\"https://h/p?u=1\"></amp-pixel><img src=\"{OPEN}\">"
    );
    let seen = examine(
        html.as_bytes(),
        encoding_rs::UTF_8,
        Document::Amp,
        Rules::built_in(),
        &Limits::default(),
    )
    .unwrap();
    let vectors: Vec<&str> = seen
        .findings
        .iter()
        .map(|finding| finding.vector.as_str())
        .collect();
    assert_eq!(vectors, ["amp_img", "amp_pixel", "img"]);
    for finding in seen.findings {
        assert!(!finding.treatment.is_editable() && finding.edits.is_empty());
    }
}

#[test]
fn the_gif_is_one() {
    let encoded = TRANSPARENT_GIF
        .strip_prefix("data:image/gif;base64,")
        .unwrap();
    assert_eq!(encoded.len() % 4, 0);
    assert!(!TRANSPARENT_GIF.contains(['=', ' ', '"', '\'', '>', '<']));
}

#[test]
fn padding_brings_lengths_together() {
    for old in 0..9 {
        for new in 0..9 {
            let added = padding(old, new);
            assert!(added < 3);
            assert_eq!((new + added) % 3, old % 3);
        }
    }
}
