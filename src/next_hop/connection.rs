//! One connection to a next hop: octets out, replies in, everything under a time-out.
//!
//! It counts one reply per command and never sends a command, let alone a message, while something unasked lies in
//! its input: what is read then could not be matched with what was said. It must never know what a transaction is,
//! whose mail it carries or where the connection goes when it is done.
//! Any failure leaves it unusable; the caller drops it, which closes the socket without a word.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use crate::smtp::extensions::Extensions;
use crate::smtp::reply::Reply;
use crate::smtp::reply_reader::ReplyReader;

use super::address::Address;
use super::settings::Limits;
use super::unreachable::{Step, Unreachable};

/// Commands that may be unanswered at once. Bounded so that replies and commands cannot fill both directions'
/// buffers and wait for each other (RFC 2920 3.1).
const OUTSTANDING_COMMANDS: usize = 64;
/// Octets of the message for which one `data_block_timeout_seconds` is given.
const BLOCK_OCTETS: usize = 64 * 1024;
/// Slices in one vectored write.
const BLOCK_SLICES: usize = 64;
const READ_OCTETS: usize = 8 * 1024;
/// How long we wait for the farewell of a connection that nobody needs any more.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);

/// What a connection needs of a socket.
pub(super) trait Stream: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin> Stream for T {}

/// One command line, without CRLF, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) step: Step,
    pub(super) line: String,
}

impl Command {
    pub(super) fn new(step: Step, line: String) -> Self {
        Self { step, line }
    }
}

/// What came back for a row of commands: one reply each, in order, as far as they came.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub(super) replies: VecDeque<Reply>,
    /// Why the rest did not come; the connection is gone.
    pub(super) broken: Option<Unreachable>,
}

/// How a message left.
#[derive(Debug)]
pub(super) enum Left {
    /// All of it, with the dot.
    WithDot,
    /// The dot was not sent: it would have come too late.
    NoTime,
    /// The dot was not sent whole: the connection failed.
    Broken(Unreachable),
}

/// A greeted connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    input: BytesMut,
    reader: ReplyReader,
    limits: Limits,
    extensions: Extensions,
    way: Way,
    verified: bool,
}

/// Whether anybody can listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Everybody on the way.
    Clear,
    /// TLS.
    Secure,
}

impl Connection {
    /// A socket on which nothing was said yet.
    pub(super) fn new(stream: Box<dyn Stream>, limits: Limits) -> Self {
        Self {
            stream,
            input: BytesMut::with_capacity(READ_OCTETS),
            reader: ReplyReader::new(limits.reply()),
            limits,
            extensions: Extensions::default(),
            way: Way::Clear,
            verified: false,
        }
    }

    /// Whether anybody can listen.
    pub(super) fn way(&self) -> Way {
        self.way
    }

    /// Whether TLS proved who the server is.
    pub(super) fn is_verified(&self) -> bool {
        self.verified
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn set_extensions(&mut self, extensions: Extensions) {
        self.extensions = extensions;
    }

    /// Whether octets were read that belong to no reply we waited for.
    pub(super) fn has_unread_input(&self) -> bool {
        !self.input.is_empty() || !self.reader.is_between_replies()
    }

    /// The socket, to be put under TLS.
    pub(super) fn take_stream(&mut self) -> Box<dyn Stream> {
        let (nothing, _) = tokio::io::duplex(1);
        std::mem::replace(&mut self.stream, Box::new(nothing))
    }

    /// The socket under TLS; what the server announced in clear is forgotten.
    pub(super) fn set_secure(&mut self, stream: Box<dyn Stream>, verified: bool) {
        self.stream = stream;
        self.extensions = Extensions::default();
        self.way = Way::Secure;
        self.verified = verified;
    }

    /// What its server announced.
    pub(super) fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// One command, one reply. 421 is an error here as everywhere.
    pub(super) async fn ask(
        &mut self,
        step: Step,
        line: &str,
        until: Option<Instant>,
    ) -> Result<Reply, Unreachable> {
        let seconds = match step {
            Step::Data => self.limits.data_start_timeout_seconds,
            _ => self.limits.command_timeout_seconds,
        };
        self.quiet(step).await?;
        self.write(step, &format!("{line}\r\n"), due(seconds, until))
            .await?;
        let reply = self.reply(step, due(seconds, until)).await?;
        if reply.code() == 421 {
            return Err(Unreachable::said(step, &reply));
        }
        Ok(reply)
    }

    /// Sends a row of commands, in one write as far as PIPELINING allows, and reads their replies. Stops at a 421, at
    /// an XFORWARD that is not answered 2xx, and, as soon as it is seen, at a MAIL that is not.
    pub(super) async fn exchange(
        &mut self,
        commands: &[Command],
        until: Option<Instant>,
    ) -> Exchange {
        let mut exchange = Exchange::default();
        let group_size = match self.extensions.pipelining {
            true => OUTSTANDING_COMMANDS,
            false => 1,
        };
        for group in commands.chunks(group_size) {
            match self.exchange_group(group, &mut exchange, until).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    exchange.broken = Some(error);
                    break;
                }
            }
        }
        exchange
    }

    /// One write, all its replies. False: what would follow is pointless.
    async fn exchange_group(
        &mut self,
        group: &[Command],
        exchange: &mut Exchange,
        until: Option<Instant>,
    ) -> Result<bool, Unreachable> {
        let Some(first) = group.first() else {
            return Ok(true);
        };
        self.quiet(first.step).await?;
        let mut text = String::new();
        for command in group {
            text.push_str(&command.line);
            text.push_str("\r\n");
        }
        let by = due(self.limits.command_timeout_seconds, until);
        self.write(first.step, &text, by).await?;
        let mut go_on = true;
        for command in group {
            let seconds = match command.step {
                Step::Data => self.limits.data_start_timeout_seconds,
                _ => self.limits.command_timeout_seconds,
            };
            let reply = self.reply(command.step, due(seconds, until)).await?;
            let refused = !reply.is_done();
            if reply.code() == 421 || (command.step == Step::Xforward && refused) {
                return Err(Unreachable::said(command.step, &reply));
            }
            go_on &= !(command.step == Step::Mail && refused);
            exchange.replies.push_back(reply);
        }
        Ok(go_on)
    }

    /// Sends the stuffed octets of a message, dot included, unless the dot would leave after `no_dot_after`.
    pub(super) async fn content<'a>(
        &mut self,
        stuffed: impl Iterator<Item = &'a [u8]>,
        no_dot_after: Instant,
    ) -> Left {
        // A reply to something we did not ask is not an invitation to send a message (promise 6).
        if let Err(error) = self.quiet(Step::Content).await {
            return Left::Broken(error);
        }
        let mut blocks = Blocks {
            slices: stuffed,
            rest: &[],
            ahead: None,
        };
        let mut block: Vec<&'a [u8]> = Vec::with_capacity(BLOCK_SLICES);
        loop {
            let is_last = blocks.fill(&mut block);
            if is_last && let Err(error) = self.quiet(Step::Content).await {
                return Left::Broken(error);
            }
            let now = Instant::now();
            let by = due(self.limits.data_block_timeout_seconds, Some(no_dot_after));
            if by <= now {
                return Left::NoTime;
            }
            let mut slices: Vec<IoSlice<'_>> = block.iter().map(|s| IoSlice::new(s)).collect();
            match timeout_at(by, write_all(&mut self.stream, &mut slices)).await {
                Ok(Ok(())) if is_last => return Left::WithDot,
                Ok(Ok(())) => {}
                Ok(Err(source)) => {
                    let step = Step::Content;
                    return Left::Broken(Unreachable::Io { step, source });
                }
                // The writes are not complete, so neither is the dot.
                Err(_) if by == no_dot_after => return Left::NoTime,
                Err(_) => {
                    let step = Step::Content;
                    return Left::Broken(Unreachable::TimedOut { step });
                }
            }
        }
    }

    /// The next reply, whatever it says.
    pub(super) async fn reply(&mut self, step: Step, by: Instant) -> Result<Reply, Unreachable> {
        loop {
            let (used, reply) = self
                .reader
                .push(&self.input)
                .map_err(|source| Unreachable::Garbage { step, source })?;
            self.input.advance(used);
            if let Some(reply) = reply {
                return Ok(reply);
            }
            self.input.reserve(READ_OCTETS);
            let read = timeout_at(by, self.stream.read_buf(&mut self.input))
                .await
                .map_err(|_| Unreachable::TimedOut { step })?
                .map_err(|source| Unreachable::Io { step, source })?;
            if read == 0 {
                return Err(Unreachable::Closed { step });
            }
        }
    }

    /// Fails when the next hop has said something that nobody asked for, or is gone.
    pub(super) async fn quiet(&mut self, step: Step) -> Result<(), Unreachable> {
        if !self.input.is_empty() || !self.reader.is_between_replies() {
            return Err(Unreachable::OutOfTurn { step });
        }
        let mut octet = [0; 1];
        let seen = poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut octet);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Pending => Poll::Ready(Ok(None)),
                Poll::Ready(Ok(())) => Poll::Ready(Ok(Some(buffer.filled().len()))),
                Poll::Ready(Err(source)) => Poll::Ready(Err(source)),
            }
        })
        .await;
        match seen {
            Ok(None) => Ok(()),
            Ok(Some(0)) => Err(Unreachable::Closed { step }),
            Ok(Some(_)) => Err(Unreachable::OutOfTurn { step }),
            Err(source) => Err(Unreachable::Io { step, source }),
        }
    }

    /// QUIT, and a short wait for its reply (RFC 5321 4.1.1.10). Nothing depends on it.
    pub(super) async fn farewell(&mut self) {
        let by = Some(Instant::now() + FAREWELL);
        if let Err(error) = self.ask(Step::Quit, "QUIT", by).await {
            tracing::debug!(%error, "next hop left without a farewell");
        }
        let _ = timeout_at(Instant::now() + FAREWELL, self.stream.shutdown()).await;
    }

    async fn write(&mut self, step: Step, text: &str, by: Instant) -> Result<(), Unreachable> {
        timeout_at(by, self.stream.write_all(text.as_bytes()))
            .await
            .map_err(|_| Unreachable::TimedOut { step })?
            .map_err(|source| Unreachable::Io { step, source })?;
        // TLS keeps what the socket did not take.
        timeout_at(by, self.stream.flush())
            .await
            .map_err(|_| Unreachable::TimedOut { step })?
            .map_err(|source| Unreachable::Io { step, source })
    }
}

/// The instant at which a step that may take `seconds` has taken too long.
pub(super) fn due(seconds: u64, until: Option<Instant>) -> Instant {
    let by = Instant::now() + Duration::from_secs(seconds);
    until.map_or(by, |until| until.min(by))
}

/// A socket to a server, nothing said on it yet. A name is resolved anew each time; of its addresses the first that answers is
/// used, and all of them are tried by `by`.
pub(super) async fn connect(
    address: &Address,
    source: Option<IpAddr>,
    by: Instant,
) -> io::Result<Box<dyn Stream>> {
    match address {
        Address::Tcp { host, port } => {
            let resolved: Vec<SocketAddr> = lookup_host((host.as_str(), *port))
                .await?
                .filter(|address| source.is_none_or(|own| own.is_ipv4() == address.is_ipv4()))
                .collect();
            let stream = connect_any(&resolved, source, by).await?;
            // Without it, a dot sent apart from its message waits 40 ms for a delayed ACK.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Address::Maildir(_) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "a maildir is not connected to",
        )),
    }
}

/// To the first of these that answers. One that swallows our packets leaves the others their share of the time.
async fn connect_any(
    addresses: &[SocketAddr],
    source: Option<IpAddr>,
    by: Instant,
) -> io::Result<TcpStream> {
    let mut last = io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        "the host has no address, or none of source_address's family",
    );
    for (tried, address) in addresses.iter().enumerate() {
        let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = by.saturating_duration_since(Instant::now()) / others;
        match timeout(share, connect_one(*address, source)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

async fn connect_one(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(source) = source {
        socket.bind((source, 0).into())?;
    }
    socket.connect(address).await
}

async fn write_all(stream: &mut Box<dyn Stream>, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        let written = stream.write_vectored(slices).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut slices, written);
    }
    stream.flush().await
}

/// Slices cut into blocks, so that each block has its own time-out and the one with the dot is known before it leaves.
struct Blocks<'a, I> {
    slices: I,
    rest: &'a [u8],
    ahead: Option<&'a [u8]>,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Blocks<'a, I> {
    /// Fills the next block; true when it is the last.
    fn fill(&mut self, block: &mut Vec<&'a [u8]>) -> bool {
        block.clear();
        let mut room = BLOCK_OCTETS;
        while room > 0 && block.len() < BLOCK_SLICES {
            if self.rest.is_empty() {
                match self.ahead.take().or_else(|| self.slices.next()) {
                    Some(slice) => self.rest = slice,
                    None => return true,
                }
            }
            let (now, later) = self.rest.split_at_checked(room).unwrap_or((self.rest, &[]));
            room -= now.len();
            block.push(now);
            self.rest = later;
        }
        if self.rest.is_empty() && self.ahead.is_none() {
            self.ahead = self.slices.next();
        }
        self.rest.is_empty() && self.ahead.is_none()
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
