use proptest::prelude::*;

use super::super::tests::{Place, grant, moment, now, row};
use super::super::{Recorded, Register, Row, RowEntry};
use super::*;
use crate::consent::{Assertion, Contact, Form, Purpose, Standing, State};

const ANNA: &str = "anna@example.net";

fn later(days: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * days)
}

fn claim(address: &str) -> Row {
    let mut row = grant(address);
    row.entry = RowEntry::Change(Assertion {
        purposes: [Purpose::Personalisation].into(),
        ..Assertion::new(ChangeKind::Granted)
    });
    row
}

#[test]
fn each_period_ends_what_decides_nothing_any_more_and_nothing_else() {
    let place = Place::new();
    let register = place.open();
    let retention = Retention::default();
    register.record(&grant(ANNA), now()).unwrap();
    register.record(&claim(ANNA), now()).unwrap();
    let no = row(ANNA, ChangeKind::Withdrawn, "2026-06-01T00:00:00Z");
    register.record(&no, later(10)).unwrap();
    let mut contact = Contact {
        collected_at: Some(moment("2025-01-01T00:00:00Z")),
        ..Contact::default()
    };
    register
        .record_contact("shop", ANNA, &contact, now())
        .unwrap();
    contact.collected_at = Some(moment("2025-02-01T00:00:00Z"));
    register
        .record_contact("shop", ANNA, &contact, later(20))
        .unwrap();
    register.record(&grant("b@example.net"), now()).unwrap();
    register
        .erase("shop", "b@example.net", now(), now())
        .unwrap();
    let due = |days| register.would_expire(&retention, later(days)).unwrap();
    assert_eq!(due(394), Expired::default());
    assert_eq!(due(395).claims, 1);
    assert_eq!((due(414).contacts, due(415).contacts), (0, 1));
    assert_eq!((due(1_825).defence, due(1_826).defence), (0, 1));
    // The grant was superseded when the withdrawal was received, not before.
    assert_eq!((due(1_835).superseded, due(1_836).superseded), (0, 1));
    let before = register.get("shop", ANNA).unwrap();
    let all = due(3_000);
    let expired = register.expire(&retention, later(3_000)).unwrap();
    assert_eq!(expired, all);
    let one = Expired {
        claims: 1,
        superseded: 1,
        contacts: 1,
        defence: 1,
    };
    assert_eq!(expired, one);
    let after = register.get("shop", ANNA).unwrap();
    assert_eq!(after.contact, before.contact);
    let entries = |standing: &Standing| {
        let all = standing.entries();
        all.map(|(purpose, entry)| (purpose, entry.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(entries(&after), entries(&before));
    assert!(
        register
            .defence("shop", "b@example.net")
            .unwrap()
            .is_empty()
    );
    let verified = register.verify(&[]).unwrap();
    assert_eq!((verified.blanked, verified.notes), (4, 5));
    let rules: Vec<_> = register.history("shop", ANNA).unwrap().blanked;
    let rules: Vec<_> = rules
        .iter()
        .map(|gone| gone.blanked.rule.as_str())
        .collect();
    assert_eq!(
        rules,
        ["superseded_days", "claims_days", "contacts_superseded_days"]
    );
    // Nothing is due twice, and what went does not come back as if it were new.
    assert_eq!(
        register.expire(&retention, later(3_000)).unwrap(),
        Expired::default()
    );
    assert_eq!(
        register.record(&grant(ANNA), later(3_000)).unwrap(),
        Recorded::AlreadyThere
    );
}

#[test]
fn a_period_that_would_change_a_state_is_given_up_whole() {
    let place = Place::new();
    let register = place.open();
    register.record(&claim(ANNA), now()).unwrap();
    register.record(&claim("b@example.net"), now()).unwrap();
    // Somebody wrote beside the records what they do not say.
    let connection = Connection::open(place.file()).unwrap();
    connection
        .execute(
            "UPDATE subjects SET contact = '{\"countries\":[\"FR\"]}' WHERE id = 2",
            [],
        )
        .unwrap();
    let error = register
        .expire(&Retention::default(), later(3_000))
        .unwrap_err();
    assert!(error.to_string().contains("would change"), "{error}");
    assert_eq!(register.history("shop", ANNA).unwrap().changes.len(), 1);
}

#[test]
fn periods_are_bounded_and_named() {
    Retention::default().check().unwrap();
    let wrong = Retention {
        defence_days: 0,
        ..Retention::default()
    };
    let error = wrong.check().unwrap_err().to_string();
    assert!(error.contains("[retention] defence_days"), "{error}");
}

/// One thing that may happen to a person.
#[derive(Debug, Clone)]
enum Act {
    Write(Vec<(usize, Assertion)>),
    Know(usize, Contact),
    Erase(usize, i64),
    Expire(i64),
}

const PEOPLE: [&str; 3] = ["a@example.net", "b@example.net", "c@example.net"];
/// Everything happens within so many days of 2026.
const DAYS: i64 = 6;

fn day(day: i64) -> Timestamp {
    moment("2026-01-01T00:00:00Z") + SignedDuration::from_hours(24 * day)
}

fn any_assertion() -> impl Strategy<Value = Assertion> {
    let kinds = vec![
        ChangeKind::Granted,
        ChangeKind::Refused,
        ChangeKind::Withdrawn,
        ChangeKind::Objected,
        ChangeKind::Erased,
    ];
    let purposes = vec![Purpose::CampaignPerformance, Purpose::Personalisation];
    (
        proptest::sample::select(kinds),
        proptest::sample::subsequence(purposes, 0..=2),
        0..DAYS,
        any::<bool>(),
    )
        .prop_map(|(kind, purposes, at, proven)| {
            let mut said = Assertion {
                purposes: purposes.into_iter().collect(),
                at: Some(day(at)),
                ..Assertion::new(kind)
            };
            if proven {
                said.form = Form {
                    channel: Some("form".into()),
                    wording_version: Some("v1".into()),
                    wording_sha256: Some([1; 32]),
                    ..Form::default()
                };
            }
            said
        })
}

fn any_contact() -> impl Strategy<Value = Contact> {
    (
        proptest::option::of(0..DAYS),
        proptest::option::of(proptest::sample::select(vec!["FR", "IT"])),
    )
        .prop_map(|(collected, country)| Contact {
            collected_at: collected.map(day),
            country: country.map(str::to_owned),
            ..Contact::default()
        })
}

fn any_act() -> impl Strategy<Value = Act> {
    let person = || 0..PEOPLE.len();
    prop_oneof![
        4 => proptest::collection::vec((person(), any_assertion()), 1..4).prop_map(Act::Write),
        1 => (person(), any_contact()).prop_map(|(person, contact)| Act::Know(person, contact)),
        1 => (person(), 0..DAYS).prop_map(|(person, at)| Act::Erase(person, at)),
        1 => (0..4_000i64).prop_map(Act::Expire),
    ]
}

fn as_row(person: usize, entry: RowEntry) -> Row {
    Row {
        controller: "shop".into(),
        address: PEOPLE[person].into(),
        entry,
    }
}

fn carry_out(register: &Register, act: &Act) {
    match act {
        Act::Write(rows) => {
            let rows: Vec<_> = rows
                .iter()
                .map(|(person, said)| as_row(*person, RowEntry::Change(said.clone())))
                .collect();
            register.write_batch(&rows, now()).unwrap();
        }
        Act::Know(person, contact) => {
            let row = as_row(*person, RowEntry::Contact(contact.clone()));
            register.record(&row, now()).unwrap();
        }
        Act::Erase(person, at) => {
            register
                .erase("shop", PEOPLE[*person], day(*at), now())
                .unwrap();
        }
        Act::Expire(days) => {
            register
                .expire(&Retention::default(), later(*days))
                .unwrap();
        }
    }
}

/// States and moments, purpose by purpose: names of records differ between two registers' keys, never these.
fn states(standing: &Standing) -> Vec<(Purpose, State, Timestamp)> {
    let entries = standing.entries();
    entries
        .map(|(purpose, entry)| (purpose, entry.state, entry.at))
        .collect()
}

/// What the law makes of everything that was ever said about one person.
fn pure(acts: &[Act], person: usize) -> Standing {
    let key = crate::consent::LookupKey::new(&[1; 32]);
    let subject = crate::consent::Subject::of(&key, "shop", PEOPLE[person]);
    let mut changes = Vec::new();
    for act in acts {
        let said: Vec<Assertion> = match act {
            Act::Write(rows) => rows
                .iter()
                .filter(|(whose, _)| *whose == person)
                .map(|(_, said)| said.clone())
                .collect(),
            Act::Erase(whose, at) if *whose == person => vec![Assertion {
                at: Some(day(*at)),
                ..Assertion::new(ChangeKind::Erased)
            }],
            _ => Vec::new(),
        };
        for said in said {
            changes.push(said.received(&subject, now()).unwrap());
        }
    }
    fold(&changes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_is_written_erased_and_expired_the_states_are_those_of_the_pure_fold(
        acts in proptest::collection::vec(any_act(), 1..10),
    ) {
        let place = Place::new();
        let register = place.open();
        for act in &acts {
            carry_out(&register, act);
        }
        register.verify(&[]).unwrap();
        for (person, address) in PEOPLE.iter().enumerate() {
            let is = register.get("shop", address).unwrap();
            prop_assert_eq!(states(&is), states(&pure(&acts, person)));
        }
    }

    #[test]
    fn the_same_records_in_any_order_and_batches_give_the_same_register(
        (acts, turned) in proptest::collection::vec(any_act(), 1..8)
            .prop_flat_map(|acts| (Just(acts.clone()), Just(acts).prop_shuffle())),
        again in 0..8usize,
    ) {
        let places = (Place::new(), Place::new());
        let (one, other) = (places.0.open(), places.1.open());
        let lasting = |act: &&Act| !matches!(act, Act::Expire(_));
        for act in acts.iter().filter(lasting) {
            carry_out(&one, act);
        }
        let repeated = turned.iter().chain(turned.iter().take(again));
        for act in repeated.filter(lasting) {
            carry_out(&other, act);
        }
        other.verify(&[]).unwrap();
        for address in PEOPLE {
            let (is, should) = (other.get("shop", address).unwrap(), one.get("shop", address).unwrap());
            prop_assert_eq!(states(&is), states(&should));
            let claims = |standing: &Standing| standing.claims().collect::<Vec<_>>();
            prop_assert_eq!(claims(&is), claims(&should));
            prop_assert_eq!(is.contact.countries, should.contact.countries);
            let collected = |facts: Option<(Timestamp, ProofId)>| facts.map(|(at, _)| at);
            prop_assert_eq!(collected(is.contact.collected), collected(should.contact.collected));
            let address_there = |register: &Register| register.history("shop", address).unwrap().address.is_some();
            prop_assert_eq!(address_there(&other), address_there(&one));
        }
    }
}
