//! Golden triples through the real binary: in by SMTP, out to a maildir, compared octet for octet (DESIGN promises 1 and 2).
//!
//! `tests/support/fixture.rs` says what a fixture is made of. What a copy really looked like, where it is not as expected, is
//! left under `target/tmp/messages/` to be looked at; nothing is ever taken over from there by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "support/fixture.rs"]
mod fixture;
mod support;

use std::fs;
use std::path::Path;

use fixture::{Expected, FIXTURES, Fixture, READER, import, names, send, take_outbox};
use pixelgate::ledger::verify;
use support::{Config, Served};

macro_rules! messages {
    ($($name:ident)+) => {
        const NAMES: &[&str] = &[$(stringify!($name)),+];
        $(#[test] fn $name() { run(&Fixture::read(stringify!($name))); })+
    };
}

messages! {
    alternative
    amp_harmless
    amp_marketing
    amp_requested
    background_attribute
    base64_in_place
    base64_odd_lines
    base64_short_url
    boundary_in_attribute
    calendar_html
    comment
    css_background
    depth_limit
    digest
    dkim_kept
    dkim_refused
    dkim_removed
    dkim_removed_not_needed
    dots
    duplicate_content_type
    duplicate_content_type_harmless
    encrypted
    entities_in_url
    granted
    granted_one_of_two_hosts
    hidden_is_no_evidence
    html_7bit
    html_8bit
    html_attachment
    html_attachment_by_cid
    html_binary
    html_latin1
    hz
    hz_hidden
    individual_blanked
    individual_deidentified
    individual_functional
    individual_requested
    individual_signed
    input_image
    iso2022jp
    iso2022jp_7bit
    iso2022jp_8bit
    iso2022jp_base64
    iso2022jp_hidden
    iso2022jp_open_at_line_end
    iso2022jp_other_set
    iso2022jp_quoted_printable
    iso2022jp_wrapped
    known_endpoint_in_media_rule
    known_endpoint_in_srcset
    known_endpoint_without_size
    links_stay
    long_lines
    missing_close_boundary
    mixed_line_lengths_qp
    mobile_header
    mso_comment
    nested_multipart
    no_body
    no_final_blank_line
    noscript
    null_reverse_path
    operator_endpoint
    pixelgate_fields
    plain_text
    preamble_with_pixel
    prefix_boundary
    qp_lower_case_escapes
    qp_pixel_at_line_end
    qp_soft_break_in_tag
    receipt_request
    recurring_account
    recurring_identifier
    related_root_attachment
    related_with_cid
    report
    rfc822_base64
    rfc822_base64_harmless
    rfc822_inline
    rfc822_quoted_printable
    signed_with_pixel
    signed_with_pixel_granted
    signed_with_pixel_requested
    signed_without_pixel
    size_limit
    spacer_1x20
    spacers
    spacers_two_copies
    srcset_references
    tiny_by_style
    tiny_without_box
    token_limit
    two_on_one_line
    unknown_cte
    unknown_cte_requested
    unlabelled_html
    unquoted_attributes
    utf16_base64
    utf16_two_pages
    utf16be_quoted_printable
    utf16le_mark_over_label
    utf32_emptied_alone
    utf32_granted
    utf32_marketing
    utf32_requested
    utf32_requested_without_text
    utf7
    utf7_hidden
    utf7_meta_hidden
    vml_fill
    width_percent
    xhtml
}

#[test]
fn every_fixture_is_run() {
    assert_eq!(names(), NAMES);
}

/// No fixture may carry a place that somebody could reach: every host is one of those that are set aside (RFC 2606).
#[test]
fn fixtures_name_no_real_host() {
    for name in names() {
        let message = fs::read(Path::new(FIXTURES).join(&name).join("in.eml")).unwrap();
        let text = message.escape_ascii().to_string();
        for url in text.split("://").skip(1) {
            let host: String = url
                .chars()
                .take_while(|letter| letter.is_ascii_alphanumeric() || ".-".contains(*letter))
                .collect();
            let reserved = host.ends_with("example")
                || ["example.com", "example.net", "example.org"]
                    .iter()
                    .any(|known| host == *known || host.ends_with(&format!(".{known}")))
                || ["www.w3.org", "cdn.ampproject.org"].contains(&host.as_str());
            assert!(reserved || host.is_empty(), "{name}: {host}");
        }
    }
}

fn run(fixture: &Fixture) {
    let name = &fixture.name;
    let served = Served::start(&Config {
        tail: fixture.config.clone(),
        ..Config::default()
    });
    if let Some(consent) = &fixture.consent {
        let rows = fs::read_to_string(consent).unwrap();
        import(
            &served,
            &rows.lines().map(str::to_owned).collect::<Vec<_>>(),
        );
    }
    let from = format!("{}{}", fixture.from, fixture.mail);
    let reply = send(&served, &from, &[READER], &fixture.message);
    let taken = take_outbox(&served);
    match &fixture.expected {
        Expected::Reply(words) => {
            for word in words {
                assert!(reply.contains(word.as_str()), "{name}: `{word}` in {reply}");
            }
            assert!(
                !reply.starts_with('2') && taken.is_empty(),
                "{name}: {reply}"
            );
        }
        Expected::Copy(expected) => {
            assert!(
                reply.starts_with("250 "),
                "{name}: {reply}\n{}",
                served.log()
            );
            let [copy] = taken.as_slice() else {
                panic!("{name}: {} copies", taken.len());
            };
            compare(name, copy.without_received(), expected.as_deref());
        }
    }
    let verified = verify(&served.directory().join("ledger")).expect("the chain of the ledger");
    assert_eq!(
        (verified.intents, verified.outcomes),
        (1, 1),
        "{name}: {verified:?}"
    );
}

fn compare(name: &str, copy: &[u8], expected: Option<&[u8]>) {
    if expected == Some(copy) {
        return;
    }
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("messages");
    fs::create_dir_all(&place).unwrap();
    let file = place.join(format!("{name}.eml"));
    fs::write(&file, copy).unwrap();
    let Some(expected) = expected else {
        panic!(
            "{name} has neither out.eml nor reply; see {}",
            file.display()
        );
    };
    let same = copy
        .iter()
        .zip(expected)
        .take_while(|(left, right)| left == right)
        .count();
    panic!(
        "{name} differs from octet {same} on; {} octets instead of {}; see {}",
        copy.len(),
        expected.len(),
        file.display()
    );
}
