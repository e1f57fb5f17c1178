//! The report as JSON: every stream and day with all its counts, and the totals, which are their sums.
//!
//! Names of fields are what other people's programs read. It knows counts and no ledger.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Source;
use crate::ledger::summary::{Counts, Days, Measure, Place, Tally};

/// Version of this shape.
const VERSION: u32 = 1;

pub(super) fn report(source: &Source, counts: &Counts) -> Value {
    let rows = by_stream_and_day(counts);
    let mut total = Tally::default();
    rows.iter().for_each(|(_, tally)| total.merge(tally));
    let rows: Vec<Value> = rows
        .iter()
        .map(|(place, tally)| {
            let mut row = tallied(tally);
            row.insert("day".to_owned(), json!(place.day));
            row.insert("stream".to_owned(), json!(place.stream));
            row.insert("kind".to_owned(), json!(place.stream_kind));
            Value::Object(row)
        })
        .collect();
    json!({
        "v": VERSION,
        "period": period(source),
        "rows": rows,
        "totals": tallied(&total),
        "switched": switched(counts),
        "rules_disabled": spans(&counts.rules_disabled),
        "stops": spans(&counts.stops),
        "ledger": ledger(counts),
    })
}

/// Rows that differ in their controller only are one.
pub(super) fn by_stream_and_day(counts: &Counts) -> Vec<(Place, Tally)> {
    let mut rows: BTreeMap<(jiff::civil::Date, &str, &str), (Place, Tally)> = BTreeMap::new();
    for (place, tally) in &counts.rows {
        let name = (place.day, place.stream.as_str(), place.stream_kind.as_str());
        let row = rows
            .entry(name)
            .or_insert_with(|| (place.clone(), Tally::default()));
        row.1.merge(tally);
    }
    rows.into_values().collect()
}

pub(in crate::cli) fn period(source: &Source) -> Value {
    let directories: Vec<String> = source
        .directories
        .iter()
        .map(|directory| directory.display().to_string())
        .collect();
    json!({
        "from": source.from, "to": source.to, "ledgers": directories,
        "first_day": source.days.first(), "last_day": source.days.last(),
    })
}

/// What is missing, and what was read.
pub(in crate::cli) fn ledger(counts: &Counts) -> Value {
    json!({
        "nodes": counts.nodes, "lines": counts.lines, "starts": counts.starts,
        "gaps": counts.gaps, "missing_lines": counts.missing_lines, "missing": counts.missing,
        "jumps": counts.jumps, "outcomes_without_intent": counts.without_intent,
        "forgotten_under_way": counts.forgotten,
    })
}

pub(in crate::cli) fn switched(counts: &Counts) -> Vec<Value> {
    let streams = counts.switched.iter().map(|(switched, days)| {
        json!({
            "stream": switched.stream, "mode": switched.mode, "shadow_until": switched.shadow_until,
            "by": switched.by, "share_percent": switched.share_percent,
            "first": days.first, "last": days.last, "messages": days.messages,
        })
    });
    streams.collect()
}

fn spans(noted: &BTreeMap<String, Days>) -> Vec<Value> {
    let each = noted.iter().map(|(name, days)| {
        json!({ "name": name, "first": days.first, "last": days.last, "messages": days.messages })
    });
    each.collect()
}

fn tallied(tally: &Tally) -> Map<String, Value> {
    let mut fields = Map::new();
    let single = [
        ("messages", Measure::Messages),
        ("messages_with_trackers", Measure::MessagesWithTrackers),
        ("attempts", Measure::Attempts),
        ("retries", Measure::Retries),
        ("retries_of_earlier_messages", Measure::RetriesOfEarlier),
        ("messages_not_recorded", Measure::Void),
        ("messages_without_outcome", Measure::WithoutOutcome),
        ("recipients", Measure::Recipients),
        ("shadow_copies", Measure::ShadowCopies),
        ("copies_that_would_change", Measure::WouldChangeCopies),
        ("trackers", Measure::Trackers),
        ("uninspectable_messages", Measure::UninspectableMessages),
    ];
    for (name, measure) in single {
        fields.insert(name.to_owned(), json!(tally.sum(measure)));
    }
    let listed: [(&str, Measure, &[&str], &str); 11] = [
        (
            "trackers_by",
            Measure::Trackers,
            &["action", "why", "vendor"],
            "trackers",
        ),
        (
            "blind_parts_by",
            Measure::BlindParts,
            &["action", "why"],
            "parts",
        ),
        ("copies_by", Measure::Copies, &["copy", "reason"], "copies"),
        ("profiles", Measure::Profiles, &["profile"], "copies"),
        ("dkim_broken", Measure::DkimBroken, &["domain"], "copies"),
        (
            "dkim_would_break",
            Measure::DkimWouldBreak,
            &["domain"],
            "copies",
        ),
        ("fates", Measure::Fates, &["fate"], "copies"),
        ("answers", Measure::Answers, &["answer"], "messages"),
        (
            "uninspectable_parts",
            Measure::UninspectableParts,
            &["reason"],
            "parts",
        ),
        (
            "out_of_scope_parts",
            Measure::OutOfScopeParts,
            &["reason"],
            "parts",
        ),
        ("reported", Measure::Reported, &["kind"], "times"),
    ];
    for (name, measure, words, unit) in listed {
        fields.insert(
            name.to_owned(),
            Value::Array(list(tally, measure, words, unit)),
        );
    }
    for (name, action) in [
        ("kept", "kept"),
        ("stripped", "stripped"),
        ("would_strip", "would_strip"),
    ] {
        fields.insert(name.to_owned(), json!(with_action(tally, action)));
    }
    fields
}

fn list(tally: &Tally, measure: Measure, names: &[&str], unit: &str) -> Vec<Value> {
    let each = tally.each(measure).map(|(words, count)| {
        let mut entry: Map<String, Value> = names
            .iter()
            .zip(words)
            .map(|(name, word)| ((*name).to_owned(), json!(word)))
            .collect();
        entry.insert(unit.to_owned(), json!(count));
        Value::Object(entry)
    });
    each.collect()
}

/// How many trackers one action was done to.
pub(super) fn with_action(tally: &Tally, action: &str) -> u64 {
    let trackers = tally.each(Measure::Trackers);
    let those = trackers.filter(|(words, _)| words.first().is_some_and(|word| word == action));
    those.map(|(_, count)| count).sum()
}
