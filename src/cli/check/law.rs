//! What `check` says of the law: every profile with its rules, what each reading rests on, and who checked it.
//!
//! Words for people; it decides nothing. That nobody compared a rule with the primary text is said of each.

use std::fmt::Write as _;

use crate::consent::{Profile, Purpose};
use crate::relay::lawbook::Lawbook;

/// Which law decides, rule by rule, and on what each reading rests.
pub(super) fn describe(text: &mut String, lawbook: &Lawbook) {
    let profiles = lawbook.profiles.all();
    for profile in profiles {
        let countries: Vec<&str> = profile.countries.iter().map(String::as_str).collect();
        let whom = match countries.as_slice() {
            [] => "no country's own".to_owned(),
            some => format!("people in {}", some.join(", ")),
        };
        let _ = writeln!(
            text,
            "profile {}, effective {}, {whom}: {}",
            profile.name, profile.effective, profile.title
        );
        for (rule, what, source, verified_on) in rules(profile) {
            let _ = writeln!(text, "  {rule}: {what}");
            let verified = match verified_on {
                Some(day) => format!("; verified on {day}"),
                None => String::new(),
            };
            let _ = writeln!(text, "    by: {source}{verified}");
        }
        let unread = rules(profile)
            .iter()
            .filter(|rule| rule.3.is_none())
            .count();
        if unread > 0 {
            let _ = writeln!(
                text,
                "  {unread} rules not verified by a person: the primary text was not read"
            );
        }
    }
    if let Some(age) = lawbook.grant_age_max {
        let _ = writeln!(
            text,
            "a consent older than {} days counts for nothing",
            age.as_hours() / 24
        );
    }
    for (controller, country) in &lawbook.countries {
        let _ = writeln!(
            text,
            "controller `{controller}`: people whose record names no country are in {country}"
        );
    }
    let names: Vec<&str> = profiles
        .iter()
        .map(|profile| profile.name.as_str())
        .collect();
    let without = profiles.iter().filter(|profile| profile.legacy.is_empty());
    let without: Vec<&str> = without.map(|profile| profile.name.as_str()).collect();
    let legacy = match without.as_slice() {
        [] => "the legacy rule (D8) applies to them where it does in every one of these".to_owned(),
        some => format!(
            "the legacy rule (D8) never applies to them, for {} has none",
            some.join(" and ")
        ),
    };
    let _ = writeln!(
        text,
        "people whose country is not known, or has no profile: every loaded profile has to permit ({}); {legacy}",
        names.join(", ")
    );
}

type RuleLine<'a> = (&'a str, String, &'a str, Option<jiff::civil::Date>);

fn rules(profile: &Profile) -> Vec<RuleLine<'_>> {
    let listed = |purposes: Vec<&Purpose>| {
        let words: Vec<String> = purposes.into_iter().map(ToString::to_string).collect();
        words.join(", ")
    };
    let mut lines: Vec<RuleLine<'_>> = Vec::new();
    for rule in &profile.consent {
        let what = format!(
            "{}: only with consent",
            listed(rule.purposes.iter().collect())
        );
        lines.push((&rule.rule, what, &rule.source, rule.verified_on));
    }
    for rule in &profile.exempt {
        let kinds: Vec<String> = rule.kinds.iter().map(ToString::to_string).collect();
        let off = if rule.on { "" } else { "OFF: " };
        let what = format!(
            "{off}{} without consent ({}) on {} mail, if {}",
            rule.purpose,
            rule.form,
            kinds.join(", "),
            rule.conditions.join("; ")
        );
        lines.push((&rule.rule, what, &rule.source, rule.verified_on));
    }
    for rule in &profile.legacy {
        let until = rule
            .holds_until
            .map_or_else(String::new, |day| format!(", until {day}"));
        let what = format!(
            "collected before {}, informed {} to {} and no objection: goes on{until}",
            rule.collected_before, rule.informed_from, rule.informed_until
        );
        lines.push((&rule.rule, what, &rule.source, rule.verified_on));
    }
    if let Some(rule) = &profile.combined {
        let what = "one yes to personalised mail and its pixel counts".to_owned();
        lines.push((&rule.rule, what, &rule.source, rule.verified_on));
    }
    if let Some(rule) = &profile.ask_again {
        let what = format!(
            "after a no, not to be asked again for {} months",
            rule.after_months
        );
        lines.push((&rule.rule, what, &rule.source, rule.verified_on));
    }
    lines
}
