//! The report as a sheet of paper: what is missing first, then the figures, then how they were counted.
//!
//! It knows counts and no ledger. Totals stand under every table whose rows are parts of a whole.

use super::super::paper::{Paper, counted, number};
use super::super::plain;
use super::shapes::by_stream_and_day;
use super::{Source, tables};
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
    beginning(&mut paper, source);
    shadows(&mut paper, counts);
    exceptions(&mut paper, counts);
    in_short(&mut paper, source, counts, &total);
    if rows.is_empty() {
        return paper;
    }
    tables::overview(&mut paper, &rows, &total);
    tables::trackers(
        &mut paper,
        &total,
        "would_strip",
        "Would be taken out, if the streams did not only look on",
    );
    tables::trackers(&mut paper, &total, "stripped", "Taken out");
    tables::kept(&mut paper, &total);
    tables::copies(&mut paper, &total);
    tables::unseen(&mut paper, &total);
    tables::signatures(&mut paper, &total);
    tables::fates(&mut paper, &total);
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

/// A period that begins before the ledger does looks emptier than it was.
fn beginning(paper: &mut Paper, source: &Source) {
    if let (Some(from), Some(first)) = (source.from, source.days.first())
        && from < *first
    {
        paper.loud(format!(
            "The lines begin on {first}: what was before is not in the ledger, or was dropped by its age."
        ));
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
    let actions = tables::by_first(total, Measure::Trackers);
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
