//! Which loads of a document report the reader: the known endpoints, and what nobody can see and could identify.
//!
//! Evidence is kept in layers, each of which adds its reasons to a load; a load without a reason is no finding. Layers
//! that need the recipient or other messages are not here. It fails only past the limit of findings.

use std::collections::{HashMap, HashSet};

use super::identifier::may_identify;
use super::loads::{Load, Survey};
use super::look::Looker;
use super::rules::Class;
use super::size::OwnBox;
use super::treatment::{self, Subject};
use super::{
    Document, Evidence, Examination, Finding, Knowledge, Limits, Place, Uninspectable, Verdict,
};

/// The same URL this often in one document is layout, not a person (DESIGN 4).
const SPACER_COPIES_MIN: usize = 3;
/// How often copies are counted again without what is taken out.
const COUNTS_MAX: usize = 8;

/// A load with the reasons against it.
struct Suspect<'s> {
    load: &'s Load,
    verdict: Verdict,
    evidence: Vec<Evidence>,
    /// Numbers of the requests that the evidence speaks against.
    requests: Vec<usize>,
}

/// Judges all loads of a document and works out the edits.
pub(super) fn judge(
    html: &[u8],
    kind: Document,
    survey: Survey,
    knowledge: &Knowledge<'_>,
    limits: &Limits,
) -> Result<Examination, Uninspectable> {
    let mut judge = Judge {
        html,
        survey: &survey,
        looker: Looker {
            html,
            survey: &survey,
        },
        knowledge,
        copies: HashMap::new(),
    };
    let mut suspects = judge.suspects();
    if suspects.len() > limits.findings {
        return Err(Uninspectable::TokenLimit);
    }
    suspects.sort_by_key(|suspect| (suspect.load.span.start, suspect.load.span.end));
    let mut tags_seen = HashSet::new();
    let shared: HashSet<usize> = suspects
        .iter()
        .filter_map(|suspect| suspect.load.tag)
        .filter(|tag| !tags_seen.insert(*tag))
        .collect();
    let mut lines = Lines::new(html);
    let mut findings = Vec::with_capacity(suspects.len());
    for suspect in suspects {
        let alone = suspect.load.tag.is_some_and(|tag| !shared.contains(&tag));
        findings.push(judge.finding(kind, suspect, alone, &mut lines));
    }
    let remote_loads = survey.loads.len();
    Ok(Examination {
        findings,
        links: survey.links,
        parts: survey.parts,
        remote_loads,
    })
}

/// How often each URL stands in these loads, counted apart for each kind of client: one pixel written once for all,
/// once for Outlook and once for clients without scripts is one pixel.
fn copies<'s>(loads: impl Iterator<Item = &'s Load>) -> HashMap<&'s str, usize> {
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

struct Judge<'s> {
    html: &'s [u8],
    survey: &'s Survey,
    looker: Looker<'s>,
    knowledge: &'s Knowledge<'s>,
    copies: HashMap<&'s str, usize>,
}

impl<'s> Judge<'s> {
    /// Every load with something against it. What is taken out is no copy that could acquit another: taken out, the others
    /// would be too few, and what was harmless before the edit a tracker after it. So it is counted again without them
    /// until nothing changes; each round finds at least one more.
    fn suspects(&mut self) -> Vec<Suspect<'s>> {
        let loads = &self.survey.loads;
        let mut out = vec![false; loads.len()];
        let mut round = 0;
        loop {
            let left = loads.iter().zip(&out).filter(|(_, out)| !**out);
            // Nobody's layout hangs together over so many rounds; then copies acquit nothing.
            let left = left.take_while(|_| round < COUNTS_MAX);
            self.copies = copies(left.map(|(load, _)| load));
            let suspects: Vec<_> = loads.iter().map(|load| self.suspect(load)).collect();
            let mut more = false;
            for (out, suspect) in out.iter_mut().zip(&suspects) {
                more |= suspect.is_some() && !*out;
                *out |= suspect.is_some();
            }
            // Only copies acquit: without a tiny load that had enough of them there is nothing to count again.
            if !more
                || self
                    .copies
                    .values()
                    .all(|copies| *copies < SPACER_COPIES_MIN)
            {
                return suspects.into_iter().flatten().collect();
            }
            round += 1;
        }
    }

    fn suspect(&self, load: &'s Load) -> Option<Suspect<'s>> {
        let mut suspect = Suspect {
            load,
            verdict: Verdict::Aggregate,
            evidence: Vec::new(),
            requests: Vec::new(),
        };
        let known = self.known_endpoint(&mut suspect);
        let tiny = self.looker.look(load).tiny;
        if let Some((width, height)) = tiny {
            let harmful = load.requests.iter().any(|request| {
                let copies = self.copies.get(request.written.as_str()).copied();
                copies.unwrap_or(0) < SPACER_COPIES_MIN && may_identify(&request.url)
            });
            if harmful {
                suspect.verdict = Verdict::Tracker;
                suspect.requests = (0..load.requests.len()).collect();
            }
            if harmful || known {
                suspect.evidence.push(Evidence::Tiny { width, height });
            }
        }
        (!suspect.evidence.is_empty()).then_some(suspect)
    }

    /// The first layer: decides alone, whatever the size, whatever `<style>` says.
    fn known_endpoint(&self, suspect: &mut Suspect<'s>) -> bool {
        let almost_invisible = suspect
            .load
            .own
            .as_ref()
            .is_some_and(OwnBox::is_almost_invisible);
        for (number, request) in suspect.load.requests.iter().enumerate() {
            let Some(rule) = self.knowledge.rules.look_up(&request.url, almost_invisible) else {
                continue;
            };
            suspect.requests.push(number);
            if rule.class == Class::Tracker {
                suspect.verdict = Verdict::Tracker;
            }
            let evidence = Evidence::KnownEndpoint {
                rule: rule.name.clone(),
                vendor: rule.vendor.clone(),
            };
            if !suspect.evidence.contains(&evidence) {
                suspect.evidence.push(evidence);
            }
        }
        !suspect.requests.is_empty()
    }

    fn finding(
        &self,
        kind: Document,
        suspect: Suspect<'s>,
        alone: bool,
        lines: &mut Lines<'_>,
    ) -> Finding {
        let load = suspect.load;
        let (treatment, edits) = treatment::treat(&Subject {
            html: self.html,
            kind,
            load,
            tag: self.looker.tag(load),
            requests: &suspect.requests,
            no_box: alone && self.looker.has_no_box(load, load.own.as_ref()),
        });
        let first = suspect
            .requests
            .first()
            .and_then(|number| load.requests.get(*number));
        Finding {
            span: load.span.clone(),
            line: lines.of(load.span.start),
            vector: load.vector,
            place: load.place,
            url: first
                .map(|request| request.written.clone())
                .unwrap_or_default(),
            host: first
                .map(|request| request.url.host.clone())
                .unwrap_or_default(),
            verdict: suspect.verdict,
            evidence: suspect.evidence,
            treatment,
            edits,
        }
    }
}

/// Line numbers of growing offsets, in one walk over the document.
struct Lines<'h> {
    html: &'h [u8],
    at: usize,
    line: usize,
}

impl<'h> Lines<'h> {
    fn new(html: &'h [u8]) -> Self {
        Self {
            html,
            at: 0,
            line: 1,
        }
    }

    fn of(&mut self, offset: usize) -> usize {
        if let Some(between) = self.html.get(self.at..offset) {
            self.line = self
                .line
                .saturating_add(memchr::memchr_iter(b'\n', between).count());
            self.at = offset;
        }
        self.line
    }
}
