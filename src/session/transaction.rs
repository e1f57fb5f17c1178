//! From DATA to its answer: 354, the message to its true end, and what the relay says of it.
//!
//! Knows waiting and the order of replies, not what a message is. A message that is refused or cut short is never handed
//! over; one that is handed over is always answered, even when the relay fails.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::body::Body;
use super::memory::Share;
use super::wire::WireError;
use super::{Flow, Session, is_due_back};
use crate::relay::{self, Answer, Open};
use crate::smtp::Protocol;
use crate::smtp::data::{DataLimits, DataReader, Violation};
use crate::smtp::replies;
use crate::smtp::reply::Reply;
use crate::smtp::xforward::Xforward;

/// How long a message may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    silence: Duration,
    last: Instant,
}

/// How the reading of a message ended.
pub(super) enum Read {
    /// With the room it takes.
    Whole(Vec<u8>, Share),
    Refused(Violation),
    /// The client was too slow: the session ends with this reply.
    TooSlow(Reply),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<'_, S> {
    /// What the relay is told of the client.
    pub(super) fn client(&self) -> relay::Client {
        let hello = self.dialog.hello_said();
        relay::Client {
            listener: self.door.listener.clone(),
            protocol: match self.door.protocol {
                Protocol::Smtp => relay::Protocol::Smtp,
                Protocol::Lmtp => relay::Protocol::Lmtp,
            },
            esmtp: hello.is_some_and(|hello| hello.extended),
            address: self.identity.ip(),
            port: self.identity.address.map(|address| address.port()),
            helo: match (&self.identity.helo, hello) {
                (Some(helo), _) => helo.clone(),
                (None, hello) => hello.map(|hello| hello.name.clone()).unwrap_or_default(),
            },
            login: self.identity.login.clone(),
            tls: self.identity.tls.map(str::to_owned),
            xforward: self.xforward.clone(),
            session: self.peer.session.clone(),
        }
    }

    /// DATA, its message and its answer.
    pub(super) async fn data(&mut self) -> Result<Flow, WireError> {
        self.wire.say(&replies::go_ahead());
        self.wire.flush().await?;
        let read = self.read_message().await?;
        self.wire.message_read();
        self.message_read(read).await
    }

    /// Hands a message over, or refuses it, and says the answer.
    pub(super) async fn message_read(&mut self, read: Read) -> Result<Flow, WireError> {
        let accepted = self.dialog.accepted();
        let open = self.open.take();
        self.xforward = Xforward::default();
        let (answer, flow) = match (read, open) {
            (Read::Whole(message, _share), Some(open)) => {
                (hand_over(open.end_of_data(message)).await, Flow::GoOn)
            }
            (Read::Whole(..), None) => (Answer::One(replies::internal_fault()), Flow::GoOn),
            (Read::Refused(violation), open) => {
                abandon(open).await;
                let flow = if violation.end_was_seen() {
                    Flow::GoOn
                } else {
                    Flow::Close
                };
                tracing::info!(session = self.peer.session, client = ?self.identity.ip(), reason = %violation, "message refused");
                self.shared.counters.refused(violation);
                (Answer::One(violation.into()), flow)
            }
            (Read::TooSlow(reply), open) => {
                abandon(open).await;
                self.dismiss(&reply)?;
                return Ok(Flow::Close);
            }
        };
        self.dialog.message_answered();
        self.answer(answer, accepted);
        Ok(flow)
    }

    /// The limits of a message.
    pub(super) fn data_limits(&self) -> DataLimits {
        let limits = &self.shared.limits;
        DataLimits {
            message_octets: limits.message_octets,
            line_octets: limits.line_octets,
            header_octets: limits.header_octets,
        }
    }

    /// Reads to the end of data. Waiting is bounded twice: for each piece, and for all of them.
    async fn read_message(&mut self) -> Result<Read, WireError> {
        let newlines = self.door.bare_newlines;
        let mut reader = DataReader::new(self.data_limits()).with_newlines(newlines);
        let mut body = Body::new(&self.shared);
        let patience = self.patience();
        loop {
            let (consumed, outcome) = reader.push(self.wire.input(), &mut body.held);
            self.wire.consume(consumed);
            match outcome {
                Some(Ok(())) => return Ok(self.taken_in(&reader, body).await),
                Some(Err(violation)) => return Ok(Read::Refused(violation)),
                None => body.settle(&mut reader).await,
            }
            if let Some(reply) = self.wait_for_data(patience).await? {
                return Ok(Read::TooSlow(reply));
            }
        }
    }

    /// A message that came to its end, where there is room for it.
    pub(super) async fn taken_in(&self, reader: &DataReader, body: Body) -> Read {
        self.remark(reader);
        match body.whole().await {
            Ok((message, share)) => Read::Whole(message, share),
            Err(violation) => Read::Refused(violation),
        }
    }

    /// What an operator should know of how a message came.
    fn remark(&self, reader: &DataReader) {
        if reader.normalized() > 0 {
            tracing::info!(
                session = self.peer.session,
                lines = reader.normalized(),
                "bare LFs became CRLF (bare_newlines)"
            );
        }
    }

    /// How long a message may take from now on: each piece, and the end of all of them.
    pub(super) fn patience(&self) -> Patience {
        let limits = &self.shared.limits;
        Patience {
            silence: Duration::from_secs(limits.data_timeout_seconds),
            last: Instant::now() + Duration::from_secs(limits.data_total_seconds),
        }
    }

    /// The reply with which the session ends when the message has taken all its time.
    pub(super) fn out_of_time(&self, patience: Patience) -> Option<Reply> {
        let seconds = self.shared.limits.data_total_seconds;
        let over = Instant::now() >= patience.last;
        over.then(|| replies::timed_out("data_total_seconds", seconds))
    }

    /// Waits for more of the message; the reply with which the session ends when it took too long. The connection held
    /// upstream is given back in time.
    pub(super) async fn wait_for_data(
        &mut self,
        patience: Patience,
    ) -> Result<Option<Reply>, WireError> {
        // RFC 2920 3.2: whoever waits for a client has told it everything; it may say the rest of a chunk only then.
        self.wire.flush().await?;
        let limits = &self.shared.limits;
        let silent = Instant::now() + patience.silence;
        let deadline = patience.last.min(silent);
        let (limit, seconds) = if patience.last <= silent {
            ("data_total_seconds", limits.data_total_seconds)
        } else {
            ("data_timeout_seconds", limits.data_timeout_seconds)
        };
        loop {
            tokio::select! {
                filled = self.wire.fill_data() => return filled.map(|()| None),
                () = sleep_until(deadline) => return Ok(Some(replies::timed_out(limit, seconds))),
                () = is_due_back(self.open.as_ref()) => self.release().await,
            }
        }
    }

    /// Says the answer: one reply over SMTP, one per accepted forward-path over LMTP (RFC 2033 4.2).
    fn answer(&mut self, answer: Answer, accepted: usize) {
        let replies = match (self.door.protocol, answer) {
            (Protocol::Smtp, Answer::One(reply)) => vec![reply],
            (Protocol::Lmtp, Answer::One(reply)) => vec![reply; accepted],
            (Protocol::Lmtp, Answer::Each(replies)) if replies.len() == accepted => replies,
            (protocol, Answer::Each(replies)) => {
                // Whatever was sent, a wrong number of replies would be taken for answers to later commands.
                tracing::error!(
                    session = self.peer.session,
                    accepted,
                    answered = replies.len(),
                    "answers do not fit the forward-paths"
                );
                let count = if protocol == Protocol::Smtp {
                    1
                } else {
                    accepted
                };
                vec![replies::internal_fault(); count]
            }
        };
        for reply in &replies {
            self.wire.say(reply);
        }
    }
}

/// Gives the message to the relay in a task of its own: neither the end of this session nor a fault in the journey may
/// cut short what was begun, and a fault is answered 451 instead of by silence.
async fn hand_over(journey: impl Future<Output = Answer> + Send + 'static) -> Answer {
    match tokio::spawn(journey).await {
        Ok(answer) => answer,
        Err(fault) => {
            tracing::error!(%fault, "the journey of a message broke off");
            Answer::One(replies::internal_fault())
        }
    }
}

async fn abandon(open: Option<Open>) {
    if let Some(open) = open {
        open.abandon().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fault in the journey of one message is that message's: 451, so that its client keeps it and comes back.
    #[tokio::test]
    async fn a_journey_that_panics_is_answered_and_the_next_one_is_served() {
        let broken = hand_over(async { panic!("a fault in the journey") });
        assert_eq!(broken.await, Answer::One(replies::internal_fault()));
        assert_eq!(replies::internal_fault().code(), 451);
        let sound = hand_over(async { Answer::One(replies::ok()) });
        assert_eq!(sound.await, Answer::One(replies::ok()));
    }
}
