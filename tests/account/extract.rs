//! `pixelgate ledger register-extract`: what a controller can paste into a register of processing.

use crate::printed::{golden, json, printed};
use crate::scene::{KNOWN, NADIA, OTTO, Scene, TINY, letter_with, pixel, stream, tracker};

const A: &str = "campaign_performance";

#[test]
fn an_extract_says_what_is_configured_and_what_was_recorded() {
    let scene = Scene::start(&stream(
        "letters",
        "marketing",
        &tracker(&["click.news.example"], &[A]),
    ));
    scene.grant(NADIA, &[A]);
    let both = format!("{}\r\n{}", pixel(KNOWN), pixel(TINY));
    scene.deliver(&[NADIA, OTTO], &letter_with("", &both));
    let text = printed(&scene, &["ledger", "register-extract"]);
    golden("extract.md", &text, &scene);
    let lower = text.to_lowercase();
    assert!(
        !lower.contains("complian") && lower.contains("our reading of"),
        "{text}"
    );

    let extract = json(&scene, &["ledger", "register-extract"]);
    let activities = extract["activities"].as_array().unwrap();
    assert_eq!(activities.len(), 1);
    let activity = &activities[0];
    assert_eq!(
        (&activity["controller"], &activity["stream"]),
        (&"bakery".into(), &"letters".into())
    );
    assert_eq!(activity["legal_basis"], serde_json::json!({ "consent": 1 }));
    assert_eq!(
        activity["without_basis"],
        serde_json::json!({ "no_consent": 2, "undeclared": 1 })
    );
    assert_eq!(activity["declared"][0]["purposes"], serde_json::json!([A]));
    let observed = activity["observed"].as_array().unwrap();
    assert_eq!(observed.len(), 2, "{observed:?}");
    // Both say the same.
    for said in ["statement", "categories_of_people"] {
        assert!(text.contains(extract[said].as_str().unwrap()), "{said}");
    }
    for said in ["measures", "categories_of_data"] {
        for line in extract[said].as_array().unwrap() {
            assert!(
                text.replace('\\', "").contains(line.as_str().unwrap()),
                "{line}"
            );
        }
    }
    scene.finish();
}

/// A stream that was taken out of the configuration has not been forgotten.
#[test]
fn a_stream_of_the_past_is_named_as_such() {
    let mut scene = Scene::start(&stream("letters", "marketing", ""));
    scene.deliver(&[OTTO], &letter_with("", &pixel(KNOWN)));
    scene.start_again(&stream("offers", "prospecting", ""));
    let extract = json(&scene, &["ledger", "register-extract"]);
    let configured: Vec<(&str, bool)> = extract["activities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|activity| {
            (
                activity["stream"].as_str().unwrap(),
                activity["configured"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(configured, [("letters", false), ("offers", true)]);
    scene.finish();
}
