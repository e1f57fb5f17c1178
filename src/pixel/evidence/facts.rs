//! What is known of each load by itself, gathered once: how it looks, and what in its URLs names a person.
//!
//! No verdict. It must never know what is done about a load. What cannot be told is nothing.

use std::collections::{HashMap, HashSet};

use super::super::loads::{Load, Request, Survey};
use super::super::look::{Look, Looker, Looks};
use super::super::slot::slot;
use super::super::{Form, Knowledge, Learned, Named, Place};

/// One load.
pub(super) struct Facts {
    pub(super) look: Look,
    /// One for each of its requests.
    pub(super) persons: Vec<Person>,
}

/// What in one URL names a person.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Person {
    pub(super) recipient: Option<Form>,
    pub(super) recurring: Option<Named>,
    /// Whether it does so only in the directories of the path, where it may be the sender's.
    pub(super) in_directory: bool,
    pub(super) learned: Learned,
    /// Whether the operator's marker stands before it, or before another load of the same URL.
    pub(super) marked: bool,
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
    let mut looks = Looks::default();
    let facts = survey.loads.iter().map(|load| {
        let look = looker.look(load, &mut looks);
        let person = |request: &Request| {
            let recipient = knowledge.needles.found_in(&request.text());
            // Only of what nobody sees; and it costs as much as the rest of the look.
            let fragment = || {
                look.unseen()?;
                knowledge.needles.fragment_in(&request.url)
            };
            Person {
                recipient: recipient.or_else(fragment),
                recurring: alone.get(request.written.as_str()).copied(),
                in_directory: alone.contains_key(request.written.as_str())
                    && in_directory(request, knowledge),
                learned: (knowledge.memory)(&slot(&request.url, load.vector), &request.written),
                marked: marked.contains(request.written.as_str()),
            }
        };
        Facts {
            look,
            persons: load.requests.iter().map(person).collect(),
        }
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
    let mut standing: HashMap<&str, Standing<'s>> = HashMap::new();
    for (number, load) in survey.loads.iter().enumerate() {
        for request in &load.requests {
            let url = request.written.as_str();
            for (identifier, named) in knowledge.recurring.in_url(&request.text()) {
                let standing = standing.entry(identifier).or_insert(Standing {
                    named,
                    loads: HashSet::new(),
                    urls: HashSet::new(),
                });
                standing.loads.insert(number);
                standing.urls.insert(url);
            }
        }
    }
    let mut alone = HashMap::new();
    let mut spread = Vec::new();
    for (identifier, standing) in standing {
        // One image in two sizes is one image, and so is one that stands twice for two kinds of screens.
        if standing.loads.len() == 1 || standing.urls.len() == 1 {
            alone.extend(standing.urls.into_iter().map(|url| (url, standing.named)));
        } else {
            spread.push(identifier.to_owned());
        }
    }
    (alone, spread)
}

/// Where one identifier stands.
struct Standing<'s> {
    named: Named,
    loads: HashSet<usize>,
    urls: HashSet<&'s str>,
}

/// Whether all that recurs in a URL and is known from `List-Unsubscribe` stands in the directories of its path: where senders file
/// their images under their own account, which stands in their links as well.
fn in_directory(request: &Request, knowledge: &Knowledge<'_>) -> bool {
    let Some((directories, file)) = request.url.path.rsplit_once('/') else {
        return false;
    };
    let rest = format!(
        "{} {file} {}",
        request.url.host,
        request.url.query.as_deref().unwrap_or_default()
    );
    let found = knowledge.recurring.in_url(directories);
    let mut found = found.values();
    found.all(|named| *named == Named::ListUnsubscribe)
        && knowledge.recurring.in_url(&rest).is_empty()
}

/// The URLs of the loads that follow a marker of the operator. Of a variant those of its original: what stands behind a marker
/// there may stand behind it because what stood between is gone.
fn marked<'s>(html: &[u8], survey: &'s Survey, knowledge: &Knowledge<'s>) -> HashSet<&'s str> {
    if let Some(whole) = knowledge.whole {
        return whole.marked.iter().map(String::as_str).collect();
    }
    let ends = knowledge.own.marked(html);
    if ends.is_empty() {
        return HashSet::new();
    }
    let loads = survey.loads.iter().enumerate();
    let mut starts: Vec<_> = loads
        .map(|(number, load)| (load.span.start, number))
        .collect();
    starts.sort_unstable();
    let behind = |end: usize| starts.get(starts.partition_point(|(start, _)| *start < end));
    ends.into_iter()
        .filter_map(behind)
        .filter_map(|(_, number)| survey.loads.get(*number))
        .flat_map(|load| load.requests.iter())
        .map(|request| request.written.as_str())
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
