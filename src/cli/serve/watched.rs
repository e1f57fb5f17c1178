//! What the admin listener shows of a running relay: its numbers, and what keeps it from taking mail.
//!
//! Reads and changes nothing. It must never show an address of a person, a URL or a subject.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::build::Stores;
use super::reload::Reloads;
use crate::admin::{Number, Source};
use crate::consent::{Action, Reason};
use crate::learn::Figures;
use crate::relay::counters::{Counters, Tally};
use crate::relay::settings::{Enforcement, WhenDown};
use crate::relay::survey::{ReportedKind, Uninspectable};
use crate::server::Steering;

/// A running relay, for looking at.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) steering: Steering,
    pub(super) stores: Stores,
    pub(super) reloads: Arc<Reloads>,
}

impl Source for Watched {
    fn numbers(&self) -> Vec<Number> {
        let mut numbers = self.of_mail();
        numbers.extend(self.of_the_way_out());
        numbers.extend(self.of_clients());
        numbers.extend(self.of_the_process());
        numbers.extend(
            self.stores
                .learning
                .iter()
                .flat_map(|table| learned(table.size())),
        );
        numbers
    }

    fn not_ready(&self) -> Vec<String> {
        let shared = self.steering.shared();
        let relay = &shared.relay;
        let keeps = relay.examiner.settings.when_next_hop_down == WhenDown::Spool;
        let mut wrong = Vec::new();
        if self.steering.is_stopping() {
            wrong.push("the relay is being stopped".to_owned());
        }
        if !keeps && !relay.next_hop.takes_mail() {
            wrong.push("no next hop takes mail".to_owned());
        }
        if let Err(error) = self.stores.spool.has_room(0) {
            wrong.push(error.to_string());
        }
        wrong
    }
}

fn learned(size: Figures) -> [Number; 3] {
    let (slots, octets) = (
        "Slots of which something is known",
        "Octets of what was learned",
    );
    [
        Number::gauge("learn_slots", slots, size.slots),
        Number::gauge("learn_octets", octets, size.octets),
        Number::counter(
            "learn_observations",
            "Messages learned from",
            size.observations,
        ),
    ]
}

/// A family of counters with one label, what it helps to know, the label, and the words that are shown before anything counted.
type Family<'a> = (
    &'static str,
    &'static str,
    &'static str,
    &'a Tally,
    Vec<&'static str>,
);

/// A word that has not been counted yet is a 0 and not a hole: a rate over a number that was not there misses its first.
fn by_word(numbers: &mut Vec<Number>, (name, help, label, tally, words): Family<'_>) {
    let mut each: BTreeMap<String, u64> =
        words.into_iter().map(|word| (word.to_owned(), 0)).collect();
    each.extend(tally.each());
    let each = each.into_iter();
    numbers.extend(each.map(|(word, value)| Number::counter(name, help, value).of(label, word)));
}

const OUT_OF_SCOPE: [&str; 4] = ["attachment", "encrypted", "report", "null_reverse_path"];
const FATES: [&str; 7] = [
    "taken",
    "not_now",
    "refused",
    "unknown",
    "rejected",
    "held",
    "not_begun",
];
const EVENTS: [&str; 7] = [
    "dkim_broken",
    "asked_early",
    "kept_while_down",
    "ledger_line_missing",
    "strictest_spool_full",
    "dsn_failed",
    "dsn_delayed",
];

fn octets(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

fn families_of_mail(counters: &Counters) -> [Family<'_>; 7] {
    [
        (
            "messages",
            "Messages decided",
            "stream",
            &counters.messages,
            vec![],
        ),
        (
            "messages_changed",
            "Messages of which some copy was changed",
            "stream",
            &counters.changed,
            vec![],
        ),
        (
            "messages_shadowed",
            "Messages of a stream that only looks on",
            "stream",
            &counters.shadowed,
            vec![],
        ),
        (
            "decisions",
            "Findings by recipient",
            "action",
            &counters.actions,
            Action::ALL.iter().map(|action| action.as_str()).collect(),
        ),
        (
            "decisions_not_kept",
            "Findings by recipient that do not stay as they came",
            "reason",
            &counters.reasons,
            Reason::ALL.iter().map(|reason| reason.as_str()).collect(),
        ),
        (
            "copies",
            "Copies by what became of them; unknown: perhaps delivered twice",
            "fate",
            &counters.fates,
            FATES.to_vec(),
        ),
        (
            "events",
            "Single events",
            "event",
            &counters.events,
            EVENTS.to_vec(),
        ),
    ]
}

/// What stands in messages beside findings.
fn families_of_parts(counters: &Counters) -> [Family<'_>; 3] {
    [
        (
            "uninspectable",
            "Parts that could not be inspected or edited",
            "reason",
            &counters.uninspectable,
            Uninspectable::ALL.iter().map(|why| why.as_str()).collect(),
        ),
        (
            "out_of_scope",
            "Parts that are not looked at",
            "reason",
            &counters.out_of_scope,
            OUT_OF_SCOPE.to_vec(),
        ),
        (
            "reported",
            "What tells of a reader and stays as it is",
            "kind",
            &counters.reported,
            ReportedKind::ALL.iter().map(|kind| kind.as_str()).collect(),
        ),
    ]
}

impl Watched {
    fn of_mail(&self) -> Vec<Number> {
        let counters = &self.stores.counters;
        let mut numbers = Vec::new();
        let families = families_of_mail(counters).into_iter();
        for family in families.chain(families_of_parts(counters)) {
            by_word(&mut numbers, family);
        }
        numbers.extend(self.of_the_exceptions());
        numbers
    }

    /// What the operator has switched on that is not the rule.
    fn of_the_exceptions(&self) -> Vec<Number> {
        let mut numbers = Vec::new();
        let shared = self.steering.shared();
        let examiner = &shared.relay.examiner;
        let stops = examiner.stops;
        for (stop, on) in [
            ("strip_all", stops.strip_all),
            ("hold_edits", stops.hold_edits),
        ] {
            let number = Number::gauge("stop", "Whether a stop is in force", u64::from(on));
            numbers.push(number.of("stop", stop));
        }
        numbers.push(Number::gauge(
            "rules_disabled",
            "Detection rules that are switched off",
            octets(examiner.rules_disabled.len()),
        ));
        for stream in examiner.streams.all() {
            let shadow = matches!(stream.enforcement, Enforcement::Shadow(_));
            let number = Number::gauge(
                "shadow",
                "Whether a stream is configured to look on",
                u64::from(shadow),
            );
            numbers.push(number.of("stream", stream.name.clone()));
        }
        numbers
    }

    fn of_the_way_out(&self) -> Vec<Number> {
        let shared = self.steering.shared();
        let next_hop = &shared.relay.next_hop;
        let counters = next_hop.counters();
        let mut numbers = Vec::new();
        for (event, counter) in [
            ("connections_opened", &counters.connections_opened),
            ("connections_reused", &counters.connections_reused),
            ("connections_stale", &counters.connections_stale),
            ("connections_busy", &counters.connections_busy),
            ("unreachable", &counters.unreachable),
            ("no_time_for_dot", &counters.no_time_for_dot),
            ("eight_bit_mime_dropped", &counters.eight_bit_mime_dropped),
            ("smtputf8_dropped", &counters.smtputf8_dropped),
            ("smtputf8_refused", &counters.smtputf8_refused),
            ("dsn_parameters_dropped", &counters.dsn_parameters_dropped),
            ("auth_parameters_dropped", &counters.auth_parameters_dropped),
        ] {
            let help = "What happened towards the next hops, since they were configured";
            numbers
                .push(Number::counter("next_hop_events", help, counter.get()).of("event", event));
        }
        for (address, failures) in next_hop.health() {
            let help = "Failures of a next hop in a row; 0: it is well";
            let number = Number::gauge("next_hop_failures", help, u64::from(failures));
            numbers.push(number.of("next_hop", address));
        }
        let usage = self.stores.spool.usage();
        for (state, entries) in [
            ("prepared", usage.prepared),
            ("owed", usage.owed),
            ("dead", usage.dead),
        ] {
            let number = Number::gauge("spool_entries", "Entries in the spool", entries);
            numbers.push(number.of("state", state));
        }
        numbers.push(Number::gauge(
            "spool_octets",
            "Octets in the spool",
            usage.octets,
        ));
        numbers
    }

    fn of_clients(&self) -> Vec<Number> {
        let counters = &self.stores.sessions;
        let mut numbers = vec![
            Number::gauge(
                "sessions",
                "Sessions of clients",
                octets(self.steering.sessions()),
            ),
            Number::counter("sessions_begun", "Sessions begun", counters.sessions()),
        ];
        for (class, value) in counters.replies() {
            let number = Number::counter("replies", "Replies to clients", value);
            numbers.push(number.of("class", class));
        }
        let outcomes = || vec!["done", "failed"];
        let families: [Family<'_>; 4] = [
            (
                "sessions_ended",
                "Sessions that we ended, and clients that were not let in",
                "reason",
                &counters.ended,
                vec![],
            ),
            (
                "messages_refused",
                "Messages refused for their octets or their size",
                "reason",
                &counters.refused,
                vec![],
            ),
            (
                "tls_handshakes",
                "TLS handshakes with clients",
                "outcome",
                &counters.handshakes,
                outcomes(),
            ),
            (
                "logins",
                "Logins with a password",
                "outcome",
                &counters.logins,
                outcomes(),
            ),
        ];
        for family in families {
            by_word(&mut numbers, family);
        }
        numbers
    }

    fn of_the_process(&self) -> Vec<Number> {
        let shared = self.steering.shared();
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            Number::gauge("build", "Which pixelgate this is", 1)
                .of("version", env!("CARGO_PKG_VERSION")),
            Number::gauge(
                "memory_octets",
                "Octets of mail in memory that are being read or forwarded",
                shared.memory.used(),
            ),
            Number::counter(
                "reloads",
                "Times the configuration was read again",
                of(&self.reloads.done),
            ),
            Number::counter(
                "reloads_failed",
                "Times it was wrong, and nothing changed",
                of(&self.reloads.failed),
            ),
        ]
    }
}
