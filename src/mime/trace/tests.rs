use super::*;

fn received(helo: &str) -> String {
    let field = received_field(&Received {
        helo,
        client: Some(IpAddr::from([192, 0, 2, 7])),
        name: "relay.example",
        protocol: "ESMTPSA",
        id: "19f0c2a8b1",
        date: "Sun, 22 Nov 2026 18:56:00 +0000",
    });
    String::from_utf8(field).unwrap()
}

#[test]
fn our_received_field() {
    assert_eq!(
        received("client.example"),
        "Received: from client.example ([192.0.2.7]) by relay.example (pixelgate) with\r\n\
         \tESMTPSA id 19f0c2a8b1; Sun, 22 Nov 2026 18:56:00 +0000\r\n"
    );
    let v6 = received_field(&Received {
        helo: "[IPv6:2001:db8::1]",
        client: Some("2001:db8::1".parse().unwrap()),
        name: "r",
        protocol: "LMTP",
        id: "x",
        date: "now",
    });
    let v6 = String::from_utf8(v6).unwrap().replace("\r\n\t", " ");
    assert_eq!(
        v6,
        "Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1]) by r (pixelgate) with LMTP id x; now\r\n"
    );
}

#[test]
fn mail_parser_reads_it_as_we_mean_it() {
    let message = format!("{}\r\n", received("client.example"));
    let parsed = mail_parser::MessageParser::default()
        .parse(message.as_bytes())
        .unwrap();
    let read = parsed.received().unwrap();
    assert_eq!(read.from_ip(), Some(IpAddr::from([192, 0, 2, 7])));
    assert_eq!(
        read.by().map(ToString::to_string).as_deref(),
        Some("relay.example")
    );
    assert_eq!(read.id(), Some("19f0c2a8b1"));
    assert_eq!(read.for_(), None);
    assert!(read.date().is_some());
}

#[test]
fn nothing_a_client_says_leaves_its_word() {
    for helo in [
        "x\r\nBcc: y@z",
        "x) by evil (pixelgate",
        "x; y",
        "\"x",
        "x\0y",
        "é",
        "",
        "a b",
        "<x>",
        "(x",
        &"y".repeat(5_000),
    ] {
        let field = received(helo);
        assert_eq!(
            field.matches("\r\n").count(),
            field.matches("\r\n\t").count() + 1,
            "{helo}"
        );
        assert!(field.ends_with("+0000\r\n") && field.is_ascii(), "{helo}");
        assert_eq!(field.matches('(').count(), 2, "{helo}");
        assert_eq!(field.matches(';').count(), 1, "{helo}");
        assert!(field.lines().all(|line| line.len() <= 998), "{helo}");
        let long = field.lines().filter(|line| line.len() > 78);
        assert!(
            long.clone()
                .all(|line| line.split_ascii_whitespace().count() <= 2),
            "{field}"
        );
    }
}

#[test]
fn counts_received_fields() {
    let ours = received("c");
    let message = format!(
        "{ours}{ours}Received: from x by relay.example with ESMTP\r\nRECEIVED: from x\r\n\tby\r\n\tRELAY.example (Pixelgate) with SMTP\r\n\
         Received: from x by other.example (pixelgate) with ESMTP id 1; date\r\nSubject: Received: x\r\n\r\nReceived: in the body\r\n"
    );
    assert_eq!(
        received_count(message.as_bytes(), "relay.example"),
        ReceivedCount { all: 5, ours: 3 }
    );
    assert_eq!(
        received_count(message.as_bytes(), "other.example"),
        ReceivedCount { all: 5, ours: 1 }
    );
    assert_eq!(received_count(b"", "x"), ReceivedCount::default());
}

#[test]
fn own_fields_whatever_their_case_and_folding() {
    let message = "Subject: x\r\nPixelgate-Stream: news\r\n\tletter\r\nPIXELGATE-purpose : a,\r\n b\r\nX-Pixelgate-Stream: no\r\n\
                   pixelgate-: y\r\nTo: z\r\n\r\nPixelgate-Stream: body\r\n";
    let fields = own_fields(message.as_bytes());
    let read: Vec<(&str, &str)> = fields
        .iter()
        .map(|field| (field.name.as_str(), field.value.as_str()))
        .collect();
    assert_eq!(
        read,
        [
            ("pixelgate-stream", "news\tletter"),
            ("pixelgate-purpose", "a, b"),
            ("pixelgate-", "y")
        ]
    );
    let cut: String = fields
        .iter()
        .rev()
        .fold(message.to_owned(), |mut message, field| {
            message.replace_range(field.whole.clone(), "");
            message
        });
    assert_eq!(
        cut,
        "Subject: x\r\nX-Pixelgate-Stream: no\r\nTo: z\r\n\r\nPixelgate-Stream: body\r\n"
    );
}

#[test]
fn dkim_domains() {
    let message = "DKIM-Signature: v=1; a=rsa-sha256; bh=d=x; d=Example.COM;\r\n\ts=x; b=abc\r\ndkim-signature: v=1; d =\r\n other.example\r\n\
                   DKIM-Signature: v=1; s=x\r\nX-DKIM-Signature: d=no\r\n\r\n";
    let domains: Vec<Option<String>> = dkim_signatures(message.as_bytes())
        .into_iter()
        .map(|found| found.domain)
        .collect();
    assert_eq!(
        domains,
        [
            Some("example.com".to_owned()),
            Some("other.example".to_owned()),
            None
        ]
    );
}

#[test]
fn without_trace_drops_nothing_else() {
    let whole = |message: &str| -> String {
        without_trace(message.as_bytes())
            .map(|kept| std::str::from_utf8(kept).unwrap())
            .collect()
    };
    let message = "Return-Path: <x>\r\nReceived: a\r\n\tb\r\nSubject: x\r\nreceived: c\r\nTo: y\r\n\r\nReceived: body\r\n";
    assert_eq!(
        whole(message),
        "Subject: x\r\nTo: y\r\n\r\nReceived: body\r\n"
    );
    assert_eq!(whole("Received: a\r\n"), "");
    assert_eq!(whole("junk\r\nReceived: a\r\n\r\n"), "junk\r\n\r\n");
    assert_eq!(whole(""), "");
}
