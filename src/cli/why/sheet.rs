//! The answer on one screen, for somebody with a complaint on the telephone: short lines, plain words, the ledger's own
//! word in brackets behind them.
//!
//! Wording only. Records are numbered where they are mentioned and told once at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use super::super::paper::{counted, wrap};
use super::super::{plain, report};
use super::messages::{Attempt, Decided, Message, Part, Tracker};
use super::person::{Person, Record};
use super::{Told, moment};
use crate::consent::{Change, ContactRecord, Purpose, State};

/// Most different decisions that are told of one attempt.
const DECISIONS_MAX: usize = 12;

/// Numbers of records, in the order in which they were mentioned, by controller and name.
#[derive(Debug, Default)]
struct Numbers(BTreeMap<(String, String), usize>);

impl Numbers {
    fn of(&mut self, controller: &str, id: &str) -> usize {
        let next = self.0.len() + 1;
        *self
            .0
            .entry((controller.to_owned(), id.to_owned()))
            .or_insert(next)
    }
}

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
    records(&mut text, told, &numbers);
    today(&mut text, told);
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
            why.replace('_', " ")
        );
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
        match distinct.iter_mut().find(|(known, _)| *known == tracker) {
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
    if times > 1 {
        let _ = write!(line, ", {times} times");
    }
    wrap(text, &line, "  ", "    ");
    let evidence: Vec<String> = tracker.evidence.iter().map(|word| evidence(word)).collect();
    let purposes = match (tracker.purposes.is_empty(), &tracker.partner) {
        (true, _) => "declared for nothing".to_owned(),
        (false, None) => format!("declared for {}", tracker.purposes.join(" and ")),
        (false, Some(partner)) => {
            format!(
                "declared for {}, on behalf of {partner}",
                tracker.purposes.join(" and ")
            )
        }
    };
    wrap(
        text,
        &format!("{}; {purposes}", evidence.join("; ")),
        "    ",
        "    ",
    );
    because(text, &message.controller, &tracker.decided, numbers);
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
    let mut line = match attempt.copy.as_str() {
        "unchanged" => "The copy was sent as it came".to_owned(),
        "stripped" => "The copy was sent without what was taken out".to_owned(),
        "held" => "The copy was held".to_owned(),
        "rejected" => "The copy was refused".to_owned(),
        other => format!("The copy: {other}"),
    };
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
        let _ = writeln!(text, "  Decided under the rules of {profile}.");
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

/// Why it looked like tracking.
fn evidence(word: &str) -> String {
    match word.split_once(':') {
        Some(("known_endpoint", rule)) => {
            format!("at an address known for counting openings (rule {rule})")
        }
        Some(("tiny", size)) => format!("an invisible image of {size}"),
        _ => word.replace('_', " "),
    }
}

fn capitals(action: &str) -> String {
    plain::action(action).to_uppercase()
}

fn records(text: &mut String, told: &Told, numbers: &Numbers) {
    if numbers.0.is_empty() {
        return;
    }
    text.push_str("\nThe records that this rests on:\n");
    let mut by_number: Vec<_> = numbers
        .0
        .iter()
        .map(|(name, number)| (number, name))
        .collect();
    by_number.sort();
    for (number, (controller, id)) in by_number {
        let person = told
            .people
            .iter()
            .find(|person| person.controller == *controller);
        let record = person.and_then(|person| person.records.get(id));
        let _ = writeln!(text, " {number}. {id}");
        self::record(
            text,
            record.unwrap_or(&Record::Unknown),
            person.is_some_and(|person| person.sealed),
        );
    }
}

fn record(text: &mut String, record: &Record, sealed: bool) {
    match record {
        Record::Change(change) => self::change(text, change),
        Record::Contact(contact) => self::contact(text, contact),
        Record::Blanked(blanked) => {
            let how = match blanked.rule.as_str() {
                "erased" => "erased".to_owned(),
                rule => format!("expired under the rule {rule}"),
            };
            let line = format!("{how} on {}; its content is gone", moment(blanked.at));
            wrap(text, &line, "    ", "    ");
            if sealed {
                text.push_str("    What is kept sealed to answer for it opens with --erased.\n");
            }
        }
        Record::Defence { sealed_at, record } => {
            let _ = writeln!(
                text,
                "    erased; kept sealed since {}:",
                moment(*sealed_at)
            );
            self::record(text, record, false);
        }
        Record::Unknown => {
            text.push_str("    no record of this person in this register has that name\n")
        }
    }
}

fn change(text: &mut String, change: &Change) {
    let said = &change.said;
    let mut line = plain::change(said.kind.as_str()).to_owned();
    match said.purposes.is_empty() {
        true => line.push_str(", every purpose"),
        false => {
            let purposes: Vec<&str> = said
                .purposes
                .iter()
                .map(|purpose| purpose.as_str())
                .collect();
            let _ = write!(line, ", for {}", purposes.join(" and "));
        }
    }
    if let Some(at) = said.at {
        let _ = write!(line, ", on {}", moment(at));
    }
    if let Some(channel) = &said.form.channel {
        let _ = write!(line, ", by {channel}");
    }
    wrap(text, &line, "    ", "      ");
    let form = &said.form;
    let mut lines = vec![format!("recorded {}", moment(change.recorded_at))];
    let named = [
        ("collected by", &form.collector),
        ("the person", &form.affirmative_act),
        ("language", &form.language),
        ("notice", &form.notice),
        ("list of controllers", &form.controller_list),
        ("source", &said.source),
    ];
    lines.extend(
        named
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?))),
    );
    if let Some(scope) = form.scope {
        lines.push(format!("scope {scope}"));
    }
    wrap(text, &lines.join("; "), "      ", "      ");
    if let Some(version) = &form.wording_version {
        let _ = writeln!(text, "      wording {version}");
    }
    for (name, digest) in [
        ("wording", form.wording_sha256),
        ("evidence", form.evidence_sha256),
    ] {
        if let Some(digest) = digest {
            let hex: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
            let _ = writeln!(text, "      {name} sha256 {hex}");
        }
    }
}

fn contact(text: &mut String, record: &ContactRecord) {
    let contact = &record.contact;
    let mut lines = Vec::new();
    if let Some(at) = contact.collected_at {
        lines.push(format!("address collected {}", moment(at)));
    }
    if let Some(at) = contact.informed_at {
        lines.push(format!("person informed {}", moment(at)));
    }
    if let Some(notice) = &contact.notice {
        lines.push(format!("notice {notice}"));
    }
    if !contact.informed_purposes.is_empty() {
        let purposes: Vec<&str> = contact
            .informed_purposes
            .iter()
            .map(|purpose| purpose.as_str())
            .collect();
        lines.push(format!("informed of {}", purposes.join(" and ")));
    }
    if let Some(country) = &contact.country {
        lines.push(format!("country {country}"));
    }
    if let Some(kind) = contact.address_kind {
        lines.push(format!("kind of address {kind}"));
    }
    lines.push(format!("recorded {}", moment(record.recorded_at)));
    wrap(text, &lines.join("; "), "    ", "      ");
}

/// Where the person stands now: alike purposes together.
fn today(text: &mut String, told: &Told) {
    text.push_str("\nOn record now:\n");
    let mut silent = Vec::new();
    for person in &told.people {
        if person.standing.is_unknown() && person.erased_at.is_none() {
            silent.push(person.controller.as_str());
            continue;
        }
        standing(text, person);
    }
    if !silent.is_empty() {
        let line = format!(
            "nothing for controller {}: every tracker that needs consent is taken out",
            silent.join(", ")
        );
        wrap(text, &line, "  ", "    ");
    }
}

fn standing(text: &mut String, person: &Person) {
    let mut alike: BTreeMap<(State, Timestamp), Vec<Purpose>> = BTreeMap::new();
    for (purpose, entry) in person.standing.entries() {
        alike
            .entry((entry.state, entry.at))
            .or_default()
            .push(purpose);
    }
    let _ = writeln!(text, "  controller {}:", person.controller);
    if let Some(at) = person.erased_at {
        let _ = writeln!(text, "    erased on {}", moment(at));
    }
    for ((state, at), purposes) in alike {
        let which = match purposes.len() == Purpose::ALL.len() {
            true => "every purpose".to_owned(),
            false => purposes
                .iter()
                .map(|purpose| purpose.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        };
        wrap(
            text,
            &format!("{state} since {}: {which}", moment(at)),
            "    ",
            "      ",
        );
    }
    let claims: Vec<&str> = person.standing.claims().map(Purpose::as_str).collect();
    if !claims.is_empty() {
        let line = format!(
            "claimed without proof, which permits nothing: {}",
            claims.join(", ")
        );
        wrap(text, &line, "    ", "      ");
    }
}

fn searched(text: &mut String, told: &Told) {
    let searched = &told.searched;
    let days = match (searched.day, searched.first_day, searched.last_day) {
        (Some(day), _, _) => format!("messages of {day}"),
        (None, Some(first), Some(last)) => format!("days {first} to {last}"),
        _ => "which holds no lines".to_owned(),
    };
    let id = if searched.message_id {
        ", the Message-ID named"
    } else {
        ""
    };
    let line = format!(
        "Searched: {} ({days}{id}); controllers {}.",
        searched.ledgers.join(", "),
        searched.controllers.join(", ")
    );
    text.push('\n');
    wrap(text, &line, "", "  ");
    if told.messages.is_empty() {
        wrap(
            text,
            "Mail of a controller who is not listed here is found with --controller NAME.",
            "",
            "  ",
        );
    }
}
