//! The legal order of commands (RFC 5321 4.1.4, RFC 2033 4), as states that hold what is known so far.
//!
//! Pure: no reading, no waiting, no clock. It says what a command means now; the session does it and tells the outcome
//! back. It must never know who may relay, what a next hop is, or what is in a message.
//! A command out of order is a reply, never an error; a client that sends too many of them is told to go.

use std::num::NonZeroUsize;

use crate::smtp::Protocol;
use crate::smtp::auth;
use crate::smtp::command::Command;
use crate::smtp::parameter::ParameterError;
use crate::smtp::replies::{self, Offers};
use crate::smtp::reply::Reply;
use crate::smtp::transaction::{Mail, Rcpt};
use crate::smtp::xclient::Xclient;
use crate::smtp::xforward::Attribute;

/// What bounds a dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// What the listener speaks.
    pub protocol: Protocol,
    /// Accepted forward-paths of one transaction.
    pub recipients: usize,
    /// Wrong commands since the last message, before the client is sent away.
    pub bad_commands: usize,
    /// Commands that move no mail since the last message, before the client is sent away.
    pub idle_commands: usize,
}

/// What this client may do now; it changes with TLS, a login and XCLIENT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leave {
    /// What is offered to it.
    pub offers: Offers,
    /// Whether TLS has to come first.
    pub tls_first: bool,
    /// Whether AUTH would be offered under TLS.
    pub auth_needs_tls: bool,
    /// Why it may not send mail; `None`: it may.
    pub barred: Option<Barred>,
}

/// Why a client may not send mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barred {
    /// A stranger, who may log in.
    LoginFirst,
    /// A stranger.
    NotTrusted,
}

/// How the client introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its name.
    pub name: String,
    /// EHLO or LHLO, not HELO.
    pub extended: bool,
    /// The SIZE it was told, in octets.
    pub size: Option<u64>,
}

/// Where the dialog stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Nothing was said yet.
    Connected,
    /// Between transactions.
    Greeted(Hello),
    /// MAIL was accepted, no RCPT yet.
    Mail(Hello, Envelope),
    /// At least one RCPT was accepted: DATA is legal.
    Rcpt(Hello, Envelope, NonZeroUsize),
    /// The first chunk was read: until the last one the transaction takes nothing but chunks (RFC 3030 2).
    Chunks(Hello, NonZeroUsize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Envelope {
    smtputf8: bool,
}

/// What the session has to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Say this and go on.
    Say(Reply),
    /// Say this and close the connection.
    Close(Reply),
    /// The client introduced itself; a transaction that was open is over. [`Dialog::announced`] follows.
    Hello {
        /// EHLO or LHLO, not HELO.
        extended: bool,
    },
    /// Ask for this transaction; [`Dialog::mail_accepted`] follows a 2xx.
    Mail(Mail),
    /// Ask for this forward-path; [`Dialog::rcpts_answered`] follows.
    Rcpt(Rcpt),
    /// Say 354 and read the message; [`Dialog::message_answered`] follows.
    Data,
    /// Read so many octets of the message; [`Dialog::chunk_read`] or, behind the last, [`Dialog::message_answered`] follows.
    Chunk {
        /// How many.
        octets: u64,
        /// Whether they are the last ones.
        last: bool,
    },
    /// Read so many octets, throw them away and say this: they are content, whatever is wrong with the command.
    Swallow {
        /// How many.
        octets: u64,
        /// What to say.
        reply: Reply,
    },
    /// Say 220 and begin TLS; [`Dialog::restarted`] follows.
    Starttls,
    /// Ask who the client is.
    Auth(auth::Start),
    /// Believe this of the client, greet it anew; [`Dialog::restarted`] follows.
    Xclient(Xclient),
    /// Drop the transaction if there is one, and say 250.
    Reset,
    /// Keep these for the next transaction, and say 250.
    Xforward(Vec<(Attribute, String)>),
}

/// The dialog with one client.
#[derive(Debug)]
pub struct Dialog {
    bounds: Bounds,
    leave: Leave,
    state: State,
    bad: usize,
    idle: usize,
}

impl Dialog {
    /// The dialog after the greeting.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            leave: Leave::default(),
            state: State::Connected,
            bad: 0,
            idle: 0,
        }
    }

    /// What bounds it from now on.
    pub fn bound(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// What this client may do from now on. What its EHLO was told of REQUIRETLS stays: a login does not ask for another EHLO.
    pub fn allow(&mut self, leave: Leave) {
        let requiretls = self.leave.offers.requiretls;
        self.leave = leave;
        self.leave.offers.requiretls = requiretls;
    }

    /// Whether REQUIRETLS is offered, as far as the way on is known.
    pub fn offer_requiretls(&mut self, offered: bool) {
        self.leave.offers.requiretls = offered;
    }

    /// What the client is offered now.
    pub fn offers(&self) -> Offers {
        self.leave.offers
    }

    /// The client was greeted anew: nothing it said before holds (RFC 3207 4.2, XCLIENT_README).
    pub fn restarted(&mut self) {
        self.state = State::Connected;
        self.leave.offers.requiretls = false;
    }

    /// What one line means now. A line that was no command comes with the reply it deserves.
    pub fn step(&mut self, command: Result<Command, Reply>) -> Step {
        let moves_mail = match &command {
            Ok(Command::Rcpt(_) | Command::Data | Command::Quit) => true,
            // Empty chunks could go on for ever.
            Ok(Command::Bdat { octets, last }) => *octets > 0 || *last,
            Ok(_) | Err(_) => false,
        };
        let step = match command {
            Ok(command) => self.legal(command),
            Err(reply) => Step::Say(reply),
        };
        if let Step::Say(reply) | Step::Swallow { reply, .. } = &step
            && matches!(reply.code(), 500..=503 | 550 | 553 | 555)
        {
            self.bad += 1;
            if self.bad > self.bounds.bad_commands {
                return Step::Close(replies::too_many_bad_commands(self.bounds.bad_commands));
            }
        }
        if !moves_mail {
            self.idle += 1;
            if self.idle > self.bounds.idle_commands {
                return Step::Close(replies::too_many_idle_commands(self.bounds.idle_commands));
            }
        }
        step
    }

    fn legal(&mut self, command: Command) -> Step {
        match command {
            Command::Ehlo(name) => self.hello(name, true, Protocol::Smtp),
            Command::Helo(name) => self.hello(name, false, Protocol::Smtp),
            Command::Lhlo(name) => self.hello(name, true, Protocol::Lmtp),
            Command::Mail(mail) => self.mail(mail),
            Command::Rcpt(rcpt) => self.rcpt(rcpt),
            Command::Data => self.data(),
            Command::Rset => {
                self.transaction_over();
                Step::Reset
            }
            Command::Xforward(pairs) => self.xforward(pairs),
            Command::Noop => Step::Say(replies::ok()),
            Command::Quit => Step::Close(replies::bye()),
            Command::Vrfy => Step::Say(replies::not_verified()),
            Command::Help => Step::Say(replies::help()),
            Command::Expn => Step::Say(replies::not_implemented("EXPN")),
            Command::Starttls => self.starttls(),
            Command::Auth(start) => self.auth(start),
            Command::Xclient(said) => self.xclient(said),
            Command::Bdat { octets, last } => self.bdat(octets, last),
            // What follows BDAT is content. Read as commands it would be a second message.
            Command::BadBdat => Step::Close(replies::bad_bdat()),
            Command::Foreign => Step::Close(replies::not_smtp()),
            Command::Unknown => Step::Say(replies::unknown_command()),
        }
    }

    fn hello(&mut self, name: String, extended: bool, spoken: Protocol) -> Step {
        if spoken != self.bounds.protocol {
            return Step::Say(replies::wrong_hello(self.bounds.protocol));
        }
        // RFC 5321 4.1.4: a later EHLO clears everything, as RSET does.
        self.state = State::Greeted(Hello {
            name,
            extended,
            size: None,
        });
        Step::Hello { extended }
    }

    fn mail(&mut self, mail: Mail) -> Step {
        match &self.state {
            State::Connected => Step::Say(replies::hello_first(self.bounds.protocol)),
            State::Mail(..) | State::Rcpt(..) | State::Chunks(..) => {
                Step::Say(replies::bad_sequence("A transaction is open already"))
            }
            State::Greeted(_) if self.leave.tls_first => Step::Say(replies::tls_first()),
            State::Greeted(_) if self.leave.barred == Some(Barred::LoginFirst) => {
                Step::Say(replies::login_first())
            }
            State::Greeted(_) if self.leave.barred == Some(Barred::NotTrusted) => {
                Step::Close(replies::not_trusted())
            }
            State::Greeted(_)
                if mail.parameters.has("REQUIRETLS") && !self.leave.offers.requiretls =>
            {
                Step::Say(ParameterError::Unknown.into())
            }
            State::Greeted(hello) => match (mail.parameters.size(), hello.size) {
                (Some(octets), Some(limit)) if octets > limit => {
                    Step::Say(replies::size_over_limit(limit))
                }
                (_, _) => Step::Mail(mail),
            },
        }
    }

    fn rcpt(&mut self, rcpt: Rcpt) -> Step {
        let (envelope, accepted) = match &self.state {
            State::Connected => return Step::Say(replies::hello_first(self.bounds.protocol)),
            State::Greeted(_) => return Step::Say(replies::bad_sequence("MAIL first")),
            State::Chunks(..) => return Step::Say(replies::bad_sequence("RCPT between chunks")),
            State::Mail(_, envelope) => (envelope, 0),
            State::Rcpt(_, envelope, accepted) => (envelope, accepted.get()),
        };
        let ascii = rcpt.forward_path.as_str().is_ascii() && rcpt.parameters.is_ascii();
        if !ascii && !envelope.smtputf8 {
            return Step::Say(replies::forward_path_needs_smtputf8());
        }
        if accepted >= self.bounds.recipients {
            return Step::Say(replies::too_many_recipients(self.bounds.recipients));
        }
        Step::Rcpt(rcpt)
    }

    fn data(&self) -> Step {
        match &self.state {
            State::Connected => Step::Say(replies::hello_first(self.bounds.protocol)),
            State::Greeted(_) => Step::Say(replies::bad_sequence("MAIL first")),
            // RFC 2920 3.1: a client that pipelined may say DATA although every RCPT was refused.
            State::Mail(..) => Step::Say(replies::no_valid_recipients()),
            State::Rcpt(..) => Step::Data,
            State::Chunks(..) => Step::Say(replies::bad_sequence("DATA between chunks")),
        }
    }

    /// Whatever is wrong, the octets that were announced are content (RFC 3030 4.2).
    fn bdat(&self, octets: u64, last: bool) -> Step {
        let reply = match &self.state {
            State::Rcpt(..) | State::Chunks(..) => return Step::Chunk { octets, last },
            State::Connected => replies::hello_first(self.bounds.protocol),
            State::Greeted(_) => replies::bad_sequence("MAIL first"),
            State::Mail(..) => replies::no_valid_recipients(),
        };
        Step::Swallow { octets, reply }
    }

    fn starttls(&self) -> Step {
        match &self.state {
            _ if !self.leave.offers.starttls => Step::Say(replies::no_tls()),
            State::Connected => Step::Say(replies::hello_first(self.bounds.protocol)),
            State::Greeted(_) => Step::Starttls,
            State::Mail(..) | State::Rcpt(..) | State::Chunks(..) => {
                Step::Say(replies::bad_sequence("STARTTLS within a transaction"))
            }
        }
    }

    fn auth(&self, start: auth::Start) -> Step {
        match &self.state {
            State::Connected => Step::Say(replies::hello_first(self.bounds.protocol)),
            State::Greeted(hello) if hello.extended => match self.leave {
                Leave { offers, .. } if offers.auth => Step::Auth(start),
                Leave {
                    tls_first: true, ..
                } => Step::Say(replies::tls_first()),
                Leave {
                    auth_needs_tls: true,
                    ..
                } => Step::Say(replies::auth_needs_tls()),
                _ => Step::Say(replies::bad_sequence("AUTH is not available now")),
            },
            State::Greeted(_) => Step::Say(replies::bad_sequence("EHLO first")),
            State::Mail(..) | State::Rcpt(..) | State::Chunks(..) => {
                Step::Say(replies::bad_sequence("AUTH within a transaction"))
            }
        }
    }

    fn xclient(&self, said: Xclient) -> Step {
        match &self.state {
            _ if !self.leave.offers.xclient => Step::Say(replies::xclient_not_allowed()),
            State::Connected | State::Greeted(_) => Step::Xclient(said),
            State::Mail(..) | State::Rcpt(..) | State::Chunks(..) => {
                Step::Say(replies::bad_sequence("XCLIENT within a transaction"))
            }
        }
    }

    /// A chunk that is not the last one was read.
    pub fn chunk_read(&mut self) {
        if let State::Rcpt(hello, _, accepted) = &self.state {
            self.state = State::Chunks(hello.clone(), *accepted);
        }
    }

    fn xforward(&self, pairs: Vec<(Attribute, String)>) -> Step {
        if !self.leave.offers.xforward {
            return Step::Say(replies::xforward_not_allowed());
        }
        match &self.state {
            State::Connected => Step::Say(replies::hello_first(self.bounds.protocol)),
            State::Greeted(_) => Step::Xforward(pairs),
            State::Mail(..) | State::Rcpt(..) | State::Chunks(..) => {
                Step::Say(replies::bad_sequence("XFORWARD within a transaction"))
            }
        }
    }

    /// What the client was told in the reply to its EHLO.
    pub fn announced(&mut self, limit: Option<u64>) {
        if let State::Greeted(hello) = &mut self.state {
            hello.size = limit;
        }
    }

    /// MAIL was answered 2xx.
    pub fn mail_accepted(&mut self, smtputf8: bool) {
        if let State::Greeted(hello) = &self.state {
            self.state = State::Mail(hello.clone(), Envelope { smtputf8 });
        }
    }

    /// RCPTs were answered.
    pub fn rcpts_answered(&mut self, replies: &[Reply]) {
        let done = replies.iter().filter(|reply| reply.is_done()).count();
        self.idle += replies.len() - done;
        let (hello, envelope, before) = match &self.state {
            State::Connected | State::Greeted(_) | State::Chunks(..) => return,
            State::Mail(hello, envelope) => (hello, *envelope, 0),
            State::Rcpt(hello, envelope, before) => (hello, *envelope, before.get()),
        };
        if let Some(accepted) = NonZeroUsize::new(before + done) {
            self.state = State::Rcpt(hello.clone(), envelope, accepted);
        }
    }

    /// A message was read to its end and answered: the transaction is over, and the client has earned its patience anew.
    pub fn message_answered(&mut self) {
        self.transaction_over();
        self.bad = 0;
        self.idle = 0;
    }

    fn transaction_over(&mut self) {
        match &self.state {
            State::Connected | State::Greeted(_) => {}
            State::Mail(hello, _) | State::Rcpt(hello, _, _) | State::Chunks(hello, _) => {
                self.state = State::Greeted(hello.clone());
            }
        }
    }

    /// How the client introduced itself.
    pub fn hello_said(&self) -> Option<&Hello> {
        match &self.state {
            State::Connected => None,
            State::Greeted(hello)
            | State::Mail(hello, _)
            | State::Rcpt(hello, _, _)
            | State::Chunks(hello, _) => Some(hello),
        }
    }

    /// Forward-paths accepted in this transaction.
    pub fn accepted(&self) -> usize {
        match &self.state {
            State::Connected | State::Greeted(_) | State::Mail(..) => 0,
            State::Rcpt(_, _, accepted) | State::Chunks(_, accepted) => accepted.get(),
        }
    }

    /// How many forward-paths may be asked for before their answers are needed.
    pub fn room(&self) -> usize {
        self.bounds.recipients.saturating_sub(self.accepted())
    }
}

#[cfg(test)]
#[path = "dialog_tests.rs"]
mod tests;
