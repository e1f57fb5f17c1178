//! A socket for a client that is not ours, which holds it to the rules of [`super::connection`].
//!
//! It lets one reply through for each command, whole, read with our limits; anything unasked is an error. It sees the
//! final dot go by and holds it back when it would be late. It must never change an octet of the message.
//! Failure is an [`io::Error`] to the client, and the reason stands in [`Seen`].

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::smtp::reply::Reply;
use crate::smtp::reply_reader::{ReplyLimits, ReplyReader};

use super::connection::Stream;

const READ_OCTETS: usize = 4 * 1024;
const END_OF_DATA: &[u8] = b"\r\n.\r\n";

/// What the guard has seen, shared with whoever drives the client.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The reply to the last command but QUIT, as it was said.
    pub(super) reply: Option<Reply>,
    /// Whether the octets written are a message and not commands.
    pub(super) content: bool,
    /// Whether the end of data was handed to the system, whole.
    pub(super) dot: bool,
    /// Whether it was held back for lack of time.
    pub(super) no_time: bool,
}

/// The socket.
pub(super) struct Guarded {
    stream: Box<dyn Stream>,
    reader: ReplyReader,
    /// A reply that the client has not read to its end.
    ready: Vec<u8>,
    /// Whether a reply may come: after connecting and after each command.
    owed: bool,
    /// Whether the last command was QUIT: its reply says nothing about the message.
    quitting: bool,
    /// The last octets of the message written, to recognise its end.
    tail: Vec<u8>,
    no_dot_after: Instant,
    seen: Arc<Mutex<Seen>>,
}

impl Guarded {
    pub(super) fn new(
        stream: Box<dyn Stream>,
        limits: ReplyLimits,
        no_dot_after: Instant,
    ) -> (Self, Arc<Mutex<Seen>>) {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let guarded = Self {
            stream,
            reader: ReplyReader::new(limits),
            ready: Vec::new(),
            owed: true,
            quitting: false,
            tail: Vec::new(),
            no_dot_after,
            seen: Arc::clone(&seen),
        };
        (guarded, seen)
    }

    /// Takes octets from the next hop; they must be part of the one reply owed.
    fn hear(&mut self, octets: &[u8]) -> io::Result<()> {
        let out_of_turn = || io::Error::new(ErrorKind::InvalidData, "next hop spoke out of turn");
        if !self.owed {
            return Err(out_of_turn());
        }
        let (used, reply) = self
            .reader
            .push(octets)
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        if let Some(reply) = reply {
            self.owed = false;
            if used < octets.len() {
                return Err(out_of_turn());
            }
            self.ready = reply.to_wire().into_bytes();
            if !self.quitting {
                seen(&self.seen).reply = Some(reply);
            }
        }
        Ok(())
    }

    /// Before a write: nothing unasked may lie in the input.
    fn check_quiet(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.owed {
            // In the midst of writing one command or message.
            return Ok(());
        }
        let mut octets = [0; 1];
        let mut buffer = ReadBuf::new(&mut octets);
        match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                Err(ErrorKind::UnexpectedEof.into())
            }
            Poll::Ready(Ok(())) => Err(io::Error::new(
                ErrorKind::InvalidData,
                "next hop spoke out of turn",
            )),
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    /// No octet of a message, its dot least of all, leaves when it is too late for the dot.
    fn check_time(&self) -> io::Result<()> {
        let mut seen = seen(&self.seen);
        if seen.content && Instant::now() >= self.no_dot_after {
            seen.no_time = true;
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    fn written(&mut self, octets: &[u8]) {
        let mut seen = seen(&self.seen);
        if !seen.content {
            self.owed = true;
            self.quitting = octets == b"QUIT\r\n";
            if !self.quitting {
                seen.reply = None;
            }
            return;
        }
        let keep = octets.len().saturating_sub(END_OF_DATA.len());
        self.tail
            .extend_from_slice(octets.get(keep..).unwrap_or_default());
        let surplus = self.tail.len().saturating_sub(END_OF_DATA.len());
        self.tail.drain(..surplus);
        if self.tail == END_OF_DATA {
            seen.dot = true;
            seen.reply = None;
            self.owed = true;
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.ready.is_empty() {
            let mut octets = [0; READ_OCTETS];
            let mut read = ReadBuf::new(&mut octets);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
            self.hear(read.filled())?;
        }
        let count = self.ready.len().min(buffer.remaining());
        let taken: Vec<u8> = self.ready.drain(..count).collect();
        buffer.put_slice(&taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_quiet(context)?;
        self.check_time()?;
        let count = ready!(Pin::new(&mut self.stream).poll_write(context, octets))?;
        self.written(octets.get(..count).unwrap_or_default());
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncTokioStream for Guarded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(ErrorKind::Unsupported.into())
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Guarded").finish_non_exhaustive()
    }
}

/// No code panics while it holds this.
pub(super) fn seen(shared: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
