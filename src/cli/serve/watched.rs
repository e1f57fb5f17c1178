//! What the admin listener shows of a running relay: its numbers, and what keeps it from taking mail.
//!
//! Reads and changes nothing. It must never show an address of a person, a URL or a subject.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::build::Stores;
use super::reload::Reloads;
use crate::admin::{Number, Source};
use crate::learn::Figures;
use crate::relay::counters::Tally;
use crate::relay::settings::{Enforcement, WhenDown};
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
        if !keeps && (relay.next_hop.is_down() || relay.next_hop.extensions().is_none()) {
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

fn by_word(
    numbers: &mut Vec<Number>,
    name: &'static str,
    help: &'static str,
    label: &'static str,
    tally: &Tally,
) {
    let each = tally.each().into_iter();
    numbers.extend(each.map(|(word, value)| Number::counter(name, help, value).of(label, word)));
}

fn octets(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

impl Watched {
    fn of_mail(&self) -> Vec<Number> {
        let counters = &self.stores.counters;
        let mut numbers = Vec::new();
        for (name, help, label, tally) in [
            ("messages", "Messages decided", "stream", &counters.messages),
            (
                "messages_changed",
                "Messages of which some copy was changed",
                "stream",
                &counters.changed,
            ),
            (
                "messages_shadowed",
                "Messages of a stream that only looks on",
                "stream",
                &counters.shadowed,
            ),
            (
                "uninspectable",
                "Parts that could not be inspected or edited",
                "reason",
                &counters.uninspectable,
            ),
            (
                "out_of_scope",
                "Parts that are not looked at",
                "reason",
                &counters.out_of_scope,
            ),
            (
                "decisions",
                "Findings by recipient",
                "action",
                &counters.actions,
            ),
            (
                "copies",
                "Copies by what became of them; unknown: perhaps delivered twice",
                "fate",
                &counters.fates,
            ),
            ("events", "Single events", "event", &counters.events),
        ] {
            by_word(&mut numbers, name, help, label, tally);
        }
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

    fn of_the_process(&self) -> Vec<Number> {
        let shared = self.steering.shared();
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            Number::gauge(
                "sessions",
                "Sessions of clients",
                octets(self.steering.sessions()),
            ),
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
