//! A message in chunks (BDAT, RFC 3030): read octet for octet as announced, checked as DATA is, handed over behind the last.
//!
//! Whatever is wrong with a chunk, its octets are read and never run as commands; what is too long even to be thrown away ends
//! the session. A connection that ends within a chunk ends the transaction: nothing of it is forwarded.

use tokio::io::{AsyncRead, AsyncWrite};

use super::body::Body;
use super::transaction::{Patience, Read};
use super::wire::WireError;
use super::{Flow, Session};
use crate::smtp::data::{DataReader, ENDLESS_FACTOR};
use crate::smtp::replies;
use crate::smtp::reply::Reply;

/// What was read of a message so far.
#[derive(Debug)]
pub(super) struct Chunks {
    reader: DataReader,
    body: Body,
    patience: Patience,
    /// Octets announced so far.
    announced: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<'_, S> {
    /// One chunk, and its answer.
    pub(super) async fn chunk(&mut self, octets: u64, last: bool) -> Result<Flow, WireError> {
        let mut chunks = match self.chunks.take() {
            Some(chunks) => chunks,
            None => Chunks {
                reader: DataReader::chunked(self.data_limits())
                    .with_newlines(self.door.bare_newlines),
                body: Body::new(&self.shared),
                patience: self.patience(),
                announced: 0,
            },
        };
        chunks.announced = chunks.announced.saturating_add(octets);
        let most = self.most_octets();
        if chunks.announced > most {
            self.reset().await;
            self.dismiss(&replies::chunk_too_large(most))?;
            return Ok(Flow::Close);
        }
        let mut left = octets;
        // Between chunks as within them: a message does not take longer for being cut into pieces.
        if let Some(reply) = self.out_of_time(chunks.patience) {
            self.reset().await;
            self.dismiss(&reply)?;
            return Ok(Flow::Close);
        }
        while left > 0 {
            let here = self.wire.input();
            let take = usize::try_from(left).map_or(here.len(), |left| left.min(here.len()));
            let piece = here.get(..take).unwrap_or_default();
            // A reader of chunks never comes to an end by itself, so it takes all it is given.
            chunks.reader.push(piece, &mut chunks.body.held);
            self.wire.consume(take);
            left = left.saturating_sub(u64::try_from(take).unwrap_or(u64::MAX));
            chunks.body.settle(&mut chunks.reader).await;
            if left > 0
                && let Some(reply) = self.wait_for_data(chunks.patience).await?
            {
                self.reset().await;
                self.dismiss(&reply)?;
                return Ok(Flow::Close);
            }
        }
        self.wire.message_read();
        if last {
            return self.last_chunk(chunks).await;
        }
        self.chunks = Some(chunks);
        self.dialog.chunk_read();
        self.wire.say(&replies::chunk_taken(octets));
        Ok(Flow::GoOn)
    }

    async fn last_chunk(&mut self, mut chunks: Chunks) -> Result<Flow, WireError> {
        let read = match chunks.reader.end(&mut chunks.body.held) {
            Ok(()) => self.taken_in(&chunks.reader, chunks.body).await,
            Err(violation) => Read::Refused(violation),
        };
        self.message_read(read).await
    }

    /// Content of a chunk that has no place here.
    pub(super) async fn swallow(&mut self, octets: u64, reply: Reply) -> Result<Flow, WireError> {
        self.ask_group().await;
        let most = self.most_octets();
        if octets > most {
            self.dismiss(&replies::chunk_too_large(most))?;
            return Ok(Flow::Close);
        }
        let patience = self.patience();
        let mut left = octets;
        while left > 0 {
            let here = self.wire.input().len();
            let take = usize::try_from(left).map_or(here, |left| left.min(here));
            self.wire.consume(take);
            left = left.saturating_sub(u64::try_from(take).unwrap_or(u64::MAX));
            if left > 0
                && let Some(reply) = self.wait_for_data(patience).await?
            {
                self.dismiss(&reply)?;
                return Ok(Flow::Close);
            }
        }
        self.wire.message_read();
        self.wire.say(&reply);
        Ok(Flow::GoOn)
    }

    /// Octets that are read of one message at most, whether it is refused or not.
    fn most_octets(&self) -> u64 {
        let most = self
            .shared
            .limits
            .message_octets
            .saturating_mul(ENDLESS_FACTOR);
        u64::try_from(most).unwrap_or(u64::MAX)
    }
}
