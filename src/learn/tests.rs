use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

const TODAY: u32 = 20_000;

fn settings(directory: &Path) -> Settings {
    Settings {
        directory: directory.join("learn"),
        ..Settings::default()
    }
}

fn name<'a>(controller: &'a str, host: &'a str) -> SlotName<'a> {
    SlotName {
        controller,
        stream: "news",
        host,
        shape: "/o/b.gif",
        kind: "img",
    }
}

/// One message to one person, with one load.
fn teach(table: &Learning, (controller, host): (&str, &str), person: usize, url: &str) {
    let address = format!("reader-{person}@example.net");
    let observation = Observation {
        controller,
        stream: "news",
        forward_paths: vec![&address],
    };
    let load = (host, "/o/b.gif", "img", url);
    table.observe(&observation, std::iter::once(load), TODAY);
}

/// A table in which `o.example` is individual and `i.example` has a URL for all, for `shop`.
fn teach_both(table: &Learning) {
    for person in 0..40 {
        let own = format!("https://o.example/o/{person}.gif");
        teach(table, ("shop", "o.example"), person, &own);
        teach(
            table,
            ("shop", "i.example"),
            person,
            "https://i.example/o/1.gif",
        );
    }
}

#[track_caller]
fn knows_both(table: &Learning) {
    let own = table.ask(
        &name("shop", "o.example"),
        "https://o.example/o/new.gif",
        TODAY,
    );
    assert_eq!(own, Answer::Individual { recipients: 40 });
    let all = table.ask(
        &name("shop", "i.example"),
        "https://i.example/o/1.gif",
        TODAY,
    );
    assert_eq!(all, Answer::Shared);
}

#[track_caller]
fn knows_nothing(table: &Learning) {
    assert_eq!(table.size().slots, 0);
    let own = table.ask(
        &name("shop", "o.example"),
        "https://o.example/o/new.gif",
        TODAY,
    );
    assert_eq!(own, Answer::Nothing);
}

#[test]
fn one_controller_does_not_learn_from_another() {
    let directory = tempfile::tempdir().unwrap();
    let table = Learning::in_memory(&settings(directory.path())).unwrap();
    teach_both(&table);
    knows_both(&table);
    let other = table.ask(
        &name("bank", "i.example"),
        "https://i.example/o/1.gif",
        TODAY,
    );
    assert_eq!(other, Answer::Nothing);
    let stream = SlotName {
        stream: "receipts",
        ..name("shop", "i.example")
    };
    assert_eq!(
        table.ask(&stream, "https://i.example/o/1.gif", TODAY),
        Answer::Nothing
    );
}

#[test]
fn an_address_is_one_person_whatever_its_case() {
    let directory = tempfile::tempdir().unwrap();
    let table = Learning::in_memory(&settings(directory.path())).unwrap();
    for n in 0..30 {
        let address = if n % 2 == 0 {
            "Ada@example.net"
        } else {
            "ada@EXAMPLE.net"
        };
        let observation = Observation {
            controller: "shop",
            stream: "news",
            forward_paths: vec![address],
        };
        let url = format!("https://o.example/o/{n}.gif");
        let load = ("o.example", "/o/b.gif", "img", url.as_str());
        table.observe(&observation, std::iter::once(load), TODAY);
    }
    let slot = table.of_slot(&name("shop", "o.example"), TODAY).unwrap();
    assert_eq!((slot.people, slot.individual), (1, None));
}

#[test]
fn a_restart_forgets_nothing_and_nothing_is_in_clear_on_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let (settings, keys) = (settings(directory.path()), directory.path().join("keys"));
    let table = Learning::open(&settings, &keys).unwrap();
    teach_both(&table);
    table.write(TODAY).unwrap();
    // A second relay begins with that, and does not write.
    let second = Learning::open(&settings, &keys).unwrap();
    knows_both(&second);
    let before = fs::read(settings.directory.join("table")).unwrap();
    teach(&second, ("shop", "x.example"), 1, "https://x.example/");
    second.write(TODAY).unwrap();
    assert_eq!(fs::read(settings.directory.join("table")).unwrap(), before);
    drop(second);
    let (figures, _) = table.report(TODAY);
    drop(table);

    let file = fs::read(settings.directory.join("table")).unwrap();
    for clear in ["example", "reader", "shop", "news", "gif", "img"] {
        assert!(
            memchr::memmem::find(&file, clear.as_bytes()).is_none(),
            "{clear}"
        );
    }
    for (path, mode) in [
        (settings.directory.clone(), 0o700),
        (settings.directory.join("table"), 0o600),
        (keys.join("learn-1.key"), 0o600),
    ] {
        let found = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{}", path.display());
    }

    let table = Learning::open(&settings, &keys).unwrap();
    assert_eq!(table.cold(), None);
    knows_both(&table);
    let (again, _) = table.report(TODAY);
    assert_eq!(
        (again.slots, again.individual, again.shared),
        (figures.slots, figures.individual, figures.shared)
    );
    // Nothing changed: nothing is written.
    fs::remove_file(settings.directory.join("table")).unwrap();
    table.write(TODAY).unwrap();
    assert!(!settings.directory.join("table").exists());
}

#[test]
fn what_is_damaged_or_foreign_is_a_cold_start() {
    let directory = tempfile::tempdir().unwrap();
    let (settings, keys) = (settings(directory.path()), directory.path().join("keys"));
    let table = Learning::open(&settings, &keys).unwrap();
    teach_both(&table);
    table.write(TODAY).unwrap();
    drop(table);
    let path = settings.directory.join("table");
    let whole = fs::read(&path).unwrap();
    let mut damages = vec![Vec::new(), b"{}".to_vec(), vec![0; 4_096]];
    for at in [0, 10, 30, 60, 200, whole.len() / 2, whole.len() - 1] {
        damages.push(whole[..at].to_vec());
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        damages.push(flipped);
    }
    for damage in damages {
        fs::write(&path, &damage).unwrap();
        let table = Learning::open(&settings, &keys).unwrap();
        assert!(table.cold().is_some(), "{} octets", damage.len());
        knows_nothing(&table);
        // It learns anew and overwrites the damage.
        teach_both(&table);
        table.write(TODAY).unwrap();
        drop(table);
        knows_both(&Learning::open(&settings, &keys).unwrap());
    }
    // A new key empties the table.
    fs::remove_file(keys.join("learn-1.key")).unwrap();
    let table = Learning::open(&settings, &keys).unwrap();
    assert!(table.cold().unwrap().contains("another key"));
    knows_nothing(&table);
}

#[test]
fn slots_that_lie_about_themselves_are_no_table() {
    // Right digest, wrong content: written by something else.
    let directory = tempfile::tempdir().unwrap();
    let (settings, keys) = (settings(directory.path()), directory.path().join("keys"));
    let table = Learning::open(&settings, &keys).unwrap();
    teach_both(&table);
    table.write(TODAY).unwrap();
    drop(table);
    let path = settings.directory.join("table");
    let whole = fs::read(&path).unwrap();
    let content = &whole[..whole.len() - 32];
    for at in 24 + 16..content.len().min(600) {
        let mut content = content.to_vec();
        content[at] = 0xff;
        let digest = ring::digest::digest(&ring::digest::SHA256, &content);
        content.extend(digest.as_ref());
        fs::write(&path, &content).unwrap();
        // Other hashes may stand there now; what must not happen is a panic, or more than there is room for.
        let table = Learning::open(&settings, &keys).unwrap();
        assert!(table.size().slots <= 2);
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (settings, keys) = (settings(directory.path()), directory.path().join("keys"));
    drop(Learning::open(&settings, &keys).unwrap());
    let key = keys.join("learn-1.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = Learning::open(&settings, &keys).unwrap_err();
    assert!(matches!(exposed, LearnError::Exposed { .. }), "{exposed}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "pixelgate-ledger-1 00").unwrap();
    let malformed = Learning::open(&settings, &keys).unwrap_err();
    assert!(
        matches!(malformed, LearnError::Malformed { .. }),
        "{malformed}"
    );
}

#[test]
fn an_export_is_known_elsewhere_with_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let (here, keys) = (settings(directory.path()), directory.path().join("keys"));
    let table = Learning::open(&here, &keys).unwrap();
    teach_both(&table);
    let file = directory.path().join("learned");
    table.export(&file).unwrap();
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);

    let there = Settings {
        directory: directory.path().join("there"),
        ..Settings::default()
    };
    let their_keys = directory.path().join("their-keys");
    let running = Learning::open(&there, &their_keys).unwrap();
    let exported = Learning::exported(&there, &file).unwrap();
    knows_both(&exported);
    let locked = exported.put_in_place(&there, &their_keys).unwrap_err();
    assert!(matches!(locked, LearnError::Locked { .. }), "{locked}");
    drop(running);
    exported.put_in_place(&there, &their_keys).unwrap();
    knows_both(&Learning::open(&there, &their_keys).unwrap());
    // A table without its key is none to carry.
    table.write(TODAY).unwrap();
    let kept = Learning::exported(&there, &here.directory.join("table")).unwrap_err();
    assert!(matches!(kept, LearnError::Damaged { .. }), "{kept}");
}

#[test]
fn full_the_slot_goes_that_was_seen_longest_ago() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings {
        octets: 1 << 20,
        ..settings(directory.path())
    };
    let table = Learning::in_memory(&settings).unwrap();
    teach_both(&table);
    for campaign in 0..6_000 {
        let host = format!("c{campaign}.example");
        teach(
            &table,
            ("shop", &host),
            campaign,
            "https://c.example/o/1.gif",
        );
        if campaign % 20 == 0 {
            let own = format!("https://o.example/o/{campaign}.gif");
            teach(&table, ("shop", "o.example"), campaign + 100, &own);
        }
        if campaign % 500 == 0 {
            assert!(table.size().octets <= 1 << 20);
        }
    }
    let figures = table.size();
    assert!(figures.octets <= 1 << 20, "{figures:?}");
    assert!(figures.slots > 1_000, "{figures:?}");
    let asked = |host: &str| table.of_slot(&name("shop", host), TODAY);
    assert!(asked("o.example").is_some(), "seen now and then");
    assert!(asked("c5999.example").is_some(), "seen last");
    assert_eq!(asked("i.example"), None, "seen longest ago");
    assert_eq!(asked("c0.example"), None);
}

#[test]
fn what_has_expired_leaves_the_table() {
    let directory = tempfile::tempdir().unwrap();
    let (settings, keys) = (settings(directory.path()), directory.path().join("keys"));
    let table = Learning::open(&settings, &keys).unwrap();
    teach_both(&table);
    table.write(TODAY + 30).unwrap();
    assert_eq!(table.size().slots, 2);
    teach(&table, ("shop", "new.example"), 1, "https://new.example/");
    table.write(TODAY + 31).unwrap();
    assert_eq!(table.size().slots, 0, "all three were seen 31 days ago");
    assert_eq!(table.size().octets, 0);
}

/// Ten thousand campaigns at once, each with a pixel for everybody and two pictures for all, each to 24 people so far.
#[test]
fn ten_thousand_campaigns_stay_under_the_cap() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let table = Learning::in_memory(&settings).unwrap();
    let hosts: Vec<String> = (0..10_000).map(|n| format!("c{n}.example")).collect();
    for round in 0..24 {
        for (campaign, host) in hosts.iter().enumerate() {
            let address = format!("reader-{}@example.net", campaign * 100 + round);
            let observation = Observation {
                controller: "shop",
                stream: "news",
                forward_paths: vec![&address],
            };
            let own = format!("https://{host}/o/{round}.gif");
            let loads = [
                (host.as_str(), "/o/b.gif", "img", own.as_str()),
                (host.as_str(), "/logo.png", "img", "logo"),
                (host.as_str(), "/hero.png", "img", "hero"),
            ];
            table.observe(&observation, loads.into_iter(), TODAY);
        }
        assert!(table.size().octets <= 32 << 20);
    }
    let (figures, _) = table.report(TODAY);
    println!("{figures:?}");
    assert_eq!(figures.slots, 30_000, "all of them fit: {figures:?}");
    assert_eq!((figures.individual, figures.shared), (10_000, 20_000));
}
