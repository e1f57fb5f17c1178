//! What a report says, and what nobody can make it say.

use super::*;

const ORIGINAL: &[u8] = b"From: a@example.org\r\nSubject: hello\r\n\r\nsecret body\r\n";

fn said(text: &str) -> Said {
    Said {
        code: 550,
        text: text.to_owned(),
        status: Some("5.1.1".to_owned()),
    }
}

fn gone(text: &str) -> Concerned {
    Concerned {
        forward_path: "gone@example.net".to_owned(),
        original_recipient: Some("rfc822;old+2Bname@example.net".to_owned()),
        said: Some(said(text)),
    }
}

fn report(concerned: &[Concerned]) -> Report<'_> {
    Report {
        kind: Kind::Failed,
        reporter: "relay.example.com",
        id: "X-1",
        to: "sender@example.org",
        envelope_id: Some("id+2B7"),
        arrived: 1_763_800_000,
        now: 1_763_800_100,
        concerned,
        original: ORIGINAL,
        returned: Returned::Header,
        takes: Takes {
            eight_bit: true,
            utf8: false,
        },
    }
}

/// The report, of which every line ends in CRLF and none is over 998 octets.
#[track_caller]
fn written(report: &Report<'_>) -> String {
    let text = String::from_utf8(build(report).unwrap()).unwrap();
    let ends = (text.matches('\n').count(), text.matches('\r').count());
    let crlfs = text.matches("\r\n").count();
    assert_eq!(ends, (crlfs, crlfs), "CRLF throughout");
    assert!(text.split("\r\n").all(|line| line.len() <= 998), "{text}");
    text
}

#[test]
fn says_who_why_and_returns_the_header_only() {
    let text = written(&report(&[gone("5.1.1 no such user")]));
    for field in [
        "Original-Envelope-Id: id+7\r\n",
        "Original-Recipient: rfc822;old+name@example.net\r\n",
        "Final-Recipient: rfc822; gone@example.net\r\n",
        "Action: failed\r\nStatus: 5.1.1\r\n",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n",
        "Subject: hello\r\n",
        "Auto-Submitted: auto-replied\r\n",
        "multipart/report",
        "Content-Type: text/rfc822-headers",
    ] {
        assert!(text.contains(field), "{field}\n{text}");
    }
    assert!(!text.contains("secret body") && !text.contains("Will-Retry-Until"));
}

#[test]
fn a_delay_says_until_when() {
    let mut late = gone("4.2.0 busy");
    late.said = Some(Said {
        code: 450,
        text: "4.2.0 busy".to_owned(),
        // Of another class than its code: it says nothing.
        status: Some("5.7.1".to_owned()),
    });
    let concerned = [
        late,
        Concerned {
            said: None,
            ..gone("")
        },
    ];
    let until = 1_763_900_000;
    let text = written(&Report {
        kind: Kind::Delayed { until },
        ..report(&concerned)
    });
    let date = format!("Will-Retry-Until: {}\r\n", rfc5322(until).unwrap());
    assert_eq!(text.matches(&date).count(), 2, "{text}");
    assert_eq!(text.matches("Action: delayed\r\n").count(), 2, "{text}");
    assert!(
        text.contains(
            "Action: delayed\r\nStatus: 4.0.0\r\nDiagnostic-Code: smtp; 450 4.2.0 busy\r\n"
        )
    );
    assert_eq!(text.matches("Diagnostic-Code").count(), 1, "{text}");
    assert!(text.contains("warning only"), "{text}");
}

#[test]
fn a_peer_cannot_write_lines_into_a_report() {
    let forged = "evil\r\nFinal-Recipient: rfc822; other@example.net";
    let mut concerned = gone(forged);
    concerned.forward_path = "a\r\nAction: delivered\r\n@example.net".to_owned();
    concerned.original_recipient = Some("rfc822;x+0D+0AAction:+20delivered".to_owned());
    let text = written(&Report {
        envelope_id: Some("x+0D+0AArrival-Date:+20never"),
        to: "sender@example.org>\r\nBcc: <other@example.org",
        ..report(&[concerned])
    });
    assert_eq!(text.matches("\r\nFinal-Recipient:").count(), 1, "{text}");
    assert_eq!(text.matches("\r\nAction:").count(), 1, "{text}");
    assert_eq!(text.matches("\r\nArrival-Date:").count(), 1, "{text}");
    assert!(!text.contains("\r\nBcc:"), "{text}");
}

#[test]
fn nothing_makes_a_line_too_long() {
    let mut concerned = gone(&"\u{20ac}".repeat(5_000));
    concerned.forward_path = format!("{}@example.net", "\u{20ac}".repeat(300));
    for utf8 in [false, true] {
        let takes = Takes {
            eight_bit: true,
            utf8,
        };
        written(&Report {
            takes,
            ..report(&[concerned.clone()])
        });
    }
}

/// RFC 6533: raw where the next hop and the sender know UTF-8, otherwise encoded, and never 8 bits in a 7-bit part.
#[test]
fn an_international_address_is_written_as_the_next_hop_can_take_it() {
    let concerned = [Concerned {
        forward_path: "j\u{fc}rgen@b\u{fc}cher.example".to_owned(),
        original_recipient: Some("utf-8;j\\x{FC}rgen@b\\x{FC}cher.example".to_owned()),
        said: Some(said("5.1.1 gr\u{fc}\u{df}e")),
    }];
    let plain = written(&report(&concerned));
    let status = plain
        .split("Content-Type: message/delivery-status\r\n")
        .nth(1)
        .unwrap();
    let status = status.split("\r\n--").next().unwrap();
    assert!(status.is_ascii(), "{status}");
    assert!(status.contains("Final-Recipient: utf-8; j\\x{FC}rgen@b\\x{FC}cher.example\r\n"));
    assert!(status.contains("Original-Recipient: utf-8;j\\x{FC}rgen@b\\x{FC}cher.example\r\n"));
    assert!(
        status.contains("Diagnostic-Code: smtp; 550 5.1.1 gr??e\r\n"),
        "{status}"
    );
    let takes = Takes {
        eight_bit: true,
        utf8: true,
    };
    let global = written(&Report {
        takes,
        ..report(&concerned)
    });
    assert!(global.contains("Content-Type: message/global-delivery-status\r\n"));
    assert!(global.contains("Final-Recipient: utf-8; j\u{fc}rgen@b\u{fc}cher.example\r\n"));
}

#[test]
fn a_message_that_comes_back_is_whole_and_last() {
    let concerned = [gone("5.1.1 no")];
    let whole = |octets: &[u8], takes| Report {
        returned: Returned::Message(octets.to_vec()),
        original: ORIGINAL,
        takes,
        ..report(&concerned)
    };
    let text = written(&whole(ORIGINAL, Takes::default()));
    assert!(
        text.contains("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n")
    );
    assert!(
        text.contains("Subject: hello\r\n\r\nsecret body\r\n\r\n--"),
        "{text}"
    );
    let eight: &[u8] = b"Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n";
    let text = written(&whole(eight, Takes::default()));
    assert!(
        text.contains("Content-Transfer-Encoding: 8bit\r\n\r\nSubject: x"),
        "{text}"
    );
}

#[test]
fn a_long_header_is_cut_and_that_is_said() {
    let mut original = b"Subject: a\r\n".to_vec();
    original.extend(b"X-Long: 0123456789\r\n".repeat(3_000));
    original.extend(b"\r\nsecret body\r\n");
    let concerned = [gone("5.1.1 no")];
    let text = written(&Report {
        original: &original,
        ..report(&concerned)
    });
    assert!(
        text.contains("The header is cut after 32768 octets."),
        "{text}"
    );
    assert!(
        text.len() < 40_000 && !text.contains("secret"),
        "{}",
        text.len()
    );
    // A message without a header returns none.
    let text = written(&Report {
        original: b"\r\nsecret body\r\n",
        ..report(&concerned)
    });
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn a_header_of_eight_bits_is_encoded_where_they_do_not_go() {
    let original = "Subject: gr\u{fc}\u{df}e\r\n\r\n".as_bytes();
    let concerned = [gone("5.1.1 no")];
    let text = written(&Report {
        original,
        takes: Takes::default(),
        ..report(&concerned)
    });
    assert!(text.is_ascii(), "{text}");
}

/// Two reports about one message and different people are two messages.
#[test]
fn a_report_sent_again_is_the_same_and_one_about_others_is_not() {
    let (one, mut two) = (gone("5.1.1 no"), gone("5.1.1 no"));
    two.forward_path = "lost@example.net".to_owned();
    let (one, both) = ([one.clone()], [one, two]);
    let again = Report {
        now: 1_763_999_999,
        ..report(&one)
    };
    assert_eq!(message_id(&report(&one)), message_id(&again));
    assert_ne!(message_id(&report(&one)), message_id(&report(&both)));
    let late = Report {
        kind: Kind::Delayed { until: 0 },
        ..report(&one)
    };
    assert_ne!(message_id(&report(&one)), message_id(&late));
}
