//! What is known of each load by itself, gathered once: how it looks, and what in its URLs names a person.
//!
//! No verdict. It must never know what is done about a load. What cannot be told is nothing.

use std::collections::{HashMap, HashSet};

use super::super::loads::{Load, Survey};
use super::super::look::{Look, Looker};
use super::super::slot::slot;
use super::super::{Form, Knowledge, Learned, Named, Place};

/// One load.
pub(super) struct Facts {
    pub(super) look: Look,
    /// One for each of its requests.
    pub(super) persons: Vec<Person>,
    /// Whether the operator's marker stands before it.
    pub(super) marked: bool,
}

/// What in one URL names a person.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Person {
    pub(super) recipient: Option<Form>,
    pub(super) recurring: Option<Named>,
    pub(super) learned: Learned,
}

/// Gathers the facts of all loads; with them the recurring identifiers that stand in more than one URL.
pub(super) fn gather(
    html: &[u8],
    survey: &Survey,
    looker: Looker<'_>,
    knowledge: &Knowledge<'_>,
) -> (Vec<Facts>, Vec<String>) {
    let (alone, spread) = recurring(survey, knowledge);
    let marked = marked(html, survey, knowledge);
    let facts = survey.loads.iter().enumerate().map(|(number, load)| Facts {
        look: looker.look(load),
        persons: load
            .requests
            .iter()
            .map(|request| Person {
                recipient: knowledge.needles.found_in(&request.written),
                recurring: alone.get(request.written.as_str()).copied(),
                learned: (knowledge.memory)(&slot(&request.url, load.vector), &request.written),
            })
            .collect(),
        marked: marked.contains(&number),
    });
    (facts.collect(), spread)
}

/// The URLs that have an identifier for themselves, and the identifiers that stand in several.
fn recurring<'s>(
    survey: &'s Survey,
    knowledge: &Knowledge<'_>,
) -> (HashMap<&'s str, Named>, Vec<String>) {
    if knowledge.recurring.is_empty() {
        return (HashMap::new(), Vec::new());
    }
    let urls: HashSet<&str> = survey
        .loads
        .iter()
        .flat_map(|load| &load.requests)
        .map(|request| request.written.as_str())
        .collect();
    let mut standing: HashMap<&str, (Named, Vec<&str>)> = HashMap::new();
    for url in urls {
        for (identifier, named) in knowledge.recurring.in_url(url) {
            let (_, urls) = standing.entry(identifier).or_insert((named, Vec::new()));
            urls.push(url);
        }
    }
    let mut alone = HashMap::new();
    let mut spread = Vec::new();
    for (identifier, (named, urls)) in standing {
        match urls.as_slice() {
            [only] => drop(alone.insert(*only, named)),
            _ => spread.push(identifier.to_owned()),
        }
    }
    (alone, spread)
}

/// For each marker of the operator the load that follows it.
fn marked(html: &[u8], survey: &Survey, knowledge: &Knowledge<'_>) -> HashSet<usize> {
    let ends = knowledge.own.marked(html).into_iter();
    ends.filter_map(|end| {
        let behind = survey.loads.iter().enumerate();
        let behind = behind.filter(|(_, load)| load.span.start >= end);
        behind
            .min_by_key(|(_, load)| load.span.start)
            .map(|(number, _)| number)
    })
    .collect()
}

/// How often each URL stands in these loads, counted apart for each kind of client: one pixel written once for all,
/// once for Outlook and once for clients without scripts is one pixel.
pub(super) fn copies<'s>(loads: impl Iterator<Item = &'s Load>) -> HashMap<&'s str, usize> {
    let mut by_place: HashMap<(&str, Place), usize> = HashMap::new();
    for load in loads {
        let mut in_this_load = HashSet::new();
        for request in &load.requests {
            if in_this_load.insert(request.written.as_str()) {
                let count = by_place
                    .entry((request.written.as_str(), load.place))
                    .or_default();
                *count = count.saturating_add(1);
            }
        }
    }
    let mut most: HashMap<&str, usize> = HashMap::new();
    for ((url, _), count) in by_place {
        let known = most.entry(url).or_default();
        *known = (*known).max(count);
    }
    most
}
