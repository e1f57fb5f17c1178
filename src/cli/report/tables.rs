//! The tables of the report. Under every table whose rows are parts of a whole stands their total.
//!
//! It knows counts and no ledger.

use std::collections::BTreeMap;

use super::super::paper::{Paper, counted, number};
use super::super::plain;
use super::shapes::with_action;
use crate::ledger::summary::{Measure, Place, Tally};

/// Most rows of a table whose rows senders can add to; the rest is one row, and stands in the JSON.
pub(in crate::cli) const LONGEST: usize = 20;

/// The row for what is not shown, at the end of a table with this many columns before its number.
pub(in crate::cli) fn the_rest(
    more: impl Iterator<Item = u64>,
    before: usize,
) -> Option<Vec<String>> {
    let (rows, sum) = more.fold((0, 0), |(rows, sum), count| (rows + 1, sum + count));
    (rows > 0).then(|| {
        let mut row = vec![String::new(); before];
        if let Some(first) = row.first_mut() {
            *first = format!("{} more, see the JSON", number(rows));
        }
        row.push(number(sum));
        row
    })
}

/// Counts under a measure by their first word.
pub(super) fn by_first(tally: &Tally, measure: Measure) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (words, count) in tally.each(measure) {
        *counts
            .entry(words.first().cloned().unwrap_or_default())
            .or_default() += count;
    }
    counts
}

pub(super) fn overview(paper: &mut Paper, rows: &[(Place, Tally)], total: &Tally) {
    paper.section("By day and stream");
    let cells = |day: String, stream: String, tally: &Tally| {
        let copies = by_first(tally, Measure::Copies);
        let back = ["held", "rejected"].map(|copy| copies.get(copy).copied().unwrap_or(0));
        let numbers = [
            tally.sum(Measure::Messages),
            tally.sum(Measure::Retries),
            tally.sum(Measure::Recipients),
            tally.sum(Measure::Trackers),
            with_action(tally, "kept"),
            with_action(tally, "would_strip"),
            with_action(tally, "stripped"),
            back.iter().sum(),
        ];
        let mut cells = vec![day, stream];
        cells.extend(numbers.map(number));
        cells
    };
    let mut table: Vec<Vec<String>> = rows
        .iter()
        .map(|(place, tally)| cells(place.day.to_string(), place.stream.clone(), tally))
        .collect();
    table.push(cells("total".to_owned(), String::new(), total));
    paper.table(
        &[
            "day",
            "stream",
            "messages",
            "retries",
            "copies",
            "trackers",
            "kept",
            "would go",
            "taken out",
            "held back",
        ],
        table,
    );
}

/// By reason and vendor, the largest first.
pub(super) fn trackers(paper: &mut Paper, total: &Tally, action: &str, title: &str) {
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    let mut pairs: Vec<(&str, &str, u64)> = Vec::new();
    for (words, count) in total.each(Measure::Trackers) {
        if let [done, reason, vendor] = words
            && done == action
        {
            *reasons.entry(reason).or_default() += count;
            pairs.push((reason, vendor, count));
        }
    }
    if pairs.is_empty() {
        return;
    }
    paper.section(title);
    let all: u64 = reasons.values().sum();
    let mut reasons: Vec<(&str, u64)> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut rows: Vec<Vec<String>> = reasons
        .iter()
        .map(|(reason, count)| {
            vec![
                plain::reason(reason).to_owned(),
                (*reason).to_owned(),
                number(*count),
            ]
        })
        .collect();
    rows.push(vec!["total".to_owned(), String::new(), number(all)]);
    paper.table(&["because", "in the ledger", "trackers"], rows);
    pairs.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
    let mut rows: Vec<Vec<String>> = pairs
        .iter()
        .take(LONGEST)
        .map(|(reason, vendor, count)| {
            vec![(*vendor).to_owned(), (*reason).to_owned(), number(*count)]
        })
        .collect();
    let more = pairs.iter().skip(LONGEST).map(|(_, _, count)| *count);
    rows.extend(the_rest(more, 2));
    rows.push(vec!["total".to_owned(), String::new(), number(all)]);
    paper.table(&["vendor or host", "reason", "trackers"], rows);
}

pub(super) fn kept(paper: &mut Paper, total: &Tally) {
    let mut bases: BTreeMap<&str, u64> = BTreeMap::new();
    for (words, count) in total.each(Measure::Trackers) {
        if let [action, basis, _] = words
            && matches!(action.as_str(), "kept" | "reduced" | "counted")
        {
            *bases.entry(basis).or_default() += count;
        }
    }
    if bases.is_empty() {
        return;
    }
    paper.section("Kept");
    let all: u64 = bases.values().sum();
    let mut rows: Vec<Vec<String>> = bases
        .iter()
        .map(|(basis, count)| {
            vec![
                plain::basis(basis).to_owned(),
                (*basis).to_owned(),
                number(*count),
            ]
        })
        .collect();
    rows.push(vec!["total".to_owned(), String::new(), number(all)]);
    paper.table(&["because", "in the ledger", "trackers"], rows);
    let legacy = bases.get("legacy_no_objection").copied().unwrap_or(0);
    if legacy > 0 {
        paper.loud(format!(
            "{} kept without a consent, because the address is older than the rules: whether that basis lasts is open.",
            counted(legacy, "tracker was", "trackers were")
        ));
    }
}

pub(super) fn copies(paper: &mut Paper, total: &Tally) {
    paper.section("Copies");
    let mut rows: Vec<Vec<String>> = total
        .each(Measure::Copies)
        .map(|(words, count)| {
            let (copy, reason) = match words {
                [copy, reason] => (copy.as_str(), reason.as_str()),
                _ => ("", ""),
            };
            vec![plain::copy(copy).to_owned(), cause(reason), number(count)]
        })
        .collect();
    rows.push(vec![
        "total".to_owned(),
        String::new(),
        number(total.sum(Measure::Recipients)),
    ]);
    paper.table(&["copy", "because", "copies"], rows);
    let profiles = total.each(Measure::Profiles).map(|(words, count)| {
        format!(
            "decided under {}: {}",
            plain::profile(&words.join(" ")),
            counted(count, "copy", "copies")
        )
    });
    paper.list(profiles);
    let shadowed = total.sum(Measure::ShadowCopies);
    if shadowed > 0 {
        paper.sentence(format!(
            "{} of them went to people for whom their stream only looks on; {} of these would have been changed.",
            number(shadowed),
            number(total.sum(Measure::WouldChangeCopies))
        ));
    }
}

/// Why a whole copy did not go, in words: `uninspectable:WHY` or a reason.
pub(in crate::cli) fn cause(reason: &str) -> String {
    match reason.strip_prefix("uninspectable:") {
        _ if reason.is_empty() => String::new(),
        Some(why) => format!(
            "a part could not be inspected: {}",
            plain::uninspectable(why)
        ),
        None => plain::reason(reason).to_owned(),
    }
}

pub(super) fn unseen(paper: &mut Paper, total: &Tally) {
    let parts = |measure| {
        let listed = total.each(measure).map(|(words, count)| {
            let word = words.first().map_or("", String::as_str);
            vec![
                plain::uninspectable(word).to_owned(),
                word.to_owned(),
                number(count),
            ]
        });
        listed.collect::<Vec<_>>()
    };
    let blind = parts(Measure::UninspectableParts);
    if !blind.is_empty() {
        paper.section("Could not be inspected");
        paper.sentence(format!(
            "{} with such a part. Where nothing forbidden shows in any reading the message passes unchanged.",
            counted(total.sum(Measure::UninspectableMessages), "message", "messages")
        ));
        paper.table(&["because", "in the ledger", "parts"], blind);
        let decided: Vec<Vec<String>> = total
            .each(Measure::BlindParts)
            .map(|(words, count)| {
                let word = |at: usize| words.get(at).map_or("", String::as_str);
                vec![
                    plain::action(word(0)).to_owned(),
                    word(1).to_owned(),
                    number(count),
                ]
            })
            .collect();
        if !decided.is_empty() {
            paper.table(
                &[
                    "what was decided on such a part in a copy",
                    "basis or reason",
                    "parts",
                ],
                decided,
            );
        }
    }
    let passed = total.each(Measure::OutOfScopeParts);
    let passed: Vec<Vec<String>> = passed
        .map(|(words, count)| {
            let word = words.first().map_or("", String::as_str);
            vec![plain::out_of_scope(word).to_owned(), number(count)]
        })
        .collect();
    if !passed.is_empty() {
        paper.section("Out of scope, and not looked into");
        paper.table(&["why", "parts"], passed);
    }
    let reported = total.each(Measure::Reported);
    let reported: Vec<Vec<String>> = reported
        .map(|(words, count)| {
            let word = words.first().map_or("", String::as_str);
            vec![plain::reported(word).to_owned(), number(count)]
        })
        .collect();
    if !reported.is_empty() {
        paper.section("Reported, and left as it is");
        paper.table(&["what", "times"], reported);
    }
}

pub(super) fn signatures(paper: &mut Paper, total: &Tally) {
    let domains = |measure| -> Vec<(String, u64)> {
        total
            .each(measure)
            .map(|(words, count)| (words.join(" "), count))
            .collect()
    };
    let broken = domains(Measure::DkimBroken);
    let would = domains(Measure::DkimWouldBreak);
    if broken.is_empty() && would.is_empty() {
        return;
    }
    let mut rows: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    for (at, counts) in [broken, would].into_iter().enumerate() {
        for (domain, count) in counts {
            if let Some(slot) = rows.entry(domain).or_default().get_mut(at) {
                *slot += count;
            }
        }
    }
    paper.section("Signatures (DKIM) on mail that is changed");
    paper.sentence(
        "These domains signed before the relay; a changed copy no longer fits their signature. Put the relay before the signer.",
    );
    let mut rows: Vec<(String, [u64; 2])> = rows.into_iter().collect();
    rows.sort_by_key(|(_, [broken, would])| std::cmp::Reverse(broken + would));
    let more = rows.len().saturating_sub(LONGEST);
    rows.truncate(LONGEST);
    let rows = rows
        .into_iter()
        .map(|(domain, [broken, would])| vec![domain, number(broken), number(would)]);
    paper.table(
        &[
            "signing domain",
            "copies changed",
            "copies that would be changed",
        ],
        rows.collect(),
    );
    if more > 0 {
        paper.sentence(format!(
            "{} more, see the JSON.",
            counted(more as u64, "domain", "domains")
        ));
    }
}

pub(super) fn fates(paper: &mut Paper, total: &Tally) {
    let rows: Vec<Vec<String>> = total
        .each(Measure::Fates)
        .map(|(words, count)| {
            let word = words.first().map_or("", String::as_str);
            vec![plain::fate(word).to_owned(), number(count)]
        })
        .collect();
    if !rows.is_empty() {
        paper.section("What became of the copies, as of the last attempt");
        paper.table(&["fate", "copies"], rows);
    }
    let open = total.sum(Measure::WithoutOutcome);
    if open > 0 {
        paper.sentence(format!(
            "{} no outcome: under way when the lines end, or cut off by a crash.",
            counted(open, "message has", "messages have")
        ));
    }
}
