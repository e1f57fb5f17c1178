//! What `serve` does with a message before anybody sends it, and all that `strip` does: survey, look-up, decide, group,
//! strip. No next hop, no ledger (DESIGN 2: "`relay::examine` is what `strip` and `scan` call").
//!
//! One look-up for all recipients of a message, asked again when the answer is older than 5 s once the variants stand
//! (promise 8). A register that does not answer keeps nothing. It never returns a variant that was not walked and examined
//! once more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::runtime::RuntimeFlavor;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::decide::{Classes, Decisions, Facts, Place, enforced, treatment};
use super::lawbook::Lawbook;
use super::plan::{Group, Treatment, group, strictest};
use super::recall::{Answers, Recall};
use super::settings::{ExistingSignature, MixedConsent, Settings, Shadow, Stops};
use super::streams::{Assignment, Connection, Streams};
use super::strip;
use super::survey::{Header, Lens, People, Survey, header, survey};
use super::withdrawal::Offered;
use crate::consent::{Law, Reason, Standing, StreamKind, Subject, next_ask_after};
use crate::learn::Learning;
use crate::mime::splice::Spliced;
use crate::mime::trace;
use crate::pixel::{Named, Needles, Recurring, Rules};
use crate::register::{Identity, Keys, Register, RegisterError};

use crate::smtp::replies;
use crate::smtp::reply::Reply;

/// Oldest answer of the register that a decision may rest on when its intent is written (promise 8).
pub const ANSWER_AGE_MOST: Duration = Duration::from_secs(5);
/// From this size on a message is surveyed away from the reactor, in octets.
const SURVEY_ELSEWHERE_OCTETS: usize = 128 << 10;
/// From this size on messages are surveyed one after the other in a few turns, in octets: what a survey remembers can be
/// ten times the message, and more of them at once than there are processors would only hold it longer.
const SURVEY_IN_TURN_OCTETS: usize = 1 << 20;
/// How many such turns there are.
static TURNS: Semaphore = Semaphore::const_new(2);
/// How often an answer may grow too old while variants are made, before the message is given back with 451.
const ROUNDS: usize = 3;

/// Surveys, decides and strips.
#[derive(Debug)]
pub struct Examiner {
    /// Our name, to know our own `Received:` fields.
    pub name: String,
    /// `[relay]`.
    pub settings: Arc<Settings>,
    /// `[stops]`.
    pub stops: Stops,
    /// `[[stream]]`.
    pub streams: Streams,
    /// Detection rules, without those that are switched off.
    pub rules: Arc<Rules>,
    /// Names of those that are switched off.
    pub rules_disabled: Vec<String>,
    /// The law.
    pub lawbook: Lawbook,
    /// The consent register.
    pub register: Arc<Register>,
    /// The keys that make subjects.
    pub keys: Arc<Keys>,
    /// What is learned over many messages.
    pub learning: Option<Arc<Learning>>,
}

/// One message and what is known about it beside its octets.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// The message as the client sent it.
    pub message: &'a Bytes,
    /// The listener it came by.
    pub listener: &'a str,
    /// The name its client proved.
    pub login: Option<&'a str>,
    /// The reverse-path, as between the brackets; empty: null, and then everything is out of scope.
    pub reverse_path: &'a str,
    /// The forward-paths, as between the brackets.
    pub forward_paths: Vec<&'a str>,
    /// Our `Received:` field with its line end, where one is to be added.
    pub received: Option<Vec<u8>>,
    /// What is known of its loads from other messages, as far as it was asked.
    pub answers: Answers,
    /// Today, UTC: a shadow ends by itself.
    pub today: jiff::civil::Date,
    /// Whether the ledger takes lines; without one nothing is kept.
    pub ledger: bool,
    /// Whether the hold of this message is over.
    pub hold_over: bool,
}

/// A message with its decisions and variants.
#[derive(Debug)]
pub struct Examined<'a> {
    /// What is in it.
    pub survey: Survey,
    /// Whose mail it is.
    pub assignment: Assignment<'a>,
    /// Whether decisions only look on, for those outside the share.
    pub shadow: Option<&'a Shadow>,
    /// People whom this mail asks for consent before the time after their no is over (D23), and when it will be.
    pub asked_early: Vec<(Subject, Timestamp)>,
    /// When the register answered; `None` when it did not.
    pub looked_up_at: Option<Timestamp>,
    /// When it was asked: nothing in its answer is older.
    pub asked_at: Instant,
    /// One for each forward-path.
    pub recipients: Vec<Recipient>,
    /// Recipients with the same treatment.
    pub groups: Vec<Group>,
    /// One for each group; `None` where its copy does not go.
    pub variants: Vec<Option<Spliced>>,
}

/// What was decided for one forward-path.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Who, to this controller.
    pub subject: Subject,
    /// Whether the decisions act.
    pub enforced: bool,
    /// One for each matter of the survey.
    pub decisions: Decisions,
}

impl Case<'_> {
    fn connection(&self) -> Connection<'_> {
        Connection {
            listener: self.listener,
            login: self.login,
        }
    }
}

impl Examiner {
    /// Examines one message for all its recipients.
    ///
    /// # Errors
    /// The reply for every forward-path: a message that loops or that never got a fresh answer.
    pub async fn examine<'a>(&'a self, case: &Case<'_>) -> Result<Examined<'a>, Reply> {
        self.examine_for(case, self.settings.mixed_consent).await
    }

    /// The same, whatever the configuration says of mixed consent.
    ///
    /// # Errors
    /// As [`Examiner::examine`].
    pub(super) async fn examine_for<'a>(
        &'a self,
        case: &Case<'_>,
        mixed: MixedConsent,
    ) -> Result<Examined<'a>, Reply> {
        if let Some(reply) = self.loops(case.message) {
            return Err(reply);
        }
        let header = header(case.message);
        let assignment = self.streams.assign(case.connection(), &header.asked);
        let lens = self.lens(case, &header, &assignment);
        let survey = self.survey(case, &lens).await;
        let lens = lens.for_variants(&survey);
        for _ in 0..ROUNDS {
            let asked_at = Instant::now();
            let (subjects, standings) = self.ask(&assignment.controller, &case.forward_paths).await;
            let asked = (asked_at, &standings);
            let decided = || {
                let (survey, whose) = (survey.clone(), (assignment.clone(), mixed));
                self.decided(case, &lens, survey, whose, &subjects, asked)
            };
            let examined = apart(case.message.len(), decided);
            if asked_at.elapsed() <= ANSWER_AGE_MOST {
                return Ok(examined);
            }
        }
        tracing::error!("the register's answers grow too old before they can be used");
        Err(replies::internal_fault())
    }

    /// What this message is surveyed by.
    fn lens(&self, case: &Case<'_>, header: &Header, assignment: &Assignment<'_>) -> Lens {
        let stream = assignment.stream;
        let addressed = header.addressed.iter().map(String::as_str);
        let unsubscribe = header.unsubscribe.iter();
        let targets = unsubscribe.map(|target| (Named::ListUnsubscribe, target.as_str()));
        let bounces = [(Named::ReversePath, case.reverse_path)];
        Lens {
            mode: stream.mode,
            images: stream.images(),
            people: Arc::new(People {
                needles: Needles::of(case.forward_paths.iter().copied().chain(addressed)),
                recurring: Recurring::of(bounces.into_iter().chain(targets), &header.shared_text),
                own: stream.own(),
            }),
            recall: match self.learning.as_ref().filter(|_| assignment.assigned) {
                Some(learning) => Recall::new(
                    learning,
                    (&assignment.controller, &stream.name),
                    &case.answers,
                ),
                None => Recall::of(&case.answers),
            },
            ..Lens::new(Arc::clone(&self.rules), Arc::clone(&self.settings))
        }
    }

    async fn survey(&self, case: &Case<'_>, lens: &Lens) -> Survey {
        if case.reverse_path.is_empty() {
            return Survey::out_of_scope(case.message, &self.settings, "null_reverse_path");
        }
        if case.message.len() < SURVEY_ELSEWHERE_OCTETS {
            return survey(case.message, lens);
        }
        let _turn = match case.message.len() >= SURVEY_IN_TURN_OCTETS {
            // Nobody closes it; were it closed, nobody would have to wait.
            true => TURNS.acquire().await.ok(),
            false => None,
        };
        let (message, lens) = (case.message.clone(), lens.clone());
        match tokio::task::spawn_blocking(move || survey(&message, &lens)).await {
            Ok(survey) => survey,
            // The survey broke off: nothing is known about the message, and that is what is said.
            Err(_) => Survey::failed(case.message, &self.settings),
        }
    }

    /// DESIGN 3 "Loops" (RFC 5321 6.3).
    fn loops(&self, message: &[u8]) -> Option<Reply> {
        let count = trace::received_count(message, &self.name);
        if count.all >= self.settings.received_fields {
            return Some(replies::loops(count.all));
        }
        (count.ours >= self.settings.own_received_fields)
            .then(|| replies::loops_through_us(count.ours))
    }

    /// Who they are to this controller, and where they stand. When the keys have been rotated since the last message, with
    /// the new ones, once.
    pub(super) async fn ask(
        &self,
        controller: &str,
        forward_paths: &[&str],
    ) -> (Vec<Subject>, Result<Vec<Standing>, Reason>) {
        let mut rotated = false;
        loop {
            let keys = self.register.keys();
            let identities: Vec<_> = forward_paths
                .iter()
                .map(|path| keys.identity(controller, path))
                .collect();
            let answer = self.register.look_up(controller, &identities).await;
            if matches!(answer, Err(RegisterError::KeysRotated)) && !rotated {
                rotated = true;
                continue;
            }
            let subjects = identities.iter().map(Identity::current).collect();
            let standings = match answer {
                Ok(standings) if standings.len() == identities.len() => Ok(standings),
                Ok(_) => Err(Reason::StoreUnavailable),
                Err(error) => {
                    tracing::error!(%error, "the register did not answer: nothing is kept");
                    Err(Reason::StoreUnavailable)
                }
            };
            return (subjects, standings);
        }
    }

    pub(super) fn decided<'a>(
        &'a self,
        case: &Case<'_>,
        lens: &Lens,
        survey: Survey,
        (assignment, mixed): (Assignment<'a>, MixedConsent),
        subjects: &[Subject],
        (asked_at, standings): (Instant, &Result<Vec<Standing>, Reason>),
    ) -> Examined<'a> {
        // Who pulls the stop that strips everything wants no tracker to leave, whoever was looking on.
        let shadow = assignment.stream.shadow(case.today);
        let shadow = shadow.filter(|_| !self.stops.strip_all);
        let facts = Facts {
            assignment: &assignment,
            law: self.lawbook.law(&assignment.controller, Timestamp::now()),
            stops: self.stops,
            ledger: case.ledger,
            hold_over: case.hold_over,
        };
        let (recipients, earnest) = decided_each(&survey, &facts, shadow, subjects, standings);
        let untouched = Arc::new(Treatment::untouched());
        let treatments = recipients.iter().zip(&earnest);
        let treatments = treatments.map(|(recipient, treatment)| match recipient.enforced {
            true => Arc::clone(treatment),
            false => Arc::clone(&untouched),
        });
        let groups = grouped(&treatments.collect::<Vec<_>>(), mixed);
        let looked_up_at = standings.as_ref().ok().map(|_| Timestamp::now());
        let variants = Vec::new();
        let asked_early = match (assignment.stream.kind, standings) {
            (StreamKind::ConsentRequest, Ok(standings)) => {
                asked_early(subjects, standings, &facts.law)
            }
            _ => Vec::new(),
        };
        let mut examined = Examined {
            survey,
            assignment,
            shadow,
            asked_early,
            looked_up_at,
            asked_at,
            recipients,
            groups,
            variants,
        };
        // What a shadow lets go is written down as what would be done in earnest.
        examined.note_strictest(&grouped(&earnest, mixed));
        self.make_variants(case, lens, &mut examined);
        examined
    }

    /// The message as it would go to somebody who has agreed to nothing, on any stream; `None` where it cannot be told what it
    /// would load.
    pub(super) async fn without_trackers(&self, case: &Case<'_>) -> Option<Spliced> {
        let header = header(case.message);
        let assignment = self.streams.assign(case.connection(), &header.asked);
        let lens = self.lens(case, &header, &assignment);
        let survey = self.survey(case, &lens).await;
        if survey.uninspectable().next().is_some() {
            return None;
        }
        let lens = lens.for_variants(&survey);
        let edits = strip::Edits {
            findings: &(0..survey.findings.len()).collect(),
            empty: &BTreeSet::new(),
            remove_signature: false,
        };
        strip::variant(&lens, case, &survey, &edits).ok()
    }

    /// One variant for each group. Where the signature of somebody else may not be broken, or a variant does not pass its
    /// second examination, the group's copy is refused instead.
    fn make_variants(&self, case: &Case<'_>, lens: &Lens, examined: &mut Examined<'_>) {
        let mut variants = Vec::with_capacity(examined.groups.len());
        for group in &mut examined.groups {
            let signed = group.treatment.changes() && !examined.survey.header.dkim.is_empty();
            if signed && self.settings.existing_signature == ExistingSignature::Refuse {
                group.treatment = Treatment::Rejected(strip::SIGNATURE);
            }
            let Treatment::Forward {
                strip: findings,
                empty,
            } = &group.treatment
            else {
                variants.push(None);
                continue;
            };
            let remove_signature =
                signed && self.settings.existing_signature == ExistingSignature::Remove;
            let edits = strip::Edits {
                findings,
                empty,
                remove_signature,
            };
            match strip::variant(lens, case, &examined.survey, &edits) {
                Ok(variant) => variants.push(Some(variant)),
                Err(why) => {
                    tracing::error!(
                        why = why.as_str(),
                        "a variant did not pass its second examination"
                    );
                    group.treatment =
                        strip::not_made(why, examined.assignment.stream.kind, case.hold_over);
                    variants.push(None);
                }
            }
        }
        examined.variants = variants;
    }
}

fn grouped(treatments: &[Arc<Treatment>], mixed: MixedConsent) -> Vec<Group> {
    match mixed {
        MixedConsent::Split => group(treatments),
        MixedConsent::Strictest => strictest(treatments),
    }
}

impl Examined<'_> {
    /// Whether anybody keeps a tracker: then the intent has to be on the disk before it goes.
    pub fn keeps(&self) -> bool {
        self.recipients
            .iter()
            .any(|recipient| !recipient.enforced || recipient.decisions.keep())
    }

    /// Whether a copy waits because it cannot be inspected.
    pub fn holds(&self) -> bool {
        self.groups.iter().any(|group| matches!(&group.treatment, Treatment::Held(cause) if cause.uninspectable.is_some()))
    }

    /// In one body for all, what somebody would have kept goes because of somebody else; the record says so.
    fn note_strictest(&mut self, groups: &[Group]) {
        for group in groups {
            let Treatment::Forward { strip, empty } = &group.treatment else {
                continue;
            };
            if strip.is_empty() && empty.is_empty() {
                continue;
            }
            let places = &self.survey.places;
            let gone = |matter: usize| match places.get(matter) {
                Some(Place::Finding(finding)) => strip.contains(finding),
                Some(Place::Part { part, .. }) => empty.contains(part),
                None => false,
            };
            // The same for all of the group, and made once.
            let mut parted = None;
            for index in &group.recipients {
                let Some(recipient) = self
                    .recipients
                    .get_mut(*index)
                    .filter(|recipient| recipient.decisions.keep())
                else {
                    continue;
                };
                let parted = parted.get_or_insert_with(|| recipient.decisions.parted(gone));
                recipient.decisions.give_way(parted);
            }
        }
    }
}

/// What is decided for each forward-path, and what that makes of the copy in earnest.
fn decided_each(
    survey: &Survey,
    facts: &Facts<'_>,
    shadow: Option<&Shadow>,
    subjects: &[Subject],
    standings: &Result<Vec<Standing>, Reason>,
) -> (Vec<Recipient>, Vec<Arc<Treatment>>) {
    // Shared between recipients: each may name thousands of findings.
    let mut known = BTreeMap::new();
    let offered = Offered::new(facts.assignment.stream, survey);
    let classes = Classes::new(survey.matters(&offered), facts.assignment);
    let each = subjects.iter().enumerate().map(|(index, subject)| {
        let asked = match standings {
            Ok(standings) => standings.get(index).ok_or(Reason::StoreUnavailable),
            Err(reason) => Err(*reason),
        };
        let decisions = classes.decide(asked, facts);
        let treatment = known
            .entry(decisions.words())
            .or_insert_with(|| Arc::new(treatment(decisions.iter(), &survey.places, facts)));
        let treatment = Arc::clone(treatment);
        let recipient = Recipient {
            subject: *subject,
            // Looking on means writing down what would be done: without a ledger it is over.
            enforced: enforced(shadow, subject) || !facts.ledger,
            decisions,
        };
        (recipient, treatment)
    });
    each.unzip()
}

/// Those whose last no is too fresh to be asked again (D23).
fn asked_early(
    subjects: &[Subject],
    standings: &[Standing],
    law: &Law<'_>,
) -> Vec<(Subject, Timestamp)> {
    let people = subjects.iter().zip(standings);
    people
        .filter_map(|(subject, standing)| Some((*subject, next_ask_after(standing, law)?)))
        .filter(|(_, not_before)| *not_before > law.now)
        .collect()
}

/// Work on a message, away from the reactor's other tasks where it is large and the runtime has room for that.
fn apart<T>(octets: usize, work: impl FnOnce() -> T) -> T {
    let flavor = tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) if octets >= SURVEY_ELSEWHERE_OCTETS => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}

/// Today, UTC.
pub fn today(now: Timestamp) -> jiff::civil::Date {
    now.to_zoned(jiff::tz::TimeZone::UTC).date()
}
