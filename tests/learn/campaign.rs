//! One campaign: 1,000 people, a pixel for each, a tiny image under a plain number for each, a card for each, a row of products chosen for each, three
//! arms, a spacer for all; a fifth of the messages comes twice, some to thirty people at once, and the relay is started anew after
//! 400. And a send to three.

use std::collections::BTreeMap;

use crate::ill_mannered::{IllMannered, Script};
use crate::support::Served;
use crate::traffic::*;
use crate::{SPACER, message, spacer};

/// Messages to one person.
const ALONE: usize = 700;
/// Messages to thirty.
const TOGETHER: usize = 10;
/// The message after which the relay is started anew.
const RESTART: usize = 400;

/// What stands in a message, whether it should be gone from every copy, and from which message on it is treated so: at once what is
/// known by itself or never to be touched, else after four transactions, 64 people, twenty people.
const SLOTS: [(&str, bool, usize); 6] = [
    ("pixel", true, 1),
    ("plain", true, 5),
    ("card", true, 65),
    ("row", false, 1),
    ("arm", false, 1),
    ("spacer", false, 21),
];

/// A number without any order in it.
fn mixed(n: usize) -> usize {
    let mut x = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x ^ (x >> 31)) as usize
}

/// The URLs of message `n`, by slot.
fn urls(n: usize) -> BTreeMap<&'static str, Vec<String>> {
    let token = |salt: usize| format!("a{:015x}", mixed(n * 7 + salt) >> 4);
    let row = (0..4).map(|place| {
        format!(
            "https://i.shop.example/row/{}.jpg",
            mixed(n * 4 + place) % 300
        )
    });
    BTreeMap::from([
        (
            "pixel",
            vec![format!("https://o.shop.example/o/{}.gif", token(1))],
        ),
        // Nothing in it looks like anybody: only that everybody has another one.
        ("plain", vec![format!("https://o.shop.example/v/{n}.gif")]),
        (
            "card",
            vec![format!("https://i.shop.example/card/{}.png", token(2))],
        ),
        ("row", row.collect()),
        (
            "arm",
            vec![format!(
                "https://i.shop.example/arm/{}.jpg",
                mixed(n * 31) % 3
            )],
        ),
        ("spacer", vec![SPACER.to_owned()]),
    ])
}

fn campaign(n: usize) -> Vec<u8> {
    let urls = urls(n);
    let image = |url: &String, size: &str| format!("<img src=\"{url}\" {size} alt=\"\">\r\n");
    let mut body = spacer();
    body += &image(&urls["arm"][0], "width=\"600\" height=\"300\"");
    body += &image(&urls["card"][0], "width=\"600\" height=\"80\"");
    for product in &urls["row"] {
        body += &image(product, "width=\"140\" height=\"140\"");
    }
    body += &image(&urls["plain"][0], "width=\"1\" height=\"1\"");
    body += &image(&urls["pixel"][0], "width=\"1\" height=\"1\"");
    message(n, &body)
}

/// The slots in which a copy is not as it should be.
fn wrong(n: usize, copy: &[u8]) -> Vec<&'static str> {
    let urls = urls(n);
    let mut wrong = Vec::new();
    for (slot, gone, _) in SLOTS {
        let there = |url: &String| contains(copy, format!("\"{url}\"").as_bytes());
        let right = match gone {
            true => !urls[slot].iter().any(there),
            false => urls[slot].iter().all(there),
        };
        if !right {
            wrong.push(slot);
        }
    }
    wrong
}

fn send(served: &Served, to: &[&str], message: Vec<u8>) {
    let told = Submission::new(to, message).send(served.address());
    assert_eq!(told.last(), "250 2.0.0 taken", "{}", served.log());
}

/// The messages in the order in which they are sent, with their people; what comes twice, twice.
fn sends() -> Vec<(usize, Vec<String>)> {
    let mut sends = Vec::new();
    let mut person = 0;
    for n in 1..=ALONE + TOGETHER {
        let people = if n % ((ALONE + TOGETHER) / TOGETHER) == 0 {
            30
        } else {
            1
        };
        let to: Vec<String> = (person..person + people)
            .map(|person| format!("reader{person}@example.net"))
            .collect();
        person += people;
        sends.push((n, to.clone()));
        if mixed(n * 13).is_multiple_of(5) {
            sends.push((n, to));
        }
    }
    assert_eq!(person, 1_000, "people");
    sends
}

#[test]
fn each_slot_of_a_campaign_is_known_from_some_message_on() {
    let hop = IllMannered::start(Script::smtp());
    let config = config_for(&hop);
    let mut served = Served::start(&config);
    let sends = sends();
    let mut restarted = false;
    for (n, to) in &sends {
        if *n > RESTART && !restarted {
            served.stop();
            served.start_again(&config);
            restarted = true;
        }
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        send(&served, &to, campaign(*n));
    }
    let copies = hop.taken();
    assert_eq!(copies.len(), sends.len());

    println!("slot     known from message  wrong copies before  wrong copies after");
    for (slot, _, promised) in SLOTS {
        let wrong = sends
            .iter()
            .zip(&copies)
            .filter(|((n, _), copy)| wrong(*n, &copy.octets).contains(&slot));
        let at: Vec<usize> = wrong.map(|((n, _), _)| *n).collect();
        let before = at.iter().filter(|n| **n < promised).count();
        println!(
            "{slot:<8} {promised:>18} {before:>20} {:>19}",
            at.len() - before
        );
        assert!(at.iter().all(|n| *n < promised), "{slot}: wrong at {at:?}");
        // Not a promise that is easily kept: the message before was still wrong.
        assert_eq!(
            at.last().map_or(1, |last| last + 1),
            promised,
            "{slot}: {at:?}"
        );
    }
    assert!(restarted);

    // A send to three, of another shop in the same house: too few for anything to be known.
    for person in 0..3 {
        let plain = format!(
            "<img src=\"https://o.other.example/v/{person}.gif\" width=\"1\" height=\"1\" alt=\"\">"
        );
        let address = format!("reader{person}@example.net");
        send(&served, &[&address], message(5_000 + person, &plain));
        let copy = hop.taken().pop().unwrap();
        assert!(
            contains(&copy.octets, plain.as_bytes()),
            "unknown, as the first of any send"
        );
    }
}
