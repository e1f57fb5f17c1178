//! A directory as next hop: every message becomes one file in `new/`, its envelope one file in `envelopes/`.
//!
//! It takes every forward-path and adds nothing to the message. It must never read what it wrote.
//! A copy is *taken* only when its octets, its name and its envelope are on disk; what fails before the rename leaves
//! nothing in `new/`, what fails behind it is *unknown*.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use crate::mime::splice::Spliced;
use crate::smtp::extensions::Extensions;
use crate::smtp::parameter::Parameters;
use crate::smtp::reply::Reply;
use crate::smtp::transaction::{Mail, Rcpt};

use super::counters::Counters;
use super::fate::Fate;
use super::replies;
use super::unreachable::Unreachable;

#[cfg(test)]
#[path = "maildir_tests.rs"]
mod tests;

/// The envelope of one file in `new/`, as JSON under the same name in `envelopes/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEnvelope {
    /// The form of this record: 1.
    pub version: u32,
    /// What stands between the brackets; empty for the null reverse-path.
    pub reverse_path: String,
    /// The parameters of MAIL, SIZE recomputed.
    pub mail_parameters: Parameters,
    /// In the order of the RCPT commands.
    pub recipients: Vec<StoredRecipient>,
}

/// One forward-path of a [`StoredEnvelope`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRecipient {
    /// What stands between the brackets.
    pub forward_path: String,
    /// The parameters of RCPT.
    pub parameters: Parameters,
}

/// A `maildir:` next hop.
#[derive(Debug)]
pub(super) struct Maildir {
    directory: PathBuf,
    counters: Arc<Counters>,
    files: AtomicU64,
}

/// One transaction with it.
#[derive(Debug)]
pub(super) struct MaildirTransaction {
    maildir: Arc<Maildir>,
    mail: Mail,
    rcpts: Vec<Rcpt>,
}

/// How far the writing of one message came.
enum Written {
    /// All on disk.
    Durable,
    /// Nothing in `new/`.
    Nothing(io::Error),
    /// In `new/`, but the directory was not synced.
    Perhaps(io::Error),
}

impl Maildir {
    pub(super) fn new(directory: PathBuf, counters: Arc<Counters>) -> Self {
        Self {
            directory,
            counters,
            files: AtomicU64::new(0),
        }
    }

    /// What a maildir can carry.
    pub(super) fn extensions() -> Extensions {
        Extensions {
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            size: Some(0),
            ..Extensions::default()
        }
    }

    /// Makes the directories, 0700, where they are missing.
    pub(super) async fn make(self: &Arc<Self>) -> Result<(), Unreachable> {
        let maildir = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || maildir.make_directories());
        let failure = match made.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(error) => io::Error::other(error),
        };
        Err(self.note(failure))
    }

    fn note(&self, error: io::Error) -> Unreachable {
        self.counters.unreachable.one();
        let error = Unreachable::Maildir(error);
        tracing::error!(next_hop = %self.directory.display(), %error, "next hop failed us");
        error
    }

    fn make_directories(&self) -> io::Result<()> {
        let parts = ["tmp", "new", "cur", "envelopes"].map(|part| self.directory.join(part));
        if parts.iter().all(|part| part.is_dir()) {
            return Ok(());
        }
        let ancestors: Vec<&Path> = self.directory.ancestors().collect();
        let there = ancestors.iter().position(|ancestor| ancestor.is_dir());
        for part in &parts {
            DirBuilder::new().recursive(true).mode(0o700).create(part)?;
        }
        // A synced file in a directory whose own name is not on disk is lost with it.
        for ancestor in ancestors.iter().take(there.map_or(usize::MAX, |at| at + 1)) {
            let empty = ancestor.as_os_str().is_empty();
            sync_directory(if empty { Path::new(".") } else { ancestor })?;
        }
        Ok(())
    }

    fn place(&self, part: &str, name: &str) -> PathBuf {
        self.directory.join(part).join(name)
    }

    /// A name that no other file of this directory has: time, process, count.
    fn name(&self) -> String {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        format!(
            "{}.M{:06}P{}Q{}.pixelgate",
            now.as_secs(),
            now.subsec_micros(),
            std::process::id(),
            self.files.fetch_add(1, Ordering::Relaxed)
        )
    }

    fn write(&self, envelope: &StoredEnvelope, message: &Spliced) -> Written {
        let name = self.name();
        let record = format!("{name}.json");
        let envelope_file = self.place("envelopes", &record);
        let tmp = self.place("tmp", &name);
        let before_rename = self
            .write_envelope(envelope, &record)
            .and_then(|()| write_synced(&tmp, message.pieces()))
            .and_then(|()| fs::rename(&tmp, self.place("new", &name)));
        if let Err(error) = before_rename {
            // What stays behind when these fail too is harmless: nobody reads tmp/ or an envelope without a message.
            let _ = fs::remove_file(&tmp);
            let _ = fs::remove_file(&envelope_file);
            return Written::Nothing(error);
        }
        match sync_directory(&self.directory.join("new")) {
            Ok(()) => Written::Durable,
            Err(error) => Written::Perhaps(error),
        }
    }

    fn write_envelope(&self, envelope: &StoredEnvelope, record: &str) -> io::Result<()> {
        let json = serde_json::to_vec(envelope)?;
        let tmp = self.place("tmp", record);
        let written = write_synced(&tmp, [json.as_slice()].into_iter())
            .and_then(|()| fs::rename(&tmp, self.place("envelopes", record)))
            .and_then(|()| sync_directory(&self.directory.join("envelopes")));
        if written.is_err() {
            let _ = fs::remove_file(&tmp);
        }
        written
    }
}

impl MaildirTransaction {
    pub(super) fn begin(maildir: Arc<Maildir>, mail: &Mail) -> (Self, Reply) {
        let transaction = Self {
            maildir,
            mail: mail.clone(),
            rcpts: Vec::new(),
        };
        (transaction, Reply::new(250, ["2.1.0 ok"]))
    }

    pub(super) fn rcpts(&mut self, rcpts: &[Rcpt]) -> Vec<Reply> {
        self.rcpts.extend_from_slice(rcpts);
        vec![Reply::new(250, ["2.1.5 ok"]); rcpts.len()]
    }

    pub(super) fn into_maildir(self) -> Arc<Maildir> {
        self.maildir
    }

    /// One fate for each forward-path: they share one file, so it is the same for all.
    pub(super) async fn data(
        self,
        message: &Spliced,
        no_dot_after: Instant,
        until: Instant,
    ) -> (Vec<Fate>, Arc<Maildir>) {
        let fate = match self.rcpts.is_empty() {
            true => None,
            false => Some(self.store(message, no_dot_after, until).await),
        };
        let fates: Vec<Fate> = fate
            .into_iter()
            .flat_map(|fate| vec![fate; self.rcpts.len()])
            .collect();
        self.maildir.counters.count(&fates);
        (fates, self.maildir)
    }

    async fn store(&self, message: &Spliced, no_dot_after: Instant, until: Instant) -> Fate {
        if no_dot_after <= Instant::now() {
            self.maildir.counters.no_time_for_dot.one();
            return Fate::Down(replies::no_time_for_dot());
        }
        let envelope = self.envelope(message);
        let message = message.clone();
        let maildir = Arc::clone(&self.maildir);
        // fsync takes as long as the disk likes: not on a thread that other connections wait for.
        let writing = tokio::task::spawn_blocking(move || match maildir.make_directories() {
            Ok(()) => maildir.write(&envelope, &message),
            Err(error) => Written::Nothing(error),
        });
        match timeout_at(until, writing).await {
            Ok(Ok(Written::Durable)) => Fate::Taken(Reply::new(250, ["2.0.0 stored"])),
            Ok(Ok(Written::Nothing(error))) => Fate::Down(self.maildir.note(error).to_reply()),
            Ok(Ok(Written::Perhaps(error))) => Fate::Unknown(self.maildir.note(error).to_reply()),
            // The writing goes on, or ended nobody knows where.
            Ok(Err(_)) | Err(_) => Fate::Unknown(replies::no_answer_to_dot()),
        }
    }

    fn envelope(&self, message: &Spliced) -> StoredEnvelope {
        let mut mail_parameters = self.mail.parameters.clone();
        for parameter in &mut mail_parameters.0 {
            if parameter.keyword == "SIZE" {
                parameter.value = Some(message.len().to_string());
            }
        }
        StoredEnvelope {
            version: 1,
            reverse_path: self.mail.reverse_path.as_str().to_owned(),
            mail_parameters,
            recipients: self
                .rcpts
                .iter()
                .map(|rcpt| StoredRecipient {
                    forward_path: rcpt.forward_path.as_str().to_owned(),
                    parameters: rcpt.parameters.clone(),
                })
                .collect(),
        }
    }
}

/// A new file with these octets, on disk.
fn write_synced<'a>(path: &Path, pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    for piece in pieces {
        file.write_all(piece)?;
    }
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
