//! The legal order of commands (RFC 5321 4.1.4, RFC 2033 4), as states that hold what is known so far.
//!
//! Pure: no reading, no waiting, no clock. It says what a command means now; the session does it and tells the outcome
//! back. It must never know who may relay, what a next hop is, or what is in a message.
//! A command out of order is a reply, never an error; a client that sends too many of them is told to go.

use std::num::NonZeroUsize;

use crate::smtp::Protocol;
use crate::smtp::command::Command;
use crate::smtp::replies;
use crate::smtp::reply::Reply;
use crate::smtp::transaction::{Mail, Rcpt};
use crate::smtp::xforward::Attribute;

/// What bounds a dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// What the listener speaks.
    pub protocol: Protocol,
    /// Whether this client may use XFORWARD.
    pub xforward: bool,
    /// Accepted forward-paths of one transaction.
    pub recipients: usize,
    /// Wrong commands since the last message, before the client is sent away.
    pub bad_commands: usize,
    /// Commands that move no mail since the last message, before the client is sent away.
    pub idle_commands: usize,
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
    /// Drop the transaction if there is one, and say 250.
    Reset,
    /// Keep these for the next transaction, and say 250.
    Xforward(Vec<(Attribute, String)>),
}

/// The dialog with one client.
#[derive(Debug)]
pub struct Dialog {
    bounds: Bounds,
    state: State,
    bad: usize,
    idle: usize,
}

impl Dialog {
    /// The dialog after the greeting.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            state: State::Connected,
            bad: 0,
            idle: 0,
        }
    }

    /// What one line means now. A line that was no command comes with the reply it deserves.
    pub fn step(&mut self, command: Result<Command, Reply>) -> Step {
        let moves_mail = matches!(
            command,
            Ok(Command::Rcpt(_) | Command::Data | Command::Quit)
        );
        let step = match command {
            Ok(command) => self.legal(command),
            Err(reply) => Step::Say(reply),
        };
        if let Step::Say(reply) = &step
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
            Command::Starttls => Step::Say(replies::not_implemented("STARTTLS")),
            Command::Auth => Step::Say(replies::not_implemented("AUTH")),
            Command::Xclient => Step::Say(replies::not_implemented("XCLIENT")),
            // What follows BDAT is content. Read as commands it would be a second message (faults.md 2.1).
            Command::Bdat => Step::Close(replies::not_implemented("BDAT")),
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
            State::Mail(..) | State::Rcpt(..) => {
                Step::Say(replies::bad_sequence("A transaction is open already"))
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
        }
    }

    fn xforward(&self, pairs: Vec<(Attribute, String)>) -> Step {
        if !self.bounds.xforward {
            return Step::Say(replies::xforward_not_allowed());
        }
        match &self.state {
            State::Connected => Step::Say(replies::hello_first(self.bounds.protocol)),
            State::Greeted(_) => Step::Xforward(pairs),
            State::Mail(..) | State::Rcpt(..) => {
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
            State::Connected | State::Greeted(_) => return,
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
            State::Mail(hello, _) | State::Rcpt(hello, _, _) => {
                self.state = State::Greeted(hello.clone());
            }
        }
    }

    /// How the client introduced itself.
    pub fn hello_said(&self) -> Option<&Hello> {
        match &self.state {
            State::Connected => None,
            State::Greeted(hello) | State::Mail(hello, _) | State::Rcpt(hello, _, _) => Some(hello),
        }
    }

    /// Forward-paths accepted in this transaction.
    pub fn accepted(&self) -> usize {
        match &self.state {
            State::Connected | State::Greeted(_) | State::Mail(..) => 0,
            State::Rcpt(_, _, accepted) => accepted.get(),
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
