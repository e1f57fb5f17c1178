use super::*;
use proptest::prelude::*;

const MAILBOXES: [&str; 20] = [
    "user@example.com",
    "a..b@example.jp",
    ".a.@example.jp",
    "\"a b\"@example.com",
    "\"a>b\"@example.com",
    "\"a\\\"@\\\\b\"@example.com",
    "\"\"@example.com",
    "x@[192.0.2.1]",
    "x@[IPv6:2001:db8::1]",
    "x@[ipv6:::1]",
    "x@[x400:anything]",
    "a%b@example.com",
    "a!b@example.com",
    "bounce+user=example.org@example.com",
    "x@localhost",
    "x@_host.example",
    "x@xn--bcher-kva.example",
    "b\u{fc}cher@example.com",
    "x@b\u{fc}cher.example",
    "\"\u{fc} x\"@example.com",
];

const NOT_MAILBOXES: [&str; 24] = [
    "",
    "user",
    "@example.com",
    "user@",
    "user@@example.com",
    "a@b@example.com",
    "a b@example.com",
    "a<b@example.com",
    "a,b@example.com",
    "a@example..com",
    "a@.example.com",
    "a@example.com.",
    "a@-example.com",
    "a@exa mple.com",
    "a@[192.0.2.256]",
    "a@[IPv6:192.0.2.1]",
    "a@[host.example]",
    "a@[192.0.2.1",
    "\"a@example.com",
    "\"a\"b@example.com",
    "\"a\u{1}\"@example.com",
    "a\u{a0}b@example.com",
    "a@b\u{85}.example",
    "\"a\\\u{fc}\"@example.com",
];

#[test]
fn mailboxes_are_kept_octet_for_octet() {
    for text in MAILBOXES {
        let mailbox = Mailbox::parse(text).expect(text);
        assert_eq!(mailbox.as_str(), text);
        assert_eq!(
            format!("{}@{}", mailbox.local_part(), mailbox.domain()),
            text
        );
    }
}

#[test]
fn what_is_not_a_mailbox_is_none() {
    for text in NOT_MAILBOXES {
        assert_eq!(Mailbox::parse(text), None, "{text}");
    }
}

#[test]
fn lengths_are_bounded() {
    let at_limit = format!("{}@example.com", "x".repeat(LOCAL_PART_OCTETS));
    assert!(Mailbox::parse(&at_limit).is_some());
    assert!(Mailbox::parse(&format!("x{at_limit}")).is_none());
    assert!(Mailbox::parse(&format!("x@{}.example", "x".repeat(64))).is_none());
    let labels = vec!["x".repeat(63); 4].join(".");
    assert_eq!(labels.len(), 255);
    assert!(Mailbox::parse(&format!("x@{labels}")).is_some());
    assert!(Mailbox::parse(&format!("x@{labels}.x")).is_none());
}

#[test]
fn the_bracket_that_ends_a_path_is_found() {
    assert_eq!(split_bracketed("<> SIZE=1"), Some(("", " SIZE=1")));
    assert_eq!(
        split_bracketed("<\"a>\\\"b\"@x.example> X"),
        Some(("\"a>\\\"b\"@x.example", " X"))
    );
    assert_eq!(split_bracketed("<a@b"), None);
    assert_eq!(split_bracketed("a@b>"), None);
    assert_eq!(split_bracketed("<\"a@b>"), None);
}

#[test]
fn source_routes_are_dropped() {
    assert_eq!(
        split_bracketed("<@one.example,@[IPv6:::1]:a@b.example>"),
        Some(("a@b.example", ""))
    );
    for bad in [
        "<@one.example>",
        "<@one.example:>",
        "<@one.example,two.example:a@b>",
        "<@:a@b>",
        "<@one.example,:a@b>",
    ] {
        assert_eq!(split_bracketed(bad), None, "{bad}");
    }
}

#[test]
fn postmaster_needs_no_domain_and_only_as_forward_path() {
    assert_eq!(
        ForwardPath::parse("PostMaster").unwrap().as_str(),
        "PostMaster"
    );
    assert_eq!(ReversePath::parse("postmaster"), None);
    assert_eq!(ForwardPath::parse(""), None);
    assert_eq!(ReversePath::parse(""), Some(ReversePath::Null));
}

#[test]
fn paths_survive_the_spool() {
    for text in MAILBOXES {
        let path = ForwardPath::parse(text).unwrap();
        let stored = serde_json::to_string(&path).unwrap();
        assert_eq!(serde_json::from_str::<ForwardPath>(&stored).unwrap(), path);
    }
    let stored = serde_json::to_string(&ReversePath::Null).unwrap();
    assert_eq!(
        serde_json::from_str::<ReversePath>(&stored).unwrap(),
        ReversePath::Null
    );
    assert!(serde_json::from_str::<ForwardPath>("\"a b\"").is_err());
}

proptest! {
    #[test]
    fn nothing_parsed_can_break_a_command_line(text in any::<String>()) {
        if let Some((path, _)) = split_bracketed(&text)
            && let Some(mailbox) = Mailbox::parse(path)
        {
            prop_assert!(!mailbox.as_str().chars().any(char::is_control));
        }
    }

    #[test]
    fn a_parsed_mailbox_is_found_again_between_brackets(
        text in "(\"([ !#-\\[\\]-~]|\\\\[ -~]){0,20}\"|[a-z.+=]{1,20})@[a-z]{1,9}(\\.[a-z]{1,9}){0,3}", rest in "( [A-Z=]{0,9})?"
    ) {
        let mailbox = Mailbox::parse(&text);
        prop_assert!(mailbox.is_some());
        let line = format!("<{text}>{rest}");
        prop_assert_eq!(split_bracketed(&line), Some((text.as_str(), rest.as_str())));
    }
}
