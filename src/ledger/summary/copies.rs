//! What every copy of one message counts for: one decision per tracker, part and signature.
//!
//! Pure. It must never know what became of a copy, nor whose it is beyond a number to find it again.

use std::collections::BTreeMap;

use super::super::{Finding, Group, Intent};
use super::tally::{Key, Measure, Names, key};
use super::under_way::{Copies, subject};

/// What is known of a finding: its vendor, and the words it is declared by.
type Known = BTreeMap<u32, (u32, [u32; 3])>;

/// The copies of an intent, group by group.
pub(super) fn copies(
    names: &mut Names,
    vendor: &dyn Fn(&Finding) -> String,
    intent: &Intent,
) -> Vec<Copies> {
    let mut known = Known::new();
    for finding in &intent.findings {
        let vendor = names.vendor(&vendor(finding));
        let host = names.host(&without_masks(finding.host.as_str()));
        let purposes = names.word(&finding.purposes.join(" + "));
        let partner = names.word(finding.partner.as_deref().unwrap_or_default());
        known.insert(finding.n, (vendor, [host, purposes, partner]));
    }
    let mut domains = Vec::new();
    for domain in &intent.dkim_domains {
        domains.push(names.host(&without_masks(domain.as_str())));
    }
    let groups = intent.groups.iter();
    groups
        .map(|group| of_group(names, &known, &domains, group))
        .collect()
}

fn of_group(names: &mut Names, known: &Known, domains: &[u32], group: &Group) -> Copies {
    let mut each: BTreeMap<Key, u64> = BTreeMap::new();
    let mut count = |key: Key| *each.entry(key).or_default() += 1;
    let mut word = |text: Option<&String>| names.word(text.map_or("", String::as_str));
    count(key(Measure::Recipients, []));
    let copy = [word(Some(&group.copy)), word(group.reason.as_ref())];
    count(key(Measure::Copies, copy));
    if let Some(profile) = &group.profile {
        count(key(Measure::Profiles, [word(Some(profile))]));
    }
    for decision in &group.decisions {
        let why = word(decision.basis.as_ref().or(decision.reason.as_ref()));
        if let Some((vendor, declared)) = known.get(&decision.finding) {
            let action = word(Some(&decision.action));
            count(key(Measure::Trackers, [action, why, *vendor]));
            count(key(Measure::Declared, *declared));
        }
    }
    for part in &group.parts {
        let why = word(part.basis.as_ref().or(part.reason.as_ref()));
        count(key(Measure::BlindParts, [word(Some(&part.action)), why]));
    }
    let actions = group.decisions.iter().map(|decision| &decision.action);
    let mut actions = actions.chain(group.parts.iter().map(|part| &part.action));
    let would_change = group.shadow && actions.any(|action| action == "would_strip");
    if group.shadow {
        count(key(Measure::ShadowCopies, []));
    }
    if would_change {
        count(key(Measure::WouldChangeCopies, []));
    }
    for domain in domains {
        if group.copy == "stripped" {
            count(key(Measure::DkimBroken, [*domain]));
        } else if would_change {
            count(key(Measure::DkimWouldBreak, [*domain]));
        }
    }
    Copies {
        subjects: group.subjects.iter().map(|hex| subject(hex)).collect(),
        each: each.into_iter().collect(),
        fate: None,
    }
}

/// A host with `*` for labels that are masked: what they hide differs for every recipient, the host does not.
pub fn without_masks(host: &str) -> String {
    let mut shown: Vec<&str> = Vec::new();
    for label in host.split('.') {
        let label = if label.starts_with('~') { "*" } else { label };
        if label != "*" || shown.last() != Some(&"*") {
            shown.push(label);
        }
    }
    shown.join(".")
}
