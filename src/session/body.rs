//! The octets of a message while they come in: in memory while there is room, in an unlinked file when there is not.
//!
//! Many slow clients, each in the midst of a large message, must not fill the machine. It knows octets and room, not what a
//! message is. What cannot be written is a refusal of that message, told at its end; nothing is cut.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Shared;
use super::memory::{Memory, Share};
use crate::smtp::data::{DataReader, Violation};

/// Between two looks for room.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A message on its way in.
#[derive(Debug)]
pub(super) struct Body {
    /// What came last, or all of it.
    pub(super) held: Vec<u8>,
    /// What came before it.
    file: Option<File>,
    in_file: u64,
    share: Share,
    memory: Memory,
    directory: PathBuf,
    session_octets: usize,
    reading_octets: u64,
    wait: Duration,
}

impl Body {
    pub(super) fn new(shared: &Shared) -> Self {
        let limits = &shared.limits;
        Self {
            held: Vec::new(),
            file: None,
            in_file: 0,
            share: shared.memory.share(),
            memory: shared.memory.clone(),
            directory: shared.spill_directory.clone(),
            session_octets: limits.session_memory_octets,
            reading_octets: limits.reading_memory_octets,
            wait: Duration::from_secs(limits.memory_wait_seconds),
        }
    }

    /// Accounts for what is held; puts it into the file where there is no room for it; holds nothing of a refused message.
    pub(super) async fn settle(&mut self, reader: &mut DataReader) {
        if reader.is_refused() {
            return self.forget();
        }
        let large = self.held.len() >= self.session_octets;
        let crowded = self.memory.used() > self.reading_octets;
        // What is taken from the machine counts, which is up to twice what is held.
        if !(large && crowded) && self.share.cover(self.held.capacity()) {
            return;
        }
        if let Err(error) = self.spill().await {
            tracing::error!(%error, "a message that is being read does not fit into memory, and its file cannot be written");
            reader.refuse(Violation::Memory(self.memory.limit()));
            self.forget();
        }
    }

    /// The whole message in memory, once there is room for it.
    pub(super) async fn whole(mut self) -> Result<(Vec<u8>, Share), Violation> {
        let full = Violation::Memory(self.memory.limit());
        let octets = self
            .held
            .len()
            .saturating_add(usize::try_from(self.in_file).unwrap_or(usize::MAX));
        let until = Instant::now() + self.wait;
        while !self.share.fit(octets) {
            if self.file.is_none() || Instant::now() >= until {
                return Err(full);
            }
            sleep(LOOK_AGAIN).await;
        }
        let Some(mut file) = self.file.take() else {
            self.held.shrink_to_fit();
            return Ok((self.held, self.share));
        };
        let held = std::mem::take(&mut self.held);
        let read = tokio::task::spawn_blocking(move || -> io::Result<Vec<u8>> {
            let mut message = Vec::with_capacity(octets);
            file.rewind()?;
            file.read_to_end(&mut message)?;
            message.extend_from_slice(&held);
            Ok(message)
        });
        match read.await {
            Ok(Ok(message)) if message.len() == octets => Ok((message, self.share)),
            Ok(Ok(_)) | Err(_) => Err(full),
            Ok(Err(error)) => {
                tracing::error!(%error, "a message that was read cannot be read back from its file");
                Err(full)
            }
        }
    }

    fn forget(&mut self) {
        self.held = Vec::new();
        self.file = None;
        self.in_file = 0;
        self.share.release();
    }

    /// What is held goes behind what is in the file. Off the reactor: a disk takes the time it takes.
    async fn spill(&mut self) -> io::Result<()> {
        let (file, held) = (self.file.take(), std::mem::take(&mut self.held));
        let directory = self.directory.clone();
        let octets = u64::try_from(held.len()).unwrap_or(u64::MAX);
        let kept = self.session_octets.saturating_mul(2);
        let written = tokio::task::spawn_blocking(move || -> io::Result<(File, Vec<u8>)> {
            let mut file = match file {
                Some(file) => file,
                None => unlinked(&directory)?,
            };
            file.write_all(&held)?;
            Ok((file, held))
        });
        let (file, mut held) = written.await.map_err(io::Error::other)??;
        held.clear();
        // Grown while there was room, it would keep what it took from the machine for as long as the client takes its time.
        held.shrink_to(kept);
        self.file = Some(file);
        self.held = held;
        self.in_file = self.in_file.saturating_add(octets);
        self.share.release();
        Ok(())
    }
}

/// A file without a name: it goes with whoever holds it, killed or not.
fn unlinked(directory: &Path) -> io::Result<File> {
    tempfile::tempfile_in(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::data::DataLimits;

    fn body(directory: &Path, memory: &Memory, session: usize, reading: u64) -> Body {
        Body {
            held: Vec::new(),
            file: None,
            in_file: 0,
            share: memory.share(),
            memory: memory.clone(),
            directory: directory.to_owned(),
            session_octets: session,
            reading_octets: reading,
            wait: Duration::from_millis(50),
        }
    }

    fn reader() -> DataReader {
        DataReader::chunked(DataLimits {
            message_octets: 1 << 20,
            line_octets: 1 << 20,
            header_octets: 1 << 20,
        })
    }

    #[tokio::test]
    async fn a_message_comes_back_whole_whether_it_went_into_a_file_or_not() {
        let directory = tempfile::tempdir().unwrap();
        for (session, reading) in [(1 << 20, 1 << 20), (100, 0), (1, 0), (100, 500)] {
            let memory = Memory::new(1 << 20);
            let (mut reader, mut body) =
                (reader(), body(directory.path(), &memory, session, reading));
            let mut sent = Vec::new();
            for piece in 0..50_u32 {
                let line = format!("line {piece} {}\r\n", "x".repeat(piece as usize));
                sent.extend_from_slice(line.as_bytes());
                reader.push(line.as_bytes(), &mut body.held);
                body.settle(&mut reader).await;
            }
            assert_eq!(body.file.is_some(), reading < 1000, "{session} {reading}");
            reader.end(&mut body.held).unwrap();
            let (message, share) = body.whole().await.unwrap();
            assert_eq!(message, sent);
            assert_eq!(memory.used(), sent.len() as u64);
            drop(share);
            assert_eq!(memory.used(), 0);
            assert!(
                std::fs::read_dir(directory.path())
                    .unwrap()
                    .next()
                    .is_none()
            );
        }
    }

    #[tokio::test]
    async fn what_went_into_the_file_is_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::new(1 << 30);
        let (mut reader, mut body) = (reader(), body(directory.path(), &memory, 1000, 500_000));
        let line = [&[b'x'; 998][..], b"\r\n"].concat();
        while body.file.is_none() {
            reader.push(&line, &mut body.held);
            let taken = u64::try_from(body.held.capacity()).unwrap();
            body.settle(&mut reader).await;
            assert!(body.file.is_some() || memory.used() >= taken);
        }
        assert!(body.held.capacity() <= 2000, "{}", body.held.capacity());
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test]
    async fn without_room_it_is_refused_at_its_end_and_nothing_stays() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::new(1000);
        let mut other = memory.share();
        assert!(other.cover(900));
        let (mut reader, mut body) = (reader(), body(directory.path(), &memory, 100, 0));
        reader.push(&[b'x'; 500], &mut body.held);
        body.settle(&mut reader).await;
        assert!(!reader.is_refused());
        let violation = body.whole().await.unwrap_err();
        assert_eq!(violation, Violation::Memory(1000));
        drop(other);
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_refuses_the_message() {
        let directory = tempfile::tempdir().unwrap();
        let nowhere = directory.path().join("nowhere");
        let memory = Memory::new(1 << 20);
        let (mut reader, mut body) = (reader(), body(&nowhere, &memory, 1, 0));
        reader.push(b"x\r\n", &mut body.held);
        // Nothing is crowded yet, so it is held.
        body.settle(&mut reader).await;
        reader.push(b"y\r\n", &mut body.held);
        body.settle(&mut reader).await;
        assert!(reader.is_refused());
        assert_eq!((body.held.len(), memory.used()), (0, 0));
        assert_eq!(reader.end(&mut body.held), Err(Violation::Memory(1 << 20)));
    }
}
