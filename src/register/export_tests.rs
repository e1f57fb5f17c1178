use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::consent::{Purpose, State};
use crate::register::import::{Evidence, Options};
use crate::register::tests::{P1, Place, moment};

fn import(register: &Register, text: &str, format: Format, day: &str) {
    let evidence = Evidence::default();
    let options = Options {
        format,
        evidence: &evidence,
        require_proof: false,
        dry_run: false,
        received_at: moment(day),
        progress: &|_| {},
    };
    register
        .import(&mut Cursor::new(text.to_owned()), &options)
        .unwrap();
}

fn export(register: &Register, format: Format) -> String {
    let mut out = Vec::new();
    register.export(None, None, format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Everything that decides, without the names of records, which depend on the keys.
fn says(register: &Register, address: &str) -> Vec<String> {
    let standing = register.get("shop", address).unwrap();
    let mut says: Vec<String> = Purpose::ALL
        .iter()
        .map(|purpose| {
            let entry = standing.entry(*purpose);
            let entry =
                entry.map(|entry| (entry.state, entry.at, entry.shown.clone(), entry.combined));
            format!("{purpose} {entry:?} {}", standing.is_claimed(*purpose))
        })
        .collect();
    let contact = &standing.contact;
    says.push(format!(
        "{:?} {:?} {:?}",
        contact.collected.map(|(at, _)| at),
        contact.countries,
        contact.address_kind
    ));
    says.extend(
        contact
            .informed
            .iter()
            .map(|informed| format!("{} {:?}", informed.at, informed.purposes)),
    );
    says
}

const SHA: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[test]
fn an_export_restores_the_same_states_in_another_register() {
    let rows = format!(
        r#"{{"controller":"shop","address":"a@example.net","state":"granted","purposes":["campaign_performance"],"at":"2026-05-01T00:00:00.123456Z","channel":"form","wording_version":"v1","wording_sha256":"{SHA}","collector":"ads","language":"fr","affirmative_act":"ticked","notice":"n1","controller_list":"l1","controllers_shown":["one","two"],"evidence_sha256":"{SHA}","scope":"combined_personalised"}}
{{"controller":"shop","address":"b@example.net","state":"withdrawn"}}
{{"controller":"shop","address":"c@example.net","state":"refused","at":"2030-01-01T00:00:00Z","purposes":["personalisation"]}}
{{"controller":"shop","address":"d@example.net","state":"granted","purposes":["campaign_performance"]}}
{{"controller":"shop","address":"e@example.net","collected_at":"2025-01-01T00:00:00Z","informed_at":"2026-06-01T00:00:00Z","informed_notice":"n2","informed_purposes":["campaign_performance"],"country":"FR","address_kind":"role"}}
"#
    );
    for format in [Format::Lines, Format::Table] {
        let (old, new) = (Place::new(), Place::new());
        let first = old.open();
        import(&first, &rows, Format::Lines, "2026-11-01T00:00:00Z");
        let exported = export(&first, format);
        let second = new.open();
        // Months later: what counts from its receipt must not count from this one.
        import(&second, &exported, format, "2027-03-01T00:00:00Z");
        for person in ["a", "b", "c", "d", "e"] {
            let address = format!("{person}@example.net");
            assert_eq!(
                says(&first, &address),
                says(&second, &address),
                "{format:?}"
            );
        }
        let history = second.history("shop", "a@example.net").unwrap();
        let before = first.history("shop", "a@example.net").unwrap();
        assert_eq!(history.changes[0].said.form, before.changes[0].said.form);
        second.verify(&[]).unwrap();
    }
}

#[test]
fn one_person_is_exported_with_standing_and_proof_and_nobody_else() {
    let place = Place::new();
    let register = place.open();
    let rows = "controller,address,state\nshop,a@example.net,refused\nshop,b@example.net,refused\nbank,a@example.net,refused\n";
    import(&register, rows, Format::Table, "2026-11-01T00:00:00Z");
    let mut out = Vec::new();
    let exported = register
        .export(
            None,
            Some(("shop", "A@example.net")),
            Format::Lines,
            &mut out,
        )
        .unwrap();
    assert_eq!((exported.people, exported.records), (1, 1));
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        lines[0]["standing"]["entries"]["campaign_performance"]["state"],
        "refused"
    );
    assert_eq!(lines[1]["at"], "2026-11-01T00:00:00Z");
    assert!(!text.contains("b@example.net") && !text.contains("bank"));
    let mut out = Vec::new();
    let nobody = register.export(
        None,
        Some(("shop", "nobody@example.net")),
        Format::Lines,
        &mut out,
    );
    assert_eq!((nobody.unwrap().people, out.len()), (0, 0));
}

#[test]
fn the_erased_are_not_exported() {
    let place = Place::new();
    let register = place.open();
    let rows = "controller,address,state\nshop,a@example.net,refused\nshop,a@example.net,erased\nshop,b@example.net,refused\n";
    import(&register, rows, Format::Table, "2026-11-01T00:00:00Z");
    let text = export(&register, Format::Lines);
    assert!(
        !text.contains("a@example.net") && text.contains("b@example.net"),
        "{text}"
    );
}

#[test]
fn a_name_that_a_table_cannot_carry_stops_the_export() {
    let place = Place::new();
    let register = place.open();
    let row = format!(
        r#"{{"controller":"shop","address":"a@example.net","state":"granted","purposes":["campaign_performance"],"at":"2026-05-01T00:00:00Z","channel":"form","wording_version":"v1","wording_sha256":"{SHA}","controllers_shown":["one|two"]}}"#
    );
    import(&register, &row, Format::Lines, "2026-11-01T00:00:00Z");
    let error = register
        .export(None, None, Format::Table, &mut Vec::new())
        .unwrap_err();
    assert!(error.to_string().contains("`controllers_shown`"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_records_are_restored(
        told in proptest::collection::vec(
            (
                proptest::sample::select(vec!["granted", "refused", "withdrawn", "objected"]),
                proptest::sample::subsequence(Purpose::ALL.to_vec(), 0..=2),
                proptest::option::of(1_u8..28),
                any::<bool>(),
            ),
            1..8,
        ),
    ) {
        let (old, new) = (Place::new(), Place::new());
        let (first, second) = (old.open(), new.open());
        for (day, (state, purposes, at, proven)) in told.iter().enumerate() {
            let mut row = serde_json::json!({
                "controller": "shop", "address": "a@example.net", "state": state, "purposes": purposes,
                "at": at.map(|at| format!("2026-05-{at:02}T00:00:00Z")), "channel": "form",
            });
            if *proven {
                row["wording_version"] = "v1".into();
                row["wording_sha256"] = SHA.into();
            }
            // Each on a day of its own, so that what has no date counts from different moments.
            let received = format!("2026-05-{:02}T12:00:00Z", 20 + day);
            if *state != "granted" || at.is_none_or(|at| usize::from(at) <= 20 + day) {
                import(&first, &row.to_string(), Format::Lines, &received);
            }
        }
        import(&second, &export(&first, Format::Lines), Format::Lines, "2026-12-01T00:00:00Z");
        prop_assert_eq!(says(&first, "a@example.net"), says(&second, "a@example.net"));
        prop_assert!(second.get("shop", "nobody@example.net").unwrap().state(P1) == State::Unknown);
    }
}
