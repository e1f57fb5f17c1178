//! What we write and what goes through our hands as text: trace fields, replies of a next hop, reports, and lines.

use crate::ill_mannered::{Act, Rule, Verb};
use crate::*;

fn send_as(served: &Served, hello: &str, message: &[u8]) -> Option<String> {
    let mut client = Client::connect(served.address());
    said(&mut client);
    client.send(format!("{hello}\r\n").as_bytes());
    if !said(&mut client).starts_with("250") {
        return None;
    }
    for command in [
        "MAIL FROM:<a@example.org>",
        "RCPT TO:<b@example.net>",
        "DATA",
    ] {
        client.send(format!("{command}\r\n").as_bytes());
        let reply = said(&mut client);
        assert!(reply.starts_with(['2', '3']), "{reply}");
    }
    client.send(&on_the_wire(message));
    Some(said(&mut client))
}

/// The name in EHLO is a client's word in a field of ours.
#[test]
fn our_trace_field_is_one_field_whatever_the_client_is_called() {
    let hop = IllMannered::start(Script::smtp());
    let served = relay(&hop, &[]);
    let message = b"Subject: x\r\n\r\nhello\r\n";
    let long = "x".repeat(3000);
    let names = [
        "client.example",
        "[192.0.2.1]",
        "a;b",
        "a(b",
        "a)b",
        "a\"b",
        "a\\b",
        "(a (b (c",
        "x;\tid",
        "a\tb",
        "<a@b>",
        "a:b",
        "\u{e9}.example",
        "\u{85}",
        "\u{2028}x",
        "\"",
        "a,b",
        "=?utf-8?q?=0d=0aX:_y?=",
        "for<victim@example.net>",
        long.as_str(),
    ];
    let mut taken = 0;
    for verb in ["EHLO", "HELO"] {
        for name in names {
            let Some(reply) = send_as(&served, &format!("{verb} {name}"), message) else {
                continue;
            };
            assert!(reply.starts_with("250 "), "{name}: {reply}");
            taken += 1;
            let given = hop.transactions().pop().unwrap();
            assert_one_message(&given);
            let field = given.octets.strip_suffix(message).unwrap();
            let field = std::str::from_utf8(field).unwrap();
            assert!(
                field.is_ascii() && field.starts_with("Received: "),
                "{name}: {field}"
            );
            let more: Vec<&str> = field
                .strip_suffix("\r\n")
                .unwrap()
                .split("\r\n")
                .skip(1)
                .collect();
            assert!(
                more.iter().all(|line| line.starts_with('\t')),
                "{name}: {field}"
            );
            assert!(
                field.lines().all(|line| line.len() <= LINE_OCTETS),
                "{name}: {field}"
            );
            assert_eq!(field.matches(';').count(), 1, "{name}: {field}");
            assert!(!field.contains("victim@example.net"), "{name}: {field}");
        }
    }
    assert!(taken >= 4);
    assert_eq!(hop.transactions().len(), taken);
}

/// What a next hop says reaches our client as one reply to each command, in lines that may be.
#[test]
fn a_next_hops_words_stay_one_reply() {
    let long = format!("5.1.1 {}", "y".repeat(4000));
    let hostile: Vec<Vec<u8>> = vec![
        b"550 5.1.1 a\rb\x00c\x1b[31m\x7f\r\n".to_vec(),
        b"550 5.1.1 a\r250 2.0.0 ok\r\n".to_vec(),
        b"550-5.1.1 a\r\n550 5.1.1 \xff\xfe b\r\n".to_vec(),
        b"550 5.1.1 \xc2\x85250 ok\r\n".to_vec(),
        format!("550 {long}\r\n").into_bytes(),
        [b"550 5.1.1 ".to_vec(), vec![0xfe; 4000], b"\r\n".to_vec()].concat(),
        format!(
            "{}550 5.1.1 end\r\n",
            format!("550-{}\r\n", "z".repeat(3000)).repeat(20)
        )
        .into_bytes(),
    ];
    for (number, words) in hostile.iter().enumerate() {
        for verb in [Verb::Mail, Verb::Rcpt, Verb::Data, Verb::Dot] {
            let hop = IllMannered::start(Script::smtp().at(verb, [Act::Raw(words.clone())]));
            let served = relay(&hop, &[]);
            let mut client = greeted(served.address());
            let mut octets = Vec::new();
            let mut refused = false;
            for command in [
                "MAIL FROM:<a@example.org>",
                "RCPT TO:<b@example.net>",
                "DATA",
                "Subject: x\r\n\r\nx\r\n.",
            ] {
                client.send(format!("{command}\r\n").as_bytes());
                let reply = client.reply();
                refused = reply[0].starts_with('5');
                octets.push(reply);
                if refused {
                    break;
                }
            }
            let place = format!("{number} {verb:?}: {octets:?}");
            assert!(refused, "{place}");
            let last = octets.last().unwrap();
            assert!(last.iter().all(|line| line.starts_with("550")), "{place}");
            for line in octets.iter().flatten() {
                assert!(line.len() <= LINE_OCTETS, "{place}");
                assert!(!line.chars().any(char::is_control), "{place}");
            }
            assert_eq!(until_bye(&mut client).len(), 1, "{place}");
            if number == 4 {
                let whole: String = last.iter().map(|line| &line[4..]).collect();
                assert_eq!(whole, long, "nothing is cut: {place}");
            }
        }
    }
}

/// A report holds what others said, in lines of ours.
#[test]
fn a_report_is_one_message_whatever_it_quotes() {
    let words = [
        b"554 5.6.0 a\rb\x00 Final-Recipient: rfc822; evil@example.org \xff ".to_vec(),
        "\u{20ac}".repeat(1200).into_bytes(),
        b"\r\n".to_vec(),
    ]
    .concat();
    let hop = IllMannered::start(
        Script::smtp().rule(Rule::on(Verb::Dot, [Act::Raw(words)]).containing(BEN)),
    );
    let config = Config {
        spool: eager(),
        ..config_for(&hop)
    };
    let served = start(&config);
    let mut submission = Submission::new(&FOUR, letter());
    submission.mail = format!("<\"a> b\\\"\"@news.example.com> ENVID={}", "+41".repeat(33));
    submission.rcpts[1] = format!("<{BEN}> ORCPT=rfc822;{}", "x+20".repeat(120));
    let told = submission.send(served.address());
    assert!(told.last().starts_with("250 "), "{told:?}");
    wait_until("a report", &served, || spool_is_empty(&served));
    let reports = reports(&hop);
    assert_eq!(reports.len(), 1);
    assert_one_message(&reports[0]);
    let text = String::from_utf8(reports[0].octets.clone()).unwrap();
    for line in text.split("\r\n") {
        assert!(line.len() <= LINE_OCTETS, "{} octets: {line}", line.len());
    }
    let named = text
        .lines()
        .filter(|line| line.starts_with("Final-Recipient: "));
    assert_eq!(named.count(), 2, "{text}");
    assert_eq!(paths(&reports[0].rcpts), ["\"a> b\\\"\"@news.example.com"]);
    assert_plain_commands(&hop);
}

/// A line of the client's goes out at its length; one that we lengthen is broken or stays within ours.
#[test]
fn lines_keep_their_length_and_ours_are_bounded() {
    let hop = IllMannered::start(Script::smtp());
    let served = relay(&hop, &[]);
    let long = "a".repeat(100_000);
    let plain = format!(
        "Subject: {}\r\nX: {long}\r\n\r\n{long}\r\n.\r\n",
        "s".repeat(2000)
    );
    let reply = send_as(&served, "EHLO client.example", plain.as_bytes()).unwrap();
    assert!(reply.starts_with("250 "), "{reply}");
    assert!(hop.transactions()[0].octets.ends_with(plain.as_bytes()));

    // A tracker so short that what stands in its place is longer, in a line that is as long as a line may be.
    let tracker = "<img src=\"http://t.example/o?e=b@example.net\" width=1 height=1>";
    let line = |octets: usize| format!("{}{tracker}", "w ".repeat((octets - tracker.len()) / 2));
    let html = format!(
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<html><body>\r\n{}\r\n{}\r\n</body></html>\r\n",
        line(990),
        line(2990)
    );
    let reply = send_as(&served, "EHLO client.example", html.as_bytes()).unwrap();
    assert!(reply.starts_with("250 "), "{reply}");
    let copy = String::from_utf8(hop.transactions()[1].octets.clone()).unwrap();
    assert!(!copy.contains("t.example/o"), "{copy}");
    for line in copy.lines() {
        let own = html
            .lines()
            .map(str::len)
            .filter(|length| *length > LINE_OCTETS)
            .max();
        assert!(
            line.len() <= LINE_OCTETS || Some(line.len()) <= own,
            "{} octets",
            line.len()
        );
    }
    let ordinary: Vec<&str> = copy.lines().filter(|line| line.starts_with("w ")).collect();
    assert!(ordinary[0].len() <= LINE_OCTETS, "{}", ordinary[0].len());
}
