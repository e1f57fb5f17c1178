//! `pixelgate ledger register-extract`: what a controller's register of processing activities needs to say about
//! tracking in mail that this relay carries (GDPR art. 30), from configuration and ledger.
//!
//! It states what is configured and what was recorded, never that something complies. No person stands in it.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};

use super::paper::Look;
use super::report::{Period, Source, said_as_json};
use super::serve::read;
use super::{Failure, say};
use crate::config::File;
use crate::consent::profile::{BUILT_IN, Profile};
use crate::ledger::summary::{Counts, Measure, Tally};
use crate::relay::settings::{Stream, WithdrawalLink};
use crate::relay::streams::Streams;

/// Version of the JSON shape.
const VERSION: u32 = 1;
/// What stands for the controller of a stream that serves all of its connections'.
const EVERY_CONTROLLER: &str = "every controller that its listeners may speak for";

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For pasting.
    Markdown,
    /// For programs.
    Json,
}

/// `pixelgate ledger register-extract`.
#[derive(Debug, Clone, Args)]
pub(super) struct Extract {
    #[command(flatten)]
    period: Period,
    /// How it is written
    #[arg(long, value_enum, default_value = "markdown")]
    format: Format,
}

/// One processing: the mail of one controller in one stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(super) struct Activity {
    controller: String,
    stream: String,
    kind: String,
    /// Whether the stream stands in the configuration now.
    configured: bool,
    declared: Vec<Declared>,
    observed: Vec<Observed>,
    withdrawal: Option<String>,
    profiles: BTreeMap<String, u64>,
    messages: u64,
    recipients: u64,
    trackers: u64,
    /// Trackers that stayed, by legal basis.
    legal_basis: BTreeMap<String, u64>,
    /// Exemptions among them.
    exemptions: BTreeMap<String, u64>,
    /// Trackers that did not stay, or stayed only because the stream looked on.
    without_basis: BTreeMap<String, u64>,
    first_day: Option<jiff::civil::Date>,
    last_day: Option<jiff::civil::Date>,
}

/// What the configuration declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Declared {
    hosts: Vec<String>,
    purposes: Vec<String>,
    recipient: String,
}

/// What the ledger saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Observed {
    host: String,
    /// Declared for it when it was decided; empty: undeclared.
    purposes: String,
    partner: String,
    trackers: u64,
}

pub(super) fn run(config: Option<PathBuf>, extract: &Extract) -> Result<(), Failure> {
    let config = read(config)?;
    let (source, counts) = extract.period.counts(&config.file.ledger.directory)?;
    let activities = activities(&config.file, &counts);
    match extract.format {
        Format::Json => said_as_json(&shape(&config.file, &source, &counts, &activities)),
        Format::Markdown => {
            say(&text::extract(&config.file, &source, &counts, &activities).written(Look::Markdown))
        }
    }
}

fn activities(file: &File, counts: &Counts) -> Vec<Activity> {
    let mut activities: BTreeMap<(String, String), Activity> = BTreeMap::new();
    // Nothing is assigned here: by which listener mail came does not matter.
    let streams = Streams::new(file.streams.clone(), []);
    for stream in streams.all() {
        let controller = stream.controller.as_deref().unwrap_or(EVERY_CONTROLLER);
        let activity = configured(stream, controller);
        activities.insert(
            (activity.controller.clone(), activity.stream.clone()),
            activity,
        );
    }
    for (place, tally) in &counts.rows {
        let name = (place.controller.clone(), place.stream.clone());
        let shared = streams.all().iter();
        let shared = shared
            .filter(|stream| stream.controller.is_none())
            .find(|stream| stream.name == place.stream);
        let activity = activities.entry(name).or_insert_with(|| match shared {
            Some(stream) => configured(stream, &place.controller),
            None => Activity {
                controller: place.controller.clone(),
                stream: place.stream.clone(),
                kind: place.stream_kind.clone(),
                ..Activity::default()
            },
        });
        activity.take(place.day, tally);
    }
    activities.into_values().collect()
}

fn configured(stream: &Stream, controller: &str) -> Activity {
    let declared = stream.trackers.iter().map(|tracker| Declared {
        hosts: tracker.hosts.clone(),
        purposes: tracker.purposes.iter().map(ToString::to_string).collect(),
        recipient: tracker.recipient.clone(),
    });
    Activity {
        controller: controller.to_owned(),
        stream: stream.name.clone(),
        kind: stream.kind.to_string(),
        configured: true,
        declared: declared.collect(),
        withdrawal: stream.withdrawal_link.as_ref().map(|link| match link {
            WithdrawalLink::Checked(link) => {
                format!(
                    "by a link in each message that begins with {}",
                    link.url_prefix
                )
            }
            WithdrawalLink::Elsewhere(link) => format!("elsewhere: {}", link.elsewhere),
        }),
        ..Activity::default()
    }
}

impl Activity {
    fn take(&mut self, day: jiff::civil::Date, tally: &Tally) {
        self.first_day = Some(self.first_day.map_or(day, |first| first.min(day)));
        self.last_day = Some(self.last_day.map_or(day, |last| last.max(day)));
        self.messages += tally.sum(Measure::Messages);
        self.recipients += tally.sum(Measure::Recipients);
        self.trackers += tally.sum(Measure::Trackers);
        for (words, count) in tally.each(Measure::Trackers) {
            let [action, why, _] = words else { continue };
            let stays = matches!(action.as_str(), "kept" | "reduced" | "counted");
            let counts = match stays {
                true => &mut self.legal_basis,
                false => &mut self.without_basis,
            };
            *counts.entry(why.clone()).or_default() += count;
            if stays && why.starts_with("exempt:") {
                *self.exemptions.entry(why.clone()).or_default() += count;
            }
        }
        for (words, count) in tally.each(Measure::Profiles) {
            *self.profiles.entry(words.join(" ")).or_default() += count;
        }
        for (words, count) in tally.each(Measure::Declared) {
            let [host, purposes, partner] = words else {
                continue;
            };
            let same = |seen: &&mut Observed| {
                seen.host == *host && seen.purposes == *purposes && seen.partner == *partner
            };
            match self.observed.iter_mut().find(same) {
                Some(seen) => seen.trackers += count,
                None => self.observed.push(Observed {
                    host: host.clone(),
                    purposes: purposes.clone(),
                    partner: partner.clone(),
                    trackers: count,
                }),
            }
        }
    }

    /// Who learns of the openings, beside the controller.
    fn partners(&self) -> BTreeSet<&str> {
        let declared = self
            .declared
            .iter()
            .map(|declared| declared.recipient.as_str());
        let seen = self.observed.iter().map(|seen| seen.partner.as_str());
        declared
            .chain(seen)
            .filter(|name| !name.is_empty() && *name != "us")
            .collect()
    }
}

/// What is known of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ProfileFacts {
    name: String,
    title: String,
    effective: jiff::civil::Date,
    /// How many rules it has.
    rules: usize,
    /// How many of them a person compared with the primary text.
    verified: usize,
}

/// The facts of a profile that comes with this program; others are known to the ledger by name only.
fn profile_facts(name: &str) -> Option<ProfileFacts> {
    let (name, text) = BUILT_IN.into_iter().find(|(known, _)| *known == name)?;
    let profile = Profile::read(name, text).ok()?;
    let consent = profile.consent.iter().map(|rule| rule.verified_on);
    let exempt = profile.exempt.iter().map(|rule| rule.verified_on);
    let legacy = profile.legacy.iter().map(|rule| rule.verified_on);
    let combined = profile.combined.iter().map(|rule| rule.verified_on);
    let ask_again = profile.ask_again.iter().map(|rule| rule.verified_on);
    let rules: Vec<_> = consent
        .chain(exempt)
        .chain(legacy)
        .chain(combined)
        .chain(ask_again)
        .collect();
    Some(ProfileFacts {
        name: name.to_owned(),
        title: profile.title,
        effective: profile.effective,
        rules: rules.len(),
        verified: rules.iter().flatten().count(),
    })
}

/// What is done to protect the people, whatever the stream: what this program does, not what its operator promises.
const MEASURES: [&str; 7] = [
    "People stand in register, ledger and logs under a keyed hash of controller and address (HMAC-SHA-256); lists of two controllers cannot be joined.",
    "Addresses are stored sealed, under a key that can be exchanged; keys lie apart from the register, readable by their owner alone.",
    "The ledger holds no address, no URL and no text of a message; hosts, and keyed hashes of URLs and of Message-IDs.",
    "Ledger and consent register are chained by hashes: a changed or removed line shows when the chain is verified, a chain rewritten as a whole shows against a head kept elsewhere.",
    "A decision that cannot be written down keeps nothing; a register that does not answer keeps nothing.",
    "A withdrawal counts from the next message on, and at every further attempt at a message that waits.",
    "A message is stored only while a copy of it is owed, or a report about it cannot be delivered.",
];

fn shape(file: &File, source: &Source, counts: &Counts, activities: &[Activity]) -> Value {
    let profiles: BTreeSet<&str> = activities
        .iter()
        .flat_map(|activity| activity.profiles.keys().map(String::as_str))
        .collect();
    let activities: Vec<Value> = activities
        .iter()
        .map(|activity| {
            let mut value = json!(activity);
            if let Some(fields) = value.as_object_mut() {
                fields.insert("recipients_of_data".to_owned(), json!(activity.partners()));
            }
            value
        })
        .collect();
    json!({
        "v": VERSION,
        "statement": text::STATEMENT,
        "period": super::report::period(source),
        "processor": { "role": text::PROCESSOR, "name": file.server.name },
        "activities": activities,
        "profiles": profiles.into_iter().filter_map(profile_facts).collect::<Vec<_>>(),
        "categories_of_people": text::PEOPLE,
        "categories_of_data": text::DATA,
        "retention": text::retention(file),
        "measures": MEASURES,
        "switched": super::report::switched(counts),
        "rules_disabled": counts.rules_disabled.keys().collect::<Vec<_>>(),
        "ledger": super::report::ledger(counts),
    })
}
