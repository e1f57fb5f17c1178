//! The journey of one message: survey, decide, group, strip, record, deliver, record, answer (DESIGN 2).
//!
//! The one place where mail, findings and consent meet. It must never know sockets, configuration files or the order of
//! SMTP commands. When something of ours fails the client is told 451 and keeps its mail; when consent or ledger cannot be
//! asked nothing is kept; nothing fails open.

pub mod counters;
pub mod decide;
mod deliver;
mod dsn;
pub mod examine;
mod grounds;
mod heads;
mod journey;
pub mod lawbook;
mod open;
mod owed;
pub mod plan;
pub mod recall;
pub mod record;
mod reports;
pub mod settings;
mod settle;
pub mod speaks;
pub mod streams;
mod strip;
pub mod survey;
pub mod withdrawal;
pub mod work;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

pub use self::examine::Examiner;
pub use self::journey::Journey;
pub use self::open::{Answer, Open};
pub use crate::spool::{Client, Protocol};

use self::counters::Counters;
use self::deliver::{Delivery, Keeper, Load, deadline, give_back};
use self::examine::{Case, Examined, today};
use self::grounds::Grounds;
use self::plan::{Parcel, Treatment};
use self::settings::{MixedConsent, OnSpoolFull, PartialReject, WhenDown};
use self::settle::error_reply;
use crate::ledger::Ledger;
use crate::next_hop::{Fate, NextHop, Transit};
use crate::smtp::extensions::Extensions;
use crate::smtp::replies;
use crate::smtp::reply::Reply;
use crate::spool::{Prepared, Spool, SpoolError};

/// Everything one relay works with.
#[derive(Debug)]
pub struct Relay {
    /// Our name in `Received:`, EHLO and reports.
    pub name: String,
    /// Surveys, decides, strips.
    pub examiner: Examiner,
    /// Where mail goes.
    pub next_hop: Arc<NextHop>,
    /// What is owed.
    pub spool: Arc<Spool>,
    /// What was decided.
    pub ledger: Arc<Ledger>,
    /// What was done.
    pub counters: Arc<Counters>,
    /// Largest message we take, in octets.
    pub message_octets: u64,
}

/// A message on which everything is decided, and what was written ahead of it: nothing where that is not needed.
struct Ready<'a> {
    judged: Judged<'a>,
    ahead: Result<Option<Prepared>, SpoolError>,
}

/// One message, decided and recorded, ready to be sent.
struct Judged<'a> {
    /// One variant each, with its forward-paths.
    parcels: Vec<Parcel>,
    /// What the decisions rest on.
    grounds: Grounds<'a>,
    /// Forward-paths that get no copy now, and why: 5xx rejected, 4xx held.
    aside: BTreeMap<usize, Reply>,
    /// What the outcome line refers to.
    intended: record::Intended,
    /// Whether it is learned from: mail that is only looked on at teaches nothing.
    teaches: bool,
}

impl Relay {
    /// Whether mail can be taken at all: the next hop was reached once (421 4.3.2 at the greeting otherwise).
    ///
    /// # Errors
    /// The reply for the greeting.
    pub async fn ready(&self) -> Result<(), Reply> {
        if self.keeps() || self.next_hop.extensions().is_some() {
            return Ok(());
        }
        match self.next_hop.reach().await {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::error!(%error, "the next hop was never reached");
                Err(replies::never_reached())
            }
        }
    }

    /// What EHLO mirrors from the next hop: SIZE less 4 KiB for what we may add, and never more than we take ourselves.
    pub async fn extensions(&self) -> Extensions {
        // Octets are never converted, so whatever is announced for a next hop that was never seen, 8 bits go as they come.
        let theirs = self.next_hop.extensions().unwrap_or(Extensions {
            eight_bit_mime: self.keeps(),
            ..Extensions::default()
        });
        let limit = match theirs.size {
            Some(octets) if octets > 0 => octets.saturating_sub(4096).min(self.message_octets),
            Some(_) | None => self.message_octets,
        };
        Extensions {
            size: Some(limit),
            ..theirs
        }
    }

    /// A transaction of a client. `together`: all recipients are taken or none.
    pub fn open(self: &Arc<Self>, client: Client, together: bool) -> Open {
        Open::new(Arc::clone(self), client, together)
    }

    /// Whether mail is kept while no next hop takes it.
    fn keeps(&self) -> bool {
        self.examiner.settings.when_next_hop_down == WhenDown::Spool
    }

    /// Whether it is kept without asking first.
    fn keeps_now(&self) -> bool {
        self.keeps() && self.next_hop.is_down()
    }

    /// The journey of one message after the client's dot.
    async fn forward(&self, journey: &Journey, message: Bytes, live: Option<Transit>) -> Answer {
        let deadline = deadline(self.next_hop.settings().limits.answer_within());
        let keeper = match journey.client.protocol {
            Protocol::Smtp => Keeper::WriteAhead,
            Protocol::Lmtp => Keeper::Client,
        };
        // Not asked: it failed a moment ago, and each client would wait for it to fail again.
        let down = live.is_none() && self.keeps_now();
        let ready = match self.make_ready(journey, &message, keeper, down).await {
            Ok(ready) => ready,
            Err(reply) => return self.refuse(journey, live, reply).await,
        };
        let Ready { judged, ahead } = ready;
        let load = Load {
            message: &message,
            recipients: journey.rcpts.len(),
            parcels: &judged.parcels,
            grounds: &judged.grounds,
            deadline,
        };
        let delivery = match ahead {
            Err(error) => {
                give_back(live).await;
                Delivery::not_begun(&load, &Fate::NotNow(error_reply(&error)), None)
            }
            Ok(prepared) if down => {
                Delivery::not_begun(&load, &Fate::Down(replies::next_hop_gone()), prepared)
            }
            Ok(prepared) => self.deliver(journey, load, live, keeper, prepared).await,
        };
        let (answer, fates) = self
            .settle(journey, &judged.aside, delivery, &message, keeper)
            .await;
        let answered = match &answer {
            Answer::One(reply) => Some(reply.code()),
            Answer::Each(_) => None,
        };
        if judged.teaches {
            let got = recall::got(journey, &judged.aside, &fates, &answer);
            self.learn_from(&judged.grounds, got);
        }
        self.conclude(journey, judged.intended, &fates, &judged.aside, answered)
            .await;
        answer
    }

    /// Decides, and writes ahead what can end half done. Where the spool is full and one body for all needs none, that is
    /// decided instead (`on_spool_full`). An error is the reply for every forward-path: nothing may be sent.
    async fn make_ready(
        &self,
        journey: &Journey,
        message: &Bytes,
        keeper: Keeper,
        down: bool,
    ) -> Result<Ready<'_>, Reply> {
        let mut mixed = self.examiner.settings.mixed_consent;
        let mut full = None;
        loop {
            let judged = self.judge(journey, message, mixed).await?;
            if let Some(reply) = self.refusal_for_all(journey, &judged) {
                // A body that nobody would have got had there been room: that the disk is full is no verdict on the mail.
                let reply = full.unwrap_or(reply);
                self.conclude_refused(journey, judged, &reply).await;
                return Err(reply);
            }
            let ahead = match keeper {
                Keeper::WriteAhead => self.write_ahead(journey, message, &judged).await,
                Keeper::Client | Keeper::Spool => Ok(None),
            };
            match ahead {
                Err(error) if error.is_full() && !down && self.fits_one_body(journey, &judged) => {
                    tracing::warn!(id = %journey.id, %error, "one body for all, stripped for everybody (on_spool_full)");
                    self.counters.events.add("strictest_spool_full", 1);
                    mixed = MixedConsent::Strictest;
                    full = Some(replies::spool_full());
                }
                ahead => return Ok(Ready { judged, ahead }),
            }
        }
    }

    /// Whether nothing but mixed consent makes this message need the spool, and one body may serve instead. Held or rejected
    /// copies, and a next hop that answers for each, need it all the same.
    fn fits_one_body(&self, journey: &Journey, judged: &Judged<'_>) -> bool {
        self.examiner.settings.on_spool_full == OnSpoolFull::Strictest
            && judged.parcels.len() > 1
            && judged.aside.is_empty()
            && !self.each_needs_the_spool(journey)
    }

    /// Whether one transaction for all of them can end half taken.
    fn each_needs_the_spool(&self, journey: &Journey) -> bool {
        self.next_hop.answers_each() && journey.rcpts.len() > 1
    }

    async fn conclude_refused(&self, journey: &Journey, judged: Judged<'_>, reply: &Reply) {
        let fates = vec![None; journey.rcpts.len()];
        let (intended, aside) = (judged.intended, &judged.aside);
        self.conclude(journey, intended, &fates, aside, Some(reply.code()))
            .await;
    }

    /// Survey, decide, strip and the intent. An error is the reply for every forward-path: nothing may be sent.
    async fn judge(
        &self,
        journey: &Journey,
        message: &Bytes,
        mixed: MixedConsent,
    ) -> Result<Judged<'_>, Reply> {
        let mut case = self.case(journey, message);
        let mut examined = self.examiner.examine_for(&case, mixed).await?;
        if examined.holds() && self.hold_is_over(journey, message).await {
            case.hold_over = true;
            examined = self.examiner.examine_for(&case, mixed).await?;
        }
        if let Err(error) = self.intend(journey, message, &examined).await {
            tracing::error!(id = %journey.id, %error, "no line in the ledger: nothing is kept");
            self.counters.events.add("ledger_line_missing", 1);
            case.ledger = false;
            examined = self.examiner.examine_for(&case, mixed).await?;
        }
        self.remark(journey, &examined);
        let intended = self.intended(&examined);
        Ok(parted(examined, intended, &case))
    }

    fn case<'a>(&self, journey: &'a Journey, message: &'a Bytes) -> Case<'a> {
        let login = journey.client.login.as_deref();
        let named = login.is_some_and(|login| self.examiner.streams.names_login(login));
        Case {
            message,
            // A login that had rights of its own and is gone from the configuration: its mail is nobody's any more, as that of
            // a listener that is gone. What the listener may do for others is none of its rights.
            listener: match journey.login_named && !named {
                true => "",
                false => &journey.client.listener,
            },
            login,
            reverse_path: journey.mail.reverse_path.as_str(),
            forward_paths: journey
                .rcpts
                .iter()
                .map(|rcpt| rcpt.forward_path.as_str())
                .collect(),
            received: Some(journey.received(&self.name)),
            answers: journey.answers.clone(),
            today: today(Timestamp::now()),
            ledger: true,
            hold_over: false,
        }
    }

    /// Whether this mail was first held longer than `hold_limit` ago. A table that cannot be asked starts anew.
    async fn hold_is_over(&self, journey: &Journey, message: &[u8]) -> bool {
        let now = Timestamp::now();
        match self.spool.first_seen(&journey.hold_key(message), now).await {
            Ok(first) => u64::try_from(now.duration_since(first).as_secs())
                .is_ok_and(|held| held >= self.examiner.settings.hold_limit_seconds),
            Err(error) => {
                tracing::error!(id = %journey.id, %error, "the table of held mail cannot be asked");
                false
            }
        }
    }

    /// What an operator should see of one message in the log: counts and names of the operator's own, nothing of people.
    fn remark(&self, journey: &Journey, examined: &Examined<'_>) {
        let survey = &examined.survey;
        let changed = examined
            .groups
            .iter()
            .any(|group| group.treatment.changes());
        tracing::info!(
            id = %journey.id, session = journey.client.session, stream = examined.assignment.stream.name, recipients = examined.recipients.len(),
            findings = survey.findings.len(), variants = examined.groups.len(), changed,
            asked_early = examined.asked_early.len(), "decided"
        );
        self.count(examined, changed);
        for (subject, not_before) in &examined.asked_early {
            tracing::warn!(id = %journey.id, %subject, %not_before, "asked for consent too soon after a no (D23)");
        }
        if changed {
            for domain in &survey.header.dkim {
                tracing::warn!(id = %journey.id, domain, "dkim_broken: a signature made before this relay no longer verifies");
            }
        }
        if let Some(why) = examined.assignment.ignored {
            tracing::warn!(id = %journey.id, why, "Pixelgate-Purpose is not heeded");
        }
        for (part, why) in survey.uninspectable() {
            tracing::warn!(id = %journey.id, part, why = why.as_str(), "uninspectable");
        }
        for reported in &survey.reported {
            let (kind, part, line) = (reported.kind.as_str(), &reported.path, reported.line);
            tracing::info!(id = %journey.id, kind, part, line, "reported, and left as it is");
        }
    }

    fn count(&self, examined: &Examined<'_>, changed: bool) {
        let (survey, stream) = (&examined.survey, &examined.assignment.stream.name);
        self.counters.messages.add(stream, 1);
        if changed {
            self.counters.changed.add(stream, 1);
            let broken = u64::try_from(survey.header.dkim.len()).unwrap_or(u64::MAX);
            self.counters.events.add("dkim_broken", broken);
        }
        if examined.shadow.is_some() {
            self.counters.shadowed.add(stream, 1);
        }
        for (_, why) in survey.uninspectable() {
            self.counters.uninspectable.add(why.as_str(), 1);
        }
        for (why, times) in &survey.out_of_scope {
            let times = u64::try_from(*times).unwrap_or(u64::MAX);
            self.counters.out_of_scope.add(why, times);
        }
        for reported in &survey.reported {
            self.counters.reported.add(reported.kind.as_str(), 1);
        }
        for recipient in &examined.recipients {
            for decision in recipient.decisions.iter() {
                self.counters.actions.add(decision.action.as_str(), 1);
                if let Some(reason) = decision.reason {
                    self.counters.reasons.add(reason.as_str(), 1);
                }
            }
        }
        let early = u64::try_from(examined.asked_early.len()).unwrap_or(u64::MAX);
        self.counters.events.add("asked_early", early);
    }

    /// The one refusal that a message gets of which nobody's copy may go, or not without everybody's.
    fn refusal_for_all(&self, journey: &Journey, judged: &Judged<'_>) -> Option<Reply> {
        if journey.client.protocol == Protocol::Lmtp {
            // Each is answered for itself, the rejected beside the held.
            return None;
        }
        if judged.parcels.is_empty() {
            return Some(deliver::mildest(judged.aside.values()));
        }
        let together = journey.mail.reverse_path.is_null()
            || journey.together
            || self.examiner.settings.partial_reject == PartialReject::RefuseAll;
        if !together {
            return None;
        }
        judged
            .aside
            .values()
            .find(|reply| reply.code() >= 500)
            .cloned()
    }

    /// Ends a journey on which nothing was sent.
    async fn refuse(&self, journey: &Journey, live: Option<Transit>, reply: Reply) -> Answer {
        if let Some(transit) = live {
            transit.reset().await;
        }
        tracing::info!(id = %journey.id, code = reply.code(), "refused after data");
        match journey.client.protocol {
            Protocol::Smtp => Answer::One(reply),
            Protocol::Lmtp => Answer::Each(vec![reply; journey.rcpts.len()]),
        }
    }
}

/// Parts what is sent from what is not.
fn parted<'a>(examined: Examined<'a>, intended: record::Intended, case: &Case<'_>) -> Judged<'a> {
    // Nobody's mail is no controller's either.
    let teaches = examined.shadow.is_none() && examined.assignment.assigned;
    let mut judged = Judged {
        parcels: Vec::new(),
        grounds: Grounds {
            survey: examined.survey,
            assignment: examined.assignment,
            recipients: examined.recipients,
            asked_at: examined.asked_at,
            ledger: case.ledger,
            hold_over: case.hold_over,
        },
        aside: BTreeMap::new(),
        intended,
        teaches,
    };
    for (group, variant) in examined.groups.into_iter().zip(examined.variants) {
        let reply = match (&group.treatment, variant) {
            (Treatment::Forward { .. }, Some(variant)) => {
                let recipients = group.recipients;
                judged.parcels.push(Parcel {
                    recipients,
                    variant,
                });
                continue;
            }
            (Treatment::Rejected(cause), _) => replies::rejected(&cause.to_string()),
            (Treatment::Held(cause), _) => replies::held(&cause.to_string()),
            (Treatment::Forward { .. }, None) => replies::internal_fault(),
        };
        let aside = group.recipients.into_iter();
        judged
            .aside
            .extend(aside.map(|recipient| (recipient, reply.clone())));
    }
    judged
}
