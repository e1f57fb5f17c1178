//! The table, row by row, and what no edit may do.

use super::cut::padding;
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
        "<iframe\r\nsrc=\"%%\"\r\n></iframe>",
        "<link rel=icon\r\n href=%%\r\n>",
        "<meta http-equiv=refresh\r\ncontent=\"0;url=%%\"\r\n>",
        "<video poster=\"%%\"\r\nwidth=9></video>",
        "<style>@font-face{src:\r\nurl(%%)\r\n}</style>",
        "<svg><use\r\n xlink:href=\"%%\"\r\n/></svg>",
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

/// What loads, by which vector it is named, what is left of it.
const VECTORS: &[(&str, &str, &str)] = &[
    (
        "<object><param name=Movie value=\"%%\"></object>",
        "object",
        "<object><param name=Movie value=\"about:blank\"></object>",
    ),
    (
        "<iframe src=\"%%\" width=9></iframe>",
        "iframe",
        "<iframe src=\"about:blank\" width=9></iframe>",
    ),
    (
        "<frameset><frame src='%%'></frameset>",
        "frame",
        "<frameset><frame src=\"about:blank\"></frameset>",
    ),
    (
        "<embed src=%% width=9>",
        "embed",
        "<embed src=\"about:blank\" width=9>",
    ),
    (
        "<object data=\"%%\"><p>x</object>",
        "object",
        "<object data=\"about:blank\"><p>x</object>",
    ),
    (
        "<script src=\"%%\">run()</script>",
        "script",
        "<script src=\"data:,\">run()</script>",
    ),
    (
        "<svg><script xlink:href=\"%%\"/></svg>",
        "script",
        "<svg><script xlink:href=\"data:,\"/></svg>",
    ),
    (
        "<link rel=stylesheet href=\"%%\">",
        "link_stylesheet",
        "<link rel=stylesheet >",
    ),
    (
        "<link rel='Shortcut  ICON' href=\"%%\">",
        "link_icon",
        "<link rel='Shortcut ICON' >",
    ),
    (
        "<link rel=apple-touch-icon href=\"%%\">",
        "link_icon",
        "<link rel=apple-touch-icon >",
    ),
    (
        "<link rel=mask-icon href=\"%%\">",
        "link_icon",
        "<link rel=mask-icon >",
    ),
    (
        "<link rel=manifest href=\"%%\">",
        "link_manifest",
        "<link rel=manifest >",
    ),
    (
        "<link rel=preload as=image imagesrcset=\"%% 2x\">",
        "link_preload",
        "<link rel=preload as=image >",
    ),
    (
        "<link href=\"%%\" rel=prefetch>",
        "link_preload",
        "<link rel=prefetch>",
    ),
    (
        "<link href=\"%%\" rel=modulepreload>",
        "link_preload",
        "<link rel=modulepreload>",
    ),
    (
        "<link href=\"%%\" rel=prerender>",
        "link_preload",
        "<link rel=prerender>",
    ),
    (
        "<link href=\"%%\" rel=\"preconnect dns-prefetch\">",
        "link_hint",
        "<link rel=\"preconnect dns-prefetch\">",
    ),
    (
        "<meta http-equiv=refresh content=\"0; URL='%%'\">",
        "meta_refresh",
        "<meta http-equiv=refresh content=\"\">",
    ),
    (
        "<meta content='5;%%' http-equiv=Refresh>",
        "meta_refresh",
        "<meta content=\"\" http-equiv=Refresh>",
    ),
    (
        "<picture><source srcset=\"%% 2x, b.png\"><img src=cid:a></picture>",
        "picture_source",
        "<picture><source srcset=\"\"><img src=cid:a></picture>",
    ),
    (
        "<video poster=\"%%\" src=cid:v></video>",
        "poster",
        "<video src=cid:v></video>",
    ),
    (
        "<video src=\"%%\" width=9></video>",
        "video",
        "<video width=9></video>",
    ),
    (
        "<video><source src=\"%%\" type=x></video>",
        "media_source",
        "<video><source type=x></video>",
    ),
    (
        "<audio src=\"%%\" autoplay></audio>",
        "audio",
        "<audio autoplay></audio>",
    ),
    (
        "<video><track src=\"%%\" default></video>",
        "track",
        "<video><track default></video>",
    ),
    ("<bgsound src=\"%%\" loop=1>", "bgsound", "<bgsound loop=1>"),
    ("<img lowsrc=\"%%\" src=cid:a>", "lowsrc", "<img src=cid:a>"),
    ("<img dynsrc=\"%%\" src=cid:a>", "lowsrc", "<img src=cid:a>"),
    (
        "<svg><image href=\"%%\" x=1></svg>",
        "svg_image",
        "<svg><image x=1></svg>",
    ),
    (
        "<svg><image xlink:href=\"%%\" x=1></svg>",
        "svg_image",
        "<svg><image x=1></svg>",
    ),
    (
        "<svg><use href=\"%%#a\" x=1></svg>",
        "svg_use",
        "<svg><use x=1></svg>",
    ),
    (
        "<svg><filter><feImage href=\"%%\" x=1></svg>",
        "svg_fe_image",
        "<svg><filter><feImage x=1></svg>",
    ),
    (
        "<svg><rect filter=\"url(%%#f)\"></svg>",
        "svg_reference",
        "<svg><rect filter=\" url(data:,)\"></svg>",
    ),
    (
        "<svg><rect mask=\"url('%%#m')\"></svg>",
        "svg_reference",
        "<svg><rect mask=\" url(data:,)\"></svg>",
    ),
    (
        "<svg><rect fill=\"url(%%#p) red\"></svg>",
        "svg_reference",
        "<svg><rect fill=\" url(data:,) red\"></svg>",
    ),
    (
        "<svg><rect clip-path=url(%%#c)></svg>",
        "svg_reference",
        "<svg><rect clip-path=url(data:,)></svg>",
    ),
    (
        "<svg><style>a{fill:url(%%)}</style></svg>",
        "style_element",
        "<svg><style>a{fill: url(data:,)}</style></svg>",
    ),
    (
        "<!--[if mso]><v:rect><v:fill o:href=\"%%\" type=tile/></v:rect><![endif]-->",
        "vml_fill",
        "<!--[if mso]><v:rect><v:fill type=tile/></v:rect><![endif]-->",
    ),
    (
        "<q:imagedata r:href=\"%%\" x=1/>",
        "vml_imagedata",
        "<q:imagedata x=1/>",
    ),
    ("<w:image src=\"%%\" x=1/>", "vml_image", "<w:image x=1/>"),
    ("<v:stroke src=\"%%\" x=1/>", "vml", "<v:stroke x=1/>"),
    ("<o:OLEObject src=\"%%\" x=1/>", "vml", "<o:OLEObject x=1/>"),
    (
        "<iframe srcdoc=\"&lt;img src=%%&gt;\" width=9></iframe>",
        "srcdoc",
        "<iframe srcdoc=\"\" width=9></iframe>",
    ),
    (
        "<iframe srcdoc=\"<style>p{background:url(%%)}</style>\"></iframe>",
        "srcdoc",
        "<iframe srcdoc=\"\"></iframe>",
    ),
    (
        "<iframe srcdoc=\"&lt;iframe srcdoc='&amp;lt;img src=%%&amp;gt;'&gt;\"></iframe>",
        "srcdoc",
        "<iframe srcdoc=\"\"></iframe>",
    ),
    (
        "<img src=\"data:image/svg+xml,<svg><image href='%%'/></svg>\" width=9 height=9>",
        "img",
        "<img src=\"GIF\" width=9 height=9>",
    ),
    (
        "<object data=\"data:text/html,%3Cimg src=%%%3E\"></object>",
        "object",
        "<object data=\"about:blank\"></object>",
    ),
    (
        "<link rel=stylesheet href=\"data:text/css,@import '%%';\">",
        "link_stylesheet",
        "<link rel=stylesheet >",
    ),
    (
        "<p style=\"background:url(&quot;data:image/svg+xml,<svg><image href='%%'/></svg>&quot;)\">",
        "style_attribute",
        "<p style=\"background: none\">",
    ),
    ("<body background=\"%%\" x=1>", "background", "<body x=1>"),
    (
        "<style>@import url(%%) layer(a) screen;</style>",
        "style_element",
        "<style>@import url(data:text/css,) layer(a) screen;</style>",
    ),
    (
        "<style>@font-face{font-family:a;src:local(a),url(%%) format('woff2')}</style>",
        "style_element",
        "<style>@font-face{font-family:a;src:local(a), url(data:,) format('woff2')}</style>",
    ),
    (
        "<style>@supports (a:b){@media x{p{content:url(%%)}}}</style>",
        "style_element",
        "<style>@supports (a:b){@media x{p{content: url(GIF)}}}</style>",
    ),
    (
        "<p style=\"cursor:url(%%),auto\">",
        "style_attribute",
        "<p style=\"cursor: url(data:,),auto\">",
    ),
    (
        "<p style=\"filter:url(%%) blur(1px)\">",
        "style_attribute",
        "<p style=\"filter: url(data:,) blur(1px)\">",
    ),
    (
        "<p style=\"border-image:url(%%) 3\">",
        "style_attribute",
        "<p style=\"border-image: url(GIF) 3\">",
    ),
    (
        "<p style=\"mask-image:url(%%)\">",
        "style_attribute",
        "<p style=\"mask-image: url(GIF)\">",
    ),
    (
        "<p style=\"shape-outside:url(%%)\">",
        "style_attribute",
        "<p style=\"shape-outside: url(GIF)\">",
    ),
    (
        "<p style=\"background:cross-fade(url(%%),red)\">",
        "style_attribute",
        "<p style=\"background:cross-fade( url(GIF),red)\">",
    ),
    (
        "<p style=\"background:src('%%')\">",
        "style_attribute",
        "<p style=\"background: none\">",
    ),
    (
        "<p style=\"--x:url(%%)\">",
        "style_attribute",
        "<p style=\"--x: url(GIF)\">",
    ),
    (
        "<p style=\"--x:'%%';background:image-set(var(--x) 1x)\">",
        "style_attribute",
        "<p style=\"--x: url(GIF);background:image-set(var(--x) 1x)\">",
    ),
    (
        "<p style=\"background:image-set(var(--y, '%%') 1x)\">",
        "style_attribute",
        "<p style=\"background:image-set(var(--y, url(GIF)) 1x)\">",
    ),
    (
        "<p style=\"filter:progid:DXImageTransform.Microsoft.AlphaImageLoader(src='%%',sizingMethod='scale')\">",
        "style_attribute",
        "<p style=\"filter:progid:DXImageTransform.Microsoft.AlphaImageLoader(src= url(data:,),sizingMethod='scale')\">",
    ),
];

#[test]
fn everything_that_loads_is_named_and_taken_out() {
    // Where a blank may stand is another test's question.
    let bare = |text: &str| text.replace(' ', "");
    for (before, vector, after) in VECTORS {
        let (finding, stripped) = strip(before);
        assert_eq!(finding.vector.as_str(), *vector, "{before}");
        assert_eq!(bare(&stripped), bare(after), "{before}");
        // Blanks may not stand in an unquoted value.
        let fills_up = !before.contains("=url(");
        assert!(same_modulo_3(&finding) || !fills_up, "{before}");
    }
}

#[test]
fn a_document_in_base64_is_read() {
    use base64::Engine as _;
    let svg = format!("<svg xmlns='http://www.w3.org/2000/svg'><image href='{OPEN}'/></svg>");
    let data = base64::engine::general_purpose::STANDARD.encode(svg);
    let (finding, stripped) = strip(&format!("<img src=\"data:image/svg+xml;base64,{data}\">"));
    assert_eq!(finding.url, OPEN);
    assert!(!stripped.contains("svg"), "{stripped}");
}

#[test]
fn what_loads_nothing_is_never_touched() {
    for html in [
        "<a href=\"%%\">x</a>",
        "<area href=\"%%\">",
        "<form action=\"%%\"><button formaction=\"%%\">",
        "<q cite=\"%%\"><img longdesc=\"%%\" src=cid:a>",
        "<base href=\"%%\">",
        "<link rel=canonical href=\"%%\"><link rel=alternate href=\"%%\"><link rel=next href=\"%%\"><link href=\"%%\">",
        "<meta http-equiv=refresh content=5><meta name=x content=\"0;url=%%\">",
        "<v:roundrect href=\"%%\"><v:image href=\"%%\">",
        "<svg><a xlink:href=\"%%\"></a></svg>",
        "<style>@namespace url(%%);p{content:'%%';font-family:\"%%\"}</style>",
        "<style>@namespace s \"%%\";</style>",
        "<p style=\"--x:'see %%'\">",
        "<style>/* url(%%) */</style>",
        "<iframe srcdoc=\"&lt;a href=%%&gt;\"></iframe>",
        "<img src=\"data:image/svg+xml,<svg><a href='%%'/></svg>\">",
        "<img src=\"data:text/plain,<img src='%%'>\">",
        "<iframe src=\"javascript:'%%'\"></iframe>",
        "<img data-src=\"%%\"><p data-background=\"%%\">",
        "<amp-img src=\"%%\"></amp-img>",
        "<textarea><iframe src=\"%%\"></iframe></textarea>",
        "<!-- <link rel=stylesheet href=\"%%\"> -->",
    ] {
        let html = html.replace("%%", OPEN);
        assert_eq!(look(&html).findings, [], "{html}");
    }
}

fn look_amp(html: &str) -> Examination {
    examine(
        html.as_bytes(),
        encoding_rs::UTF_8,
        Document::Amp,
        Rules::built_in(),
        &Limits::default(),
    )
    .unwrap()
}

/// An AMP document, the vectors found in it, what is left.
const AMP: &[(&str, &[&str], &str)] = &[
    ("<svg><img src=\"%%\"><p>", &["img"], "<svg><img><p>"),
    (
        "<amp-img src=\"%%\" width=1 height=1></amp-img>x",
        &["amp_img"],
        "<!----><!---->x",
    ),
    (
        "<amp-anim srcset=\"%% 2x\"><b>y</b></amp-anim>x",
        &["amp_anim"],
        "<!----><b>y</b><!---->x",
    ),
    (
        "<amp-pixel src=\"https://h/p?u=1\"></amp-pixel>x",
        &["amp_pixel"],
        "<!----><!---->x",
    ),
    (
        "<amp-video poster=\"%%\" src=cid:a></amp-video>x",
        &["amp_video"],
        "<!----><!---->x",
    ),
    (
        "<amp-video><source src=\"%%\"></amp-video>x",
        &["media_source"],
        "<amp-video><!----></amp-video>x",
    ),
    (
        "<amp-audio src=\"%%\"></amp-audio>",
        &["amp_audio"],
        "<!----><!---->",
    ),
    (
        "<amp-iframe src=\"%%\"></amp-iframe>",
        &["amp_iframe"],
        "<!----><!---->",
    ),
    (
        "<amp-list src=\"%%\"><template>t</template></amp-list>",
        &["amp_list"],
        "<!----><template>t</template><!---->",
    ),
    (
        "<amp-state id=a src=\"%%\"></amp-state>",
        &["amp_list"],
        "<!----><!---->",
    ),
    (
        "<amp-youtube src=\"%%\"></amp-youtube>",
        &["amp_element"],
        "<!----><!---->",
    ),
    (
        "<amp-img src=\"%%\"><noscript><img src=\"%%\"></noscript></amp-img>",
        &["amp_img", "img"],
        "<!----><noscript><!----></noscript><!---->",
    ),
    ("<amp-img src=\"%%\">x", &["amp_img"], "<!---->x"),
    (
        "<style amp-custom>p{background:url(%%)}</style>",
        &["style_element"],
        "<style amp-custom>p{background:none}</style>",
    ),
    (
        "<script src=\"https://x.ct.sendgrid.net/wf/open?upn=abc\"></script>",
        &["script"],
        "<script src=\"data:,\"></script>",
    ),
    (
        "<script async src=\"https://cdn.ampproject.org/v0.js?u=1\"></script>",
        &[],
        "<script async src=\"https://cdn.ampproject.org/v0.js?u=1\"></script>",
    ),
];

/// A source must be there and must not be `data:`, so the element goes with its end tag.
#[test]
fn amp_elements_are_cut() {
    for (before, vectors, after) in AMP {
        let html = before.replace("%%", OPEN);
        let seen = look_amp(&html);
        let named: Vec<&str> = seen.findings.iter().map(|f| f.vector.as_str()).collect();
        assert_eq!(named, *vectors, "{html}");
        let edits: Vec<&Edit> = seen.findings.iter().flat_map(|f| &f.edits).collect();
        let stripped = edited(html.as_bytes(), edits.iter().copied()).unwrap();
        let stripped = String::from_utf8(stripped).unwrap();
        assert_eq!(look_amp(&stripped).findings, [], "{stripped}");
        assert_eq!(stripped.replace(' ', ""), after.replace(' ', ""), "{html}");
        for edit in edits {
            assert_eq!(edit.range.len() % 3, edit.replacement.len() % 3, "{html}");
        }
    }
}

/// The picture's image is what the reader sees, and says how large.
#[test]
fn a_source_of_a_picture_is_as_large_as_its_image() {
    let html = "<picture><source srcset=\"//h/a?u=1 2x\"><source media=x srcset=//h/b?u=1><img src=cid:a width=1 height=1></picture>\
                <picture><source srcset=\"//h/c?u=1\"><img src=cid:a width=9 height=9></picture>";
    let urls: Vec<String> = look(html).findings.into_iter().map(|f| f.url).collect();
    assert_eq!(urls, ["//h/a?u=1", "//h/b?u=1"]);
    for html in [
        // The image of another place, and of Word.
        "<picture><source srcset='//h/a?u=1'></picture><img src=cid:a width=1 height=1>",
        "<picture><source srcset='//h/a?u=1'><!--[if mso]><img src=cid:a width=1 height=1><![endif]--><img src=cid:a></picture>",
    ] {
        assert_eq!(look(html).findings, [], "{html}");
    }
    // Sides would be those of the source that is shown.
    let shown = strip("<picture><source srcset=//h/a.png><img src=%%></picture>").1;
    assert!(!shown.contains("width"), "{shown}");
    let revealed = format!(
        "<style>img.m{{width:9px}}</style>{}",
        html.replace("<img", "<img class=m")
    );
    assert_eq!(look(&revealed).findings, []);
}

#[test]
fn what_shows_nothing_goes_cold_when_it_could_identify() {
    for html in [
        "<link rel=prefetch href=//h/a?u=1>",
        "<link rel=dns-prefetch href=//mzxw6ytboi4dqnrzgq2tsmrx.h.example>",
        "<script src=//h/a?u=1></script>",
        "<meta http-equiv=refresh content='0;url=//h/a?u=1'>",
        "<bgsound src=//h/a?u=1>",
        "<iframe src=//h/a?u=1 width=1 height=1></iframe>",
        "<iframe srcdoc='<img src=//h/a?u=1 width=1 height=1>'></iframe>",
        "<v:image src=//h/a?u=1 style='width:1px;height:1px'/>",
    ] {
        assert_eq!(look(html).findings.len(), 1, "{html}");
        assert_eq!(
            look(html).findings[0].verdict,
            crate::pixel::Verdict::Tracker,
            "{html}"
        );
    }
    for html in [
        "<link rel=preconnect href=https://fonts.example.com>",
        "<link rel=stylesheet href=//h/a.css?family=Lato>",
        "<style>@import url(//h/css?family=Lato:400,700);@font-face{src:url(//h/s/a8f3k2c97d.woff2)}</style>",
        "<script src=//h/a.js></script>",
        "<link rel=icon href=//h/a.png?v=1>",
        "<iframe src=//h/a?u=1></iframe>",
        "<video src=//h/a?u=1 poster=//h/b?u=1></video>",
        "<svg><image href=//h/a?u=1></svg>",
    ] {
        assert_eq!(look(html).findings, [], "{html}");
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
