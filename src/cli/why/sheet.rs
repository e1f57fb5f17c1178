//! The answer on one screen, for somebody with a complaint on the telephone: short lines, plain words, the ledger's own
//! word in brackets behind them.
//!
//! Wording only. Records are numbered where they are mentioned and told once at the end.

use std::fmt::Write as _;

use super::super::paper::{counted, wrap};
use super::super::{plain, report};
use super::messages::{Attempt, Decided, Message, Part, Tracker};
use super::proof::Numbers;
use super::{Told, moment, proof};

/// Most different decisions that are told of one attempt.
const DECISIONS_MAX: usize = 12;

pub(super) fn told(address: &str, told: &Told) -> String {
    let mut text = String::new();
    let mut numbers = Numbers::default();
    let count = told.messages.len() + told.more;
    match count {
        0 => wrap(
            &mut text,
            &format!("No message to {address} is in the ledger."),
            "",
            "",
        ),
        1 => wrap(&mut text, &format!("1 message to {address}."), "", ""),
        _ => wrap(
            &mut text,
            &format!("{count} messages to {address}, the newest first."),
            "",
            "",
        ),
    }
    for message in &told.messages {
        text.push('\n');
        self::message(&mut text, message, &mut numbers);
    }
    if told.more > 0 {
        let more = counted(told.more as u64, "older message is", "older messages are");
        let _ = writeln!(
            text,
            "\n{more} not shown: name a day with --day, or a message with --message-id."
        );
    }
    proof::records(&mut text, told, &numbers);
    proof::today(&mut text, told);
    searched(&mut text, told);
    text
}

fn message(text: &mut String, message: &Message, numbers: &mut Numbers) {
    let Some(first) = message.attempts.first() else {
        return;
    };
    let line = format!(
        "{}  stream {} ({}) of controller {}",
        moment(first.decided_at),
        message.stream,
        message.stream_kind.replace('_', " "),
        message.controller
    );
    wrap(text, &line, "* ", "  ");
    let _ = writeln!(
        text,
        "  came in at {}, message {} on {}",
        message.listener, message.id, message.node
    );
    for (why, parts) in &message.out_of_scope {
        let parts = counted(*parts, "part", "parts");
        let _ = writeln!(
            text,
            "  not looked into: {parts} ({})",
            plain::out_of_scope(why)
        );
    }
    for (kind, times) in &message.reported {
        let _ = writeln!(text, "  left as it is: {times} × {}", plain::reported(kind));
    }
    let mut before: Option<&Attempt> = None;
    for attempt in &message.attempts {
        if message.attempts.len() > 1 {
            let _ = writeln!(
                text,
                "  Attempt {}, {}:",
                attempt.attempt,
                moment(attempt.decided_at)
            );
        }
        let same = before.is_some_and(|before| {
            before.trackers == attempt.trackers && before.parts == attempt.parts
        });
        match same && !attempt.trackers.is_empty() {
            true => text.push_str("  the same was decided again\n"),
            false => decisions(text, message, attempt, numbers),
        }
        copy(text, attempt);
        before = Some(attempt);
    }
}

fn decisions(text: &mut String, message: &Message, attempt: &Attempt, numbers: &mut Numbers) {
    if attempt.void {
        wrap(
            text,
            "THIS LINE IS VOID: the decision could not be written down in time. Nothing was kept.",
            "  ",
            "  ",
        );
        return;
    }
    if attempt.trackers.is_empty() && attempt.parts.is_empty() {
        text.push_str("  no tracker was found\n");
    }
    // A message may have the same pixel many times; people want to hear of it once.
    let mut distinct: Vec<(&Tracker, usize)> = Vec::new();
    for tracker in &attempt.trackers {
        match distinct
            .iter_mut()
            .find(|(known, _)| known.is_like(tracker))
        {
            Some((_, times)) => *times += 1,
            None => distinct.push((tracker, 1)),
        }
    }
    for (tracker, times) in distinct.iter().take(DECISIONS_MAX) {
        self::tracker(text, message, tracker, *times, numbers);
    }
    if let Some(more) = distinct.len().checked_sub(DECISIONS_MAX + 1) {
        let _ = writeln!(text, "  and {} more trackers: see --format json", more + 1);
    }
    for part in attempt.parts.iter().take(DECISIONS_MAX) {
        self::part(text, message, part, numbers);
    }
}

fn tracker(
    text: &mut String,
    message: &Message,
    tracker: &Tracker,
    times: usize,
    numbers: &mut Numbers,
) {
    let mut line = format!("{}: {}", capitals(&tracker.decided.action), tracker.host);
    if !tracker.host.ends_with(&tracker.vendor) {
        let _ = write!(line, " ({})", tracker.vendor);
    }
    let vector = plain::vector(&tracker.vector);
    let _ = write!(
        line,
        ", a {vector} in part {}, line {}",
        tracker.part, tracker.line
    );
    if times > 1 {
        let _ = write!(line, " and further down, {times} times");
    }
    wrap(text, &line, "  ", "    ");
    for word in &tracker.evidence {
        let line = format!("{} [{word}]", plain::evidence(word));
        wrap(text, &line, "    ", "    ");
    }
    let purposes = match (tracker.purposes.is_empty(), &tracker.partner) {
        (true, _) => "nothing".to_owned(),
        (false, None) => tracker.purposes.join(" and "),
        (false, Some(partner)) => {
            format!("{}, on behalf of {partner}", tracker.purposes.join(" and "))
        }
    };
    wrap(text, &format!("Declared for {purposes}."), "    ", "    ");
    because(text, &message.controller, &tracker.decided, numbers);
    if tracker.decided.action == "stripped" {
        let done = plain::treatment(&tracker.treatment);
        wrap(
            text,
            &format!("done: {done} [{}]", tracker.treatment),
            "    ",
            "    ",
        );
    }
}

fn part(text: &mut String, message: &Message, part: &Part, numbers: &mut Numbers) {
    let why = plain::uninspectable(&part.why);
    let line = format!(
        "part {} could not be inspected: {why} [{}]",
        part.part, part.why
    );
    wrap(text, &line, "  ", "    ");
    if let Some(decided) = &part.decided {
        let _ = writeln!(text, "    {}", plain::action(&decided.action));
        because(text, &message.controller, decided, numbers);
    }
}

fn because(text: &mut String, controller: &str, decided: &Decided, numbers: &mut Numbers) {
    let (words, word) = match (&decided.basis, &decided.reason) {
        (Some(basis), _) => (plain::basis(basis), basis.as_str()),
        (None, Some(reason)) => (plain::reason(reason), reason.as_str()),
        (None, None) => (plain::reason(""), ""),
    };
    let mut line = format!("because {words} [{word}]");
    for (at, id) in decided.records.iter().enumerate() {
        let number = numbers.of(controller, id);
        let _ = write!(line, "{} {number}", if at == 0 { ": record" } else { "," });
    }
    wrap(text, &line, "    ", "    ");
    if let Some(later) = &decided.later {
        let line = format!(
            "LATER, on {}, the person {}.",
            moment(later.at),
            plain::change(&later.state)
        );
        wrap(text, &line, "    ", "    ");
    }
}

fn copy(text: &mut String, attempt: &Attempt) {
    let mut line = format!("The copy was {}", plain::copy(&attempt.copy));
    if let Some(reason) = attempt.copy_reason.as_deref() {
        let _ = write!(line, ", because {} [{reason}]", report::cause(reason));
    }
    line.push_str(match &attempt.fate {
        Some(_) => ": ",
        None => "; what became of it is not in the ledger",
    });
    if let Some(fate) = &attempt.fate {
        line.push_str(plain::fate(&fate.fate));
        if let Some(code) = fate.code {
            let _ = write!(
                line,
                " ({code}{})",
                fate.status
                    .as_deref()
                    .map_or_else(String::new, |status| format!(" {status}"))
            );
        }
        if let Some(answered) = attempt.answered.filter(|code| *code >= 400) {
            let _ = write!(line, "; who brought it was told {answered}");
        }
    }
    line.push('.');
    wrap(text, &line, "  ", "    ");
    if attempt.shadow {
        let until = attempt.shadow_until.as_deref().unwrap_or("an unknown day");
        let by = attempt.shadow_by.as_deref().unwrap_or("nobody named");
        let line = format!(
            "The stream only looked on, until {until}, ordered by {by}: what was decided was not done."
        );
        wrap(text, &line, "  ", "    ");
    }
    if let Some(profile) = &attempt.profile {
        let line = format!("Decided under {} [{profile}].", plain::profile(profile));
        wrap(text, &line, "  ", "    ");
    }
    for stop in &attempt.stops {
        let _ = writeln!(text, "  The operator's stop {stop} was on.");
    }
    if !attempt.rules_disabled.is_empty() {
        let rules = attempt.rules_disabled.join(", ");
        wrap(
            text,
            &format!("Detection rules that were switched off: {rules}."),
            "  ",
            "    ",
        );
    }
}

fn capitals(action: &str) -> String {
    plain::action(action).to_uppercase()
}

fn searched(text: &mut String, told: &Told) {
    let searched = &told.searched;
    let days = match (searched.day, searched.first_day, searched.last_day) {
        (Some(day), _, _) => format!("messages of {day}"),
        (None, Some(first), Some(last)) => format!("days {first} to {last}"),
        _ => "it holds no lines".to_owned(),
    };
    let id = match searched.message_id {
        true => ", only the Message-ID that was named",
        false => "",
    };
    let _ = writeln!(text, "\nSearched ({days}{id}):");
    for ledger in &searched.ledgers {
        let _ = writeln!(text, "  ledger {ledger}");
    }
    let controllers = searched.controllers.join(", ");
    wrap(text, &format!("controllers {controllers}"), "  ", "    ");
    for remark in &searched.remarks {
        wrap(text, remark, "  ", "    ");
    }
    if told.messages.is_empty() || searched.named_by_messages {
        let line = "Mail of a controller who is not listed here is found with --controller NAME.";
        wrap(text, line, "  ", "    ");
    }
}
