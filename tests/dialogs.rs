//! Scripts of whole sessions against the real binary with a `maildir:` next hop: `tests/dialogs/NAME.smtp`.
//!
//! A script is read line by line; blank lines and lines that begin with `#` say nothing.
//!
//! ```text
//! %listener KEY = VALUE      a line for [[listener]]          %limits KEY = VALUE   a line for [limits]
//! -> TEXT                    send TEXT and CRLF; lines that follow one another go out in one write
//! ~> TEXT                    send TEXT raw: \r \n \t \0 \\ \xHH, and \(TEXT*COUNT) for repetition
//! <- PREFIX                  the next line begins so
//! <* CODE                    the next whole reply has this code
//! <+ TEXT                    a line of that reply is CODE and then TEXT          <! TEXT   no line of it is
//! @ NAME                     go on with this connection, opened if it is new (the first is `1`, opened at the start)
//! == closed | silent MS | wait MS | hangup | signal NAME | exit CODE
//! == outbox COUNT | outbox has RAW | outbox lacks RAW | outbox ends RAW | envelope has RAW | log has TEXT | log lacks TEXT
//! ```
//! Every script ends with an implied count: what it did not say to be in the outbox must not be there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use support::{Client, Config, PATIENCE, Served};

macro_rules! dialogs {
    ($($name:ident)+) => {
        const NAMES: &[&str] = &[$(stringify!($name)),+];
        $(#[test] fn $name() { Script::read(stringify!($name)).run(); })+
    };
}

dialogs! {
    bad_commands
    bare_line_ends_in_commands
    bare_newlines_normalized
    chunking
    chunking_cut_short
    chunking_line_too_long
    chunking_out_of_order
    client_gone_in_data
    command_line_too_long
    data_needs_a_recipient
    drain_finishes_what_is_open
    drain_sends_idle_clients_away
    empty_message
    esmtp_announced
    greeting_timeout
    hello_resets
    helo_client
    limits_of_the_message
    lmtp_one_reply_each
    lmtp_refuses_each
    mail_parameters
    memory_limit
    message_timeout
    not_a_mail_server
    octets_are_kept
    order_of_commands
    paths_are_kept
    pipelining_all_in_one_write
    pipelining_two_messages
    proxy_header
    proxy_unexpected
    rcpt_parameters
    recipients_limit
    reset_forgets
    sessions_limit
    sessions_per_address_limit
    smtputf8
    smuggling_bare_cr
    smuggling_bare_lf
    smuggling_cr_cr_lf
    smuggling_nul
    unfinished_pipelining
    untrusted_client
    xclient_denied
    xclient_speaks_for_another
    xforward_carried
    xforward_denied
}

#[test]
fn every_script_is_run() {
    let mut found: Vec<String> = fs::read_dir("tests/dialogs")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    assert_eq!(found, NAMES);
}

struct Script {
    name: &'static str,
    config: Config,
    lines: Vec<(usize, String)>,
}

struct Stage {
    served: Served,
    clients: BTreeMap<String, Client>,
    current: String,
    reply: Vec<String>,
    outbox: usize,
}

impl Script {
    fn read(name: &'static str) -> Self {
        let text = fs::read_to_string(format!("tests/dialogs/{name}.smtp")).unwrap();
        let mut script = Self {
            name,
            config: Config::default(),
            lines: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            if let Some(setting) = line.strip_prefix("%listener ") {
                script.config.listener.push(setting.to_owned());
            } else if let Some(setting) = line.strip_prefix("%limits ") {
                script.config.limits.push(setting.to_owned());
            } else if !line.trim().is_empty() && !line.starts_with('#') {
                script.lines.push((index + 1, line.to_owned()));
            }
        }
        script
    }

    fn run(self) {
        let served = Served::start(&self.config);
        let first = Client::connect(served.address());
        let mut stage = Stage {
            served,
            clients: BTreeMap::from([("1".to_owned(), first)]),
            current: "1".to_owned(),
            reply: Vec::new(),
            outbox: 0,
        };
        let mut unsent = Vec::new();
        for (number, line) in &self.lines {
            let place = format!("{}.smtp:{number}: {line}", self.name);
            let (what, rest) = line.split_at(2);
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            match what {
                "->" => unsent.extend_from_slice(format!("{rest}\r\n").as_bytes()),
                "~>" => unsent.extend_from_slice(&raw(rest)),
                _ => {
                    stage.send(&mut unsent);
                    stage.act(what, rest, &place);
                }
            }
        }
        stage.send(&mut unsent);
        stage.expect_outbox(self.name);
    }
}

impl Stage {
    fn client(&mut self) -> &mut Client {
        self.clients
            .get_mut(&self.current)
            .expect("an open connection")
    }

    fn send(&mut self, unsent: &mut Vec<u8>) {
        if !unsent.is_empty() {
            let octets = std::mem::take(unsent);
            self.client().send(&octets);
        }
    }

    fn act(&mut self, what: &str, rest: &str, place: &str) {
        match what {
            "<-" => {
                let line = self.client().line();
                assert!(
                    line.as_deref().is_some_and(|line| line.starts_with(rest)),
                    "{place}\n  got {line:?}"
                );
            }
            "<*" => {
                self.reply = self.client().reply();
                assert!(
                    self.reply.iter().all(|line| line.starts_with(rest)),
                    "{place}\n  got {:?}",
                    self.reply
                );
            }
            "<+" => assert!(self.says(rest), "{place}\n  got {:?}", self.reply),
            "<!" => assert!(!self.says(rest), "{place}\n  got {:?}", self.reply),
            "@ " => {
                self.current = rest.to_owned();
                let address = self.served.address();
                self.clients
                    .entry(rest.to_owned())
                    .or_insert_with(|| Client::connect(address));
            }
            "==" => self.check(rest, place),
            _ => panic!("{place}: what is this?"),
        }
    }

    fn says(&self, text: &str) -> bool {
        self.reply.iter().any(|line| line.get(4..) == Some(text))
    }

    fn check(&mut self, rest: &str, place: &str) {
        let (verb, argument) = rest.split_once(' ').unwrap_or((rest, ""));
        let milliseconds = || Duration::from_millis(argument.parse().expect("milliseconds"));
        match verb {
            "closed" => assert_eq!(self.client().line(), None, "{place}"),
            "silent" => assert!(self.client().is_silent(milliseconds()), "{place}"),
            "wait" => sleep(milliseconds()),
            "hangup" => drop(self.clients.remove(&self.current)),
            "signal" => self.served.signal(argument),
            "exit" => assert_eq!(self.served.wait().code(), argument.parse().ok(), "{place}"),
            "outbox" if argument.parse::<usize>().is_ok() => {
                self.outbox = argument.parse().unwrap();
                self.expect_outbox(place);
            }
            "outbox" => look(&self.served.outbox(), argument, place),
            "envelope" => look(&self.served.envelopes(), argument, place),
            "log" => look(&[self.served.log().into_bytes()], argument, place),
            _ => panic!("{place}: what is this?"),
        }
    }

    /// Waits until at least so many messages are there, and a moment more when there should be none.
    fn expect_outbox(&self, place: &str) {
        let mut waited = Duration::ZERO;
        let step = Duration::from_millis(20);
        while self.served.outbox().len() < self.outbox && waited < PATIENCE {
            sleep(step);
            waited += step;
        }
        sleep(step);
        assert_eq!(
            self.served.outbox().len(),
            self.outbox,
            "messages in the outbox at {place}"
        );
    }
}

fn look(texts: &[Vec<u8>], argument: &str, place: &str) {
    let (relation, wanted) = argument.split_once(' ').expect("a relation and a text");
    let wanted = raw(wanted);
    let has = |text: &Vec<u8>| text.windows(wanted.len()).any(|window| window == wanted);
    let shown: Vec<_> = texts
        .iter()
        .map(|text| text.escape_ascii().to_string())
        .collect();
    match relation {
        "has" => assert!(texts.iter().any(has), "{place}\n  in {shown:#?}"),
        "lacks" => assert!(!texts.iter().any(has), "{place}\n  in {shown:#?}"),
        "ends" => assert!(
            texts.iter().any(|text| text.ends_with(&wanted)),
            "{place}\n  in {shown:#?}"
        ),
        _ => panic!("{place}: what is this?"),
    }
}

/// Octets of a text with escapes.
fn raw(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        octets.extend_from_slice(before.as_bytes());
        let (escape, tail) = after.split_at(1);
        rest = tail;
        match escape {
            "r" => octets.push(b'\r'),
            "n" => octets.push(b'\n'),
            "t" => octets.push(b'\t'),
            "0" => octets.push(0),
            "\\" => octets.push(b'\\'),
            "x" => {
                let (digits, tail) = rest.split_at(2);
                octets.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
                rest = tail;
            }
            "(" => {
                let (inside, tail) = rest.split_once(')').expect("a closing bracket");
                let (unit, count) = inside.rsplit_once('*').expect("TEXT*COUNT");
                octets.extend_from_slice(&raw(unit).repeat(count.parse().expect("a count")));
                rest = tail;
            }
            other => panic!("no escape: \\{other}"),
        }
    }
    octets.extend_from_slice(rest.as_bytes());
    octets
}
