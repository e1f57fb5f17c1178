//! What the fuzz targets hold, held in every test run: each seed of `fuzz/corpus/` and a fixed number of mutations of it, given to the
//! same functions. It looks for nothing new; `cargo fuzz` does (`fuzz/README.md`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "../fuzz/properties/auth.rs"]
mod auth;
#[path = "../fuzz/properties/chunks.rs"]
mod chunks;
#[path = "../fuzz/properties/command.rs"]
mod command;
#[path = "../fuzz/properties/css.rs"]
mod css;
#[path = "../fuzz/properties/data.rs"]
mod data;
#[allow(dead_code, reason = "the simulation throws them otherwise, too")]
#[path = "simulation/dice.rs"]
mod dice;
#[path = "../fuzz/properties/ehlo.rs"]
mod ehlo;
#[path = "../fuzz/properties/envelope.rs"]
mod envelope;
#[path = "../fuzz/properties/html.rs"]
mod html;
#[path = "../fuzz/properties/proxy.rs"]
mod proxy;
#[path = "../fuzz/properties/reply.rs"]
mod reply;
#[path = "../fuzz/properties/session.rs"]
mod session;
#[path = "../fuzz/properties/walker.rs"]
mod walker;
#[path = "../fuzz/properties/xclient.rs"]
mod xclient;
#[path = "../fuzz/properties/xforward.rs"]
mod xforward;

use std::collections::BTreeSet;
use std::panic::catch_unwind;

use dice::Dice;

type Hold = fn(&[u8]);

/// Every target, and how many mutations of a seed are tried: those that read a document cost more.
const TARGETS: [(&str, Hold, u64); 14] = [
    ("auth", auth::hold, 400),
    ("chunks", chunks::hold, 400),
    ("command", command::hold, 400),
    ("css", css::hold, 60),
    ("data", data::hold, 400),
    ("ehlo", ehlo::hold, 400),
    ("envelope", envelope::hold, 400),
    ("html", html::hold, 60),
    ("proxy", proxy::hold, 200),
    ("reply", reply::hold, 400),
    ("session", session::hold, 10),
    ("walker", walker::hold, 60),
    ("xclient", xclient::hold, 400),
    ("xforward", xforward::hold, 400),
];

/// What chance alone would not find soon.
const WORDS: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b".",
    b"\r\n.\r\n",
    b"\0",
    b" ",
    b"\t",
    b"=",
    b"+",
    b"+0D+0A",
    b"<",
    b">",
    b"\"",
    b"\\",
    b"@",
    b":",
    b"250-",
    b"250 ",
    b"\xff",
    "\u{85}".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{fc}".as_bytes(),
    b"[UNAVAILABLE]",
];

/// The seeds of a target with their names.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut seeds: Vec<(String, Vec<u8>)> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{directory}: {error}"))
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    seeds.sort();
    seeds
}

/// One change, or a few.
fn mutated(dice: &mut Dice, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut octets = seed.to_vec();
    for _ in 0..1 + dice.below(3) {
        let at = dice.below(octets.len() + 1);
        match dice.below(7) {
            0 if at < octets.len() => octets[at] ^= 1 << dice.below(8),
            1 if at < octets.len() => octets[at] = u8::try_from(dice.below(256)).unwrap(),
            2 => octets.truncate(at),
            3 => {
                let end = octets.len().min(at + dice.below(8));
                octets.drain(at..end);
            }
            4 => {
                let copied = octets[at..octets.len().min(at + dice.below(300))].to_vec();
                octets.splice(at..at, copied);
            }
            5 => octets
                .splice(at.., other[dice.below(other.len() + 1)..].iter().copied())
                .for_each(drop),
            _ => octets
                .splice(at..at, dice.pick(&WORDS).iter().copied())
                .for_each(drop),
        }
    }
    octets
}

#[test]
fn every_seed_and_its_mutations_hold() {
    for (target, hold, mutations) in TARGETS {
        let seeds = seeds(target);
        assert!(seeds.len() >= 8, "{target} has {} seeds", seeds.len());
        let tried = |name: &str, octets: &[u8]| {
            let held = catch_unwind(|| hold(octets)).is_ok();
            assert!(held, "{target}: {name}: b\"{}\"", octets.escape_ascii());
        };
        for (number, (name, seed)) in seeds.iter().enumerate() {
            tried(name, seed);
            for mutation in 0..mutations {
                let number = u64::try_from(number).unwrap();
                let mut dice = Dice::of(mutation, target, &[number]);
                let other = &seeds[dice.below(seeds.len())].1;
                tried(name, &mutated(&mut dice, seed, other));
            }
        }
    }
}

/// A target without its place here would be fuzzed by nobody who does not ask for it.
#[test]
fn every_target_is_among_them() {
    let here: BTreeSet<String> = TARGETS
        .iter()
        .map(|(name, _, _)| format!("{name}.rs"))
        .collect();
    for place in ["fuzz/fuzz_targets", "fuzz/properties"] {
        let files = std::fs::read_dir(format!("{}/{place}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let there = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        assert_eq!(there.collect::<BTreeSet<_>>(), here, "{place}");
    }
}
