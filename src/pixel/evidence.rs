//! Which loads of a document report the reader, and what is to become of each.
//!
//! Evidence is kept in layers, each of which adds its reasons to a load; a load without a reason is no finding (DESIGN 4). In
//! order: known endpoints and the operator's own decide alone; the recipient, an identifier that recurs, and what was learned prove
//! that a load is one person's, and whether somebody may see it decides what it is then; what nobody sees and looks made for one
//! person is a tracker. Nothing else touches an element that may be visible. It fails only past the limit of findings.

mod facts;
mod lines;

use std::collections::{HashMap, HashSet};

use self::facts::{Facts, Person, copies, gather};
use self::lines::Lines;
use super::identifier::{is_no_font, looks_individual, may_identify};
use super::loads::{Load, Request, Survey};
use super::look::Looker;
use super::rules::Class;
use super::size::OwnBox;
use super::slot::slot;
use super::treatment::{self, Subject};
use super::{
    Document, Evidence, Examination, Finding, IndividualImages, Knowledge, Learned, Limits, Mode,
    Uninspectable, Vector, Verdict, Whole,
};

/// The same URL this often in one document is layout, not a person (DESIGN 4).
const SPACER_COPIES_MIN: usize = 3;
/// How often copies are counted again without what is taken out.
const COUNTS_MAX: usize = 8;
/// People that have to be seen before what was only learned acts on an image that somebody may see (DESIGN 4).
const LEARNED_OF_VISIBLE_MIN: u32 = 64;

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
    mut survey: Survey,
    knowledge: &Knowledge<'_>,
    limits: &Limits,
) -> Result<Examination, Uninspectable> {
    if let Some(whole) = knowledge.whole {
        survey.names.extend(whole.names.iter().cloned());
    }
    let looker = Looker {
        html,
        survey: &survey,
    };
    let (facts, spread) = gather(html, &survey, looker, knowledge);
    // What stands in several URLs is the sender's, and stays in those that lose a person.
    let recurring = knowledge.recurring.without(&spread);
    let knowledge = &Knowledge {
        recurring: &recurring,
        ..*knowledge
    };
    let mut judge = Judge {
        html,
        survey: &survey,
        looker,
        knowledge,
        facts,
        copies: HashMap::new(),
        comments_differ: comments_differ(html),
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
    let whole = judge.whole();
    let remote_loads = survey.loads.len();
    let seen = seen(&survey);
    Ok(Examination {
        findings,
        links: survey.links,
        parts: survey.parts,
        remote_loads,
        seen,
        spread,
        whole,
    })
}

/// Whether a comment may begin in what is text for readers with scripts, and so end elsewhere for them: what stands in the place of
/// a tag must be no comment then. AMP for mail knows no `noscript`, and hardly anybody comments in one.
fn comments_differ(html: &[u8]) -> bool {
    let opens = |at: usize| {
        html.get(at..at.saturating_add(b"<noscript".len()))
            .is_some_and(|text| text.eq_ignore_ascii_case(b"<noscript"))
    };
    memchr::memmem::find(html, b"<!--").is_some() && memchr::memchr_iter(b'<', html).any(opens)
}

/// Every slot with its URL, each once.
fn seen(survey: &Survey) -> Vec<(super::Slot, String)> {
    let mut met = HashSet::new();
    let mut seen = Vec::new();
    for load in &survey.loads {
        for request in &load.requests {
            if met.insert((load.vector, request.written.as_str())) {
                seen.push((slot(&request.url, load.vector), request.written.clone()));
            }
        }
    }
    seen
}

struct Judge<'s> {
    html: &'s [u8],
    survey: &'s Survey,
    looker: Looker<'s>,
    knowledge: &'s Knowledge<'s>,
    /// One for each load.
    facts: Vec<Facts>,
    copies: HashMap<&'s str, usize>,
    comments_differ: bool,
}

impl<'s> Judge<'s> {
    /// Every load with something against it. What is taken out is no copy that could acquit another: taken out, the others
    /// would be too few, and what was harmless before the edit a tracker after it. So it is counted again without them
    /// until nothing changes; each round finds at least one more.
    fn suspects(&mut self) -> Vec<Suspect<'s>> {
        let loads = &self.survey.loads;
        if self.knowledge.whole.is_some() {
            let each = loads.iter().zip(&self.facts);
            return each
                .filter_map(|(load, facts)| self.suspect(load, facts))
                .collect();
        }
        let mut out = vec![false; loads.len()];
        let mut round = 0;
        loop {
            let left = loads.iter().zip(&out).filter(|(_, out)| !**out);
            // Nobody's layout hangs together over so many rounds; then copies acquit nothing.
            let left = left.take_while(|_| round < COUNTS_MAX);
            self.copies = copies(left.map(|(load, _)| load));
            let each = loads.iter().zip(&self.facts);
            let suspects: Vec<_> = each
                .map(|(load, facts)| self.suspect(load, facts))
                .collect();
            let mut more = false;
            for (out, suspect) in out.iter_mut().zip(&suspects) {
                more |= suspect.is_some() && !*out;
                *out |= suspect.is_some();
            }
            // Only copies acquit: without a load that had enough of them there is nothing to count again.
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

    /// Whether a URL stands so often that it is layout; of a variant: whether it did in the original.
    fn is_spacer(&self, url: &str) -> bool {
        match self.knowledge.whole {
            Some(whole) => whole.spacers.contains(url),
            None => self.copies.get(url).copied().unwrap_or(0) >= SPACER_COPIES_MIN,
        }
    }

    /// What holds in this document for one load because of others.
    fn whole(&self) -> Whole {
        let each = self.survey.loads.iter().zip(&self.facts);
        let each = each.flat_map(|(load, facts)| load.requests.iter().zip(&facts.persons));
        let marked = each.filter(|(_, person)| person.marked);
        let spacers = self.copies.keys().filter(|url| self.is_spacer(url));
        Whole {
            spacers: spacers.map(|url| (*url).to_owned()).collect(),
            marked: marked.map(|(request, _)| request.written.clone()).collect(),
            names: self.survey.names.clone(),
        }
    }

    fn suspect(&self, load: &'s Load, facts: &Facts) -> Option<Suspect<'s>> {
        let mut suspect = Suspect {
            load,
            verdict: Verdict::Aggregate,
            evidence: Vec::new(),
            requests: Vec::new(),
        };
        let known = self.known_endpoint(&mut suspect);
        self.operator(&mut suspect, facts);
        self.individual(&mut suspect, facts, known);
        self.unseen(&mut suspect, facts, known);
        if self.knowledge.mode == Mode::AllRemote {
            suspect.add((0..load.requests.len()).collect(), Evidence::Remote);
            suspect.verdict = Verdict::Tracker;
        }
        (!suspect.evidence.is_empty()).then_some(suspect)
    }

    /// Decides alone, whatever the size, whatever `<style>` says.
    fn known_endpoint(&self, suspect: &mut Suspect<'s>) -> bool {
        let load = suspect.load;
        let almost_invisible = load.own.as_ref().is_some_and(OwnBox::is_almost_invisible);
        for (number, request) in load.requests.iter().enumerate() {
            let Some(rule) = self.knowledge.rules.look_up(&request.url, almost_invisible) else {
                continue;
            };
            if rule.class == Class::Tracker {
                suspect.verdict = Verdict::Tracker;
            }
            let evidence = Evidence::KnownEndpoint {
                rule: rule.name.clone(),
                vendor: rule.vendor.clone(),
            };
            suspect.add(vec![number], evidence);
        }
        !suspect.requests.is_empty()
    }

    /// As good as a known endpoint: whoever sends the mail says so.
    fn operator(&self, suspect: &mut Suspect<'s>, facts: &Facts) {
        let requests = suspect.load.requests.iter().zip(&facts.persons);
        for (number, (request, person)) in requests.enumerate() {
            let spot = match self.knowledge.own.endpoint(&request.url) {
                Some(spot) => format!("{}/{}", spot.host, spot.path),
                None if person.marked => String::new(),
                None => continue,
            };
            suspect.verdict = Verdict::Tracker;
            suspect.add(vec![number], Evidence::Operator { spot });
        }
    }

    /// Proof that a load is one person's. What nobody sees, and what shows nothing, is a tracker then; the rest is content, too.
    fn individual(&self, suspect: &mut Suspect<'s>, facts: &Facts, known: bool) {
        let load = suspect.load;
        let unseen = facts.look.unseen().is_some() || !load.vector.is_content();
        let mut proven = false;
        for (number, person) in facts.persons.iter().enumerate() {
            for evidence in self.proofs(*person, unseen) {
                suspect.add(vec![number], evidence);
                proven = true;
            }
        }
        if proven && suspect.verdict != Verdict::Tracker {
            // An endpoint that counts openings, and a person in its URL: it counts that person's.
            suspect.verdict = match unseen || known {
                true => Verdict::Tracker,
                false => Verdict::IndividualContent,
            };
        }
    }

    fn proofs(&self, person: Person, unseen: bool) -> impl Iterator<Item = Evidence> {
        let every = self.knowledge.mode != Mode::Balanced;
        let recipient = person.recipient.map(|form| Evidence::Recipient { form });
        let recurring = person.recurring.map(|named| Evidence::Recurring { named });
        // A URL that many people got is nobody's, whatever recurs in it; the recipient in it is the recipient.
        let recurring = recurring.filter(|_| person.learned != Learned::Shared);
        let recurring = recurring.filter(|_| unseen || !person.in_directory);
        let learned = match person.learned {
            Learned::Individual { recipients }
                if unseen || every || recipients >= LEARNED_OF_VISIBLE_MIN =>
            {
                Some(Evidence::Learned { recipients })
            }
            _ => None,
        };
        [recipient, recurring, learned].into_iter().flatten()
    }

    /// What nobody can see and could identify somebody: tiny by its own words, or hidden, or something that shows nothing.
    fn unseen(&self, suspect: &mut Suspect<'s>, facts: &Facts, known: bool) {
        let load = suspect.load;
        let acquitted = |number: usize, request: &Request| {
            let learned = facts.persons.get(number).map(|person| person.learned);
            self.is_spacer(&request.written) || learned == Some(Learned::Shared)
        };
        let any = |individual: fn(&super::url::Url) -> bool| {
            let mut requests = load.requests.iter().enumerate();
            requests
                .any(|(number, request)| !acquitted(number, request) && individual(&request.url))
        };
        let evidence = match (facts.look.tiny, facts.look.hidden) {
            (Some((width, height)), _) if known || any(may_identify) => {
                Evidence::Tiny { width, height }
            }
            (None, Some(why)) if any(looks_individual) => Evidence::Unseen { why },
            // Fonts that all share are fetched ahead under a digest of what is in them.
            (None, None) if load.vector == Vector::LinkPreload && !any(is_no_font) => return,
            (None, None) if !load.vector.shows() && any(may_identify) => {
                Evidence::Unseen { why: "no_box" }
            }
            _ => return,
        };
        let harmful = !matches!(evidence, Evidence::Tiny { .. }) || any(may_identify);
        if harmful {
            suspect.verdict = Verdict::Tracker;
            suspect.requests = (0..load.requests.len()).collect();
        }
        suspect.evidence.push(evidence);
    }

    fn finding(
        &self,
        kind: Document,
        suspect: Suspect<'s>,
        alone: bool,
        lines: &mut Lines<'_>,
    ) -> Finding {
        let load = suspect.load;
        let requests = suspect.requests.iter();
        let first = requests
            .filter_map(|number| load.requests.get(*number))
            .next();
        let host = first
            .map(|request| request.url.host.clone())
            .unwrap_or_default();
        let requests = suspect.requests.iter();
        let mut other_hosts: Vec<String> = requests
            .filter_map(|number| load.requests.get(*number))
            .map(|request| request.url.host.clone())
            .filter(|other| *other != host)
            .collect();
        other_hosts.sort_unstable();
        other_hosts.dedup();
        let image = match suspect.verdict {
            Verdict::IndividualContent => Some(self.wanted(&suspect)),
            Verdict::Tracker | Verdict::Aggregate => None,
        };
        let subject = Subject {
            html: self.html,
            kind,
            load,
            tag: self.looker.tag(load),
            requests: &suspect.requests,
            alone,
            other_rules: self.survey.other_rules,
            comments_differ: self.comments_differ,
            no_box: alone
                && !self.comments_differ
                && self.looker.has_no_box(load, load.own.as_ref()),
        };
        let deidentified = match image {
            Some(IndividualImages::Deidentify) => treatment::deidentify(&subject, self.knowledge),
            _ => None,
        };
        let image = match (image, &deidentified) {
            (Some(IndividualImages::Deidentify), None) => Some(IndividualImages::Blank),
            (image, _) => image,
        };
        let (treatment, edits) = deidentified.unwrap_or_else(|| treatment::treat(&subject));
        Finding {
            span: load.span.clone(),
            line: lines.of(load.span.start),
            vector: load.vector,
            place: load.place,
            url: first
                .map(|request| request.written.clone())
                .unwrap_or_default(),
            host,
            other_hosts,
            verdict: suspect.verdict,
            evidence: suspect.evidence,
            image,
            treatment,
            edits,
        }
    }

    /// What the stream wants of an individual image; one that the operator calls functional stays.
    fn wanted(&self, suspect: &Suspect<'_>) -> IndividualImages {
        let requests = suspect.requests.iter();
        let mut requests = requests.filter_map(|number| suspect.load.requests.get(*number));
        match requests.all(|request| self.knowledge.own.is_functional(&request.url)) {
            true => IndividualImages::Report,
            false => self.knowledge.images,
        }
    }
}

impl Suspect<'_> {
    /// Adds one reason against some of its requests.
    fn add(&mut self, requests: Vec<usize>, evidence: Evidence) {
        self.requests.extend(requests);
        self.requests.sort_unstable();
        self.requests.dedup();
        if !self.evidence.contains(&evidence) {
            self.evidence.push(evidence);
        }
    }
}
