//! The extract as a text that can be pasted into a register.
//!
//! Wording only. It says what is configured and what was recorded, and that somebody has to read it.

use std::collections::BTreeMap;

use super::super::paper::{Paper, counted, number};
use super::super::plain;
use super::super::report::{Source, missing};
use super::{Activity, MEASURES, profile_facts};
use crate::config::File;
use crate::ledger::summary::{Counts, Tally};

/// What the extract is, and is not.
pub(super) const STATEMENT: &str = "Extract for a register of processing activities. It implements our reading of the rules and states what is \
     configured and recorded; whether that suffices a person has to judge.";
/// Who the operator of the relay is to the controllers.
pub(super) const PROCESSOR: &str =
    "The operator of the relay acts as processor on behalf of each controller named below.";
/// Whose data.
pub(super) const PEOPLE: &str = "Recipients of the controller's mail.";
/// Which data.
pub(super) const DATA: [&str; 4] = [
    "in the consent register: sealed address, keyed hash, what the person consented to or refused, when, how, with which wording and notice, country and kind of the address",
    "in the ledger: keyed hash of the person, moment, stream, hosts and kind of the trackers found, what was done with them and on which record that rests, what became of the copy",
    "in transit: the message itself, stored only while a copy of it is owed",
    "through a tracker that is kept: that the message was opened, when, from which network address and device, to the recipients of data named for the stream",
];

/// How long things are kept, as configured.
pub(super) fn retention(file: &File) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        (
            "ledger",
            match file.ledger.retention_days {
                0 => "until the operator removes it".to_owned(),
                days => format!(
                    "{} after the day of each line",
                    counted(days.into(), "day", "days")
                ),
            },
        ),
        (
            "records_that_decide",
            "as long as they decide, or until the person is erased".to_owned(),
        ),
        ("claims_without_proof", days(file.retention.claims_days)),
        ("superseded_changes", days(file.retention.superseded_days)),
        (
            "superseded_contact_records",
            days(file.retention.contacts_superseded_days),
        ),
        (
            "sealed_proof_of_erased_people",
            days(file.retention.defence_days),
        ),
        (
            "messages_owed",
            format!(
                "{} at most, then the sender gets a report",
                span(file.spool.expire_after_seconds)
            ),
        ),
    ])
}

fn days(days: u32) -> String {
    counted(days.into(), "day", "days")
}

fn span(seconds: u32) -> String {
    let seconds = u64::from(seconds);
    match seconds {
        s if s >= 86_400 && s % 86_400 == 0 => counted(s / 86_400, "day", "days"),
        s if s >= 3_600 && s % 3_600 == 0 => counted(s / 3_600, "hour", "hours"),
        s => counted(s, "second", "seconds"),
    }
}

pub(super) fn extract(
    file: &File,
    source: &Source,
    counts: &Counts,
    activities: &[Activity],
) -> Paper {
    let mut paper = Paper::default();
    paper.title("Tracking pixels in e-mail: extract for the register of processing activities");
    paper.sentence(STATEMENT);
    let day = |day: Option<jiff::civil::Date>, other: Option<&jiff::civil::Date>| {
        day.or(other.copied())
            .map_or_else(|| "no day".to_owned(), |day| day.to_string())
    };
    paper.sentence(format!(
        "Figures of {} to {} (UTC), from the ledgers of: {}.",
        day(source.from, source.days.first()),
        day(source.to, source.days.last()),
        counts.nodes.iter().cloned().collect::<Vec<_>>().join(", ")
    ));
    let mut total = Tally::default();
    counts.rows.iter().for_each(|(_, tally)| total.merge(tally));
    missing(&mut paper, counts, &total);
    for activity in activities {
        one(&mut paper, activity);
    }
    paper.section("For all of them");
    paper.sentence(PROCESSOR);
    paper.sentence(format!("Categories of people: {PEOPLE}"));
    paper.sentence("Categories of data:");
    paper.list(DATA.iter().map(|line| (*line).to_owned()));
    paper.sentence("Retention, as configured:");
    paper.list(
        retention(file)
            .into_iter()
            .map(|(what, how)| format!("{}: {how}", what.replace('_', " "))),
    );
    paper.sentence("Technical measures:");
    paper.list(MEASURES.iter().map(|line| (*line).to_owned()));
    if !counts.rules_disabled.is_empty() {
        paper.loud(
            "Detection rules that were switched off: trackers of these kinds were not found.",
        );
        paper.list(counts.rules_disabled.keys().cloned());
    }
    paper
}

fn one(paper: &mut Paper, activity: &Activity) {
    paper.section(format!(
        "Controller {}, stream {}",
        activity.controller, activity.stream
    ));
    let mut about = vec![format!("kind of mail: {}", activity.kind.replace('_', " "))];
    if !activity.configured {
        about.push("this stream is in the ledger, and no longer in the configuration".to_owned());
    }
    for declared in &activity.declared {
        about.push(format!(
            "declared: {} for {}, recipient: {}",
            declared.hosts.join(", "),
            declared.purposes.join(" and "),
            if declared.recipient == "us" {
                "the controller"
            } else {
                &declared.recipient
            }
        ));
    }
    let partners = activity.partners();
    about.push(match partners.is_empty() {
        true => "recipients of data: the controller and its processors".to_owned(),
        false => format!(
            "recipients of data beside the controller: {}",
            partners.into_iter().collect::<Vec<_>>().join(", ")
        ),
    });
    about.push(match &activity.withdrawal {
        Some(way) => format!("withdrawal: {way}"),
        None => "withdrawal: no link is asked for in the message".to_owned(),
    });
    for (profile, copies) in &activity.profiles {
        let what = profile_facts(profile).map_or_else(String::new, |facts| {
            format!(
                "{}, in force since {}; {} of its {} rules were compared with the primary text; ",
                facts.title, facts.effective, facts.verified, facts.rules
            )
        });
        about.push(format!(
            "rules applied: {profile} ({what}{})",
            counted(*copies, "copy", "copies")
        ));
    }
    if let (Some(first), Some(last)) = (activity.first_day, activity.last_day) {
        about.push(format!(
            "{} to {} on {first} to {last}, {} in their copies",
            counted(activity.messages, "message", "messages"),
            counted(activity.recipients, "recipient", "recipients"),
            counted(activity.trackers, "tracker", "trackers"),
        ));
    } else {
        about.push("no message in the period".to_owned());
    }
    paper.list(about);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (basis, count) in &activity.legal_basis {
        rows.push(vec![
            plain::basis(basis).to_owned(),
            basis.clone(),
            number(*count),
        ]);
    }
    for (reason, count) in &activity.without_basis {
        rows.push(vec![
            format!("no basis: {}", plain::reason(reason)),
            reason.clone(),
            number(*count),
        ]);
    }
    if !activity.exemptions.is_empty() {
        let used = activity.exemptions.iter().map(|(exemption, count)| {
            format!("{exemption} ({})", counted(*count, "tracker", "trackers"))
        });
        paper.sentence(format!(
            "Exemptions used: {}.",
            used.collect::<Vec<_>>().join(", ")
        ));
    }
    if !rows.is_empty() {
        paper.table(
            &["legal basis", "in the ledger", "trackers in copies"],
            rows,
        );
    }
    let mut seen: Vec<_> = activity.observed.iter().collect();
    seen.sort_by_key(|seen| std::cmp::Reverse(seen.trackers));
    let rows: Vec<Vec<String>> = seen
        .iter()
        .map(|seen| {
            let purposes = match seen.purposes.is_empty() {
                true => "undeclared",
                false => &seen.purposes,
            };
            vec![
                seen.host.clone(),
                purposes.to_owned(),
                seen.partner.clone(),
                number(seen.trackers),
            ]
        })
        .collect();
    if !rows.is_empty() {
        paper.table(
            &[
                "host in the ledger",
                "purposes",
                "partner",
                "trackers in copies",
            ],
            rows,
        );
    }
}
