//! What a command printed: looked through for what nobody may see, and compared with a golden text.

use std::fs;
use std::path::Path;

use crate::fixture::pixelgate;
use crate::scene::{OTTO, Scene};

/// Runs a command that has to succeed; what it prints names no stranger and shows no URL of a message.
pub(crate) fn printed(scene: &Scene, arguments: &[&str]) -> String {
    let output = pixelgate(&scene.served, arguments, b"");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let asked_about_otto = arguments.iter().any(|word| word.eq_ignore_ascii_case(OTTO));
    let lower = text.to_ascii_lowercase();
    for secret in [
        "hiddenson",
        "/wf/open",
        "upn=",
        "u=9f2c41",
        "http:",
        "letter-4711",
    ] {
        let asked = secret == "hiddenson" && asked_about_otto;
        assert!(
            asked || !lower.contains(secret),
            "shows `{secret}`:\n{text}"
        );
    }
    text
}

/// The same as JSON.
pub(crate) fn json(scene: &Scene, arguments: &[&str]) -> serde_json::Value {
    let arguments: Vec<&str> = arguments
        .iter()
        .copied()
        .chain(["--format", "json"])
        .collect();
    serde_json::from_str(&printed(scene, &arguments)).expect("JSON")
}

/// The exit code of a command that fails, and what it says.
pub(crate) fn failed(scene: &Scene, arguments: &[&str]) -> (i32, String) {
    let output = pixelgate(&scene.served, arguments, b"");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    (output.status.code().expect("an exit code"), said)
}

/// Compares with `tests/account/NAME`, moments and names of this run aside.
#[track_caller]
pub(crate) fn golden(name: &str, text: &str, scene: &Scene) {
    let path = Path::new("tests/account").join(name);
    let normal = normalised(text, scene);
    if std::env::var_os("PIXELGATE_GOLDEN").is_some() {
        fs::write(&path, &normal).expect("written");
    }
    let golden = fs::read_to_string(&path).expect("the golden text");
    assert_eq!(normal, golden, "{name}; as it was printed:\n{text}");
}

/// Moments, days, hashes, ports, message ids and the temporary directory are of this run.
fn normalised(text: &str, scene: &Scene) -> String {
    let directory = scene.served.directory().display().to_string();
    let text = text.replace(&directory, "DIRECTORY");
    let text = text.replace(&scene.served.address().to_string(), "ADDRESS");
    let mut normal = String::new();
    for line in text.split_inclusive('\n') {
        let words: Vec<String> = line.split(' ').map(word).collect();
        normal.push_str(&words.join(" "));
    }
    normal
}

fn word(word: &str) -> String {
    let core = word.trim_end_matches(['\n', ',', ';', '.', ':', ')', '"', '|']);
    let core = core.trim_start_matches(['(', '"', '|']);
    let digits = core.bytes().filter(u8::is_ascii_digit).count();
    let shape: String = core
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let hex = |text: &str| text.bytes().all(|octet| octet.is_ascii_hexdigit());
    // `660e5290791e7-0`: when, in hex, and which of that moment.
    let is_id = core
        .split_once('-')
        .is_some_and(|(when, which)| when.len() >= 12 && hex(when) && hex(which));
    let put_away = match shape.as_str() {
        "0000-00-00" if core != "2026-05-02" => "DAY",
        "00:00:00" if core != "09:14:00" => "TIME",
        // An import and its row.
        _ if core
            .split_once(':')
            .is_some_and(|(name, _)| name.len() == 32 && hex(name)) =>
        {
            "SOURCE"
        }
        _ if core.len() >= 32 && hex(core) && !core.starts_with("3f0a377b") => "HEX",
        _ if is_id && digits > 0 => "ID",
        _ => return word.to_owned(),
    };
    word.replace(core, put_away)
}
