//! The way out: the next hops, of which the first that is well is given the mail, and from which replies and fates come back.
//!
//! Read in this order: [`NextHop`] lends a [`Line`], the right to one connection; a `Line` begins a [`Transit`], one
//! transaction; a `Transit` ends in a [`Fate`] for each accepted forward-path and gives its `Line` back, so that the
//! next variant goes over the connection already open. Dropping a `Line` returns the connection to the pool, dropping
//! a `Transit` closes it.
//!
//! It must never know consent, findings, sessions or the spool. It never answers for the mail when only the way is
//! broken: that is [`Unreachable`], logged and counted here, 451 to the client.

pub mod address;
mod connection;
pub mod counters;
mod envelope;
pub mod fate;
mod greeting;
mod guarded;
mod maildir;
mod opening;
mod pool;
mod replies;
pub mod secure;
pub mod settings;
mod submit;
mod transaction;
pub mod unreachable;

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::mime::splice::Spliced;
use crate::smtp::Protocol;
use crate::smtp::extensions::Extensions;
use crate::smtp::parameter::{Parameter, Parameters};
use crate::smtp::path::{ForwardPath, ReversePath};
use crate::smtp::reply::Reply;
use crate::smtp::transaction::{Mail, Rcpt};
use crate::smtp::xforward::Xforward;

pub use self::envelope::SIZE_ALLOWANCE_OCTETS;
pub use self::fate::Fate;
pub use self::maildir::{StoredEnvelope, StoredRecipient};
pub use self::replies::is_about_the_way;
pub use self::settings::{Limits, Settings, SettingsError};
pub use self::unreachable::{Step, Unreachable};

use self::address::Address;
use self::counters::Counters;
use self::maildir::{Maildir, MaildirTransaction};
use self::pool::{Pools, Slot};
use self::secure::TlsMode;
use self::transaction::ServerTransaction;

/// The next hops, as one.
#[derive(Debug)]
pub struct NextHop {
    /// Of each; never empty.
    all: Vec<Settings>,
    settings: Settings,
    counters: Arc<Counters>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Server(Arc<Pools>),
    Maildir(Arc<Maildir>),
}

/// The right to one connection to a next hop, kept over several transactions. Dropping it gives the connection back.
#[derive(Debug)]
pub struct Line {
    way: LineWay,
    limits: Limits,
}

#[derive(Debug)]
enum LineWay {
    Server(Slot),
    Maildir(Arc<Maildir>),
}

/// One transaction whose MAIL was answered. Dropping it closes the connection; [`Transit::reset`] keeps it.
#[derive(Debug)]
pub struct Transit {
    way: TransitWay,
    limits: Limits,
}

#[derive(Debug)]
enum TransitWay {
    Server(Box<ServerTransaction>),
    Maildir(MaildirTransaction),
}

impl NextHop {
    /// One next hop. Nothing is connected yet.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        Self::in_order(vec![settings])
    }

    /// Next hops, of which the first that is well gets the mail. Nothing is connected yet. The times in which a client waits
    /// for our answer (`answer_within`, `dot_time`, `hold_before_data`) are those of the first.
    pub fn in_order(all: Vec<Settings>) -> Result<Self, SettingsError> {
        check_all(&all)?;
        let settings = all.first().cloned().ok_or(SettingsError::None)?;
        let counters = Arc::new(Counters::default());
        let way = match &settings.address {
            Address::Maildir(directory) => Way::Maildir(Arc::new(Maildir::new(
                directory.clone(),
                Arc::clone(&counters),
            ))),
            Address::Tcp { .. } | Address::Unix(_) => {
                Way::Server(Arc::new(Pools::new(all.clone(), &counters)?))
            }
        };
        Ok(Self {
            all,
            settings,
            counters,
            way,
        })
    }

    /// Every one of them.
    pub fn all(&self) -> &[Settings] {
        &self.all
    }

    /// Whether none of them takes mail at the moment, as far as was seen.
    pub fn is_down(&self) -> bool {
        match &self.way {
            Way::Server(pools) => pools.is_down(),
            Way::Maildir(_) => false,
        }
    }

    /// Whether one of them was reached, and has not failed since. Unlike [`NextHop::is_down`] it does not change its mind because
    /// time has passed.
    pub fn takes_mail(&self) -> bool {
        let well = |(_, failures): &(String, u32)| *failures == 0;
        self.extensions().is_some() && self.health().iter().any(well)
    }

    /// How many times each of them failed in a row; 0: it is well.
    pub fn health(&self) -> Vec<(String, u32)> {
        match &self.way {
            Way::Server(pools) => pools
                .each()
                .map(|pool| (pool.settings().address.to_string(), pool.failures()))
                .collect(),
            Way::Maildir(_) => vec![(self.settings.address.to_string(), 0)],
        }
    }

    /// The settings of the first.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What happened towards it.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether one transaction with several accepted forward-paths can end half taken: LMTP answers for each.
    pub fn answers_each(&self) -> bool {
        matches!(self.way, Way::Server(_)) && self.settings.protocol == Protocol::Lmtp
    }

    /// What all that were ever reached have announced, so that whichever of them gets a transaction can take it; `None` while
    /// none was reached. A maildir always announces the same.
    pub fn extensions(&self) -> Option<Extensions> {
        match &self.way {
            Way::Server(pools) => pools
                .each()
                .filter_map(|pool| pool.announced())
                .reduce(|one, other| one.and(&other)),
            Way::Maildir(_) => Some(Maildir::extensions()),
        }
    }

    /// Makes sure that it can be reached: an idle connection that is still open, else a new one; makes a maildir's
    /// directories.
    pub async fn reach(&self) -> Result<Extensions, Unreachable> {
        match &self.way {
            Way::Server(pool) => {
                let mut slot = pool.slot(None).await?;
                let (mut connection, used) = slot.connection(&mut Vec::new(), None).await?;
                if used && connection.quiet(Step::Connect).await.is_err() {
                    connection = slot.replacement(None).await?;
                }
                slot.pool().is_well();
                let extensions = connection.extensions().clone();
                slot.keep(connection);
                Ok(extensions)
            }
            Way::Maildir(maildir) => {
                maildir.make().await?;
                Ok(Maildir::extensions())
            }
        }
    }

    /// Waits, at most `connection_wait_seconds`, for the right to a connection.
    pub async fn line(&self, until: Option<Instant>) -> Result<Line, Unreachable> {
        let way = match &self.way {
            Way::Server(pool) => LineWay::Server(pool.slot(until).await?),
            Way::Maildir(maildir) => LineWay::Maildir(Arc::clone(maildir)),
        };
        Ok(Line {
            way,
            limits: self.settings.limits.clone(),
        })
    }

    /// [`Line::begin`] over a line of its own.
    pub async fn begin(
        &self,
        mail: &Mail,
        xforward: &Xforward,
    ) -> Result<(Transit, Reply), Unreachable> {
        self.line(None).await?.begin(mail, xforward).await
    }

    /// [`Line::transact`] over a line of its own.
    pub async fn transact(
        &self,
        mail: &Mail,
        rcpts: &[Rcpt],
        xforward: &Xforward,
        message: &Spliced,
        until: Instant,
    ) -> Vec<Fate> {
        match self.line(Some(until)).await {
            Ok(line) => {
                let (fates, _line) = line.transact(mail, rcpts, xforward, message, until).await;
                fates
            }
            Err(error) => {
                let fates = vec![Fate::Down(error.to_reply()); rcpts.len()];
                self.counters.count(&fates);
                fates
            }
        }
    }

    /// One message of our own, with a null reverse-path, to one forward-path. `message` is whole, with its last CRLF.
    pub async fn submit(&self, forward_path: &ForwardPath, message: Bytes, until: Instant) -> Fate {
        if let Way::Server(pool) = &self.way
            && self.settings.protocol == Protocol::Smtp
            && self
                .all
                .iter()
                .all(|hop| hop.tls.mode == TlsMode::None && hop.auth.is_none())
            && let Some(mailbox) = submit::is_plain(forward_path, &message)
        {
            let fate = match pool.slot(Some(until)).await {
                Ok(mut slot) => submit::submit(&mut slot, mailbox, &message, until).await,
                Err(error) => Fate::Down(error.to_reply()),
            };
            self.counters.count(std::slice::from_ref(&fate));
            return fate;
        }
        let mail = own_mail(forward_path, &message);
        let rcpt = Rcpt {
            forward_path: forward_path.clone(),
            parameters: Parameters::default(),
        };
        let (rcpts, message) = ([rcpt], Spliced::untouched(message));
        let fates = self
            .transact(&mail, &rcpts, &Xforward::default(), &message, until)
            .await;
        // One forward-path, one fate; none would mean that nobody has the message.
        fates
            .into_iter()
            .next()
            .unwrap_or_else(|| Fate::Down(replies::connection_lost()))
    }

    /// Ends idle connections when they are due. Runs until dropped; the server starts it once for each next hop.
    pub async fn tend(&self) {
        match &self.way {
            Way::Server(pools) => {
                let mut tending = tokio::task::JoinSet::new();
                for pool in pools.each() {
                    let pool = Arc::clone(pool);
                    tending.spawn(async move { pool.tend().await });
                }
                while tending.join_next().await.is_some() {}
            }
            Way::Maildir(_) => std::future::pending().await,
        }
    }

    /// Ends every idle connection with QUIT, for the end of the program.
    pub async fn close(&self) {
        if let Way::Server(pools) = &self.way {
            for pool in pools.each() {
                pool.close().await;
            }
        }
    }
}

impl Line {
    /// XFORWARD and MAIL, live: the message is not known yet. A reply that is not 2xx is the next hop's verdict on the
    /// reverse-path (or ours, where SMTPUTF8 is missing); drop the `Transit` then, its connection is not lost.
    pub async fn begin(
        self,
        mail: &Mail,
        xforward: &Xforward,
    ) -> Result<(Transit, Reply), Unreachable> {
        let (way, reply) = match self.way {
            LineWay::Server(slot) => {
                let (transaction, reply) = ServerTransaction::begin(slot, mail, xforward).await?;
                (TransitWay::Server(Box::new(transaction)), reply)
            }
            LineWay::Maildir(maildir) => {
                let (transaction, reply) = MaildirTransaction::begin(maildir, mail);
                (TransitWay::Maildir(transaction), reply)
            }
        };
        let limits = self.limits;
        Ok((Transit { way, limits }, reply))
    }

    /// XFORWARD, MAIL and every RCPT of a message that is known; one reply for each RCPT (MAIL's own for all where that
    /// was refused). No DATA: the caller sees first which forward-paths were accepted again.
    pub async fn rerun(
        self,
        mail: &Mail,
        rcpts: &[Rcpt],
        xforward: &Xforward,
        message: &Spliced,
        until: Instant,
    ) -> Result<(Transit, Vec<Reply>), Unreachable> {
        let (way, replies) = match self.way {
            LineWay::Server(slot) => {
                let (transaction, replies) =
                    ServerTransaction::rerun(slot, mail, rcpts, xforward, message, until).await?;
                (TransitWay::Server(Box::new(transaction)), replies)
            }
            LineWay::Maildir(maildir) => {
                let (mut transaction, _) = MaildirTransaction::begin(maildir, mail);
                let replies = transaction.rcpts(rcpts);
                (TransitWay::Maildir(transaction), replies)
            }
        };
        let limits = self.limits;
        Ok((Transit { way, limits }, replies))
    }

    /// A whole transaction in as few writes as the next hop allows; one fate for each RCPT. No final dot goes out with
    /// less than `dot_time_seconds` left before `until`.
    pub async fn transact(
        self,
        mail: &Mail,
        rcpts: &[Rcpt],
        xforward: &Xforward,
        message: &Spliced,
        until: Instant,
    ) -> (Vec<Fate>, Self) {
        let limits = self.limits;
        match self.way {
            LineWay::Server(slot) => {
                let (fates, slot) =
                    ServerTransaction::transact(slot, mail, rcpts, xforward, message, until).await;
                let way = LineWay::Server(slot);
                (fates, Self { way, limits })
            }
            LineWay::Maildir(maildir) => {
                let (mut transaction, _) = MaildirTransaction::begin(maildir, mail);
                let _ = transaction.rcpts(rcpts);
                let way = TransitWay::Maildir(transaction);
                Transit { way, limits }.data(message, until).await
            }
        }
    }
}

impl Transit {
    /// RCPT for each forward-path, pipelined where announced; one reply for each, in order, as the client may read it.
    pub async fn rcpts(&mut self, rcpts: &[Rcpt]) -> Vec<Reply> {
        match &mut self.way {
            TransitWay::Server(transaction) => transaction.rcpts(rcpts).await,
            TransitWay::Maildir(transaction) => transaction.rcpts(rcpts),
        }
    }

    /// Whether its connection failed: what was not answered by then was not heard.
    pub fn is_lost(&self) -> bool {
        match &self.way {
            TransitWay::Server(transaction) => transaction.is_lost(),
            TransitWay::Maildir(_) => false,
        }
    }

    /// Until other mail waits for a connection, which this one may be holding for a client that is slow.
    pub async fn is_wanted(&self) {
        match &self.way {
            TransitWay::Server(transaction) => transaction.is_wanted().await,
            TransitWay::Maildir(_) => std::future::pending().await,
        }
    }

    /// RSET. The line is kept; drop it to give the connection back.
    pub async fn reset(self) -> Line {
        let way = match self.way {
            TransitWay::Server(transaction) => LineWay::Server(transaction.reset().await),
            TransitWay::Maildir(transaction) => LineWay::Maildir(transaction.into_maildir()),
        };
        let limits = self.limits;
        Line { way, limits }
    }

    /// DATA, the message, the dot; one fate for each *accepted* forward-path, in order. No dot goes out with less than
    /// `dot_time_seconds` left before `until`, and none without a 354.
    pub async fn data(self, message: &Spliced, until: Instant) -> (Vec<Fate>, Line) {
        let limits = self.limits;
        let (fates, way) = match self.way {
            TransitWay::Server(transaction) => {
                let (fates, slot) = transaction.data(message, until).await;
                (fates, LineWay::Server(slot))
            }
            TransitWay::Maildir(transaction) => {
                let no_dot_after = limits.no_dot_after(until);
                let (fates, maildir) = transaction.data(message, no_dot_after, until).await;
                (fates, LineWay::Maildir(maildir))
            }
        };
        (fates, Line { way, limits })
    }
}

/// Whether they can stand in for each other.
pub fn check_all(all: &[Settings]) -> Result<(), SettingsError> {
    let Some(first) = all.first() else {
        return Err(SettingsError::None);
    };
    for settings in all {
        settings.check()?;
        let maildir = matches!(settings.address, Address::Maildir(_));
        if settings.protocol != first.protocol || (maildir && all.len() > 1) {
            return Err(SettingsError::Different(settings.address.to_string()));
        }
    }
    Ok(())
}

/// The MAIL of a message of our own, with the parameters it needs.
fn own_mail(forward_path: &ForwardPath, message: &[u8]) -> Mail {
    let mut parameters = Parameters::default();
    let mut need = |keyword: &str, value: Option<&str>| {
        parameters.0.push(Parameter {
            keyword: keyword.to_owned(),
            value: value.map(str::to_owned),
        });
    };
    if !message.is_ascii() {
        need("BODY", Some("8BITMIME"));
    }
    if !forward_path.as_str().is_ascii() || !envelope::header_is_ascii([message].into_iter()) {
        need("SMTPUTF8", None);
    }
    Mail {
        reverse_path: ReversePath::Null,
        parameters,
    }
}
