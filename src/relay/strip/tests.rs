//! The second examination against edits that are wrong: whatever detection and splicing get wrong one day, the copy does not go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::pixel::Rules;
use crate::relay::work::Work;

const MESSAGE: &str = "From: a@news.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"b\"\r\n\r\n\
    --b\r\nContent-Type: text/plain\r\n\r\ntext\r\n\
    --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>\r\n\
    <img src=\"https://click.news.example/wf/open?upn=u001.one\" width=\"1\" height=\"1\">\r\n\
    <p>bread</p>\r\n\
    <img src=\"https://click.news.example/wf/open?upn=u001.two\" width=\"1\" height=\"1\">\r\n\
    </body></html>\r\n--b--\r\n";

/// Strips the first of two findings after `wrong` has been done to the survey.
fn first_without(wrong: impl FnOnce(&mut Survey)) -> Result<Spliced, Uninspectable> {
    made(MESSAGE, BTreeSet::new(), wrong)
}

fn made(
    message: &str,
    empty: BTreeSet<usize>,
    wrong: impl FnOnce(&mut Survey),
) -> Result<Spliced, Uninspectable> {
    let lens = Lens::new(Arc::new(Rules::built_in().clone()), Arc::default());
    made_by(&lens, message, empty, wrong)
}

fn made_by(
    lens: &Lens,
    message: &str,
    empty: BTreeSet<usize>,
    wrong: impl FnOnce(&mut Survey),
) -> Result<Spliced, Uninspectable> {
    let message = Bytes::copy_from_slice(message.as_bytes());
    let mut before = survey(&message, lens);
    assert_eq!(before.findings.len(), 2);
    wrong(&mut before);
    let case = Case {
        message: &message,
        listener: "",
        login: None,
        reverse_path: "news@shop.example",
        forward_paths: vec!["reader@example.net"],
        received: Some(b"Received: by relay.example\r\n".to_vec()),
        answers: Default::default(),
        today: jiff::civil::date(2026, 11, 22),
        ledger: true,
        hold_over: false,
    };
    let findings = match empty.is_empty() {
        true => BTreeSet::from([0]),
        false => BTreeSet::new(),
    };
    let edits = Edits {
        findings: &findings,
        empty: &empty,
        remove_signature: false,
    };
    variant(lens, &case, &before, &edits)
}

fn edits(survey: &mut Survey) -> &mut Vec<Edit> {
    &mut survey.findings[0].finding.edits
}

/// Puts this where the source of the first image stood.
fn replaced_by(text: &str) -> Result<Spliced, Uninspectable> {
    first_without(|survey| edits(survey)[0].replacement = text.as_bytes().to_vec())
}

#[test]
fn right_edits_make_a_variant() {
    let variant = first_without(|_| {}).unwrap().to_bytes();
    let text = std::str::from_utf8(&variant).unwrap();
    assert!(text.starts_with("Received: by relay.example\r\nFrom: "));
    assert!(!text.contains("u001.one") && text.contains("u001.two"));
}

#[test]
fn a_tracker_that_is_still_there() {
    assert!(first_without(|survey| edits(survey).clear()).is_err());
    assert!(replaced_by("src=\"https://click.news.example/wf/open?upn=u001.one\"").is_err());
}

#[test]
fn a_tracker_that_was_not_there_before() {
    assert!(replaced_by("src=\"https://t.example.net/o?u=9f2c41\"").is_err());
    // Its own tag ends early, and what follows is another.
    assert!(replaced_by("><img src=\"https://t.example.net/o?u=1\" width=1 height=1").is_err());
}

#[test]
fn a_tracker_of_somebody_who_keeps_it() {
    let gone = first_without(|survey| {
        let second = survey.findings[1].finding.edits.clone();
        edits(survey).extend(second);
    });
    assert!(gone.is_err(), "more was stripped than was decided");
    let swapped = first_without(|survey| *edits(survey) = survey.findings[1].finding.edits.clone());
    assert!(swapped.is_err(), "the other one was stripped");
}

#[test]
fn another_structure() {
    for text in [
        "\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>",
        "\r\n--b--\r\n",
        "\r\n--b\r\n\r\n",
    ] {
        assert!(replaced_by(text).is_err(), "{text:?}");
    }
}

#[test]
fn no_time_left() {
    let lens = Lens {
        work: Arc::new(Work::new(Duration::from_secs(60))),
        ..Lens::new(Arc::new(Rules::built_in().clone()), Arc::default())
    };
    assert!(made_by(&lens, MESSAGE, BTreeSet::new(), |_| {}).is_ok());
    let over = Lens {
        work: Arc::new(Work::new(Duration::ZERO)),
        ..lens.clone()
    };
    let seen = survey(MESSAGE.as_bytes(), &over);
    let blind: Vec<_> = seen.blind.iter().map(|blind| blind.why).collect();
    assert_eq!(
        blind,
        [Uninspectable::TokenLimit],
        "not read: never taken for harmless"
    );
    // What was read in time, and could not be read again in time, does not go.
    let message = Bytes::from_static(MESSAGE.as_bytes());
    let before = survey(&message, &lens);
    let spliced = made_by(&lens, MESSAGE, BTreeSet::new(), |_| {}).unwrap();
    let (findings, empty) = (BTreeSet::from([0]), BTreeSet::new());
    let edits = Edits {
        findings: &findings,
        empty: &empty,
        remove_signature: false,
    };
    assert!(examine_again(&lens, &before, &edits, &spliced).is_ok());
    assert!(examine_again(&over, &before, &edits, &spliced).is_err());
}

#[test]
fn edits_that_do_not_fit_together() {
    let twice = first_without(|survey| {
        let again = edits(survey)[0].clone();
        edits(survey).push(again);
    });
    assert!(twice.is_err());
    let nowhere = first_without(|survey| edits(survey)[0].range = 5_000..6_000);
    assert!(nowhere.is_err());
}

/// A part is emptied whole: its findings are gone with it, and the other part stays.
#[test]
fn an_emptied_part_is_empty_and_nothing_else_is() {
    let variant = made(MESSAGE, BTreeSet::from([2]), |_| {})
        .unwrap()
        .to_bytes();
    let text = std::str::from_utf8(&variant).unwrap();
    assert!(!text.contains("upn=") && text.contains("\r\ntext\r\n--b\r\n"));
    assert!(
        text.ends_with("charset=utf-8\r\n\r\n\r\n--b--\r\n"),
        "{text}"
    );
    assert!(
        made(MESSAGE, BTreeSet::from([99]), |_| {}).is_err(),
        "no such part"
    );
}
