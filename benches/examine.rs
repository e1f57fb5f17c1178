//! What the examination of a document costs, by what is in it: `cargo bench --bench examine`.
//!
//! Prints one line for each document: how large, how often, the shortest time of the runs. Nothing is asserted: a time is no test.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement may stop at the first surprise"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pixelgate::pixel::{Document, Encoding, Knowledge, Limits, Needles, Rules, examine_at};
use pixelgate::relay::survey::{Lens, survey};

const RUNS: usize = 5;

fn main() {
    for (name, html) in documents() {
        let octets = html.len();
        println!(
            "{name:34} {octets:9} octets {:10.1?}",
            shortest(|| examine(&html))
        );
    }
    let many = message(400, 60);
    println!(
        "survey of 400 HTML parts, 60 each   {:9} octets {:10.1?}",
        many.len(),
        shortest(|| surveyed(&many))
    );
}

fn shortest(run: impl Fn()) -> Duration {
    let times = (0..RUNS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    times.min().expect("at least one run")
}

fn examine(html: &str) {
    let needles = Needles::of(["nadia@example.net"]);
    let knowledge = Knowledge {
        needles: &needles,
        ..Knowledge::of(Rules::built_in())
    };
    let charset = Encoding::for_label(b"utf-8").expect("a label of the standard");
    let seen = examine_at(
        html.as_bytes(),
        charset,
        Document::Html,
        &[],
        &knowledge,
        &Limits::default(),
    );
    black_box(seen.is_ok());
}

fn surveyed(message: &str) {
    let lens = Lens::new(Arc::new(Rules::built_in().clone()), Arc::default());
    black_box(survey(message.as_bytes(), &lens).findings.len());
}

fn image(number: usize, more: &str) -> String {
    format!(
        "<img {more} src=\"https://i.brand.example/p/{number}/hero.jpg?w=600&v={number}\" width=600 height=200>\r\n"
    )
}

fn documents() -> Vec<(&'static str, String)> {
    let text = "<p style=\"margin:0\">bread and butter, and a line of text that goes on for a while</p>\r\n";
    let newsletter: String = (0..60)
        .map(|n| [image(n, "class=pic"), text.repeat(18)].concat())
        .collect();
    let sheet = |rules: usize| -> String {
        let rule = |n: usize| {
            format!(
                ".pic{{width:{}px;height:9px;display:block;opacity:1;margin:0 0 0 {n}px}}\n",
                n + 4
            )
        };
        (0..rules).map(rule).collect()
    };
    // What is written on each image beside its class: where that differs, each has to be looked at.
    let styled = |rules: usize, images: usize, own: fn(usize) -> String| {
        let images: String = (0..images)
            .map(|n| image(n, &format!("class=pic {}", own(n))))
            .collect();
        format!("<style>{}</style>{images}", sheet(rules))
    };
    let nothing = |_| String::new();
    let differs = |n| format!("style=\"top:{n}px\"");
    vec![
        ("newsletter, 60 images", newsletter),
        (
            "1 rule of one class, 5000 images",
            styled(1, 5_000, nothing),
        ),
        (
            "50 rules of one class, 5000 images",
            styled(50, 5_000, nothing),
        ),
        (
            "the same, a style on each image",
            styled(50, 5_000, differs),
        ),
    ]
}

/// A message of many HTML parts with images that count openings.
fn message(parts: usize, images: usize) -> String {
    let open = "<img src=\"https://u1.ct.sendgrid.net/wf/open?upn=1\" width=1 height=1>\r\n"
        .repeat(images);
    let part = format!("--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{open}\r\n");
    format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
        part.repeat(parts)
    )
}
