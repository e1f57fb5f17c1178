//! The end of data: everything that somebody, somewhere, took for it.

use crate::*;

/// What is refused, and the word for it in the reply.
const REFUSED: [(&[u8], &str); 18] = [
    (b"\n.\n", "LF"),
    (b"\n.\r\n", "LF"),
    (b"\r\n.\n", "LF"),
    (b"\n.\r", "LF"),
    (b"\n\n.\n\n", "LF"),
    (b"\r.\r", "CR"),
    (b"\r.\r\n", "CR"),
    (b"\r\n.\r", "CR"),
    (b"\r.\n", "CR"),
    (b"\r\r.\r\r", "CR"),
    (b"\r\r\n.\r\r\n", "CR"),
    (b"\r\n.\r\r\n", "CR"),
    (b"\r\n\r.\r\n", "CR"),
    (b"\r\n\0.\r\n", "NUL"),
    (b"\r\n.\0\r\n", "NUL"),
    (b"\0\r\n.\r\0\n", "NUL"),
    (b"\r\0\n.\r\n", "CR"),
    (b"\n\0.\n", "LF"),
];

/// What is content, although a seven-bit or a lenient reader might see something else in it.
const CONTENT: [&[u8]; 16] = [
    b"\x8d\x8a.\x8d\x8a",
    b"\r\n.\x8d\x8a",
    b"\x8d\x8a.\r\n",
    b"\x0c.\x0c",
    b"\r\n.\x0c\r\n",
    b"\r\n\x0c.\r\n",
    b"\x85.\x85",
    b"\xc2\x85.\xc2\x85",
    b"\r\n.\xc2\x85\r\n",
    b"\xe2\x80\xa8.\xe2\x80\xa8",
    b"\r\n. \r\n",
    b"\r\n .\r\n",
    b"\r\n.\t\r\n",
    b"\x0b.\x0b",
    b"\x1a\r\n.\x1a\r\n",
    b"\r\n..\r\n",
];

const EVIL: &str = "MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil";

/// A message with a false end in its midst, and its true one.
fn smuggling(end: &[u8]) -> Vec<u8> {
    [
        b"Subject: honest\r\n\r\nbody",
        end,
        EVIL.as_bytes(),
        b"\r\n.\r\n",
    ]
    .concat()
}

/// Uncut, and cut at every octet of the false end and around it; once at every two of them.
fn cuts(end: &[u8]) -> Vec<Vec<usize>> {
    let start = b"Subject: honest\r\n\r\nbody".len();
    let near = start - 1..=start + end.len() + 1;
    let mut cuts = vec![vec![]];
    cuts.extend(near.clone().map(|cut| vec![cut]));
    let pairs = near
        .clone()
        .flat_map(|one| near.clone().map(move |two| vec![one, two]));
    cuts.extend(pairs.filter(|pair| pair[0] < pair[1]).step_by(3));
    cuts
}

fn one_reply(client: &mut Client) -> String {
    let reply = said(client);
    let rest = until_bye(client);
    assert!(
        rest.len() == 1 && rest[0].starts_with("221"),
        "more than one reply: {reply}, {rest:?}"
    );
    reply
}

#[test]
fn a_false_end_refuses_the_message_and_runs_nothing() {
    let hop = IllMannered::start(Script::smtp());
    let served = relay(&hop, &[]);
    let all: Vec<_> = REFUSED
        .iter()
        .flat_map(|(end, word)| cuts(end).into_iter().map(move |cuts| (*end, *word, cuts)))
        .collect();
    assert!(all.len() > 200);
    each(&all, |(end, word, cuts)| {
        let mut client = begun(served.address(), "honest@example.org");
        client.send(b"DATA\r\n");
        assert!(said(&mut client).starts_with("354 "));
        send_cut(&mut client, &smuggling(end), cuts);
        let reply = one_reply(&mut client);
        assert!(reply.starts_with('5') && reply.contains(word), "{reply}");
    });
    assert_eq!(hop.transactions(), []);
    assert!(
        !hop.commands()
            .iter()
            .any(|line| line.contains("evil") || line == "DATA")
    );
    assert_plain_commands(&hop);
}

#[test]
fn what_is_content_goes_on_as_it_came() {
    let hop = IllMannered::start(Script::smtp());
    let served = relay(&hop, &[]);
    let all: Vec<_> = CONTENT
        .iter()
        .enumerate()
        .flat_map(|(index, end)| cuts(end).into_iter().map(move |cuts| (index, *end, cuts)))
        .collect();
    let numbered: Vec<_> = all.iter().enumerate().collect();
    each(&numbered, |(number, (_, end, cuts))| {
        let sender = format!("honest-{number}@example.org");
        let mut client = begun(served.address(), &sender);
        client.send(b"DATA\r\n");
        assert!(said(&mut client).starts_with("354 "));
        send_cut(&mut client, &smuggling(end), cuts);
        let reply = one_reply(&mut client);
        assert!(reply.starts_with("250 "), "{reply}");
        let given = hop.transactions_from(&sender);
        assert_eq!(given.len(), 1);
        assert_one_message(&given[0]);
        let mut content = smuggling(end);
        content.truncate(content.len() - b".\r\n".len());
        if *end == b"\r\n..\r\n" {
            content = [
                b"Subject: honest\r\n\r\nbody\r\n.\r\n",
                EVIL.as_bytes(),
                b"\r\n",
            ]
            .concat();
        } else if contains(end, b"\r\n.") {
            // Unstuffed as RFC 5321 4.5.2 has it, and stuffed only where a dot is left.
            let at = content.windows(3).position(|w| w == b"\r\n.").unwrap();
            content.remove(at + 2);
        }
        let copy = &given[0].octets;
        let header_end = copy.windows(9).position(|w| w == b"Subject: ").unwrap();
        assert_eq!(
            copy[header_end..].escape_ascii().to_string(),
            content.escape_ascii().to_string()
        );
    });
    assert_eq!(hop.transactions().len(), all.len());
    assert!(!hop.commands().iter().any(|line| line.contains("evil")));
    assert_plain_commands(&hop);
}

/// `bare_newlines = "normalize"`: an LF ends a line, and never the data; a CR alone is refused all the same.
#[test]
fn normalised_newlines_end_lines_and_never_the_data() {
    let hop = IllMannered::start(Script::smtp());
    let served = relay(&hop, &["bare_newlines = \"normalize\""]);
    let all: Vec<_> = REFUSED
        .iter()
        .flat_map(|(end, _)| cuts(end).into_iter().map(move |cuts| (*end, cuts)))
        .enumerate()
        .collect();
    each(&all, |(number, (end, cuts))| {
        let sender = format!("honest-{number}@example.org");
        let mut client = begun(served.address(), &sender);
        client.send(b"DATA\r\n");
        assert!(said(&mut client).starts_with("354 "));
        send_cut(&mut client, &smuggling(end), cuts);
        let reply = one_reply(&mut client);
        let given = hop.transactions_from(&sender);
        let bare_cr =
            end.windows(2).any(|w| w[0] == b'\r' && w[1] != b'\n') || end.ends_with(b"\r");
        if bare_cr || end.contains(&0) {
            assert!(reply.starts_with('5'), "{reply}");
            assert_eq!(given, []);
        } else {
            assert!(reply.starts_with("250 "), "{reply}");
            assert_eq!(given.len(), 1);
            assert_one_message(&given[0]);
            assert!(contains(
                &given[0].octets,
                b"\r\nMAIL FROM:<evil@example.org>\r\n"
            ));
        }
    });
    assert!(!hop.commands().iter().any(|line| line.contains("evil")));
    assert_plain_commands(&hop);
}

/// What is pipelined behind the true end is the next message, and only that.
#[test]
fn what_follows_the_end_is_the_next_message() {
    let hop = IllMannered::start(Script::smtp());
    let served = relay(&hop, &[]);
    let one = b"Subject: one\r\n\r\n..a\r\n.\r\n";
    let two = b"MAIL FROM:<two@example.org>\r\nRCPT TO:<reader@example.net>\r\nDATA\r\n";
    let octets = [one.as_slice(), two].concat();
    let all: Vec<usize> = (0..octets.len()).collect();
    each(&all, |cut| {
        let mut client = begun(served.address(), &format!("one-{cut}@example.org"));
        client.send(b"DATA\r\n");
        assert!(said(&mut client).starts_with("354 "));
        send_cut(&mut client, &octets, &[*cut]);
        let replies: Vec<String> = (0..4).map(|_| said(&mut client)[..3].to_owned()).collect();
        assert_eq!(replies, ["250", "250", "250", "354"]);
        client.send(b"Subject: two\r\n\r\n\r\n.\r\n");
        assert!(one_reply(&mut client).starts_with("250 "));
        let first = hop.transactions_from(&format!("one-{cut}@example.org"));
        assert_eq!(first.len(), 1);
        assert!(first[0].octets.ends_with(b"Subject: one\r\n\r\n.a\r\n"));
    });
    for transaction in hop.transactions() {
        assert_one_message(&transaction);
    }
    assert_eq!(hop.transactions().len(), 2 * all.len());
}
