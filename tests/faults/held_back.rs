//! `hold_before_data`: a client that thinks between RCPT and DATA does not keep a connection from others.

use crate::support::Client;
use crate::*;

/// One connection for all, given back after a second.
fn one_connection(hop: &IllMannered) -> Config {
    Config {
        next_hop: next_hop_lines(
            hop,
            "smtp",
            &["hold_before_data_seconds = 1", "max_connections = 1"],
        ),
        ..config_for(hop)
    }
}

/// Waits for the RSET by which the client's transaction is given up.
fn given_back(hop: &IllMannered, served: &Served) {
    wait_until("RSET", served, || {
        hop.commands().last().is_some_and(|line| line == "RSET")
    });
}

#[test]
fn the_connection_serves_others_while_a_client_thinks() {
    let hop = IllMannered::start(Script::smtp());
    let served = start(&one_connection(&hop));
    let slow = Submission::new(&GRANTED, letter());
    let mut told = Told::default();
    let (mut client, _) = slow.until_data(served.address(), &mut told).unwrap();
    given_back(&hop, &served);

    let quick = Submission::new(&UNKNOWN, letter()).send(served.address());
    assert_eq!(quick.dot, ["250 2.0.0 taken"], "{}", served.log());

    client.send(&on_the_wire(&letter()));
    assert_eq!(said(&mut client), "250 2.0.0 taken", "{}", served.log());
    assert_eq!(count(&hop), ALL);
    assert_own_variants(&hop, &letter());
    assert_eq!(hop.connections(), 1);
    let mails = hop
        .commands()
        .iter()
        .filter(|l| l.starts_with("MAIL"))
        .count();
    assert_eq!(
        mails, 3,
        "the slow client's envelope twice, the quick one's once"
    );
}

#[test]
fn a_client_that_thinks_in_the_data_does_not_hold_it_either() {
    let hop = IllMannered::start(Script::smtp());
    let served = start(&one_connection(&hop));
    let slow = Submission::new(&GRANTED, letter());
    let (mut client, _) = slow
        .until_data(served.address(), &mut Told::default())
        .unwrap();
    let wire = on_the_wire(&letter());
    let (half, rest) = wire.split_at(wire.len() / 2);
    client.send(half);
    given_back(&hop, &served);
    let quick = Submission::new(&UNKNOWN, letter()).send(served.address());
    assert_eq!(quick.dot, ["250 2.0.0 taken"], "{}", served.log());
    client.send(rest);
    assert_eq!(said(&mut client), "250 2.0.0 taken", "{}", served.log());
    assert_eq!(count(&hop), ALL);
}

#[test]
fn whoever_waits_for_a_connection_gets_that_of_a_client_that_thinks() {
    // Much sooner than the client would have to give it back, which nobody waits for.
    let limits = &["hold_before_data_seconds = 3600", "max_connections = 1"];
    let hop = IllMannered::start(Script::smtp());
    let served = start(&Config {
        next_hop: next_hop_lines(&hop, "smtp", limits),
        ..config_for(&hop)
    });
    let wire = on_the_wire(&letter());
    let mut slow = Vec::new();
    // One thinks before its DATA, one within: each connection has to come from the one before it.
    for octets in [0, wire.len() / 2] {
        let (mut client, _) = Submission::new(&GRANTED, letter())
            .until_data(served.address(), &mut Told::default())
            .unwrap();
        client.send(&wire[..octets]);
        slow.push((client, octets));
    }
    let quick = Submission::new(&UNKNOWN, letter()).send(served.address());
    assert_eq!(quick.dot, ["250 2.0.0 taken"], "{}", served.log());
    for (mut client, octets) in slow {
        client.send(&wire[octets..]);
        assert_eq!(said(&mut client), "250 2.0.0 taken", "{}", served.log());
    }
    assert_eq!(count(&hop), [2, 1, 1, 2]);
}

/// RCPT, a pause in which the connection is given back, RCPT, DATA.
fn in_two_goes(hop: &IllMannered, served: &Served, told: &mut Vec<String>) -> Client {
    let mut client = Client::connect(served.address());
    said(&mut client);
    let mut say = |client: &mut Client, line: &str| {
        client.send(format!("{line}\r\n").as_bytes());
        told.push(said(client));
    };
    say(&mut client, "EHLO client.example");
    say(
        &mut client,
        &format!("MAIL FROM:<{SENDER}> ENVID=crumb+2B7"),
    );
    say(&mut client, &format!("RCPT TO:<{ANNA}>"));
    given_back(hop, served);
    say(&mut client, &format!("RCPT TO:<{DORA}>"));
    say(&mut client, "DATA");
    client
}

#[test]
fn recipients_named_behind_the_pause_join_those_before_it() {
    let hop = IllMannered::start(Script::smtp());
    let served = start(&one_connection(&hop));
    let mut told = Vec::new();
    let mut client = in_two_goes(&hop, &served, &mut told);
    assert!(told[3].starts_with("250") && told[4].starts_with("354"));
    client.send(&on_the_wire(&letter()));
    assert_eq!(said(&mut client), "250 2.0.0 taken", "{}", served.log());
    assert_eq!(count(&hop), FIRST);
    let given = in_transit(&hop);
    assert_eq!(given.len(), 1);
    assert_eq!(paths(&given[0].rcpts), GRANTED, "the client's order");
}

#[test]
fn who_is_not_accepted_again_is_reported_and_the_others_get_theirs() {
    let gone = |n| Rule::on(Verb::Rcpt, [Act::say("550 5.1.1 gone")]).transaction(n);
    let script = Script::smtp()
        .rule(gone(2).containing(ANNA))
        .rule(gone(3).containing(ANNA));
    let hop = IllMannered::start(script);
    let config = one_connection(&hop);
    let mut served = start(&config);
    let mut told = Vec::new();
    let mut client = in_two_goes(&hop, &served, &mut told);
    assert!(told[3].starts_with("250"), "DORA's own verdict: {told:?}");
    client.send(&on_the_wire(&letter()));
    assert_eq!(said(&mut client), "250 2.0.0 taken", "{}", served.log());
    assert_eq!(count(&hop), [0, 0, 0, 1]);
    let gone: &[Owed] = &[(ANNA, "failed_dsn", 550, false)];
    assert_eq!(owed(&served), debts(gone));
    served.kill();
    served.start_again(&Config {
        spool: eager(),
        ..config
    });
    wait_until("the report", &served, || spool_is_empty(&served));
    assert_reports(&hop, &[(ANNA, "5.1.1", 550)]);
    assert_eq!(count(&hop), [0, 0, 0, 1]);
}

#[test]
fn a_client_that_goes_away_leaves_nothing() {
    let hop = IllMannered::start(Script::smtp());
    let served = start(&config_for(&hop));
    let submission = Submission::new(&FOUR, letter());
    for octets in [0, 1, 200, on_the_wire(&letter()).len() - 1] {
        let (mut client, _) = submission
            .until_data(served.address(), &mut Told::default())
            .unwrap();
        client.send(&on_the_wire(&letter())[..octets]);
        drop(client);
    }
    wait_until("RSET for each", &served, || {
        hop.commands().iter().filter(|l| *l == "RSET").count() == 4
    });
    assert_eq!(
        hop.transactions(),
        [],
        "not an octet of data before the dot"
    );
    assert!(spool_is_empty(&served));
}

#[test]
fn one_message_in_is_one_message_out() {
    // Promise 6 through the whole relay: what others take for an end of data is none, and nothing behind it is a command.
    let hop = IllMannered::start(Script::smtp());
    let served = start(&config_for(&hop));
    let smuggled = "MAIL FROM:<evil@x.example>\r\nRCPT TO:<victim@x.example>\r\nDATA\r\nSubject: evil\r\n\r\nevil";
    for end in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r.\r\n",
        "\r\r\n.\r\r\n",
        "\r\n\0.\r\n",
    ] {
        let (mut client, _) = Submission::new(&[ANNA], Vec::new())
            .until_data(served.address(), &mut Told::default())
            .unwrap();
        client.send(format!("Subject: a\r\n\r\nbody{end}{smuggled}\r\n.\r\n").as_bytes());
        let reply = said(&mut client);
        assert!(reply.starts_with("550 5.6.0 "), "{end:?}: {reply}");
        client.send(b"NOOP\r\n");
        assert!(said(&mut client).starts_with("250 "), "one reply, not two");
    }
    assert_eq!(hop.transactions(), []);
    // Dots at line starts arrive as they were, and end nothing.
    let dots = b"Subject: dots\r\n\r\n.\r\n..\r\n...\r\n.MAIL FROM:<a@x.example>\r\n.\r\n".to_vec();
    let told = Submission::new(&[ANNA], dots.clone()).send(served.address());
    assert_eq!(told.dot, ["250 2.0.0 taken"]);
    assert_eq!(hop.transactions().len(), 1);
    assert_kept(&hop.transactions()[0].octets, &dots);
    assert!(hop.commands().iter().all(|line| !line.contains("evil")));
}

#[test]
fn a_next_hop_cannot_say_more_than_one_reply() {
    let text = "250-2.0.0 first\r\n250-2.0.0 second \x07\t<evil>\r\n250 2.0.0 last";
    let hop = IllMannered::start(Script::smtp().at(Verb::Dot, [Act::say(text)]));
    let served = start(&config_for(&hop));
    let (mut client, _) = Submission::new(&[ANNA], letter())
        .until_data(served.address(), &mut Told::default())
        .unwrap();
    client.send(&on_the_wire(&letter()));
    let reply = client.reply();
    assert_eq!(reply.len(), 3, "{reply:?}");
    assert!(
        reply.iter().all(|line| line.starts_with("250")),
        "{reply:?}"
    );
    assert!(
        reply
            .iter()
            .all(|line| line.chars().all(|c| c == '\t' || !c.is_control())),
        "{reply:?}"
    );
    client.send(b"NOOP\r\n");
    assert!(said(&mut client).starts_with("250 "));
    assert!(client.is_silent(Duration::from_millis(200)));
}

/// RSET is there to give a connection back, which is dropped as well: who is silent at it does not hold up the answer. Its client
/// waits for less than `command_timeout` is here.
#[test]
fn a_next_hop_that_is_silent_at_rset_holds_up_no_answer() {
    let silent = Rule::on(Verb::Rset, [Act::Stop("rset"), Act::Close]);
    let hop = IllMannered::start(Script::smtp().rule(silent));
    let limits = &[
        "command_timeout_seconds = 300",
        "answer_within_seconds = 3000",
    ];
    let served = start(&Config {
        next_hop: next_hop_lines(&hop, "smtp", limits),
        ..config_for(&hop)
    });
    let told = Submission::new(&FOUR, letter()).send(served.address());
    assert_eq!(told.dot, ["250 2.0.0 taken"], "{}", served.log());
    assert_eq!(count(&hop), [1; 4]);
    hop.go_on("rset");
}
