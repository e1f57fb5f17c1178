use super::*;

const BASE: &str =
    "[[listener]]\naddress = \"127.0.0.1:2525\"\n[[next_hop]]\naddress = \"maildir:var/outbox\"\n";

fn complaint(more: &str) -> String {
    let text = format!("{BASE}{more}");
    read(Path::new("f.toml"), &text, jiff::civil::date(2026, 11, 22))
        .unwrap_err()
        .to_string()
}

#[test]
fn the_shipped_configuration_is_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/pixelgate.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    read(&path, &text, jiff::civil::date(2026, 11, 22)).unwrap();
}

#[test]
fn an_unknown_key_names_the_nearest_right_one_and_its_line() {
    let text = complaint("[consent]\nregistr = \"sqlite:x\"\n");
    assert!(text.starts_with("f.toml:6:1: "), "{text}");
    assert!(text.contains("did you mean `register`?"), "{text}");
}

#[test]
fn mail_that_would_loop_is_refused() {
    let text =
        "[[listener]]\naddress = \"127.0.0.1:2525\"\n[[next_hop]]\naddress = \"127.0.0.1:2525\"\n";
    let error = read(Path::new("f.toml"), text, jiff::civil::date(2026, 11, 22))
        .unwrap_err()
        .to_string();
    assert!(error.contains("loop"), "{error}");
}

#[test]
fn a_stream_says_how_to_withdraw() {
    let text = complaint("[[stream]]\nname = \"n\"\ncontroller = \"c\"\nkind = \"marketing\"\n");
    assert!(text.contains("withdrawal_link"), "{text}");
    let text = complaint("[[stream]]\nname = \"n\"\ncontroller = \"c\"\nkind = \"marketting\"\n");
    assert!(text.contains("marketing"), "{text}");
}

#[test]
fn a_shadow_ends_within_31_days() {
    let stream = |day: &str| {
        format!(
            "[[stream]]\nname = \"n\"\ncontroller = \"c\"\nkind = \"marketing\"\nwithdrawal_link = {{ elsewhere = \"in the account\" }}\nenforcement = {{ shadow_until = {day}, by = \"Ada\" }}\n"
        )
    };
    assert!(complaint(&stream("2026-12-24")).contains("31 days"));
    let text = format!("{BASE}{}", stream("2026-12-23"));
    let config = read(Path::new("f.toml"), &text, jiff::civil::date(2026, 11, 22)).unwrap();
    assert!(
        config
            .remarks
            .iter()
            .any(|remark| remark.contains("LOOKS ON")),
        "{:?}",
        config.remarks
    );
}

#[test]
fn hygiene_is_not_for_prospecting() {
    let text = complaint(
        "[[stream]]\nname = \"n\"\ncontroller = \"c\"\nkind = \"prospecting\"\nwithdrawal_link = { elsewhere = \"x\" }\n[[stream.tracker]]\nhosts = [\"a.example\"]\npurposes = [\"deliverability_hygiene\"]\n",
    );
    assert!(text.contains("D6"), "{text}");
}
