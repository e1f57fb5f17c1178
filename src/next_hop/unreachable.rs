//! Why a next hop could not be spoken to. Always transient for the mail, always an error for the operator.
//!
//! It must never carry a path or a text of the next hop: it is written to the log, and servers put addresses into
//! their replies. Whatever it says, the client gets a 451.

use std::io;

use crate::smtp::reply::Reply;
use crate::smtp::reply_reader::ReplyError;

use super::replies;

/// What we were doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Resolving and connecting.
    Connect,
    /// Waiting for the greeting.
    Greeting,
    /// EHLO, LHLO or HELO.
    Hello,
    /// STARTTLS and its handshake.
    Starttls,
    /// AUTH.
    Auth,
    /// XFORWARD.
    Xforward,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// Sending the message.
    Content,
    /// Behind the final dot.
    Dot,
    /// RSET.
    Rset,
    /// QUIT.
    Quit,
}

impl std::fmt::Display for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Connect => "connecting",
            Self::Greeting => "the greeting",
            Self::Hello => "EHLO",
            Self::Starttls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Xforward => "XFORWARD",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Content => "the message",
            Self::Dot => "the final dot",
            Self::Rset => "RSET",
            Self::Quit => "QUIT",
        })
    }
}

/// Why the next hop could not be spoken to. The next hop, the network or the operator is to blame; all are transient
/// for the mail.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The system refused or broke the connection.
    #[error("{step}: {source}")]
    Io {
        /// Where.
        step: Step,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing happened within the time-out of this step.
    #[error("{step}: nothing within the time-out")]
    TimedOut {
        /// Where.
        step: Step,
    },
    /// The next hop closed the connection.
    #[error("{step}: connection closed by the next hop")]
    Closed {
        /// Where.
        step: Step,
    },
    /// A reply about us and not about the mail (421, 500-504, 521, 530-538, no 2xx to greeting, EHLO or XFORWARD).
    #[error("{step}: next hop answered {code} {enhanced}")]
    Said {
        /// Where.
        step: Step,
        /// The code.
        code: u16,
        /// The enhanced code, empty where there is none.
        enhanced: String,
    },
    /// Something that is no reply.
    #[error("{step}: {source}")]
    Garbage {
        /// Where.
        step: Step,
        /// What is wrong with it.
        source: ReplyError,
    },
    /// A reply to nothing: what follows can no longer be matched with our commands.
    #[error("before {step}: next hop spoke out of turn")]
    OutOfTurn {
        /// What we were about to send.
        step: Step,
    },
    /// TLS that was asked for, and could not be had as it was asked for.
    #[error("TLS: {0}")]
    Tls(String),
    /// A login is configured and none of our mechanisms is offered.
    #[error("the next hop announces neither AUTH PLAIN nor AUTH LOGIN")]
    NoAuth,
    /// It announces XPIXELGATE and is not `chained`.
    #[error(
        "next hop announces XPIXELGATE: it is a pixelgate, perhaps this one (set chained = true if meant)"
    )]
    Loop,
    /// `max_connections` are in use and none came free in `connection_wait_seconds`.
    #[error("no free connection within {seconds} s (max_connections, connection_wait_seconds)")]
    Busy {
        /// How long we waited.
        seconds: u64,
    },
    /// A `maildir:` next hop cannot be made or written.
    #[error("maildir: {0}")]
    Maildir(io::Error),
}

impl Unreachable {
    /// A reply that is about us.
    pub(super) fn said(step: Step, reply: &Reply) -> Self {
        Self::Said {
            step,
            code: reply.code(),
            enhanced: reply.enhanced().unwrap_or_default().to_owned(),
        }
    }

    /// Whether it says that this next hop does not take mail at the moment, from anybody.
    pub(super) fn is_of_the_hop(&self) -> bool {
        let early = |step: &Step| {
            matches!(
                step,
                Step::Connect
                    | Step::Greeting
                    | Step::Hello
                    | Step::Starttls
                    | Step::Auth
                    | Step::Xforward
                    | Step::Mail
            )
        };
        match self {
            Self::Said { code: 421, .. } => true,
            Self::Io { step, .. }
            | Self::TimedOut { step }
            | Self::Closed { step }
            | Self::Said { step, .. }
            | Self::Garbage { step, .. }
            | Self::OutOfTurn { step } => early(step),
            Self::Tls(_) | Self::NoAuth | Self::Loop => true,
            Self::Busy { .. } | Self::Maildir(_) => false,
        }
    }

    /// Whether the way is down; a busy next hop is not, its client comes again.
    pub fn is_down(&self) -> bool {
        !matches!(self, Self::Busy { .. } | Self::Maildir(_))
    }

    /// What the client is told.
    pub fn to_reply(&self) -> Reply {
        match self {
            Self::Io {
                step: Step::Connect,
                ..
            }
            | Self::TimedOut {
                step: Step::Connect,
            } => replies::not_reached(),
            Self::Io { .. }
            | Self::TimedOut { .. }
            | Self::Closed { .. }
            | Self::Garbage { .. }
            | Self::OutOfTurn { .. } => replies::connection_lost(),
            Self::Tls(_) | Self::NoAuth => replies::not_reached(),
            Self::Said { code, .. } => replies::about_us(&Reply::new(*code, [""])),
            Self::Loop => replies::loop_found(),
            Self::Busy { .. } => replies::all_connections_busy(),
            Self::Maildir(_) => replies::maildir_failed(),
        }
    }

    /// Whether a reused connection that fails so may simply have lain too long (DESIGN 3: replaced once).
    pub(super) fn may_be_stale(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Closed { .. } | Self::OutOfTurn { .. } => true,
            Self::Said { code, .. } => *code == 421,
            Self::TimedOut { .. }
            | Self::Garbage { .. }
            | Self::Tls(_)
            | Self::NoAuth
            | Self::Loop
            | Self::Busy { .. }
            | Self::Maildir(_) => false,
        }
    }
}
