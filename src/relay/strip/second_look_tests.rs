//! Whatever a message holds, and whichever of its findings go: its variant passes the second examination. What acquitted a load in
//! the first (copies of its URL, other images with the same identifier, a rule that somebody's class calls up) may be gone from
//! the variant; it is no new finding for that, and no copy is refused for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::pixel::{IndividualImages, Named, Needles, Own, Recurring, Rules};
use crate::relay::survey::People;

const OPEN: &str = "https://u1.ct.sendgrid.net/wf/open?upn=1";

fn lens(images: IndividualImages) -> Lens {
    let named = [
        (Named::ReversePath, "bounce-a8f3k2c97d@m.brand.example"),
        (
            Named::ListUnsubscribe,
            "https://u.brand.example/u/7q2m9x4k1z",
        ),
    ];
    Lens {
        images,
        people: Arc::new(People {
            needles: Needles::of(["nadia@example.net"]),
            recurring: Recurring::of(named, ""),
            own: Own {
                markers: vec!["<!-- open pixel -->".to_owned()],
                ..Own::default()
            },
        }),
        ..Lens::new(Arc::new(Rules::built_in().clone()), Arc::default())
    }
}

fn message(amp: &str, html: &str) -> Bytes {
    let message = format!(
        "From: a@news.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\ntext\r\n\
         --b\r\nContent-Type: text/x-amp-html; charset=utf-8\r\n\r\n<html amp4email><body>{amp}</body></html>\r\n\
         --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>{html}</body></html>\r\n--b--\r\n"
    );
    Bytes::from(message)
}

/// Strips the findings that `goes` says yes to. `None` where the message cannot be edited at all.
fn stripped(
    lens: &Lens,
    message: &Bytes,
    goes: impl Fn(usize, &Found) -> bool,
) -> Option<Result<Spliced, Uninspectable>> {
    let before = survey(message, lens);
    if before.uninspectable().next().is_some() {
        return None;
    }
    let lens = lens.for_variants(&before);
    let case = Case {
        message,
        listener: "",
        login: None,
        reverse_path: "news@shop.example",
        forward_paths: vec!["nadia@example.net"],
        received: None,
        answers: Default::default(),
        today: jiff::civil::date(2026, 11, 22),
        ledger: true,
        hold_over: false,
    };
    let findings = before.findings.iter().enumerate();
    let findings: BTreeSet<usize> = findings
        .filter(|(number, found)| goes(*number, found))
        .map(|(number, _)| number)
        .collect();
    let edits = Edits {
        findings: &findings,
        empty: &BTreeSet::new(),
        remove_signature: false,
    };
    Some(variant(&lens, &case, &before, &edits))
}

/// Strips what comes from the host of the known endpoint, and keeps all else.
#[track_caller]
fn passes(amp: &str, html: &str) {
    let lens = lens(IndividualImages::Report);
    let message = message(amp, html);
    let made = stripped(&lens, &message, |_, found| {
        found.finding.host.ends_with("sendgrid.net")
    });
    assert!(made.expect("it can be edited").is_ok(), "{amp} | {html}");
}

#[test]
fn an_identifier_once_in_one_part_and_often_in_the_other() {
    let one = "<img src=https://i.brand.example/a.jpg?r=a8f3k2c97d width=600 height=200>";
    let two = "<img src=https://i.brand.example/b.jpg?r=a8f3k2c97d width=600 height=200>";
    let amp =
        "<amp-img src=https://i.brand.example/a.jpg?r=a8f3k2c97d width=600 height=200></amp-img>";
    let amp_two =
        "<amp-img src=https://i.brand.example/b.jpg?r=a8f3k2c97d width=600 height=200></amp-img>";
    let open = format!("<img src={OPEN} width=1 height=1>");
    passes(amp, &[one, two, &open].concat());
    passes(&[amp, amp_two].concat(), &[one, &open].concat());
}

#[test]
fn copies_that_go_with_a_tag_acquit_as_before() {
    let spacer = "<img src=//t.example/o?u=4 width=1 height=1>";
    // The background is the third copy, and the whole tag goes.
    let with_it =
        format!("<img src={OPEN} style=\"display:none;background:url(//t.example/o?u=4)\">");
    passes("", &[spacer, spacer, spacer, &with_it].concat());
    passes("", &[spacer, spacer, &with_it].concat());
}

#[test]
fn copies_that_are_left_of_a_finding_acquit_no_more_than_before() {
    // Word keeps what is left of the image: the third copy.
    let spacer = "<!--[if mso]><img src=//t.example/o?u=4 width=1 height=1><![endif]-->";
    let with_it = format!(
        "<!--[if mso]><img src=//t.example/o?u=4 srcset='{OPEN} 2x' width=9 height=9><![endif]-->"
    );
    passes("", &[spacer, spacer, &with_it].concat());
}

#[test]
fn a_class_that_goes_with_its_element_calls_up_rules_as_before() {
    let style = "<style>.wide ~ img{width:50px;height:50px}</style>";
    let gone = format!("<img class=wide style=display:none src={OPEN}>");
    passes(
        "",
        &[style, &gone, "<img width=1 height=1 src=//t.example/o?u=1>"].concat(),
    );
}

#[test]
fn what_stands_behind_a_tracker_is_not_behind_its_marker() {
    let marked = format!("<!-- open pixel --><img src={OPEN} width=1 height=1>");
    passes(
        "",
        &[
            &marked,
            "<img src=https://i.brand.example/hero.jpg width=600 height=200>",
        ]
        .concat(),
    );
}

#[test]
fn the_image_of_a_picture_whose_first_source_goes() {
    let picture = format!(
        "<picture><!--[if mso]><source srcset={OPEN}><![endif]--><source srcset=//t.example/o?u=9><img width=1 height=1 src=a.png></picture>"
    );
    passes("", &picture);
}

/// With scripts each `noscript` is text, and the image between them is one; without, all of it is one comment, which no edit may end.
#[test]
fn a_comment_that_only_some_readers_see_goes_on() {
    let around = |image: &str| {
        format!(
            "<noscript><!--</noscript>{image}<noscript><img src=https://x.emltrk.com/5>--></noscript>"
        )
    };
    let amp = format!("<amp-img src={OPEN} width=1 height=1></amp-img>");
    passes(&around(&amp), "");
    passes("", &around(&format!("<img style=display:none src={OPEN}>")));
}

const PIECES: &[&str] = &[
    "<img src=https://u1.ct.sendgrid.net/wf/open?upn=1 width=1 height=1>",
    "<img class=wide style=display:none src=https://u1.ct.sendgrid.net/wf/open?upn=2>",
    "<img style=\"display:none;background:url(//t.example/o?u=4)\" src=https://u1.ct.sendgrid.net/wf/open?upn=3>",
    "<img src=//t.example/o?u=4 width=1 height=1>",
    "<img src=//t.example/o?u=4 srcset='https://u1.ct.sendgrid.net/wf/open?upn=4 2x' width=9 height=9>",
    "<!--[if mso]><img src=//t.example/o?u=4 srcset='https://u1.ct.sendgrid.net/wf/open?upn=5 2x' width=9 height=9><![endif]-->",
    "<!--[if mso]><img src=//t.example/o?u=4 width=1 height=1><![endif]-->",
    "<noscript><img src=//t.example/o?u=4 width=1 height=1></noscript>",
    "<td background=//t.example/o?u=4 style='background:url(//t.example/o?u=6)'>",
    "<iframe src=//t.example/o?u=4 width=1 height=1></iframe>",
    "<img src=//t.example/o?u=6 srcset='//t.example/o?u=4 2x' width=1 height=1>",
    "<img src=https://i.brand.example/a.jpg?r=a8f3k2c97d width=600 height=200>",
    "<img src=https://i.brand.example/b.jpg?r=a8f3k2c97d width=600 height=200>",
    "<img src=https://i.brand.example/b.jpg?r=a8f3k2c97d&amp;e=nadia@example.net width=600 height=200>",
    "<img src=https://i.brand.example/b.jpg width=1 height=1>",
    "<img src=https://i.brand.example/c.jpg?z=7q2m9x4k1z width=600 height=200>",
    "<img src=https://i.brand.example/c.jpg?z=7q2m9x4k1z width=1 height=1>",
    "<p style='background:url(https://i.brand.example/7q2m9x4k1z/d.jpg)'>",
    "<img src=https://i.brand.example/e.jpg?e=nadia@example.net width=600 height=200>",
    "<img src=https://i.brand.example/e.jpg?b=1 srcset='https://i.brand.example/e.jpg?e=nadia@example.net&amp;w=2 2x' width=600 height=200>",
    "<!-- open pixel -->",
    "<img src=https://i.brand.example/hero.jpg width=600 height=200>",
    "<style>.wide ~ img{width:50px;height:50px}</style>",
    "<div class=wide style='display:none'>",
    "</div>",
    "<picture><source srcset=//t.example/o?u=9><source srcset=//t.example/o?u=4>",
    "<img width=1 height=1 src=a.png>",
    "</picture>",
    "<base href=https://t.example/>",
    "<img src=o?u=4 width=1 height=1>",
    "<iframe srcdoc=\"<img src=//t.example/o?u=4 width=1 height=1>\"></iframe>",
    "<object data='data:image/svg+xml,<svg><image href=//t.example/o?u=4 /></svg>'></object>",
    "<video poster=//t.example/o?u=4 src=https://u1.ct.sendgrid.net/wf/open?upn=6></video>",
    "<link rel=preload href=//t.example/o?u=4>",
    "<link rel=stylesheet href=https://u1.ct.sendgrid.net/wf/open?upn=7>",
    "<style>.a{background:url(//t.example/o?u=4)}#b .c{background:url(https://u1.ct.sendgrid.net/wf/open?upn=8)}</style>",
    "<svg><image href=//t.example/o?u=4 width=1 height=1 /></svg>",
    "<noscript><!--",
    "--></noscript>",
    "<p hidden class=a id=b><img src=https://i.brand.example/c.jpg?z=8r3n0y5l2a>",
    "<img src=https://i.brand.example/e.jpg?b=1 width=1 height=1>",
    "<img src=https://t.example/o/nadia.gif width=1 height=1>",
];

const AMP_PIECES: &[&str] = &[
    "<amp-img src=https://u1.ct.sendgrid.net/wf/open?upn=1 width=1 height=1></amp-img>",
    "<amp-img src=//t.example/o?u=4 width=1 height=1></amp-img>",
    "<amp-img class=wide src=//t.example/o?u=4 srcset='//t.example/o?u=6 2x' width=1 height=1></amp-img>",
    "<amp-img src=https://i.brand.example/a.jpg?r=a8f3k2c97d width=600 height=200></amp-img>",
    "<amp-img src=https://i.brand.example/b.jpg?r=a8f3k2c97d width=600 height=200></amp-img>",
    "<amp-img src=https://i.brand.example/c.jpg?z=7q2m9x4k1z width=600 height=200></amp-img>",
    "<amp-img src=https://i.brand.example/e.jpg?e=nadia@example.net width=600 height=200></amp-img>",
    "<amp-img src=https://i.brand.example/hero.jpg width=600 height=200></amp-img>",
    "<!-- open pixel -->",
    "<style amp-custom>.wide ~ amp-img{width:50px;height:50px}</style>",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_variant_passes_whichever_of_its_findings_go(
        amp in prop::collection::vec(0..AMP_PIECES.len(), 0..6),
        html in prop::collection::vec(0..PIECES.len(), 0..12),
        goes in any::<u32>(),
        images in prop::sample::select(vec![IndividualImages::Report, IndividualImages::Blank, IndividualImages::Deidentify]),
    ) {
        let lens = lens(images);
        let amp: String = amp.iter().map(|pick| AMP_PIECES[*pick]).collect();
        let html: String = html.iter().map(|pick| PIECES[*pick]).collect();
        let message = message(&amp, &html);
        for goes in [goes, !goes, u32::MAX] {
            let made = stripped(&lens, &message, |number, _| goes >> (number % 32) & 1 == 1);
            prop_assert!(made.is_none_or(|made| made.is_ok()), "{amp}\n{html}");
        }
    }
}
