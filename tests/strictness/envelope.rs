//! Words in commands: whatever a client puts into them, one command of its makes at most one of ours, and no line of it.

use crate::*;

/// Whether the next hop was said this, octet by octet.
fn said_on(hop: &IllMannered, command: &str) -> bool {
    hop.commands().iter().any(|line| line == command)
}

/// MAIL with hostile arguments.
#[test]
fn reverse_paths_and_their_parameters_make_no_second_command() {
    let hop = IllMannered::start(Script::smtp().also("AUTH PLAIN"));
    let served = relay(&hop, &[]);
    let encoded = [
        "+0D+0A",
        "+0d+0aRCPT",
        "+00",
        "+0A.",
        "a+7F",
        "a+",
        "a+G0",
        "a+0",
        "a=b",
        "+85+0D",
    ];
    let mut refused: Vec<String> = Vec::new();
    for value in encoded {
        refused.push(format!("MAIL FROM:<a@example.org> ENVID={value}"));
        refused.push(format!("MAIL FROM:<a@example.org> AUTH={value}"));
    }
    for size in [
        "+31",
        "1+0A",
        "-1",
        "1e3",
        "0x10",
        "1;2",
        "",
        "999999999999999999999",
    ] {
        refused.push(format!("MAIL FROM:<a@example.org> SIZE={size}"));
    }
    for path in [
        "<a@example.org",
        "a@example.org",
        "<a@example.org>>",
        "<<a@example.org>",
        "<a@example.org>RCPT",
        "<\"a@example.org>",
        "<\"a\u{1}\"@example.org>",
        "<a\u{7f}@example.org>",
        "<\"a\u{9}b\"@example.org>",
        "<a b@example.org>",
        "<a@exa mple.org>",
        "<a@example.org\u{0}>",
        "<\"a\\\u{0}\"@example.org>",
        "<a@[192.0.2.1\u{1}]>",
        "<a@[x-y:z w]>",
        "<a,b@example.org>",
        "<a@b@example.org>",
    ] {
        refused.push(format!("MAIL FROM:{path}"));
    }
    each(&refused, |command| {
        let mut client = greeted(served.address());
        client.send(format!("{command}\r\n").as_bytes());
        let reply = said(&mut client);
        assert!(reply.starts_with('5'), "{reply}");
        let bye = until_bye(&mut client);
        assert_eq!(bye.len(), 1, "{bye:?}");
    });
    assert_eq!(
        hop.commands()
            .iter()
            .filter(|line| line.starts_with("MAIL"))
            .count(),
        0
    );

    assert_plain_commands(&hop);
}

/// RCPT with hostile arguments.
#[test]
fn forward_paths_and_their_parameters_make_no_second_command() {
    let hop = IllMannered::start(Script::smtp());
    let served = relay(&hop, &[]);
    let forward: Vec<String> = [
        "<\"a\\\u{1}b\"@example.net>",
        "<a@example.net> ORCPT=rfc822;a+0D+0A",
        "<a@example.net> ORCPT=rfc822;+00",
        "<a@example.net> ORCPT=rfc822",
        "<a@example.net> ORCPT=rfc822;a+0ARCPT",
        "<a@example.net> ORCPT=;a",
        "<a@example.net> NOTIFY=NEVER,SUCCESS",
        "<a@example.net> NOTIFY=FAILURE+0D",
        "<a@example.net> NOTIFY=FAILURE NOTIFY=DELAY",
        "<a@example.net> X=1",
        "<a@example.net>,<b@example.net>",
    ]
    .map(|argument| format!("RCPT TO:{argument}"))
    .to_vec();
    each(&forward, |command| {
        let mut client = greeted(served.address());
        client.send(b"MAIL FROM:<honest@example.org>\r\n");
        said(&mut client);
        client.send(format!("{command}\r\n").as_bytes());
        let reply = said(&mut client);
        assert!(reply.starts_with('5'), "{reply}");
        assert_eq!(until_bye(&mut client).len(), 1);
    });
    assert_eq!(
        hop.commands()
            .iter()
            .filter(|line| line.starts_with("RCPT"))
            .count(),
        0
    );
    assert_plain_commands(&hop);
}

/// Odd and legal: said on octet by octet.
#[test]
fn what_is_legal_goes_on_as_it_was_written() {
    let hop = IllMannered::start(Script::smtp());
    let served = relay(&hop, &[]);
    let paths = [
        "<\"a b\"@example.net>",
        "<\"a>b\"@example.net>",
        "<\"a\\\"b\"@example.net>",
        "<\"a\\\\\"@example.net>",
        "<\"<evil@example.org>\"@example.net>",
        "<\"a@b\"@example.net>",
        "<\" \"@example.net>",
        "<\"\"@example.net>",
        "<a%b@example.net>",
        "<a!b@example.net>",
        "<a@[IPv6:2001:db8::1]>",
        "<.a..b.@example.net>",
        "<\"RCPT TO:<x@y>\"@example.net>",
        "<a+0D+0A@example.net>",
        "<\"a\\ b\"@example.net>",
    ];
    each(&paths, |path| {
        let mut client = greeted(served.address());
        client.send(format!("MAIL FROM:{path} ENVID=a+2Bb RET=HDRS\r\n").as_bytes());
        let reply = said(&mut client);
        assert!(reply.starts_with("250 "), "{reply}");
        client.send(format!("RCPT TO:{path} ORCPT=rfc822;x+20y NOTIFY=FAILURE\r\n").as_bytes());
        let reply = said(&mut client);
        assert!(reply.starts_with("250 "), "{reply}");
        assert_eq!(until_bye(&mut client).len(), 1);
        assert!(said_on(
            &hop,
            &format!("MAIL FROM:{path} ENVID=a+2Bb RET=HDRS")
        ));
        assert!(said_on(
            &hop,
            &format!("RCPT TO:{path} ORCPT=rfc822;x+20y NOTIFY=FAILURE")
        ));
    });
    assert_plain_commands(&hop);
}

/// Lines that are none, cut anywhere: the session ends, and nothing behind them runs.
#[test]
fn commands_end_in_crlf_and_in_nothing_else() {
    let hop = IllMannered::start(Script::smtp());
    let served = relay(&hop, &[]);
    let endings: [&[u8]; 6] = [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\0\n", b"\rX\r\n"];
    let all: Vec<_> = endings
        .iter()
        .flat_map(|ending| (0..=ending.len()).map(move |cut| (*ending, cut)))
        .collect();
    each(&all, |(ending, cut)| {
        let mut client = greeted(served.address());
        let first = b"MAIL FROM:<evil@example.org>";
        let octets = [first, *ending, b"RCPT TO:<victim@example.net>\r\nDATA\r\n"].concat();
        send_cut(&mut client, &octets, &[first.len() + cut]);
        let mut replies = Vec::new();
        while let Some(reply) = said_or_gone(&mut client) {
            replies.push(reply);
        }
        assert_eq!(replies.len(), 1, "{replies:?}");
        assert!(replies[0].starts_with(['4', '5']), "{replies:?}");
    });
    assert!(
        !hop.commands()
            .iter()
            .any(|line| line.contains("evil") || line.contains("victim"))
    );
}

/// XFORWARD and XCLIENT values are decoded, checked and encoded anew.
#[test]
fn values_about_the_client_make_no_line() {
    let hop =
        IllMannered::start(Script::smtp().also("XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"));
    let trust = "[\"127.0.0.1/32\"]";
    let served = relay(
        &hop,
        &[
            &format!("xforward_networks = {trust}"),
            &format!("xclient_networks = {trust}"),
        ],
    );
    let refused: Vec<String> = [
        "NAME=a+0D+0AMAIL",
        "HELO=a+0A",
        "HELO=+00",
        "NAME=a+20b",
        "ADDR=1.2.3.4+0D",
        "PORT=25+0A",
        "IDENT=a+0D",
        "PROTO=E+0ASMTP",
        "SOURCE=LOCAL+0D",
        "HELO=a+C2+85b",
        "HELO=+7F",
        "NAME=a+zz",
    ]
    .iter()
    .flat_map(|value| {
        let xclient = !value.starts_with("IDENT") && !value.starts_with("SOURCE");
        [
            Some(format!("XFORWARD {value}")),
            xclient.then(|| format!("XCLIENT {value}")),
        ]
    })
    .flatten()
    .collect();
    each(&refused, |command| {
        let mut client = greeted(served.address());
        client.send(format!("{command}\r\n").as_bytes());
        let reply = said(&mut client);
        assert!(reply.starts_with("501 "), "{reply}");
        assert_eq!(until_bye(&mut client).len(), 1);
    });
    // As long as may be, with blanks and brackets in it.
    let helo = format!("({})", "x+20".repeat(60));
    let mut client = greeted(served.address());
    client.send(
        format!(
            "XFORWARD NAME={} HELO={helo} ADDR=IPV6:2001:db8::1\r\n",
            "n".repeat(255)
        )
        .as_bytes(),
    );
    assert!(said(&mut client).starts_with("250 "));
    client.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n");
    for code in ["250", "250", "354"] {
        assert!(said(&mut client).starts_with(code));
    }
    client.send(b"Subject: x\r\n\r\n.\r\n");
    assert!(said(&mut client).starts_with("250 "));
    let given = &hop.transactions()[0];
    assert_one_message(given);
    assert!(
        given.xforward.iter().all(|line| line.len() + 2 <= 512),
        "{:?}",
        given.xforward
    );
    let said: String = given.xforward.join("|");
    assert!(said.contains(&format!("HELO={helo}")), "{said}");
    let fields = String::from_utf8(given.octets.clone()).unwrap();
    assert!(!fields.contains("x x"), "not in Received: {fields}");
    assert_plain_commands(&hop);
}
