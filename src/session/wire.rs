//! Octets in and out of one connection: lines that end in CRLF, pipelined input kept, replies gathered into one write.
//!
//! Everything is bounded: a line by octets, a write by time, the buffers by both. It must never know what a line means.
//! A connection that breaks a bound is an error or a [`Line`] that says so; the session decides what to answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConfig;

use super::counters::Counters;
use super::stream::{Stream, TlsFacts};
use crate::smtp::reply::Reply;

/// Octets asked of the kernel at once while commands are read.
const COMMAND_CHUNK_OCTETS: usize = 4 << 10;
/// Octets asked of the kernel at once while a message is read.
const DATA_CHUNK_OCTETS: usize = 64 << 10;
/// Replies gathered before they are written although more commands wait, in octets.
const GATHERED_OCTETS: usize = 16 << 10;
/// How many times the line limit is read in search of the end of a line that is too long.
const TOO_LONG_FACTOR: usize = 16;
/// How long a connection that we closed is read on.
const LINGER: Duration = Duration::from_secs(1);
/// How much of it, in octets.
const LINGER_OCTETS: usize = 1 << 20;

/// Why a connection cannot go on. None of it is answered: nobody would read it.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The client closed.
    #[error("the client closed the connection")]
    Closed,
    /// The handshake failed, or took longer than it may.
    #[error("the TLS handshake failed: {0}")]
    Handshake(String),
    /// The client does not read what we write.
    #[error("the client did not read our replies for {} s", .0.as_secs())]
    NotRead(Duration),
    /// The system says so.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

impl WireError {
    /// For counting; nothing where a client only went away.
    pub fn as_str(&self) -> Option<&'static str> {
        match self {
            Self::Closed | Self::Io(_) => None,
            Self::Handshake(_) => Some("tls_handshake"),
            Self::NotRead(_) => Some("write_timeout_seconds"),
        }
    }
}

/// Octets of a verb (RFC 5321 4.1.1: all that matter here have four).
const VERB: usize = 4;

/// One line of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Without its CRLF.
    Whole(Vec<u8>),
    /// Longer than the limit; it was consumed up to its end. Its first four octets, which are a verb.
    TooLong(Vec<u8>),
    /// Longer than any patience, or with a CR or LF that stands alone: where the next command starts is not known.
    Lost(Lost),
}

/// Why the start of the next command is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// A bare CR or LF.
    BareLineEnd,
    /// No line end in sight.
    Endless,
}

/// The buffers of one connection.
#[derive(Debug)]
pub struct Wire<S> {
    stream: Stream<S>,
    input: BytesMut,
    /// Octets at the front of `input` that hold no LF.
    searched: usize,
    /// Octets of a line that is too long, thrown away so far.
    dropped: usize,
    /// How that line begins.
    begins: Vec<u8>,
    output: Vec<u8>,
    line_octets: usize,
    write_timeout: Duration,
    counters: Option<Arc<Counters>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A wire over a fresh connection. `line_octets` bounds a command line with its CRLF.
    pub fn new(stream: S, line_octets: usize, write_timeout: Duration) -> Self {
        Self {
            stream: Stream::Plain(stream),
            input: BytesMut::new(),
            begins: Vec::new(),
            searched: 0,
            dropped: 0,
            output: Vec::new(),
            line_octets,
            write_timeout,
            counters: None,
        }
    }

    /// The same wire, which counts its replies.
    #[must_use]
    pub fn counting(self, counters: Arc<Counters>) -> Self {
        Self {
            counters: Some(counters),
            ..self
        }
    }

    /// Goes over to TLS. What the client said in clear behind its STARTTLS is thrown away (RFC 3207 6: whoever sits in the
    /// middle may have put it there); what it says from now on is read under TLS.
    pub async fn secure(
        &mut self,
        config: Arc<ServerConfig>,
        within: Duration,
    ) -> Result<TlsFacts, WireError> {
        self.input.clear();
        self.searched = 0;
        self.dropped = 0;
        match timeout(within, self.stream.secure(config)).await {
            Ok(Ok(facts)) => Ok(facts),
            Ok(Err(error)) => Err(WireError::Handshake(error.to_string())),
            Err(_) => Err(WireError::Handshake(format!(
                "nothing within {} s (handshake_timeout_seconds)",
                within.as_secs()
            ))),
        }
    }

    /// How long a line may be from now on, with its CRLF.
    pub fn limit_lines(&mut self, octets: usize) {
        self.line_octets = octets;
    }

    /// How long a client may take to read from now on.
    pub fn limit_writes(&mut self, timeout: Duration) {
        self.write_timeout = timeout;
    }

    /// The next line, if it has arrived. Does not wait.
    pub fn line(&mut self) -> Option<Line> {
        let unsearched = self.input.get(self.searched..).unwrap_or_default();
        let Some(found) = memchr::memchr(b'\n', unsearched) else {
            self.searched = self.input.len();
            return self.overflow();
        };
        let end = self.searched + found;
        self.searched = 0;
        let dropped = std::mem::take(&mut self.dropped);
        let mut line = self.input.split_to(end + 1);
        line.truncate(end);
        if line.last() != Some(&b'\r') {
            return Some(Line::Lost(Lost::BareLineEnd));
        }
        line.truncate(end - 1);
        if memchr::memchr(b'\r', &line).is_some() {
            return Some(Line::Lost(Lost::BareLineEnd));
        }
        if dropped + end + 1 > self.line_octets {
            let begins = match dropped {
                0 => line.get(..VERB).unwrap_or_default().to_vec(),
                _ => std::mem::take(&mut self.begins),
            };
            return Some(Line::TooLong(begins));
        }
        Some(Line::Whole(line.to_vec()))
    }

    /// Throws away what cannot become a line, but for a CR at its end that may be the line's.
    fn overflow(&mut self) -> Option<Line> {
        let length = self.dropped + self.input.len();
        if length > self.line_octets.saturating_mul(TOO_LONG_FACTOR) {
            return Some(Line::Lost(Lost::Endless));
        }
        if length <= self.line_octets {
            return None;
        }
        let keep = usize::from(self.input.last() == Some(&b'\r'));
        let gone = self.input.len() - keep;
        let bare = memchr::memchr(b'\r', self.input.get(..gone).unwrap_or_default()).is_some();
        if self.dropped == 0 {
            self.begins = self
                .input
                .get(..VERB.min(gone))
                .unwrap_or_default()
                .to_vec();
        }
        self.dropped += gone;
        self.input.advance(gone);
        self.searched = keep;
        bare.then_some(Line::Lost(Lost::BareLineEnd))
    }

    /// What has arrived and was not consumed.
    pub fn input(&self) -> &[u8] {
        &self.input
    }

    /// Consumes octets of [`Wire::input`].
    pub fn consume(&mut self, octets: usize) {
        self.input.advance(octets.min(self.input.len()));
        self.searched = 0;
        if self.input.is_empty() {
            // All of the buffer again, instead of a new one for the next chunk.
            self.input.clear();
        }
    }

    /// Waits for more of a command. Safe to cancel: nothing that was read is lost.
    pub async fn fill(&mut self) -> Result<(), WireError> {
        self.fill_by(COMMAND_CHUNK_OCTETS).await
    }

    /// Waits for more of a message. Safe to cancel.
    pub async fn fill_data(&mut self) -> Result<(), WireError> {
        self.fill_by(DATA_CHUNK_OCTETS).await
    }

    async fn fill_by(&mut self, chunk: usize) -> Result<(), WireError> {
        self.input.reserve(chunk);
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(WireError::Closed),
            _ => Ok(()),
        }
    }

    /// Gives the large buffer of a message back.
    pub fn message_read(&mut self) {
        if self.input.capacity() > COMMAND_CHUNK_OCTETS {
            self.input = BytesMut::from(&self.input[..]);
        }
    }

    /// Gathers a reply; it goes out with the next [`Wire::flush`].
    pub fn say(&mut self, reply: &Reply) {
        if let Some(counters) = &self.counters {
            counters.reply(reply);
        }
        self.output.extend_from_slice(reply.to_wire().as_bytes());
    }

    /// Whether so much is gathered that it should be written before more commands are read.
    pub fn is_full(&self) -> bool {
        self.output.len() >= GATHERED_OCTETS
    }

    /// Writes everything gathered, in one write where the kernel takes it.
    pub async fn flush(&mut self) -> Result<(), WireError> {
        if self.output.is_empty() {
            return Ok(());
        }
        let written = timeout(self.write_timeout, async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        });
        written
            .await
            .map_err(|_| WireError::NotRead(self.write_timeout))??;
        self.output.clear();
        Ok(())
    }

    /// Writes what is gathered and closes our side, then reads on for a moment: closing on input that was not read would
    /// reset the connection, and the client would lose the very reply that tells it why.
    pub async fn close(mut self) -> Result<(), WireError> {
        self.flush().await?;
        timeout(self.write_timeout, self.stream.shutdown())
            .await
            .map_err(|_| WireError::NotRead(self.write_timeout))??;
        let mut unread = 0;
        let mut chunk = [0; COMMAND_CHUNK_OCTETS];
        let drained = timeout(LINGER, async {
            while unread < LINGER_OCTETS {
                match self.stream.read(&mut chunk).await {
                    Ok(0) | Err(_) => break,
                    Ok(octets) => unread += octets,
                }
            }
        });
        // Its silence, or its endless talk, is no longer ours.
        let _ = drained.await;
        Ok(())
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
