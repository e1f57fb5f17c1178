use super::*;

fn understand(text: &str, directory: &Path) -> Result<Evidence, EvidenceError> {
    let written: Written = toml::from_str(text).unwrap();
    Evidence::new(&written, text, directory)
}

fn nowhere(text: &str) -> Result<Evidence, EvidenceError> {
    understand(text, Path::new("/nonexistent"))
}

#[test]
fn words_and_pictures_are_hashed_over_their_exact_octets() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("wording.txt"), "I agree\n").unwrap();
    std::fs::write(place.path().join("form.png"), b"\x89PNG").unwrap();
    let evidence = understand(
        "[[list]]\nname = \"a\"\nwording = \"I agree\"\n\
         [[list]]\nname = \"b\"\nwording_file = \"wording.txt\"\nscreenshot_file = \"form.png\"\n",
        place.path(),
    )
    .unwrap();
    let form = |name: &str| evidence.lists[&Some(name.to_owned())].form.clone();
    assert_eq!(form("a").wording_sha256, Some(sha256(b"I agree")));
    assert_eq!(form("b").wording_sha256, Some(sha256(b"I agree\n")));
    assert_eq!(form("b").evidence_sha256, Some(sha256(b"\x89PNG")));
    let hashed: Vec<_> = evidence
        .hashed()
        .iter()
        .map(|hashed| (hashed.list.as_str(), hashed.key, hashed.octets))
        .collect();
    assert_eq!(
        hashed,
        [
            ("a", "wording", 7),
            ("b", "wording_file", 8),
            ("b", "screenshot_file", 4)
        ]
    );
    let before = evidence.digest().to_vec();
    // The evidence is another one when a file it names is.
    std::fs::write(place.path().join("form.png"), b"\x89PNH").unwrap();
    let text = "[[list]]\nscreenshot_file = \"form.png\"\n";
    let after = understand(text, place.path()).unwrap();
    std::fs::write(place.path().join("form.png"), b"\x89PNI").unwrap();
    assert_ne!(
        after.digest(),
        understand(text, place.path()).unwrap().digest()
    );
    assert_ne!(after.digest(), before);
}

#[test]
fn a_day_of_validity_begins_it_and_is_its_last() {
    let evidence = nowhere(
        "time_zone = \"Europe/Paris\"\n[[list]]\nvalid_from = \"2026-05-01\"\nvalid_until = \"2026-05-31\"\n",
    )
    .unwrap();
    let list = &evidence.lists[&None];
    assert_eq!(list.from.unwrap().to_string(), "2026-04-30T22:00:00Z");
    assert_eq!(
        list.until.unwrap().to_string(),
        "2026-05-31T21:59:59.999999999Z"
    );
}

#[test]
fn what_is_wrong_names_list_and_key() {
    for (text, place, words) in [
        ("time_zone = \"Paris\"", "`time_zone`", "not known"),
        ("[csv]\nencoding = \"x\"", "[csv] `encoding`", "no encoding"),
        (
            "[csv.columns]\nadress = \"E-mail\"",
            "[csv.columns] `adress`",
            "no field",
        ),
        (
            "[csv.constant]\nstatus = \"granted\"",
            "[csv.constant] `status`",
            "no field",
        ),
        ("[[list]]\nname = \" \"", "[[list]] 1: `name`", "empty"),
        (
            "[[list]]\nname = \"a\"\n[[list]]\nname = \"a\"",
            "[[list]] 2: `name`",
            "another list",
        ),
        ("[[list]]\n[[list]]", "[[list]] 2: `name`", "another list"),
        (
            "[[list]]\ncontroller = \"a@b\"",
            "`controller`",
            "holds `@`",
        ),
        (
            "[[list]]\nchannel = \"\"",
            "[[list]] 1",
            "`channel` is empty",
        ),
        (
            "[[list]]\nwording = \"a\"\nwording_file = \"b\"",
            "`wording_file`",
            "give one",
        ),
        ("[[list]]\nwording = \" \"", "`wording`", "empty"),
        ("[[list]]\nwording_file = \"b\"", "`wording_file`", "b: "),
        (
            "[[list]]\nwording_sha256 = \"b\"",
            "`wording_sha256`",
            "64 hex digits",
        ),
        (
            "[[list]]\nvalid_from = \"2026-05-01\"",
            "`valid_from`",
            "time_zone",
        ),
        (
            "[[list]]\nvalid_from = \"2026-05-02T00:00:00Z\"\nvalid_until = \"2026-05-01T00:00:00Z\"",
            "`valid_until`",
            "before",
        ),
        (
            "[[list]]\ninformed_notice = \"n\"",
            "`informed_at`",
            "missing",
        ),
        ("[[list]]\ncountry = \"France\"", "`country`", "two letters"),
    ] {
        let error = nowhere(text).unwrap_err().to_string();
        assert!(
            error.contains(place) && error.contains(words),
            "{text}: {error}"
        );
    }
    let wrong = nowhere("[csv.columns]\nadress = \"E-mail\"").unwrap_err();
    assert!(wrong.known.contains(&"address"));
}

#[test]
fn two_pictures_are_one_too_many_unless_they_are_the_same() {
    let digest = "ab".repeat(32);
    let twice = format!("[[list]]\nscreenshot_sha256 = \"{digest}\"\ncode_sha256 = \"{digest}\"");
    assert!(nowhere(&twice).is_ok());
    let two = format!(
        "[[list]]\nscreenshot_sha256 = \"{digest}\"\ncode_sha256 = \"{}\"",
        "cd".repeat(32)
    );
    assert_eq!(nowhere(&two).unwrap_err().key, "screenshot_file");
}
