//! Every way to hide an image, and everything that may show it again.

use crate::pixel::tests::look;
use crate::pixel::{Evidence, Finding};

/// Looks made for one person; nothing else speaks against it.
const URL: &str = "//h.example/o?u=a8f3k2c97d4e";

fn findings(html: &str) -> Vec<Finding> {
    look(&html.replace("%%", URL)).findings
}

/// Why nobody sees the one image in a document; `None`: somebody may.
fn hidden(html: &str) -> Option<&'static str> {
    let findings = findings(html);
    assert!(findings.len() <= 1, "{html}");
    match findings.first().map(|finding| finding.evidence.as_slice()) {
        Some([Evidence::Unseen { why }]) => Some(why),
        None => None,
        other => panic!("{html}: {other:?}"),
    }
}

#[test]
fn an_image_that_hides_itself() {
    for (style, why) in [
        ("display:none", "display_none"),
        ("DISPLAY : None !important", "display_none"),
        ("dis\\70lay:none", "display_none"),
        ("visibility:hidden", "visibility"),
        ("visibility:collapse", "visibility"),
        ("opacity:0", "opacity"),
        ("opacity:.01", "opacity"),
        ("opacity:1%", "opacity"),
        ("filter:opacity(0)", "opacity"),
        ("position:absolute;left:-9999px", "off_screen"),
        ("position:fixed;top:-100em", "off_screen"),
        ("position:relative;left:-9999px", "off_screen"),
        ("position:absolute;inset:0 auto auto -9999px", "off_screen"),
        ("margin-left:-9999px", "off_screen"),
        ("margin:-9999px 0 0 0", "off_screen"),
        ("transform:translateX(-9999px)", "off_screen"),
        ("position:absolute;clip:rect(0,0,0,0)", "clipped"),
        ("clip-path:inset(50%)", "clipped"),
        ("-webkit-clip-path:circle(0)", "clipped"),
        ("transform:scale(0)", "scaled_to_nothing"),
        ("scale:0", "scaled_to_nothing"),
        ("width:600px;height:0", "zero_side"),
        ("max-height:0", "zero_side"),
    ] {
        let html = format!("<img src=%% style='{style}'>");
        assert_eq!(hidden(&html), Some(why), "{style}");
        let by_class = format!("<style>.x{{{style}}}</style><img class=x src=%%>");
        // A side of nothing by a rule alone is not asked: clients without style sheets draw it.
        let expected = (why != "zero_side").then_some(why);
        assert_eq!(hidden(&by_class), expected, "{style}");
    }
    for (html, why) in [
        ("<img hidden src=%%>", "display_none"),
        ("<img width=600 height=0 src=%%>", "zero_side"),
        ("<img width=0 src=%%>", "zero_side"),
        (
            "<style>#x{display:none}</style><img id=x src=%%>",
            "display_none",
        ),
        (
            "<style>img{display:none}</style><img src=%%>",
            "display_none",
        ),
        (
            "<style>img[alt=x]{display:none}</style><img alt=x src=%%>",
            "display_none",
        ),
        (
            "<picture><source srcset=%%><img style='display:none' src=cid:a></picture>",
            "display_none",
        ),
        (
            "<iframe style='display:none' src=%%></iframe>",
            "display_none",
        ),
        (
            "<video style='visibility:hidden' src=%%></video>",
            "visibility",
        ),
        ("<td hidden background=%%>", "display_none"),
    ] {
        assert_eq!(hidden(html), Some(why), "{html}");
    }
}

/// Styles of its own.
const VISIBLE: &[&str] = &[
    "",
    "display:block",
    "display:none;display:inline",
    "mso-hide:all",
    "font-size:0;line-height:0",
    "visibility:visible",
    "opacity:.02",
    "opacity:1",
    "left:-9999px",
    "position:static;left:-9999px",
    "position:absolute;left:-90px",
    "position:absolute;right:-9999px",
    "clip:rect(0,0,0,0)",
    "position:absolute;clip:rect(0,9px,9px,0)",
    "clip-path:inset(10%)",
    "transform:scale(.5)",
    "opacity:0;animation:fade 1s forwards",
    "overflow:hidden;text-indent:-9999px",
    "width:0.5px;height:9px",
    "display:contents",
];

/// Rules, and an image that they may show.
const REVEALED: &[(&str, &str)] = &[
    // Mobile-only pictures.
    (
        "@media (max-width:480px){.m{display:block!important}}",
        "<img class=m style='display:none' src=%%>",
    ),
    (
        ".m{display:none}@media (max-width:480px){.m{display:block}}",
        "<img class=m src=%%>",
    ),
    (
        "@media (min-width:481px){.m{display:none}}",
        "<img class=m src=%%>",
    ),
    (".m{max-height:0}", "<img class=m src=%%>"),
    ("@media x{.m{width:100%}}", "<img class=m width=0 src=%%>"),
    (
        ".a:hover .m{visibility:visible!important}",
        "<p class=a><img class=m style='visibility:hidden' src=%%>",
    ),
    ("*{opacity:1!important}", "<img style='opacity:0' src=%%>"),
    (
        ".m{opacity:0;transition:opacity 1s}.m:hover{opacity:1}",
        "<img class=m src=%%>",
    ),
    (
        ".m{animation:a 1s}@keyframes a{to{opacity:1}}",
        "<img class=m style='opacity:0' src=%%>",
    ),
    (".m:not(.n){display:none}", "<img class=m src=%%>"),
    (
        ".a .m{display:none}",
        "<div class=a><img class=m src=%%></div>",
    ),
    (".n .o{.m{display:none}}", "<img class=m src=%%>"),
    (".m{@media x{display:none}}", "<img class=m src=%%>"),
    (
        ".m{all:revert!important}",
        "<img class=m style='display:none' src=%%>",
    ),
    (".m{display:inline}", "<img hidden class=m src=%%>"),
    (
        ".m{display:none}",
        "<img class=m style='display:block' src=%%>",
    ),
    (".o{display:none}", "<img class=m src=%%>"),
];

#[test]
fn an_image_that_somebody_may_see() {
    for style in VISIBLE {
        assert_eq!(
            hidden(&format!("<img src=%% style='{style}'>")),
            None,
            "{style}"
        );
    }
    for (rules, image) in REVEALED {
        let html = format!("<style>{rules}</style>{image}");
        assert_eq!(hidden(&html), None, "{html}");
    }
    let many = ".m{display:none}".repeat(70);
    let html = format!("<style>{many}</style><img class=m src=%%>");
    assert_eq!(hidden(&html), None, "too many rules to ask each");
}

/// What stands around, and why nobody sees what is inside.
const COVERED: &[(&str, &str)] = &[
    (
        "<div style='display:none'><p><img src=%%></p></div>",
        "display_none",
    ),
    ("<div hidden><img src=%%></div>", "display_none"),
    (
        "<table style='display:none'><tr><td><img src=%%></td></tr></table>",
        "display_none",
    ),
    (
        "<table><tr hidden><td><img src=%%></td></tr></table>",
        "display_none",
    ),
    (
        "<table><tr><td style='opacity:0'><a href=x><img src=%%></a></td></tr></table>",
        "opacity",
    ),
    (
        "<div style='visibility:hidden'><b><img src=%%></b></div>",
        "visibility",
    ),
    (
        "<div style='position:absolute;left:-9999px'><img src=%%></div>",
        "off_screen",
    ),
    (
        "<div style='height:0;overflow:hidden'><img src=%%></div>",
        "zero_box",
    ),
    (
        "<div style='max-height:0px;overflow:hidden;mso-hide:all'><img src=%%></div>",
        "zero_box",
    ),
    (
        "<div style='width:0;overflow:hidden'><img src=%% width=9 height=9></div>",
        "zero_box",
    ),
    (
        "<span style='display:inline-block;max-width:0;overflow:hidden'><img src=%%></span>",
        "zero_box",
    ),
    (
        "<div style='transform:scale(0)'><img src=%%></div>",
        "scaled_to_nothing",
    ),
    (
        "<div style='clip-path:inset(100%)'><img src=%%></div>",
        "clipped",
    ),
    (
        "<style>.h{display:none}</style><div class=h><div><img src=%%></div></div>",
        "display_none",
    ),
    (
        "<div hidden><!--[if mso]><img src=%%><![endif]--></div>",
        "display_none",
    ),
    (
        "<div hidden><!--[if mso]><table><tr><td><![endif]--><img src=%%><!--[if mso]></table><![endif]--></div>",
        "display_none",
    ),
    (
        "<div hidden><noscript><img src=%%></noscript></div>",
        "display_none",
    ),
    (
        "<div style='opacity:0'><p style='background:url(%%)'>x</p></div>",
        "opacity",
    ),
];

#[test]
fn what_stands_around_hides_it() {
    for (html, why) in COVERED {
        assert_eq!(hidden(html), Some(*why), "{html}");
    }
}

#[test]
fn what_stands_around_may_show_it() {
    for html in [
        "<div style='display:none'></div><img src=%%>",
        "<div style='display:none'><img src=%%>",
        "<div style='display:none'><p></div><img src=%%>",
        "<table style='display:none'><img src=%%></table>",
        "<p style='display:none'><div><img src=%%></div></p>",
        "<table><tr><td><div style='display:none'>x<td><img src=%%></div></table>",
        "<div style='visibility:hidden'><b style='visibility:visible'><img src=%%></b></div>",
        "<div style='visibility:hidden'><img style='visibility:visible' src=%%></div>",
        "<style>.v{visibility:visible}</style><div style='visibility:hidden'><img class=v src=%%></div>",
        "<div style='position:absolute;left:-9999px'><img style='position:fixed;left:0' src=%%></div>",
        "<div style='position:absolute;left:-9999px'><p style='margin-left:9999px'><img src=%%></p></div>",
        "<div style='height:0'><img src=%%></div>",
        "<div style='height:0;overflow:hidden;padding-bottom:50%'><img src=%%></div>",
        "<div style='height:0;min-height:9px;overflow:hidden'><img src=%%></div>",
        "<div style='height:0;overflow:hidden;display:inline'><img src=%%></div>",
        "<span style='height:0;overflow:hidden'><img src=%%></span>",
        "<div style='font-size:0;line-height:0'><img src=%%></div>",
        "<div style='mso-hide:all'><img src=%%></div>",
        "<div style='text-indent:-9999px'><br><img src=%%></div>",
        "<style>@media x{.m{display:block!important}}</style><div class=m style='display:none'><img src=%%></div>",
        "<style>@media x{.m{max-height:none!important}}</style><div class=m style='max-height:0;overflow:hidden'><img src=%%></div>",
        "<style>.h{display:none}@media x{.h{display:block}}</style><div class=h><img src=%%></div>",
        "<svg></svg><div hidden><img src=%%></div>",
        "<!--[if mso]><div hidden><![endif]--><img src=%%><!--[if mso]></div><![endif]-->",
        "<noscript><div hidden></noscript><img src=%%></div>",
        "<div hidden><select><xmp></select></div><img src=%%>",
    ] {
        assert_eq!(hidden(html), None, "{html}");
    }
}

/// Hidden alone is never evidence.
#[test]
fn hidden_and_shared_stays() {
    for html in [
        "<img style='display:none' src=//h.example/hero.jpg>",
        "<div hidden><img src=//h.example/a8f3k2c97d4e.jpg></div>",
        "<img width=600 height=0 src=//h.example/line.gif?v=2>",
    ] {
        assert_eq!(findings(html), [], "{html}");
    }
}

/// Whether the one image counts as tiny.
fn tiny(html: &str) -> bool {
    findings(html)
        .iter()
        .any(|finding| matches!(finding.evidence.first(), Some(Evidence::Tiny { .. })))
}

#[test]
fn tiny_however_it_is_said() {
    for html in [
        "<img width=1 height=1 style='width:foo' src=%%>",
        "<img width=1 height=1 style='width:1px\\9' src=%%>",
        "<img width=1 height=1 style='zoom:1' src=%%>",
        "<img width=1 height=1 style='transform:scale(1)' src=%%>",
        "<img width=1 height=1 style='transform:rotate(9deg)' src=%%>",
        "<img style='width:calc(1px);height:calc(1px)' src=%%>",
        "<img style='width:.1em;height:.1em' src=%%>",
        "<style>.p{width:1px;height:1px}</style><img class=p src=%%>",
        "<style>.p{width:1px}</style><img class=p height=1 src=%%>",
        "<style>#p{width:0;height:0}</style><img id=p src=%%>",
    ] {
        assert!(tiny(html), "{html}");
    }
    for html in [
        "<img width=1 height=1 style='zoom:9' src=%%>",
        "<img width=1 height=1 style='transform:scale(100)' src=%%>",
        "<img width=1 height=1 style='width:2em' src=%%>",
        "<img width=1 height=1 style='width:50%' src=%%>",
        "<img style='width:1px' src=%%>",
        "<style>.p{width:1px;height:1px}</style><img src=%%>",
        "<style>.p{width:1px;height:1px}@media x{.p{width:9px}}</style><img class=p src=%%>",
        "<style>@media x{.p{width:1px;height:1px}}</style><img class=p src=%%>",
        "<style>.q .p{width:1px;height:1px}</style><img class=p src=%%>",
        // A client without style sheets draws it at full size.
        "<style>.p{width:1px;height:1px}</style><img class=p width=600 height=300 src=%%>",
        "<style>.p{width:1px;height:1px}</style><img class=p style='width:600px' src=%%>",
    ] {
        assert!(!tiny(html), "{html}");
    }
}
