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
fn what_is_learned_has_bounds() {
    for (key, wrong) in [
        ("octets", "1024"),
        ("expire_after_days", "1"),
        ("snapshot_seconds", "0"),
        ("directory", "\"\""),
    ] {
        let text = complaint(&format!("[learn]\n{key} = {wrong}\n"));
        assert!(text.starts_with("f.toml:6:1: "), "{text}");
        assert!(text.contains(&format!("learn.{key} ")), "{text}");
    }
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

/// A stream of one kind with one tracker, and more listener lines before it.
fn tracked(listener: &str, stream: &str, kind: &str, hosts: &str, purposes: &str) -> String {
    format!(
        "[[listener]]\naddress = \"127.0.0.1:2526\"\n{listener}\n[[stream]]\nname = \"n\"\n{stream}\nkind = \"{kind}\"\n\
         withdrawal_link = {{ elsewhere = \"in the account\" }}\n[[stream.tracker]]\nhosts = [\"{hosts}\"]\npurposes = [{purposes}]\n"
    )
}

fn remarks(more: &str) -> Vec<String> {
    let text = format!("{BASE}{more}");
    read(Path::new("f.toml"), &text, jiff::civil::date(2026, 11, 22))
        .unwrap()
        .remarks
}

#[test]
fn a_contradiction_of_a_tracker_is_named_with_its_line() {
    let of = |kind, hosts, purposes| {
        complaint(&tracked("", "controller = \"c\"", kind, hosts, purposes))
    };
    for (text, line, words) in [
        (
            of("marketing", "a.example", "\"auth_security\""),
            15,
            "authentication (D4)",
        ),
        (
            of(
                "requested",
                "a.example",
                "\"auth_security\", \"campaign_performance\"",
            ),
            15,
            "(D4)",
        ),
        (
            of("authentication", "*", "\"auth_security\""),
            14,
            "auth_security for every host",
        ),
        (
            of("requested", "*", "\"deliverability_hygiene\""),
            14,
            "for every host",
        ),
        (
            of("marketing", "*", "\"aggregate_anonymous\""),
            14,
            "for every host",
        ),
        (
            of("requested", "*", "\"legal_proof\""),
            14,
            "for every host",
        ),
        (
            of("prospecting", "a.example", "\"deliverability_hygiene\""),
            15,
            "(D6)",
        ),
        (of("marketing", "a.example", ""), 15, "without a purpose"),
    ] {
        assert!(text.starts_with(&format!("f.toml:{line}:")), "{text}");
        assert!(text.contains(words) && text.contains("; "), "{text}");
    }
    let empty = tracked(
        "",
        "controller = \"c\"",
        "marketing",
        "a.example",
        "\"campaign_performance\"",
    );
    let text = complaint(&format!("{empty}recipient = \" \"\n"));
    assert!(text.contains("recipient"), "{text}");
}

#[test]
fn a_stream_needs_a_listener_that_may_speak_for_its_controller() {
    let with = |listener: &str, stream: &str| {
        tracked(
            listener,
            stream,
            "marketing",
            "a.example",
            "\"campaign_performance\"",
        )
    };
    let only = "listeners = [\"127.0.0.1:2526\"]\n";
    let both = "listeners = [\"127.0.0.1:2525\", \"127.0.0.1:2526\"]\n";
    let list = "controllers = [\"shop\"]";
    let field = "controllers = { header = \"Pixelgate-Controller\" }";
    let bank = |listeners: &str| format!("controller = \"bank\"\n{listeners}");
    let text = complaint(&with(list, &bank(only)));
    assert!(text.starts_with("f.toml:10:"), "{text}");
    assert!(
        text.contains("for which listener 127.0.0.1:2526 may not speak"),
        "{text}"
    );
    let text = complaint(&with(list, &bank(both)));
    assert!(
        text.contains("127.0.0.1:2526 may not speak"),
        "each listener it names: {text}"
    );
    let text = complaint(&with(field, &format!("controller = \"My Bank\"\n{only}")));
    assert!(
        text.contains("may not speak"),
        "no message can name it: {text}"
    );
    let text = complaint(&with("", only));
    assert!(text.contains("names no controller"), "{text}");
    let text = complaint(&with(list, ""));
    assert!(
        text.contains("neither does listener 127.0.0.1:2525"),
        "{text}"
    );
    for right in [
        with(list, &bank("")),
        with(field, &bank(only)),
        with(list, only),
        with(field, only),
        with("controllers = [\"bank\", \"shop\"]", &bank(both)),
    ] {
        remarks(&right);
    }
}

#[test]
fn controllers_of_a_listener_are_a_list_or_the_field() {
    let with = |controllers: &str| {
        let text = tracked(
            controllers,
            "",
            "marketing",
            "a.example",
            "\"campaign_performance\"",
        );
        complaint(&text)
    };
    for (controllers, words) in [
        ("controllers = []", "speaks for nobody"),
        ("controllers = [\"shop\", \"shop\"]", "stands there twice"),
        ("controllers = [\"unassigned\"]", "cannot be a controller"),
        (
            "controllers = { header = \"X-Tenant\" }",
            "would go on to the recipient",
        ),
        (
            "controllers = { header = \"Pixelgate-Controller\", list = [\"shop\"] }",
            "not both",
        ),
        ("controllers = \"shop\"", "write [\"shop\", \"bank\"]"),
    ] {
        let text = with(controllers);
        assert!(
            text.starts_with("f.toml:7:") && text.contains(words),
            "{text}"
        );
    }
    let text = complaint("[[listener]]\naddress = \"127.0.0.1:2526\"\ncontrollers = [\"shop\"]\n");
    assert!(text.contains("without any [[stream]]"), "{text}");
}

#[test]
fn what_is_lawful_and_odd_is_remarked() {
    let of = |kind, hosts, purposes| {
        remarks(&tracked("", "controller = \"c\"", kind, hosts, purposes)).join("\n")
    };
    let mixed = of(
        "authentication",
        "a.example",
        "\"auth_security\", \"campaign_performance\"",
    );
    assert!(
        mixed.contains("auth_security beside campaign_performance is not exempt"),
        "{mixed}"
    );
    let asking = of("consent_request", "a.example", "\"campaign_performance\"");
    assert!(
        asking.contains("none of its trackers is ever kept"),
        "{asking}"
    );
    assert!(
        asking.contains("withdrawal_link is never looked for"),
        "{asking}"
    );
    let all = of("marketing", "*", "\"campaign_performance\"");
    assert!(all.contains("declares the host \"*\""), "{all}");
    assert_eq!(of("marketing", "a.example", "\"campaign_performance\""), "");
}

#[test]
fn the_law_names_profiles_reasons_and_countries() {
    for (more, words) in [
        ("[law]\nprofiles = []\n", "no profile is loaded"),
        (
            "[law]\nprofiles = [\"fr-2026\", \"de-2026\"]\n",
            "`de-2026` is no profile",
        ),
        (
            "[law]\nprofiles = [\"fr-2026\", \"fr-2026\"]\n",
            "two profiles are called",
        ),
        (
            "[law]\nprofiles = [\"nowhere/x.toml\"]\n",
            "nowhere/x.toml: No such file",
        ),
        ("[law]\ngrant_max_age_days = 40000\n", "more than 36500"),
        (
            "[[law.switched_on]]\nrule = \"fr-2026/aggregate_anonymous\"\nreason = \" \"\n",
            "without a reason",
        ),
        (
            "[[law.switched_on]]\nrule = \"fr-2026/aggregate_anonymous\"\n",
            "reason",
        ),
        (
            "[[law.switched_on]]\nrule = \"fr-2026/hygiene\"\nreason = \"x\"\n",
            "names no rule",
        ),
        (
            "[[controller]]\nname = \"a\"\ncountry_default = \"FR\"\nreason = \"\"\n",
            "gives no reason",
        ),
        (
            "[[controller]]\nname = \"a\"\ncountry_default = \"fr\"\nreason = \"x\"\n",
            "is no country",
        ),
        (
            "[[controller]]\nname = \"unassigned\"\ncountry_default = \"FR\"\nreason = \"x\"\n",
            "cannot be",
        ),
    ] {
        let text = complaint(more);
        assert!(
            text.contains(words) && text.starts_with("f.toml:"),
            "{text}"
        );
    }
    let twice =
        "[[controller]]\nname = \"a\"\ncountry_default = \"FR\"\nreason = \"x\"\n".repeat(2);
    assert!(complaint(&twice).contains("two [[controller]] are called `a`"));
    let said = remarks(
        "[law]\nprofiles = [\"fr-2026\"]\n[[law.switched_on]]\nrule = \"fr-2026/aggregate_anonymous\"\nreason = \"counsel\"\n\
         [[controller]]\nname = \"a\"\ncountry_default = \"ES\"\nreason = \"shops in Spain\"\n",
    )
    .join("\n");
    for words in [
        "switched ON",
        "counsel",
        "count as ES: shops in Spain",
        "no loaded profile is for ES",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// A profile of one's own is a file like those that come along.
#[test]
fn a_profile_may_be_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("es.toml");
    std::fs::write(&path, "name = \"es-2026\"\ntitle = \"Spain\"\neffective = \"2026-01-01\"\ncountries = [\"ES\"]\ntime_zone = \"Europe/Madrid\"\n").unwrap();
    let law = format!(
        "[law]\nprofiles = [\"strict-edpb\", \"{}\"]\ngrant_max_age_days = 2\n",
        path.display()
    );
    let text = format!("{BASE}{law}");
    let config = read(Path::new("f.toml"), &text, jiff::civil::date(2026, 11, 22)).unwrap();
    let lawbook = config.file.lawbook().unwrap();
    assert_eq!(lawbook.profiles.all().len(), 2);
    assert_eq!(
        lawbook.grant_age_max,
        Some(jiff::SignedDuration::from_hours(48))
    );
    std::fs::write(&path, "name = 1\n").unwrap();
    assert!(complaint(&law).contains("es.toml"));
    std::fs::write(&path, " ".repeat((1 << 20) + 1)).unwrap();
    assert!(complaint(&law).contains("a profile has at most 1048576"));
}

#[test]
fn a_withdrawal_link_says_where_it_leads() {
    let stream = |prefix: &str| {
        format!(
            "[[stream]]\nname = \"n\"\ncontroller = \"c\"\nkind = \"marketing\"\nwithdrawal_link = {{ url_prefix = \"{prefix}\" }}\n"
        )
    };
    for wrong in [
        "www.example.com/privacy/",
        "https://",
        "https:///privacy",
        "https://www.example.com",
        "mailto:a@b",
        "https://www.example.com@evil.example/privacy/",
        "https://evil.example\\\\@www.example.com/",
        "https://www.example.com?x/privacy/",
    ] {
        let text = complaint(&stream(wrong));
        assert!(text.contains("does not say where a link leads"), "{text}");
    }
    for (right, any) in [
        ("https://www.example.com/", true),
        ("http://x/y", false),
        ("https://x/#/out", false),
    ] {
        let said = remarks(&stream(right)).join("\n");
        assert_eq!(said.contains("name its path"), any, "{right}: {said}");
    }
}

/// Of two entries about one host only one was asked, and a pattern that matches nothing left its tracker to `*`.
#[test]
fn one_entry_names_a_host_and_every_pattern_can_match() {
    let two = |hosts: &str, others: &str| {
        let more =
            format!("[[stream.tracker]]\nhosts = [{others}]\npurposes = [\"fraud_detection\"]\n");
        let one = tracked(
            "",
            "controller = \"c\"",
            "marketing",
            hosts,
            "\"campaign_performance\"",
        );
        complaint(&format!("{one}{more}"))
    };
    for (one, other) in [
        ("t.example", "\"t.example\""),
        ("t.example", "\"a.example\", \"T.Example.\""),
        ("*.t.example", "\"*.T.example\""),
        ("b\u{fc}cher.example", "\"xn--bcher-kva.example\""),
        ("*", "\"*\""),
    ] {
        let said = two(one, other);
        assert!(
            said.contains("two [[stream.tracker]]"),
            "{one} {other}: {said}"
        );
    }
    for wrong in [
        "*t.example",
        "t.*",
        "t.example:443",
        " t.example",
        "u@t.example",
        "*.",
        "[::1]",
        "t\\\\x",
    ] {
        let said = complaint(&tracked(
            "",
            "controller = \"c\"",
            "marketing",
            wrong,
            "\"campaign_performance\"",
        ));
        assert!(said.contains("host names"), "{wrong}: {said}");
    }
}
