//! The report as a sheet of paper: what is missing first, then the figures, then how they were counted.
//!
//! It knows counts and no ledger. Totals stand under every table whose rows are parts of a whole.

use std::collections::BTreeMap;

use super::super::paper::{Paper, counted, number};
use super::super::plain;
use super::Source;
use super::shapes::{by_stream_and_day, with_action};
use crate::ledger::summary::{Counts, Days, Measure, Place, Tally};

pub(super) fn report(source: &Source, counts: &Counts) -> Paper {
    let rows = by_stream_and_day(counts);
    let mut total = Tally::default();
    rows.iter().for_each(|(_, tally)| total.merge(tally));
    let mut paper = Paper::default();
    paper.title(format!(
        "Tracking pixels in transit, {}",
        days(source, &rows)
    ));
    missing(&mut paper, counts, &total);
    shadows(&mut paper, counts);
    exceptions(&mut paper, counts);
    in_short(&mut paper, source, counts, &total);
    if rows.is_empty() {
        return paper;
    }
    overview(&mut paper, &rows, &total);
    trackers(
        &mut paper,
        &total,
        "would_strip",
        "Would be taken out, if the streams did not only look on",
    );
    trackers(&mut paper, &total, "stripped", "Taken out");
    kept(&mut paper, &total);
    copies(&mut paper, &total);
    unseen(&mut paper, &total);
    signatures(&mut paper, &total);
    fates(&mut paper, &total);
    how(&mut paper, counts);
    paper
}

fn days(source: &Source, rows: &[(Place, Tally)]) -> String {
    let first = source.from.or(rows.first().map(|(place, _)| place.day));
    let last = source.to.or(rows.last().map(|(place, _)| place.day));
    match (first, last) {
        (Some(first), Some(last)) if first == last => first.to_string(),
        (Some(first), Some(last)) => format!("{first} to {last}"),
        (Some(first), None) => format!("from {first}"),
        (None, Some(last)) => format!("to {last}"),
        (None, None) => "no day".to_owned(),
    }
}

/// What is not in the ledger is not in the figures: nobody may overlook it.
pub(in crate::cli) fn missing(paper: &mut Paper, counts: &Counts, total: &Tally) {
    if counts.gaps > 0 {
        paper.loud(format!(
            "THE LEDGER HAS {}: at least {} missing. What they would have said is not in these figures.",
            counted(counts.gaps, "GAP", "GAPS"),
            counted(counts.missing_lines, "line is", "lines are"),
        ));
        let listed = counts.missing.iter().map(|gap| {
            format!(
                "{}, {} to {}: {} ({})",
                gap.node,
                moment(gap.since),
                moment(gap.until),
                counted(gap.lines, "line", "lines"),
                gap.cause
            )
        });
        paper.list(listed);
    }
    if counts.jumps > 0 {
        paper.loud(format!(
            "THE NUMBERS OF LINES JUMP IN {}, and no gap is told there: lines were removed. Run `pixelgate ledger verify`.",
            counted(counts.jumps, "PLACE", "PLACES")
        ));
    }
    for (count, what) in [
        (
            total.sum(Measure::Void),
            "whose decision could not be written down in time; nothing was kept in them, and they are in no figure but this",
        ),
        (
            counts.without_intent,
            "whose decision is not in the lines that were read",
        ),
        (
            counts.forgotten,
            "that were under way for longer than this report can remember; further attempts at them are not in it",
        ),
    ] {
        if count > 0 {
            paper.loud(format!("{} {what}.", counted(count, "message", "messages")));
        }
    }
}

fn shadows(paper: &mut Paper, counts: &Counts) {
    let shadows: Vec<String> = counts
        .switched
        .iter()
        .filter(|(switched, _)| switched.mode == "shadow")
        .map(|(switched, days)| {
            let share = match switched.share_percent {
                Some(percent) if percent > 0 => {
                    format!("acts on {percent} % of the people, looks on for the rest")
                }
                _ => "looks on for everybody".to_owned(),
            };
            format!(
                "{}: {share}, until {}, ordered by {} ({})",
                switched.stream,
                switched.shadow_until.as_deref().unwrap_or("no day"),
                switched.by.as_deref().unwrap_or("nobody named"),
                seen(days)
            )
        })
        .collect();
    if !shadows.is_empty() {
        paper.loud("THESE STREAMS ONLY LOOK ON: trackers without consent were recorded and sent all the same.");
        paper.list(shadows);
    }
}

fn seen(days: &Days) -> String {
    let when = match days.first == days.last {
        true => days.first.to_string(),
        false => format!("{} to {}", days.first, days.last),
    };
    match days.messages {
        0 => when,
        count => format!("{when}, {}", counted(count, "message", "messages")),
    }
}

fn exceptions(paper: &mut Paper, counts: &Counts) {
    let rules = counts.rules_disabled.iter().map(|(rule, days)| {
        format!(
            "detection rule {rule} switched off by the operator ({})",
            seen(days)
        )
    });
    let stops = counts.stops.iter().map(|(stop, days)| {
        let what = match stop.as_str() {
            "strip_all" => "every tracker taken out, consent or not",
            "hold_edits" => "mail that would be changed held back",
            other => other,
        };
        format!("stop {stop}: {what} ({})", seen(days))
    });
    let all: Vec<String> = rules.chain(stops).collect();
    if !all.is_empty() {
        paper.loud("SWITCHED BY THE OPERATOR:");
        paper.list(all);
    }
}

fn in_short(paper: &mut Paper, source: &Source, counts: &Counts, total: &Tally) {
    paper.section("In short");
    if counts.rows.is_empty() {
        let there = match (source.days.first(), source.days.last()) {
            (Some(first), Some(last)) => format!("There are lines of {first} to {last}."),
            _ => "There are no lines at all.".to_owned(),
        };
        paper.sentence(format!(
            "The ledger holds no message of this period. {there}"
        ));
        return;
    }
    let copies = total.sum(Measure::Recipients);
    let trackers = total.sum(Measure::Trackers);
    paper.sentence(format!(
        "{} to {}. Trackers were found in {}; counted once for every copy they are {}.",
        counted(total.sum(Measure::Messages), "message", "messages"),
        counted(copies, "recipient", "recipients"),
        counted(
            total.sum(Measure::MessagesWithTrackers),
            "message",
            "messages"
        ),
        number(trackers)
    ));
    let actions = by_first(total, Measure::Trackers);
    let rows = actions
        .iter()
        .map(|(action, count)| vec![plain::action(action).to_owned(), number(*count)]);
    let mut rows: Vec<Vec<String>> = rows.collect();
    rows.push(vec!["total".to_owned(), number(trackers)]);
    paper.table(
        &["what was done with a tracker in a copy", "trackers"],
        rows,
    );
    paper.sentence(
        "A visible image that is different for each person is only acted on at endpoints known for counting \
         openings, not everywhere; `pixelgate check` says so too. These figures do not show that no tracker left.",
    );
}

/// Counts under a measure by their first word.
fn by_first(tally: &Tally, measure: Measure) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (words, count) in tally.each(measure) {
        *counts
            .entry(words.first().cloned().unwrap_or_default())
            .or_default() += count;
    }
    counts
}

fn overview(paper: &mut Paper, rows: &[(Place, Tally)], total: &Tally) {
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
fn trackers(paper: &mut Paper, total: &Tally, action: &str, title: &str) {
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
        .map(|(reason, vendor, count)| {
            vec![(*vendor).to_owned(), (*reason).to_owned(), number(*count)]
        })
        .collect();
    rows.push(vec!["total".to_owned(), String::new(), number(all)]);
    paper.table(&["vendor or host", "reason", "trackers"], rows);
}

fn kept(paper: &mut Paper, total: &Tally) {
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
    let profiles = total.each(Measure::Profiles).map(|(words, count)| {
        format!(
            "rules of {}: {}",
            words.join(" "),
            counted(count, "copy", "copies")
        )
    });
    paper.list(profiles);
}

fn copies(paper: &mut Paper, total: &Tally) {
    paper.section("Copies");
    let mut rows: Vec<Vec<String>> = total
        .each(Measure::Copies)
        .map(|(words, count)| {
            let (copy, reason) = match words {
                [copy, reason] => (copy.as_str(), reason.as_str()),
                _ => ("", ""),
            };
            vec![copy.to_owned(), cause(reason), number(count)]
        })
        .collect();
    rows.push(vec![
        "total".to_owned(),
        String::new(),
        number(total.sum(Measure::Recipients)),
    ]);
    paper.table(&["copy", "because", "copies"], rows);
    let shadowed = total.sum(Measure::ShadowCopies);
    if shadowed > 0 {
        paper.sentence(format!(
            "{} of them went to people for whom their stream only looks on.",
            number(shadowed)
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

fn unseen(paper: &mut Paper, total: &Tally) {
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
        .map(|(words, count)| vec![words.join(" "), number(count)])
        .collect();
    if !passed.is_empty() {
        paper.section("Out of scope, and not looked into");
        paper.table(&["why", "parts"], passed);
    }
}

fn signatures(paper: &mut Paper, total: &Tally) {
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
}

fn fates(paper: &mut Paper, total: &Tally) {
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

fn how(paper: &mut Paper, counts: &Counts) {
    paper.section("How this was counted");
    paper.list([
        "Days are UTC. A message is counted once, on the day and in the stream of its first attempt. Further attempts are retries.".to_owned(),
        "Of several decisions about one copy the last one before its fate was final counts; so a withdrawal between two attempts shows.".to_owned(),
        "A message that the client was told to bring again, and brought again, is two messages.".to_owned(),
        "One tracker in two copies counts twice. Held back are copies that were held or refused here.".to_owned(),
        format!(
            "Read: {}, {}, nodes: {}.",
            counted(counts.lines, "line", "lines"),
            counted(counts.starts, "start of the relay", "starts of the relay"),
            counts.nodes.iter().cloned().collect::<Vec<_>>().join(", ")
        ),
    ]);
}

fn moment(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
