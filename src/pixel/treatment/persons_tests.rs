//! Visible images with a person in their URL: what loads afterwards is the same picture, asked for by nobody.

use crate::pixel::{
    Document, Evidence, Finding, Form, Knowledge, Limits, Named, Needles, Recurring, Rules,
    Treatment, edited, examine_at,
};

/// The findings of a document to these people, and the document without them.
fn strip_of(people: &[&str], html: &str) -> (Vec<Finding>, String) {
    let needles = Needles::of(people.iter().copied());
    let recurring = Recurring::of([(Named::ReversePath, "b-a8f3k2c97d@m.example")], "");
    let look = |html: &str, whole| {
        let knowledge = Knowledge {
            needles: &needles,
            recurring: &recurring,
            whole,
            ..Knowledge::of(Rules::built_in())
        };
        let limits = Limits::default();
        let utf_8 = encoding_rs::UTF_8;
        examine_at(
            html.as_bytes(),
            utf_8,
            Document::Html,
            &[],
            &knowledge,
            &limits,
        )
        .unwrap()
    };
    let seen = look(html, None);
    let edits = seen.findings.iter().flat_map(|finding| &finding.edits);
    let stripped = String::from_utf8(edited(html.as_bytes(), edits).unwrap()).unwrap();
    assert_eq!(
        look(&stripped, Some(&seen.whole)).findings,
        [],
        "{stripped}"
    );
    (seen.findings, stripped)
}

fn strip(html: &str) -> (Vec<Finding>, String) {
    strip_of(&["nadia@example.net"], html)
}

/// This attribute, with one that shows that other attributes stay.
#[track_caller]
fn becomes(before: &str, after: &str) {
    let image = |attributes: &str| format!("<img alt=x {attributes} width=600 height=200>");
    let (findings, stripped) = strip(&image(before));
    assert_eq!(findings.len(), 1, "{before}");
    assert_eq!(findings[0].treatment, Treatment::Deidentified, "{stripped}");
    let normal = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(normal(&stripped), normal(&image(after)), "{before}");
}

#[test]
fn the_person_goes_from_every_candidate() {
    becomes(
        r#"src="//i.example/a.jpg" srcset="//i.example/a.jpg?w=1&amp;e=nadia@example.net 1x, //i.example/a.jpg?e=nadia@example.net&amp;w=2 2x""#,
        r#"src="//i.example/a.jpg" srcset="//i.example/a.jpg?w=1 1x, //i.example/a.jpg?w=2 2x""#,
    );
    becomes(
        r#"src="//i.example/a.jpg?e=nadia@example.net" srcset="//i.example/a.jpg?w=1 1x,//i.example/a.jpg?w=2&amp;r=a8f3k2c97d 2x""#,
        r#"src="//i.example/a.jpg" srcset="//i.example/a.jpg?w=1 1x,//i.example/a.jpg?w=2 2x""#,
    );
    // Without a descriptor, and with commas inside.
    becomes(
        r#"srcset="//i.example/w_1,h_2/a.jpg?e=nadia@example.net, //i.example/b.jpg 2x" src=a.png"#,
        r#"srcset="//i.example/w_1,h_2/a.jpg, //i.example/b.jpg 2x" src=a.png"#,
    );
}

#[test]
fn a_candidate_that_is_signed_or_would_end_otherwise_blanks_the_image() {
    for srcset in [
        "//i.example/a.jpg?e=nadia@example.net&amp;sig=9f2c 1x, //i.example/b.jpg?e=nadia@example.net 2x",
        "//i.example/a.jpg?f=1,&amp;e=nadia@example.net 1x",
        "//i.example/nadia@example.net.jpg 1x",
    ] {
        let html = format!(
            "<img src=\"//i.example/a.jpg?e=nadia@example.net\" srcset=\"{srcset}\" width=600 height=200>"
        );
        let (findings, stripped) = strip(&html);
        assert_eq!(findings[0].treatment, Treatment::BlankImage, "{stripped}");
        assert!(!stripped.contains("i.example"), "{stripped}");
    }
}

#[test]
fn what_is_relative_to_a_base_loads_without_the_person() {
    let base = "<base href=\"https://i.example/pictures/\">";
    let image = "<img src=\"a.jpg?w=1&amp;e=nadia@example.net\" width=600 height=200>";
    let (findings, stripped) = strip(&format!("{base}{image}"));
    assert_eq!(findings[0].treatment, Treatment::Deidentified);
    assert!(
        stripped.contains("src=\"a.jpg?w=1\"") && stripped.starts_with(base),
        "{stripped}"
    );
    // The same reference where it leads to an endpoint that counts opens.
    let counts = "<base href=\"https://i.example/wf/\"><img src=\"open?upn=u001.x&amp;e=nadia@example.net\" width=600 height=200>";
    assert_ne!(strip(counts).0[0].treatment, Treatment::Deidentified);
}

#[test]
fn a_person_in_the_base_is_in_every_url() {
    for href in [
        "https://i.example/u/nadia@example.net/",
        "https://i.example/u/a8f3k2c97d/",
    ] {
        let html = format!("<base href=\"{href}\"><img src=a.jpg width=600 height=200>");
        let (findings, _) = strip(&html);
        assert_eq!(findings.len(), 1, "{href}");
        assert_eq!(findings[0].treatment, Treatment::BlankImage, "{href}");
    }
    let shared = "<base href=\"https://i.example/u/4711/\"><img src=a.jpg width=600 height=200>";
    assert!(strip(shared).0.is_empty());
}

/// What names a reader by a few letters is proof where nobody sees it, and nothing where somebody may.
#[test]
fn fragments_count_where_nobody_sees_them() {
    let people = ["bob@x.example", "a@b.c", "info@x.example"];
    // Base64 and hexadecimal of "bob", base64 of "a@b.c".
    for path in [
        "o/bob.gif",
        "o/Ym9i.gif",
        "o/626f62.gif",
        "bob/p.gif",
        "o/YUBiLmM.gif",
    ] {
        let tiny = format!("<img src=https://t.example/{path} width=1 height=1>");
        let (findings, _) = strip_of(&people, &tiny);
        let [finding] = &findings[..] else {
            panic!("{path}");
        };
        let named = |evidence: &Evidence| matches!(evidence, Evidence::Recipient { .. });
        assert!(finding.evidence.iter().any(named), "{path}");
    }
    let fragment = Evidence::Recipient {
        form: Form::Fragment,
    };
    let hidden = "<img style=opacity:0 src=https://t.example/o?u=Ym9i>";
    assert!(strip_of(&people, hidden).0[0].evidence.contains(&fragment));
    for harmless in [
        "<img src=https://t.example/o/bob.jpg width=60 height=20>",
        "<img src=https://t.example/o/bobsled.gif width=1 height=1>",
        "<img src=https://t.example/info.gif width=1 height=1>",
        "<img src=https://t.example/spacer.gif width=1 height=1>",
    ] {
        assert_eq!(strip_of(&people, harmless).0, [], "{harmless}");
    }
    // How the SHA-256 of "bob@x.example" begins.
    let digest = ring::digest::digest(&ring::digest::SHA256, b"bob@x.example");
    let hex: String = digest
        .as_ref()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    for length in [6, 8, 12] {
        let beginning: String = hex.chars().take(length).collect();
        let alone = format!("<img src=https://t.example/{beginning}.gif width=1 height=1>");
        let (findings, _) = strip_of(&people, &alone);
        assert!(findings[0].evidence.contains(&fragment), "{alone}");
    }
}
