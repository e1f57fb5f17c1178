use super::*;
use crate::smtp::parameter::Parameter;
use crate::smtp::xforward::Attribute;

fn parameters(pairs: &[(&str, Option<&str>)]) -> Parameters {
    Parameters(
        pairs
            .iter()
            .map(|(keyword, value)| Parameter {
                keyword: (*keyword).to_owned(),
                value: value.map(str::to_owned),
            })
            .collect(),
    )
}

fn recipient(path: &str) -> Recipient {
    Recipient {
        forward_path: ForwardPath::parse(path).unwrap(),
        parameters: parameters(&[
            ("NOTIFY", Some("SUCCESS,FAILURE")),
            ("ORCPT", Some("rfc822;a+2Bb@example.com")),
        ]),
        owes: Owes::Delivery,
        last_reply: Some(LastReply {
            code: 451,
            lines: vec!["4.7.1 try".into(), "4.7.1 later".into()],
        }),
        possible_duplicate: true,
    }
}

fn envelope() -> Envelope {
    Envelope {
        id: EntryId::parse("1f-0").unwrap(),
        arrived_at: Timestamp::from_second(1_795_000_000).unwrap(),
        origin: Origin::Client(Box::new(Client {
            tls: None,
            listener: "127.0.0.1:2525".into(),
            protocol: Protocol::Lmtp,
            esmtp: true,
            address: Some("2001:db8::1".parse().unwrap()),
            port: Some(40_000),
            helo: "front.example".into(),
            login: Some("news".into()),
            xforward: Xforward([(Attribute::Name, "spike.example".to_owned())].into()),
            session: "s1".into(),
        })),
        reverse_path: ReversePath::Null,
        mail_parameters: parameters(&[
            ("RET", Some("HDRS")),
            ("ENVID", Some("QQ+2B1")),
            ("SMTPUTF8", None),
        ]),
        recipients: vec![
            recipient("\"odd @ \\\" local\"@example.com"),
            recipient("x@[192.0.2.1]"),
            recipient("PostMaster"),
            recipient("jörg@пример.example"),
        ],
        attempts: 3,
        next_attempt_at: Timestamp::from_second(1_795_000_480).unwrap(),
        delay_told_at: None,
        login_named: false,
        retried_at: None,
        dead: None,
        learned: Vec::new(),
    }
}

fn stored(envelope: Envelope) -> Stored {
    Stored {
        version: envelope.version(),
        message_octets: 1,
        message_sha256: "00".into(),
        envelope,
    }
}

#[test]
fn an_envelope_comes_back_as_it_was() {
    let octets = serde_json::to_vec(&stored(envelope())).unwrap();
    assert_eq!(Stored::parse(&octets).unwrap().envelope, envelope());
}

#[test]
fn what_was_learned_comes_back_and_older_builds_read_entries_without_it() {
    let mut with = envelope();
    with.learned = vec![
        Learned {
            load: u64::MAX,
            says: Says::Shared,
        },
        Learned {
            load: 7,
            says: Says::Individual(64),
        },
    ];
    let octets = serde_json::to_string(&stored(with.clone())).unwrap();
    assert!(octets.starts_with("{\"version\":2,"), "{octets}");
    assert_eq!(Stored::parse(octets.as_bytes()).unwrap().envelope, with);
    let octets = serde_json::to_string(&stored(envelope())).unwrap();
    assert!(octets.starts_with("{\"version\":1,"), "{octets}");
    assert!(!octets.contains("learned"), "{octets}");
}

#[test]
fn the_commands_come_back_as_the_client_gave_them() {
    let envelope = envelope();
    assert!(envelope.mail().reverse_path.is_null());
    assert_eq!(envelope.mail().parameters.get("ENVID"), Some("QQ+2B1"));
    let rcpt = envelope.recipients.first().unwrap().rcpt();
    assert_eq!(
        rcpt.forward_path.as_str(),
        "\"odd @ \\\" local\"@example.com"
    );
    assert_eq!(
        rcpt.parameters.get("ORCPT"),
        Some("rfc822;a+2Bb@example.com")
    );
    assert_eq!(Recipient::new(&rcpt).rcpt(), rcpt);
}

#[test]
fn a_reply_comes_back_line_by_line() {
    let reply = Reply::new(550, ["5.1.1 no", "5.1.1 such"]);
    assert_eq!(Reply::from(&LastReply::from(&reply)), reply);
}

#[test]
fn a_later_version_is_told_from_damage() {
    let octets = br#"{"version": 3, "whatever": true}"#;
    assert!(matches!(Stored::parse(octets), Err(Unreadable::Newer(3))));
    assert!(matches!(Stored::parse(b"{"), Err(Unreadable::Json(_))));
    assert!(matches!(Stored::parse(b""), Err(Unreadable::Json(_))));
}

#[test]
fn an_unknown_field_or_a_broken_path_is_not_an_envelope() {
    let good = serde_json::to_string(&stored(envelope())).unwrap();
    for (from, to) in [
        ("\"attempts\":3", "\"attempts\":3,\"more\":1"),
        ("x@[192.0.2.1]", "x"),
        ("x@[192.0.2.1]", "x\\r\\nRCPT TO:<y>@[192.0.2.1]"),
        ("\"attempts\":3,", ""),
    ] {
        assert!(good.contains(from), "{from}");
        let bad = good.replacen(from, to, 1);
        assert!(Stored::parse(bad.as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn an_id_cannot_leave_its_directory() {
    for bad in ["", ".", "..", "a/b", "a.b", "ä", "a b", &"a".repeat(65)] {
        assert_eq!(EntryId::parse(bad), None, "{bad}");
    }
    let now = Timestamp::from_second(1_795_000_000).unwrap();
    let (one, two) = (EntryId::fresh(now), EntryId::fresh(now));
    assert_ne!(one, two);
    assert_eq!(EntryId::parse(one.as_str()), Some(one.clone()));
    let text = format!("\"{one}\"");
    assert_eq!(serde_json::from_str::<EntryId>(&text).unwrap(), one);
    assert!(serde_json::from_str::<EntryId>("\"../lock\"").is_err());
}

#[test]
fn of_a_reply_without_end_the_beginning_is_kept() {
    let line = "\u{20ac}".repeat(500);
    let reply = Reply::new(451, vec![line.clone(); 100]);
    let kept = LastReply::from(&reply);
    assert_eq!(kept.code, 451);
    assert_eq!(kept.lines.first(), Some(&line));
    let octets: usize = kept.lines.iter().map(String::len).sum();
    assert!((2000..=2048).contains(&octets), "{octets}");
    let short = Reply::new(550, ["5.1.1 no such", "5.1.1 user"]);
    assert_eq!(Reply::from(&LastReply::from(&short)), short);
}
