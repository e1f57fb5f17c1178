//! The way out against a next hop with bad manners: every sentence of ARCHITECTURE's transport section that speaks of
//! next hops, held by a test.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code: a panic here is a failed test"
)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/ill_mannered.rs"]
mod ill_mannered;

#[path = "next_hop/connections.rs"]
mod connections;
#[path = "next_hop/fates.rs"]
mod fates;
#[path = "next_hop/order.rs"]
mod order;
#[path = "next_hop/parameters.rs"]
mod parameters;
#[path = "next_hop/secure.rs"]
mod secure;
#[path = "next_hop/submission.rs"]
mod submission;
#[path = "next_hop/transactions.rs"]
mod transactions;

use std::time::Duration;

use bytes::Bytes;
use pixelgate::mime::splice::Spliced;
use pixelgate::next_hop::{Fate, NextHop, Settings};
use pixelgate::smtp::Protocol;
use pixelgate::smtp::parameter::{Parameter, Parameters};
use pixelgate::smtp::path::{ForwardPath, Mailbox, ReversePath};
use pixelgate::smtp::reply::Reply;
use pixelgate::smtp::transaction::{Mail, Rcpt};
use tokio::time::Instant;

use ill_mannered::IllMannered;

const MESSAGE: &[u8] = b"Subject: hello\r\n\r\n.one dot\r\n..two\r\n.\r\nend\r\n";

/// Settings with short time-outs, so that a stall ends a test and not an afternoon.
fn settings(address: &str) -> Settings {
    let mut settings = Settings::new(address.parse().unwrap());
    settings.limits.connect_timeout_seconds = 2;
    settings.limits.greeting_timeout_seconds = 1;
    settings.limits.command_timeout_seconds = 1;
    settings.limits.data_start_timeout_seconds = 1;
    settings.limits.data_block_timeout_seconds = 1;
    settings.limits.connection_wait_seconds = 1;
    settings.limits.answer_within_seconds = 3;
    settings.limits.dot_time_seconds = 1;
    settings
}

fn settings_for(hop: &IllMannered) -> Settings {
    settings(&hop.address().to_string())
}

fn smtp(hop: &IllMannered) -> NextHop {
    NextHop::new(settings_for(hop)).unwrap()
}

fn lmtp(hop: &IllMannered) -> NextHop {
    let mut settings = settings_for(hop);
    settings.protocol = Protocol::Lmtp;
    NextHop::new(settings).unwrap()
}

fn mailbox(address: &str) -> Mailbox {
    Mailbox::new(address.to_owned(), address.rfind('@').unwrap()).unwrap()
}

fn parameters(words: &str) -> Parameters {
    let one = |word: &str| match word.split_once('=') {
        Some((keyword, value)) => Parameter {
            keyword: keyword.to_owned(),
            value: Some(value.to_owned()),
        },
        None => Parameter {
            keyword: word.to_owned(),
            value: None,
        },
    };
    Parameters(words.split_ascii_whitespace().map(one).collect())
}

fn mail() -> Mail {
    mail_with("")
}

fn mail_with(words: &str) -> Mail {
    Mail {
        reverse_path: ReversePath::Mailbox(mailbox("from@example.org")),
        parameters: parameters(words),
    }
}

fn rcpt(address: &str) -> Rcpt {
    rcpt_with(address, "")
}

fn rcpt_with(address: &str, words: &str) -> Rcpt {
    Rcpt {
        forward_path: ForwardPath::Mailbox(mailbox(address)),
        parameters: parameters(words),
    }
}

fn message() -> Spliced {
    Spliced::untouched(Bytes::from_static(MESSAGE))
}

/// Three seconds, of which the last is not enough for a dot.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(3)
}

fn codes(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(Reply::code).collect()
}

/// One letter for each fate and its code: `T250 N451 R550 U451`.
fn told(fates: &[Fate]) -> String {
    let one = |fate: &Fate| {
        let letter = match fate {
            Fate::Taken(_) => 'T',
            Fate::NotNow(_) | Fate::Down(_) => 'N',
            Fate::Refused(_) => 'R',
            Fate::Unknown(_) => 'U',
        };
        format!("{letter}{}", fate.reply().code())
    };
    fates.iter().map(one).collect::<Vec<_>>().join(" ")
}
