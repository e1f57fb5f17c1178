//! The whole of the module at work: documents in, findings and edits out.

use super::*;

pub(super) fn try_look(html: &[u8]) -> Result<Examination, Uninspectable> {
    examine(
        html,
        encoding_rs::UTF_8,
        Document::Html,
        Rules::built_in(),
        &Limits::default(),
    )
}

pub(super) fn look(html: &str) -> Examination {
    try_look(html.as_bytes()).unwrap()
}

/// The reason codes and names of what is found.
fn found(html: &str) -> Vec<String> {
    look(html)
        .findings
        .iter()
        .map(|finding| {
            let reasons: Vec<&str> = finding
                .evidence
                .iter()
                .map(|evidence| match evidence {
                    Evidence::KnownEndpoint { rule, .. } => rule.as_str(),
                    other => other.as_str(),
                })
                .collect();
            reasons.join("+")
        })
        .collect()
}

#[test]
fn a_finding_says_what_where_and_why() {
    let html = "<p>x</p>\r\n<img src=\"https://U:p@U1.ct.sendgrid.net:443/wf/open?upn=abc&amp;d=1\" width=1 height=1>";
    let seen = look(html);
    assert_eq!(seen.remote_loads, 1);
    let finding = &seen.findings[0];
    assert_eq!(finding.line, 2);
    assert_eq!(finding.host, "u1.ct.sendgrid.net");
    assert_eq!(
        finding.url,
        "https://U:p@U1.ct.sendgrid.net:443/wf/open?upn=abc&d=1"
    );
    assert_eq!(finding.span, 10..html.len());
    assert_eq!(
        (finding.vector, finding.place, finding.verdict),
        (Vector::Img, Place::Body, Verdict::Tracker)
    );
    assert_eq!(
        finding.evidence,
        [
            Evidence::KnownEndpoint {
                rule: "sendgrid-wf-open".to_owned(),
                vendor: "Twilio SendGrid".to_owned()
            },
            Evidence::Tiny {
                width: 1,
                height: 1
            }
        ]
    );
}

#[test]
fn known_endpoints_decide_alone() {
    let open = "https://u1.ct.sendgrid.net/wf/open?upn=abc";
    for html in [
        format!("<style>img{{width:100%!important}}</style><img src=\"{open}\" width=1 height=1>"),
        format!("<img src=\"{open}\">"),
        format!("<img src=\"{open}\" width=600 height=300>"),
        format!("<img src=\"{open}\" style=\"display:none\">"),
        format!("<img src=\"{}\">", open.replace("https:", "")),
        format!(
            "<img src=\"{}\">",
            open.replace("wf", "&#119;f")
                .replace("://", "&colon;&sol;&sol;")
        ),
        format!("<img src=\"\t{}\n\">", open.replace("open", "op\r\nen")),
        "<base href=\"https://u1.ct.sendgrid.net/x/y\"><img src=\"../wf/open?upn=abc\">".to_owned(),
        format!("<img src=\"{open}\"><img src=\"{open}\"><img src=\"{open}\">")
            .replace("><", " ><"),
        format!("<img alt=x src=x SRC=\"{open}\">"),
        format!("<img srcset=\"https://h/a.png 1x, {open} 2x\">"),
        format!("<svg><image src=\"{open}\"></svg>"),
        format!("<!--[if mso]><img src=\"{open}\"><![endif]-->"),
        format!("<!--[if !mso]><!--><img src=\"{open}\"><!--<![endif]-->"),
        format!("<noscript><img src=\"{open}\"></noscript>"),
        format!("<NoScript ><a title='</noscript>'><img src=\"{open}\">"),
        format!("<div><table background={open}><tr></table>"),
        format!("<input type=image src={open}>"),
        format!("<p style=\"background-image:url({open})\">"),
        format!("<style>p{{background:url({open})}}</style>"),
        format!("<v:rect><v:fill src=\"{open}\"/></v:rect>"),
    ] {
        let names = found(&html);
        assert!(!names.is_empty(), "{html}");
        assert!(
            names
                .iter()
                .all(|name| name.starts_with("sendgrid-wf-open")),
            "{html}: {names:?}"
        );
    }
}

#[test]
fn aggregate_endpoints_are_called_so() {
    let seen = look("<img src=\"https://files.brand.example/images/p1x1.gif\">");
    assert_eq!(seen.findings[0].verdict, Verdict::Aggregate);
    let seen =
        look("<img width=1 height=1 src=\"https://files.brand.example/images/p1x1.gif?u=1\">");
    assert_eq!(
        seen.findings[0].verdict,
        Verdict::Tracker,
        "with a person's parameter it is no aggregate"
    );
}

#[test]
fn tiny_images_that_could_identify() {
    for html in [
        "<img src=\"https://t.example/o?u=1\" width=1 height=1>",
        "<img src=\"//t.example/o?u=1\" width=1 height=1 style=\"display:none\">",
        "<img src=\"https://t.example/o/0a1b2c3d4e5f.gif\" style=\"width:1px;height:1px\">",
        "<style>img{max-width:100%;height:auto;display:block}</style><img src=\"https://t.example/o?u=1\" width=1 height=1>",
        "<input type=image src=\"https://t.example/o?u=1\" width=1 height=1>",
        "<img src=\"https://t.example/o?u=1\" width=1 height=1><img src=\"https://t.example/o?u=2\" width=600 height=1>",
        "<base href=\"https://t.example/\"><img src=\"o?u=1\" width=1 height=1>",
        "<img srcset=\"https://t.example/o?u=1\" width=1 height=1>",
        // Once for all, once for Outlook, once for the scriptless: one pixel, not a spacer.
        "<img src=\"https://t.example/o?u=1\" width=1 height=1><!--[if mso]><img src=\"https://t.example/o?u=1\" width=2 height=1><![endif]-->",
    ] {
        let names = found(html);
        assert!(
            !names.is_empty() && names.iter().all(|name| name == "tiny"),
            "{html}: {names:?}"
        );
    }
}

#[test]
fn what_must_stay() {
    for html in [
        // A retailer's header for telephones, revealed by a media query.
        "<style>@media (max-width:480px){.header-reveal{display:block!important;width:100%!important;height:auto!important}}</style>\
         <img src=\"https://image.brand.example/lib/fe95157070660d7e73/m/1/header.png\" width=\"0\" height=\"0\" style=\"display:none\" class=\"header-reveal\">",
        "<img src=\"https://h.example/spacer.gif?v=123456\" width=1 height=20>",
        "<img src=\"https://h.example/0a1b2c3d4e5f/line.gif\" width=600 height=1>",
        "<img src=\"https://h.example/a.png?u=1\" width=1 style=\"width:100%\">",
        "<img src=\"https://h.example/a.png?u=1\" width=\"100%\" height=1>",
        "<img src=\"https://h.example/a.png?u=1\">",
        "<img src=\"https://h.example/a.png?u=1\" style=\"display:none\">",
        "<img src=\"https://h.example/a.png?u=1\" width=1>",
        "<img src=\"https://h.example/a.png?u=1\" width=16 height=16>",
        "<img src=\"https://h.example/img/spacer.gif\" width=1 height=1>",
        "<img src=\"https://h.example/t.gif?v=20240101abcdef\" width=1 height=1><img src=\"https://h.example/t.gif?v=20240101abcdef\" width=1 height=1><img src=\"https://h.example/t.gif?v=20240101abcdef\" width=1 height=5>",
        "<img src=\"cid:logo@x\" width=1 height=1>",
        "<img src=\"data:image/gif;base64,R0lGODlhAQABAAAAACw=\" width=1 height=1>",
        "<img src=\"about:blank?u=1\" width=1 height=1>",
        "<img src=\"o?u=1\" width=1 height=1>",
        "<img src=\"\" width=1 height=1>",
        "<a href=\"https://u1.ct.sendgrid.net/wf/open?upn=abc\">x</a>",
        "<!-- <img src=\"https://t.example/o?u=1\" width=1 height=1> -->",
        "<textarea><img src=\"https://t.example/o?u=1\" width=1 height=1></textarea>",
        "<p>&lt;img src=\"https://u1.ct.sendgrid.net/wf/open?upn=abc\"&gt;</p>",
        "<input src=\"https://u1.ct.sendgrid.net/wf/open?upn=abc\">",
        "<p style=\"background:url(https://h.example/a.png?u=0a1b2c3d4e5f)\">",
    ] {
        assert_eq!(found(html), [""; 0], "{html}");
    }
}

#[test]
fn weak_endpoints_need_a_small_box() {
    let q = "https://link.brand.example/q/AbCdEf0123456789-_AbCd";
    assert_eq!(
        found(&format!("<img src=\"{q}\" width=20 height=1>")),
        ["listrak"]
    );
    assert_eq!(
        found(&format!("<img src=\"{q}\" width=600 height=1>")),
        [""; 0]
    );
    assert_eq!(found(&format!("<img src=\"{q}\">")), [""; 0]);
    let reset = "<style>table img{width:auto;height:auto}</style>";
    assert_eq!(
        found(&format!(
            "{reset}<table><img width=1 height=1 src=\"https://b.example/action/view/1/ab/2\">"
        )),
        ["elaine-own-host"]
    );
}

#[test]
fn links_and_parts_are_reported() {
    let seen = look(
        "<a href=\"https://b.example/out?a=1&amp;b=2\">x</a><area href=' https://b.example/2 '><!--[if mso]><a href=x></a><![endif]-->\
         <img src=\"cid:a%40b\"><iframe src=' CID:frame'></iframe><td background=cid:c style=\"background:url(cid:d)\"><style>p{background:url('cid:e')}</style>",
    );
    assert_eq!(
        seen.links,
        ["https://b.example/out?a=1&b=2", "https://b.example/2"]
    );
    assert_eq!(seen.parts, ["e", "a@b", "frame", "c", "d"]);
    assert_eq!(seen.remote_loads, 0);
}

/// A link to withdraw is for people (D10): what nobody can see or click is none.
#[test]
fn a_link_that_nobody_can_follow_is_none() {
    let links = |html: &str| look(html).links.len();
    for none in [
        "<!-- <a href=https://b.example/>x</a> -->",
        "<!--[if mso]><a href=https://b.example/>x</a><![endif]-->",
        "<textarea><a href=https://b.example/>x</a></textarea>",
        "<title><a href=https://b.example/>x</a></title>",
        "<style><a href=https://b.example/>x</a></style>",
        "<script>'<a href=https://b.example/>x</a>'</script>",
        "<link href=https://b.example/>",
        "<form action=https://b.example/>",
        "<p title='<a href=https://b.example/>x</a>'>",
        "<a hidden href=https://b.example/>x</a>",
        "<a style='color:red; DISPLAY : none !important' href=https://b.example/>x</a>",
        "<a style='display:/**/none' href=https://b.example/>x</a>",
        "<a style='visibility:hidden' href=https://b.example/>x</a>",
        "<a style='font-size:0px' href=https://b.example/>x</a>",
        "<a style='opacity:0.0' href=https://b.example/>x</a>",
        "<a href=https://b.example/></a>",
        "<a href=https://b.example/> &nbsp;\u{a0} </A>",
        "<a data-href=https://b.example/>x</a>",
    ] {
        assert_eq!(links(none), 0, "{none}");
    }
    for one in [
        "<!--[if !mso]><!--><a href=https://b.example/>x</a><!--<![endif]-->",
        "<noscript><a href=https://b.example/>x</a></noscript>",
        "<a style='font-size:0.9em;opacity:.5' href=https://b.example/>x</a>",
        "<a style='display:block' href=https://b.example/><b></b>x</a>",
        "<a href=https://b.example/><img src=cid:stop></a>",
    ] {
        assert_eq!(links(one), 1, "{one}");
    }
}

/// One limit lowered by a function.
type Lowered = fn(&mut Limits);

#[test]
fn limits_are_named() {
    let cases: [(Lowered, &str, Uninspectable); 8] = [
        (|l| l.html_octets = 3, "<p>x", Uninspectable::Size),
        (|l| l.token_octets = 3, "<p a=b>", Uninspectable::TokenLimit),
        (|l| l.tags = 1, "<p><p>", Uninspectable::TokenLimit),
        (
            |l| l.loads = 1,
            "<img src=//h/1><img src=//h/2>",
            Uninspectable::TokenLimit,
        ),
        (
            |l| l.url_octets = 9,
            "<img src=//h/1234567890>",
            Uninspectable::TokenLimit,
        ),
        (
            |l| l.url_octets = 9,
            "<p style='background:url(//h/123456)'>",
            Uninspectable::TokenLimit,
        ),
        (
            |l| l.references = 1,
            "<img src=cid:1><img src=cid:2>",
            Uninspectable::TokenLimit,
        ),
        (
            |l| l.findings = 1,
            "<img src=//h/?1 width=1 height=1><img src=//h/?2 width=1 height=1>",
            Uninspectable::TokenLimit,
        ),
    ];
    for (lower, html, expected) in cases {
        assert!(try_look(html.as_bytes()).is_ok(), "{html}");
        let mut limits = Limits::default();
        lower(&mut limits);
        assert_eq!(limited(html, &limits), Err(expected), "{html}");
    }
}

#[test]
fn what_limits_do_not_concern() {
    let limits = Limits {
        url_octets: 9,
        references: 1,
        ..Limits::default()
    };
    assert!(
        limited(
            "<img src=\"data:image/png;base64,AAAAAAAAAAAAAAAA\">",
            &limits
        )
        .is_ok()
    );
    let seen = limited("<a href=1><a href=2>", &limits).unwrap();
    assert_eq!(
        seen.links,
        ["1"],
        "a link too many is not seen, which permits nothing"
    );
}

fn limited(html: &str, limits: &Limits) -> Result<Examination, Uninspectable> {
    examine(
        html.as_bytes(),
        encoding_rs::UTF_8,
        Document::Html,
        Rules::built_in(),
        limits,
    )
}

#[test]
fn charsets() {
    let html = "<img alt=\"\u{b6}\" src=\"https://u1.ct.sendgrid.net/wf/open?upn=\u{e4}\">";
    let in_charset = |label: &str, octets: &[u8]| {
        let charset = Encoding::for_label(label.as_bytes()).unwrap();
        examine(
            octets,
            charset,
            Document::Html,
            Rules::built_in(),
            &Limits::default(),
        )
    };
    for label in ["utf-8", "windows-1252", "gb18030"] {
        let (octets, _, _) = Encoding::for_label(label.as_bytes()).unwrap().encode(html);
        let seen = in_charset(label, &octets).unwrap();
        assert_eq!(
            seen.findings[0].url, "https://u1.ct.sendgrid.net/wf/open?upn=\u{e4}",
            "{label}"
        );
    }
    for label in ["utf-16", "iso-2022-jp", "hz-gb-2312"] {
        assert_eq!(
            in_charset(label, html.as_bytes()),
            Err(Uninspectable::Charset),
            "{label}"
        );
    }
    assert_eq!(
        in_charset("utf-8", b"\xff\xfe<\0i\0m\0g\0"),
        Err(Uninspectable::Charset)
    );
    // A trail octet 0x5C is no escape in CSS.
    let sjis = b"<p style=\"font-family:'\x83\x5c';background:url(https://u1.ct.sendgrid.net/wf/open?upn=1)\">";
    assert_eq!(in_charset("shift_jis", sjis).unwrap().findings.len(), 1);
}

#[test]
fn readings_that_differ_are_not_guessed() {
    let hidden = "<select><xmp><img src=//h/?u=1 width=1 height=1></select>";
    assert_eq!(
        try_look(hidden.as_bytes()),
        Err(Uninspectable::ReadingsDiffer)
    );
    // The readings differ, but not in anything that matters.
    assert_eq!(
        found("<select><xmp><img src=//h/logo.png></select><p>"),
        [""; 0]
    );
    assert_eq!(
        found("<img src=//h/?u=1 width=1 height=1><select><xmp></xmp></select>"),
        ["tiny"]
    );
    let across = "<noscript><p title=\"</noscript><img src=//h/?u=1 width=1 height=1>\">";
    assert_eq!(
        try_look(across.as_bytes()),
        Err(Uninspectable::ReadingsDiffer)
    );
}
