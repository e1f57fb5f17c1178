//! A shadow changes what is done, never what is recorded: the groups of an intent, with a shadow and without.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use tokio::time::Instant;

use super::super::examine::{Case, Examiner};
use super::super::lawbook::Lawbook;
use super::super::settings::{
    Enforcement as Mode, MixedConsent, RuleSettings, Settings, Stops, Stream, Tracker,
};
use super::super::speaks::Speaks;
use super::super::streams::{Asked, Streams};
use super::super::survey::{Lens, survey};
use super::*;
use crate::consent::{
    Entry, LookupKey, Profiles, ProofId, Purpose, Reason, Standing, State, StreamKind,
};
use crate::pixel::Rules;
use crate::register::{Register, Settings as RegisterSettings};

/// Two findings in a part that can be edited, two in one that can only be emptied, and one that nobody reads.
const MESSAGE: &str = "From: a@news.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n\
    --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>bread</p>\r\n\
    <img src=\"https://click.news.example/wf/open?upn=u001.one\" width=\"1\" height=\"1\">\r\n\
    <img src=\"https://open.other.example/wf/open?upn=u001.two\" width=\"1\" height=\"1\">\r\n--b";
const AMP: &str = "\r\nContent-Type: multipart/alternative; boundary=\"c\"\r\n\r\n--c\r\nContent-Type: text/plain\r\n\r\nbread\r\n\
    --c\r\nContent-Type: text/x-amp-html; charset=utf-8\r\n\r\n<p>bread</p>\r\n\
    <amp-img src=\"https://click.news.example/wf/open?upn=u001.three\" width=\"1\" height=\"1\"></amp-img>\r\n\
    <amp-img src=\"https://open.other.example/wf/open?upn=u001.four\" width=\"1\" height=\"1\"></amp-img>\r\n--c--\r\n--b";
const BLIND: &str = "\r\nContent-Type: text/html; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n/v8APABwAD4AYQA8AC8AcAA+\r\n--b";
const PEOPLE: [&str; 4] = ["a@x.example", "b@x.example", "c@x.example", "d@x.example"];

/// An examiner; its register is never asked here.
struct Place {
    examiner: Examiner,
    _directory: tempfile::TempDir,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let keys = Arc::new(Keys::open(&directory.path().join("keys")).unwrap());
    let settings = RegisterSettings {
        register: format!("sqlite:{}", directory.path().join("consent.db").display()),
        ..RegisterSettings::default()
    };
    let register = Register::open(&settings, Arc::clone(&keys)).unwrap();
    let examiner = Examiner {
        name: "relay.example".to_owned(),
        settings: Arc::default(),
        stops: Stops::default(),
        streams: Streams::new(Vec::new(), []),
        rules: Arc::new(
            Rules::built_in()
                .without(&RuleSettings::default().disabled)
                .unwrap(),
        ),
        rules_disabled: Vec::new(),
        lawbook: Lawbook {
            profiles: Profiles::built_in().unwrap(),
            countries: BTreeMap::new(),
            grant_age_max: None,
        },
        register: Arc::new(register),
        keys,
        learning: None,
    };
    Place {
        examiner,
        _directory: directory,
    }
});

fn streams() -> impl Strategy<Value = Stream> {
    let tracker = (
        proptest::sample::select(vec!["click.news.example", "open.other.example", "*"]),
        proptest::sample::subsequence(Purpose::CONSENT.to_vec(), 1..=2),
        proptest::sample::select(vec!["us", "AdCo"]),
    );
    let kind = proptest::sample::select(StreamKind::ALL.to_vec());
    (kind, proptest::collection::vec(tracker, 0..3)).prop_map(|(kind, trackers)| Stream {
        kind,
        trackers: trackers
            .into_iter()
            .map(|(host, purposes, recipient)| Tracker {
                hosts: vec![host.to_owned()],
                purposes,
                recipient: recipient.to_owned(),
            })
            .collect(),
        ..Stream::built_in()
    })
}

fn standings() -> impl Strategy<Value = Vec<Standing>> {
    let state = proptest::sample::select(vec![
        State::Granted,
        State::Granted,
        State::Granted,
        State::Withdrawn,
    ]);
    let reach = proptest::sample::subsequence(Purpose::CONSENT.to_vec(), 0..=5);
    let one = (state, reach, any::<bool>()).prop_map(|(state, reach, shown)| {
        let entry = |purpose| Entry {
            state,
            at: Timestamp::UNIX_EPOCH,
            proof: ProofId::from_bytes([purpose as u8; 16]),
            shown: shown.then(|| "AdCo".to_owned()).into_iter().collect(),
            combined: false,
        };
        Standing::new(
            reach.into_iter().map(|purpose| (purpose, entry(purpose))),
            [],
        )
    });
    proptest::collection::vec(one, PEOPLE.len())
}

/// What an intent says of one person: of every finding and every blind part the action, and all that it rests on.
type Said = (
    Option<String>,
    Vec<(String, [Option<String>; 2], Vec<String>)>,
);

fn recorded(
    stream: &Stream,
    message: &Bytes,
    mixed_consent: MixedConsent,
    asked: &Result<Vec<Standing>, Reason>,
) -> BTreeMap<String, Said> {
    let examiner = Examiner {
        settings: Arc::new(Settings {
            mixed_consent,
            ..Settings::default()
        }),
        streams: Streams::new(
            vec![stream.clone()],
            [("l".to_owned(), Speaks::OfItsStreams)],
        ),
        name: String::new(),
        stops: Stops::default(),
        rules: Arc::clone(&PLACE.examiner.rules),
        rules_disabled: Vec::new(),
        lawbook: PLACE.examiner.lawbook.clone(),
        register: Arc::clone(&PLACE.examiner.register),
        keys: Arc::clone(&PLACE.examiner.keys),
        learning: None,
    };
    let case = Case {
        message,
        listener: "l",
        login: None,
        reverse_path: "news@shop.example",
        forward_paths: PEOPLE.to_vec(),
        received: None,
        answers: Default::default(),
        today: jiff::civil::date(2026, 11, 22),
        ledger: true,
        hold_over: false,
    };
    let key = LookupKey::new(&[7; 32]);
    let subjects = PEOPLE.map(|path| Subject::of(&key, "default", path));
    let lens = Lens::new(Arc::clone(&examiner.rules), Arc::clone(&examiner.settings));
    let seen = survey(message, &lens);
    let amp = memchr::memmem::find(message, b"amp-img").is_some();
    assert_eq!(seen.findings.len(), if amp { 4 } else { 2 });
    let assignment = examiner.streams.assign("l", &Asked::default());
    assert!(assignment.assigned);
    let whose = (assignment, examiner.settings.mixed_consent);
    let asked = (Instant::now(), asked);
    let examined = examiner.decided(&case, &lens, seen, whose, &subjects, asked);
    let mut said = BTreeMap::new();
    for group in groups(&examined).unwrap() {
        let findings = group.decisions.into_iter();
        let findings = findings.map(|one| (one.action, [one.basis, one.reason], one.records));
        let parts = group.parts.into_iter();
        let parts = parts.map(|one| (one.action, [one.basis, one.reason], one.records));
        let all: Vec<_> = findings.chain(parts).collect();
        for subject in group.subjects {
            said.insert(subject, (group.profile.clone(), all.clone()));
        }
    }
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_shadow_never_changes_a_recorded_decision(
        stream in streams(), standings in standings(), answered in proptest::bool::weighted(0.9),
        blind in any::<bool>(), amp in any::<bool>(), strictest in any::<bool>(), share_percent in prop_oneof![Just(0_u8), Just(50), Just(100)],
    ) {
        let shadow = Shadow { shadow_until: jiff::civil::date(2026, 12, 1), by: "Ada".to_owned(), share_percent };
        let looking_on = Stream { enforcement: Mode::Shadow(shadow), ..stream.clone() };
        let text = format!("{MESSAGE}{}{}--\r\n", if amp { AMP } else { "" }, if blind { BLIND } else { "" });
        let message = Bytes::from(text);
        let asked = if answered { Ok(standings) } else { Err(Reason::StoreUnavailable) };
        let mixed = if strictest { MixedConsent::Strictest } else { MixedConsent::Split };
        let earnest = recorded(&stream, &message, mixed, &asked);
        let shadowed = recorded(&looking_on, &message, mixed, &asked);
        prop_assert_eq!(earnest.len(), PEOPLE.len());
        for (subject, (profile, decisions)) in &earnest {
            let (other_profile, others) = &shadowed[subject];
            prop_assert_eq!(profile, other_profile);
            prop_assert_eq!(decisions.len(), others.len());
            for (one, other) in decisions.iter().zip(others) {
                prop_assert_eq!((&one.1, &one.2), (&other.1, &other.2));
                let same = one.0 == other.0 || one.0 != "kept" && other.0 == "would_strip";
                prop_assert!(same, "{:?} {:?}", one, other);
                prop_assert_eq!(one.0 == "kept", one.1[0].is_some());
            }
        }
    }
}
