//! What detection costs: `cargo bench --bench detection`.
//!
//! Three tables, in processor time of this process, so that a busy machine counts less: a letter of 100 kB with 60 images by layer; the
//! whole for 100 kB to 5 MB; and documents that nobody writes by accident, at one size, twice and four times that, where time
//! for a megabyte has to stay what it was. A layer that is not told apart by a function of its own is the difference between two
//! examinations, with it and without. It measures; it fails only where a letter is not read.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a measurement says what it measured, and stops where it cannot"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pixelgate::learn::{self, Learning, Observation, SlotName};
use pixelgate::mime::transfer_encoding::Encoding as Transfer;
use pixelgate::mime::{Spliced, decode, decode_all, same_outside, tree, walk};
use pixelgate::pixel::{
    Document, Encoding, Examination, Knowledge, Learned, Limits, Named, Needles, Recurring, Rules,
    Slot, Uninspectable, examine_at,
};
use pixelgate::relay::settings::Settings;
use pixelgate::relay::survey::{Lens, People, survey};
use rustix::time::{ClockId, clock_gettime};

/// Runs of which the least is told: whatever else the machine does only adds.
const RUNS: usize = 101;
const READER: &str = "nadia@example.net";
const IDENTIFIER: &str = "a8f3k2c97d41";
const TODAY: u32 = 20_785;

fn main() {
    layers();
    sizes();
    hostile();
}

fn used() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        now.tv_sec.unsigned_abs(),
        u32::try_from(now.tv_nsec).unwrap(),
    )
}

/// Microseconds of processor time, the least of `runs`.
fn micros<T>(runs: usize, mut work: impl FnMut() -> T) -> f64 {
    (0..runs)
        .map(|_| {
            let began = used();
            black_box(work());
            (used() - began).as_secs_f64() * 1e6
        })
        .fold(f64::INFINITY, f64::min)
}

// --- a letter ---------------------------------------------------------------------------------------------------------

/// A newsletter of about so many octets: a style sheet of 9 kB, products in rows of two, an image to 1.7 kB of markup, and three
/// trackers: a known endpoint, the reader in a URL, and an identifier that recurs.
fn letter(octets: usize) -> String {
    let mut html = String::from("<!DOCTYPE html><html><head><title>Letter</title><style>\r\n");
    for n in 0..120 {
        write!(html, ".c{n} {{ width: {n}px; padding: 0 12px }} td.d{n} > a {{ color: #333; font: 12px/1.4 Georgia }}\r\n").unwrap();
    }
    html += "@media (max-width: 600px) { .c1 img { width: 100% !important; height: auto } }</style></head><body>\r\n<table width=\"600\">\r\n";
    let text =
        "The chestnuts are in, the kettle is on, and the new blankets have come. ".repeat(16);
    let mut n = 0;
    while html.len() < octets.saturating_sub(1_000) {
        write!(
            html,
            "<tr><td class=\"d{0} c{0}\" style=\"padding: 0 10px; width: 280px; font-family: Georgia, serif; color: #222222\">\
             <a href=\"https://www.shop.example/p/{n}?utm_source=letter&amp;utm_medium=mail\">\
             <img class=\"c{0}\" src=\"https://images.shop.example/2026/10/product-{n}-280x180.jpg?w=280&amp;q=80\" width=\"280\" height=\"180\" \
             alt=\"Product {n}\" style=\"display: block; border: 0\"></a>\r\n<p style=\"margin: 0 0 12px\">{text}</p></td></tr>\r\n",
            n % 120
        )
        .unwrap();
        n += 1;
    }
    let endpoint = "https://click.shop.example/wf/open?upn=u001.Zm9vYmFyLTIwMjYtbmFkaWE";
    let reader = "https://metrics.shop.example/v?c=1042&amp;e=nadia%40example.net";
    let recurs = format!("https://images.shop.example/o/{IDENTIFIER}.gif");
    html += "</table>\r\n";
    for url in [endpoint, reader, &recurs] {
        write!(
            html,
            "<img src=\"{url}\" width=\"1\" height=\"1\" alt=\"\">\r\n"
        )
        .unwrap();
    }
    html + "</body></html>\r\n"
}

/// The same length without a rule and a style.
fn without_styles(html: &str) -> String {
    let from = html.find("<style>").unwrap() + "<style>".len();
    let to = html.find("</style>").unwrap();
    let blank = " ".repeat(to - from);
    format!("{}{blank}{}", &html[..from], &html[to..]).replace(" style=", " stylo=")
}

fn message(html: &str, base64: bool) -> Vec<u8> {
    let encoding = if base64 { "base64" } else { "quoted-printable" };
    let mut message = format!(
        "From: The Shop <letter@shop.example>\r\nTo: <{READER}>\r\nSubject: Letter\r\nList-Unsubscribe: <https://www.shop.example/u/{IDENTIFIER}>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"=_b\"\r\n\r\n--=_b\r\nContent-Type: text/plain\r\n\r\nHello\r\n\
         --=_b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    );
    if base64 {
        use ::base64::Engine as _;
        let text = ::base64::engine::general_purpose::STANDARD.encode(html);
        for line in text.as_bytes().chunks(76) {
            message += std::str::from_utf8(line).unwrap();
            message += "\r\n";
        }
    } else {
        for line in html.split("\r\n") {
            quoted_printable(line, &mut message);
        }
    }
    message += "--=_b--\r\n";
    message.into_bytes()
}

fn quoted_printable(line: &str, into: &mut String) {
    let mut width = 0;
    for letter in line.chars() {
        let length = if letter == '=' { 3 } else { 1 };
        if width + length > 75 {
            *into += "=\r\n";
            width = 0;
        }
        match letter {
            '=' => *into += "=3D",
            other => into.push(other),
        }
        width += length;
    }
    *into += "\r\n";
}

// --- by layer ---------------------------------------------------------------------------------------------------------

fn examined(html: &str, knowledge: &Knowledge<'_>) -> Result<Examination, Uninspectable> {
    let charset = Encoding::for_label(b"utf-8").unwrap();
    let limits = Limits::default();
    examine_at(
        html.as_bytes(),
        charset,
        Document::Html,
        &[],
        knowledge,
        &limits,
    )
}

fn people() -> (Needles, Recurring) {
    let places = [(Named::ListUnsubscribe, IDENTIFIER)];
    (Needles::of([READER]), Recurring::of(places, ""))
}

/// A table that has seen the letter come to thirty people.
fn learned(seen: &Examination) -> Learning {
    let learning = Learning::in_memory(&learn::Settings::default()).unwrap();
    for person in 0..30 {
        let address = format!("reader{person}@example.net");
        let observation = Observation {
            controller: "shop",
            stream: "letter",
            forward_paths: vec![&address],
        };
        let loads = seen.seen.iter().map(|(slot, url)| {
            (
                slot.host.as_str(),
                slot.shape.as_str(),
                slot.vector.as_str(),
                url.as_str(),
            )
        });
        learning.observe(&observation, loads, TODAY);
    }
    learning
}

fn row(name: &str, micros: f64) {
    println!("| {name} | {micros:.0} |");
}

fn layers() {
    let html = letter(100_000);
    let images = html.matches("<img").count();
    println!(
        "A letter of {} octets of HTML with {images} images, µs of processor time (the least of {RUNS} runs):\n",
        html.len()
    );
    println!("| layer | µs |\n|---|---|");
    transport(&html, "quoted-printable", Transfer::QuotedPrintable);
    transport(&html, "base64", Transfer::Base64);
    reading(&html);
    treatment(&html);
}

fn transport(html: &str, name: &str, encoding: Transfer) {
    let message = message(html, encoding == Transfer::Base64);
    let limits = tree::Limits::default();
    let found = walk(&message, &limits);
    let body = &message[found.parts[2].body.clone()];
    let walked = micros(RUNS, || walk(&message, &limits));
    row(&format!("MIME walk ({name})"), walked);
    let decoded = micros(RUNS, || decode_all(body, encoding));
    row(
        &format!("transfer encoding, every reading ({name})"),
        decoded,
    );
}

/// One examination, by what is added to it. The examinations take turns, so that what slows the machine down slows all of them.
fn reading(html: &str) {
    let all = Rules::built_in().all().iter();
    let none: Vec<String> = all.map(|rule| rule.name.clone()).collect();
    let none = Rules::built_in().without(&none).unwrap();
    let (needles, recurring) = people();
    let bare = without_styles(html);
    let nothing = Knowledge::of(&none);
    let endpoints = Knowledge::of(Rules::built_in());
    let reader = Knowledge {
        needles: &needles,
        ..endpoints
    };
    let recurs = Knowledge {
        recurring: &recurring,
        ..reader
    };
    let table = learned(&examined(html, &recurs).unwrap());
    let memory = |slot: &Slot, url: &str| asked(&table, slot, url);
    let remembers = Knowledge {
        memory: &memory,
        ..recurs
    };
    let steps = [
        (
            "HTML: readings, tags, loads, declared sizes (no style in it)",
            bare.as_str(),
            nothing,
        ),
        (
            "CSS: rules, styles, effective size and visibility",
            html,
            nothing,
        ),
        ("known endpoints", html, endpoints),
        ("the reader in each URL", html, reader),
        ("recurring identifiers", html, recurs),
        ("what was learned, asked for each load", html, remembers),
    ];
    let mut least = [f64::INFINITY; 6];
    for _ in 0..RUNS {
        for (least, (_, html, knowledge)) in least.iter_mut().zip(&steps) {
            *least = least.min(micros(1, || examined(html, knowledge)));
        }
    }
    let mut before = 0.0;
    for (least, (name, _, _)) in least.iter().zip(&steps) {
        row(name, least - before);
        before = *least;
    }
}

fn asked(table: &Learning, slot: &Slot, url: &str) -> Learned {
    let name = SlotName {
        controller: "shop",
        stream: "letter",
        host: &slot.host,
        shape: &slot.shape,
        kind: slot.vector.as_str(),
    };
    match table.ask(&name, url, TODAY) {
        learn::Answer::Nothing => Learned::Nothing,
        learn::Answer::Shared => Learned::Shared,
        learn::Answer::Individual { recipients } => Learned::Individual { recipients },
    }
}

fn treatment(html: &str) {
    let whole = Whole::of(html, false);
    let surveyed = survey(&whole.message, &whole.lens());
    let found = surveyed.findings.len();
    assert_eq!(found, 3, "the trackers of the letter are found");
    let edited = micros(RUNS, || whole.edit(&surveyed));
    row("edit: splices, variant, compared outside", edited);
    let variant = whole.edit(&surveyed);
    let again = micros(RUNS, || survey(&variant, &whole.lens()));
    row("the variant examined again, from the MIME walk on", again);
    let all = micros(RUNS, || whole.run());
    row("**all of it, one variant (quoted-printable)**", all);
    let other = Whole::of(html, true);
    let all = micros(RUNS, || other.run());
    row("**all of it, one variant (base64)**", all);
}

/// One message from the walk to its stripped variant, read again.
struct Whole {
    message: Bytes,
    people: Arc<People>,
    rules: Arc<Rules>,
    settings: Arc<Settings>,
}

impl Whole {
    fn of(html: &str, base64: bool) -> Self {
        let (needles, recurring) = people();
        Self {
            message: message(html, base64).into(),
            people: Arc::new(People {
                needles,
                recurring,
                ..People::default()
            }),
            rules: Arc::new(Rules::built_in().clone()),
            settings: Arc::new(Settings::default()),
        }
    }

    fn lens(&self) -> Lens {
        Lens {
            people: Arc::clone(&self.people),
            ..Lens::new(Arc::clone(&self.rules), Arc::clone(&self.settings))
        }
    }

    fn edit(&self, surveyed: &pixelgate::relay::survey::Survey) -> Bytes {
        let part = &surveyed.parts[0];
        let place = &surveyed.tree.parts[part.part];
        let raw = &self.message[place.body.clone()];
        let decoded = decode(raw, part.encoding).unwrap();
        let edits = surveyed.findings.iter().flat_map(|found| {
            let edits = found.finding.edits.iter();
            edits.map(|edit| (edit.range.clone(), edit.replacement.clone()))
        });
        let edits: Vec<_> = edits.collect();
        let splices = decoded.splices(raw, place.body.start, &edits).unwrap();
        let spliced = Spliced::new(self.message.clone(), splices).unwrap();
        let variant = spliced.to_bytes();
        assert!(same_outside(&self.message, spliced.splices(), &variant));
        variant
    }

    fn run(&self) {
        let surveyed = survey(&self.message, &self.lens());
        assert!(surveyed.blind.is_empty(), "it is read");
        let variant = self.edit(&surveyed);
        let again = survey(&variant, &self.lens());
        assert!(again.findings.is_empty() && again.blind.is_empty());
    }
}

// --- by size ----------------------------------------------------------------------------------------------------------

fn sizes() {
    println!("\nThe whole, from the walk to the variant that was examined again:\n");
    println!("| HTML | images | ms | µs for 100 kB |\n|---|---|---|---|");
    for octets in [100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000] {
        let html = letter(octets);
        let whole = Whole::of(&html, false);
        let took = micros(5, || whole.run());
        let images = html.matches("<img").count();
        let hundred = took / (html.len() as f64 / 100_000.0);
        println!(
            "| {:.1} MB | {images} | {:.1} | {hundred:.0} |",
            html.len() as f64 / 1e6,
            took / 1e3
        );
    }
}

// --- hostile ----------------------------------------------------------------------------------------------------------

/// A kind of document, and one of about so many octets.
type Hostile = (&'static str, fn(usize) -> String);

fn times(piece: &str, octets: usize) -> String {
    piece.repeat(octets / piece.len())
}

const PIXEL: &str =
    "<img class='a b c' src=https://t.shop.example/o/a8f3k2c97d41?u=1 width=1 height=1>";

fn styled(rule: &str, octets: usize) -> String {
    let (rules, images) = (times(rule, octets / 2), times(PIXEL, octets / 2));
    format!("<style>{rules}</style>{images}")
}

const HOSTILE: [Hostile; 20] = [
    ("elements in elements", |n| times("<div>", n) + PIXEL),
    ("tables in tables", |n| {
        times("<table><tr><td class=a>", n) + PIXEL
    }),
    ("elements that end out of order", |n| {
        times("<b><i></b></i>", n) + PIXEL
    }),
    ("hidden in hidden", |n| {
        times("<div style=display:none>", n / 2) + &times(PIXEL, n / 2)
    }),
    ("attributes", |n| {
        format!(
            "<img {} src=//t.example/o width=1 height=1>",
            times("a=b ", n)
        )
    }),
    ("sources of one image", |n| {
        format!("<img {}>", times("src=//t.example/?u=1 ", n))
    }),
    ("candidates of a srcset", |n| {
        let candidates: String = (0..n / 32)
            .map(|n| format!("https://t.example/{n:08}.png 1x,"))
            .collect();
        format!("<img srcset=\"{candidates}\" width=1 height=1>")
    }),
    ("character references", |n| {
        format!("<img src=\"//t.example/{}\">", times("&amp", n))
    }),
    ("conditional comments", |n| {
        times("<!--[if mso]><b><![endif]-->", n) + PIXEL
    }),
    ("comments that do not end", |n| times("<!--[if mso]>", n)),
    ("style sheets", |n| times("<style>a{b:url(x)}</style>", n)),
    ("url() in a style sheet", |n| {
        let urls: String = (0..n / 40)
            .map(|n| format!(".a{n}{{background:url(//t.example/{n})}}"))
            .collect();
        format!("<style>{urls}</style>")
    }),
    ("blocks in blocks of CSS", |n| {
        format!("<style>{}</style>", times("@media x{", n))
    }),
    ("brackets in CSS", |n| {
        format!("<p style=\"a:{}\">", times("f(", n))
    }),
    ("selectors that match x images", |n| {
        styled(".a,.b,img.c{width:9px}", n)
    }),
    ("selectors that do not match x images", |n| {
        styled("td.a .b>i{width:9px}", n)
    }),
    ("rules with a class each x images", |n| {
        let rules: String = (0..n / 2 / 24)
            .map(|n| format!(".r{n:06}{{height:1px}}"))
            .collect();
        format!("<style>{rules}</style>{}", times(PIXEL, n / 2))
    }),
    ("rules x images of the same classes", |n| {
        let rules: String = (0..n / 2 / 24)
            .map(|n| format!(".r{n:06}{{height:1px}}"))
            .collect();
        let images: String = (0..n / 2 / 80)
            .map(|n| {
                format!(
                    "<img class='r{n:06} a b' src=https://t.shop.example/o/{n:06} width=1 height=1>"
                )
            })
            .collect();
        format!("<style>{rules}</style>{images}")
    }),
    ("classes of one image", |n| {
        format!(
            "<style>.b{{width:9px}}</style><img class=\"{}\" src=//t.example/?u=1>",
            times("a ", n)
        )
    }),
    ("images, each another tracker", |n| {
        (0..n / 90)
            .map(|n| {
                format!(
                    "<img src=\"https://h{n}.shop.example/wf/open?upn=u001.{n:020}\" width=1 height=1>"
                )
            })
            .collect()
    }),
];

fn hostile() {
    let (needles, recurring) = people();
    let knowledge = Knowledge {
        needles: &needles,
        recurring: &recurring,
        ..Knowledge::of(Rules::built_in())
    };
    println!(
        "\nBuilt to exhaust it, one examination, ms of processor time for a megabyte (*: refused there, past a bound):\n"
    );
    println!("| what | 0.25 MB | 0.5 MB | 1 MB | 2 MB | |\n|---|---|---|---|---|---|");
    for (name, of_size) in HOSTILE {
        let mut row = format!("| {name} |");
        let mut each: Vec<f64> = Vec::new();
        for octets in [250_000, 500_000, 1_000_000, 2_000_000] {
            let html = of_size(octets);
            let took = micros(3, || examined(&html, &knowledge));
            each.push(took / 1e3 / (html.len() as f64 / 1e6));
            let refused = examined(&html, &knowledge).is_err();
            let star = if refused { "*" } else { "" };
            write!(row, " {:.1}{star} |", each[each.len() - 1]).unwrap();
        }
        // What is refused sooner in a larger document is cheaper; more than half as much again for a megabyte of twice the size
        // is more than linear.
        let grown = each
            .windows(2)
            .any(|pair| pair[1] > pair[0] * 1.5 && pair[1] > 20.0);
        let note = if grown { "more than linear" } else { "linear" };
        println!("{row} {note} |");
    }
}
