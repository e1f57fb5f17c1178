//! Chunks (BDAT, RFC 3030): their octets are content, to the last one announced, whatever they look like.

use crate::*;

const COMMANDS: &[u8] =
    b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nevil\r\n.\r\n";

fn chunk(octets: &[u8], last: bool) -> Vec<u8> {
    let last = if last { " LAST" } else { "" };
    let command = format!("BDAT {}{last}\r\n", octets.len());
    [command.as_bytes(), octets].concat()
}

/// Ends of data, commands and dots in chunks are content at every border of two chunks and of two writes.
#[test]
fn content_is_content_wherever_it_is_cut() {
    let hop = IllMannered::start(Script::smtp());
    let served = relay(&hop, &[]);
    let content = [b"Subject: a\r\n\r\nb\r\n.\r\n..\r\n".as_slice(), COMMANDS].concat();
    let all: Vec<usize> = (0..=content.len()).collect();
    each(&all, |cut| {
        let sender = format!("chunks-{cut}@example.org");
        let mut client = begun(served.address(), &sender);
        let (one, two) = content.split_at(*cut);
        let octets = [chunk(one, false), chunk(two, true)].concat();
        send_cut(
            &mut client,
            &octets,
            &[octets.len() * cut / (content.len() + 1)],
        );
        assert!(said(&mut client).starts_with("250 "));
        assert!(said(&mut client).starts_with("250 "));
        assert_eq!(until_bye(&mut client).len(), 1);
        let given = hop.transactions_from(&sender);
        assert_eq!(given.len(), 1);
        assert_one_message(&given[0]);
        assert!(given[0].octets.ends_with(&content));
    });
    assert!(!hop.commands().iter().any(|line| line.contains("evil")));
    assert_plain_commands(&hop);
}

/// A bare line end is one even where chunks part CR and LF from their neighbours; where they part CR from LF it is none.
#[test]
fn line_ends_do_not_depend_on_chunks() {
    let hop = IllMannered::start(Script::smtp());
    let served = relay(&hop, &[]);
    let all: Vec<(&[u8], &[u8], bool)> = vec![
        (b"a\r", b"\nb\r\n", true),
        (b"a\r\n.", b"\r\n", true),
        (b"a\r\n.\r", b"\n", true),
        (b"a", b"b", true),
        (b"", b"", true),
        (b"a\r", b"b\r\n", false),
        (b"a\r", b"", false),
        (b"a", b"\nb\r\n", false),
        (b"a\n", b".\n", false),
        (b"a\r\r", b"\nb", false),
        (b"a\0", b"b", false),
        (b"a\r", b"\0\nb", false),
    ];
    each(&all, |(one, two, good)| {
        let mut client = begun(served.address(), "border@example.org");
        client.send(&chunk(one, false));
        let first = said(&mut client);
        client.send(&chunk(two, true));
        let reply = said(&mut client);
        let word = if *good { "250 " } else { "5" };
        assert!(reply.starts_with(word), "{first} {reply}");
        assert_eq!(until_bye(&mut client).len(), 1, "{first} {reply}");
    });
    let good = all.iter().filter(|(_, _, good)| *good).count();
    let given = hop.transactions();
    assert_eq!(given.len(), good);
    for transaction in &given {
        assert_one_message(transaction);
    }
}

/// A chunk that has no place here is read all the same: its octets are never commands.
#[test]
fn a_chunk_out_of_place_is_swallowed() {
    let hop = IllMannered::start(Script::smtp().at(
        ill_mannered::Verb::Rcpt,
        [ill_mannered::Act::say("550 5.1.1 gone")],
    ));
    let served = relay(&hop, &[]);
    let all = [
        ("before EHLO", vec![]),
        ("before MAIL", vec!["EHLO client.example"]),
        (
            "before RCPT",
            vec!["EHLO client.example", "MAIL FROM:<a@example.org>"],
        ),
        (
            "every RCPT refused",
            vec![
                "EHLO client.example",
                "MAIL FROM:<a@example.org>",
                "RCPT TO:<b@example.net>",
            ],
        ),
    ];
    each(&all, |(name, before)| {
        for last in [false, true] {
            let mut client = Client::connect(served.address());
            assert!(said(&mut client).starts_with("220 "));
            for command in before {
                client.send(format!("{command}\r\n").as_bytes());
                said(&mut client);
            }
            let octets = chunk(COMMANDS, last);
            send_cut(&mut client, &octets, &[octets.len() / 2]);
            let reply = said(&mut client);
            assert!(reply.starts_with('5'), "{name}: {reply}");
            assert_eq!(until_bye(&mut client).len(), 1, "{name}");
        }
    });
    assert_eq!(hop.transactions(), []);
    assert!(!hop.commands().iter().any(|line| line.contains("evil")));
}

/// Where it cannot be known how much is content the connection ends; nothing behind it runs.
#[test]
fn a_chunk_of_unknown_length_ends_the_session() {
    let hop = IllMannered::start(Script::smtp());
    let served = relay(&hop, &[]);
    let all = [
        "BDAT",
        "BDAT x",
        "BDAT -1",
        "BDAT +5",
        "BDAT 5 LAST more",
        "BDAT 5 FIRST",
        "BDAT 0x5",
        "BDAT 99999999999999999999999",
        "BDAT 5LAST",
        "BDAT 5\tLAST x",
        "BDAT 5\u{1}",
        "BDAT 5 LAST \0",
    ];
    each(&all, |command| {
        let mut client = begun(served.address(), "unknown@example.org");
        client.send(format!("{command}\r\n").as_bytes());
        client.send(COMMANDS);
        let mut replies = Vec::new();
        while let Some(reply) = said_or_gone(&mut client) {
            replies.push(reply);
        }
        assert_eq!(replies.len(), 1, "{command}: {replies:?}");
        assert!(replies[0].starts_with(['4', '5']), "{command}: {replies:?}");
    });
    assert_eq!(hop.transactions(), []);
    assert!(!hop.commands().iter().any(|line| line.contains("evil")));
}

/// A client that goes away within a chunk has sent nothing.
#[test]
fn a_chunk_cut_short_is_nothing() {
    let hop = IllMannered::start(Script::smtp());
    let served = relay(&hop, &[]);
    let octets = chunk(b"Subject: a\r\n\r\nwhole\r\n.\r\n", true);
    for cut in 0..octets.len() {
        let mut client = begun(served.address(), "short@example.org");
        client.send(&octets[..cut]);
        drop(client);
    }
    let mut client = begun(served.address(), "whole@example.org");
    client.send(&octets);
    assert!(said(&mut client).starts_with("250 "));
    assert_eq!(hop.transactions().len(), 1);
    assert_eq!(hop.transactions_from("whole@example.org").len(), 1);
}
