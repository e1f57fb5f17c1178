//! An entry in somebody's hands: written ahead and not settled yet, or owed and being delivered.
//!
//! Both are settled by a call that consumes them; what is dropped unsettled (a panic, a cancelled task) goes the safe
//! way by itself: a prepared entry away, since its client was never answered, an owed one back, since its client was.
//! Everything here blocks on the disk and is called from `spawn_blocking`, but for the drops, which only unlink.

use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};

use super::envelope::{Stored, Unreadable};
use super::index::Stage;
use super::{EntryId, Envelope, Spool, SpoolError, blocking, disk, hand};

/// What an envelope file says of its message: how to know it again.
#[derive(Debug, Clone)]
struct Seal {
    octets: u64,
    sha256: String,
}

/// By what a message is known to be the one that was written, hex.
pub(super) fn sha256(message: &[u8]) -> String {
    let octets = digest(&SHA256, message);
    let octets = octets.as_ref().iter();
    octets.map(|octet| format!("{octet:02x}")).collect()
}

impl Seal {
    fn of(message: &[u8]) -> Self {
        Self {
            octets: u64::try_from(message.len()).unwrap_or(u64::MAX),
            sha256: sha256(message),
        }
    }

    fn envelope_file(&self, envelope: &Envelope) -> Result<Vec<u8>, SpoolError> {
        let stored = Stored {
            version: envelope.version(),
            message_octets: self.octets,
            message_sha256: self.sha256.clone(),
            envelope: envelope.clone(),
        };
        let json = |source| SpoolError::Json {
            id: envelope.id.clone(),
            source,
        };
        let file = serde_json::to_vec(&stored).map_err(json)?;
        // What could not be read back must be known before the first dot, not at the next start.
        match Stored::parse(&file) {
            Ok(back) if back.envelope == *envelope => Ok(file),
            Err(Unreadable::Json(source)) => Err(json(source)),
            Ok(_) | Err(Unreadable::Newer(_)) => Err(SpoolError::Misused {
                id: envelope.id.clone(),
                what: "its envelope would not come back as it is",
            }),
        }
    }
}

/// An entry written ahead of the first dot. Its client has no answer yet.
#[derive(Debug)]
pub struct Prepared {
    spool: Arc<Spool>,
    id: EntryId,
    seal: Seal,
    settled: bool,
}

impl Prepared {
    /// Message, fsync, directory; envelope, fsync, rename, directory: in this order, so that an envelope never stands
    /// for a message that is not there.
    pub(super) fn write(
        spool: Arc<Spool>,
        envelope: &Envelope,
        message: &[u8],
    ) -> Result<Self, SpoolError> {
        let id = envelope.id.clone();
        let seal = Seal::of(message);
        let file = seal.envelope_file(envelope)?;
        let octets = seal
            .octets
            .saturating_add(u64::try_from(file.len()).unwrap_or(u64::MAX));
        disk::has_room(&spool.layout.directory, octets, spool.settings.free_bytes)?;
        spool.index().reserve(&id, octets, &spool.settings)?;
        // From here on a failure drops `prepared`, which removes what was written and gives the room back. Except a
        // message file that was there before us: it is somebody else's.
        let message_file = spool.layout.message_of(&id);
        if message_file.exists() {
            spool.index().release(&id);
            let what = "its message file already exists";
            return Err(SpoolError::Misused { id, what });
        }
        let prepared = Self {
            spool,
            id,
            seal,
            settled: false,
        };
        disk::write_new(&message_file, message)?;
        disk::replace(&prepared.spool.layout.prepared_of(&prepared.id), &file)?;
        Ok(prepared)
    }

    /// The entry's id.
    pub fn id(&self) -> &EntryId {
        &self.id
    }

    /// Makes it owed: on `Ok` the envelope, which names only what is still owed, is durable, and the client may be
    /// answered 250. An envelope that owes nothing removes the entry. On `Err` the entry is gone: answer 451.
    pub async fn owe(self, envelope: Envelope) -> Result<(), SpoolError> {
        blocking(move || self.owe_now(&envelope)).await
    }

    /// Removes it: nothing was taken, or everything.
    pub async fn remove(self) -> Result<(), SpoolError> {
        blocking(move || {
            drop(self);
            Ok(())
        })
        .await
    }

    fn owe_now(mut self, envelope: &Envelope) -> Result<(), SpoolError> {
        if envelope.id != self.id {
            let what = "owed under another entry's id";
            let id = self.id.clone();
            return Err(SpoolError::Misused { id, what });
        }
        if envelope.recipients.is_empty() {
            return Ok(());
        }
        let file = self.seal.envelope_file(envelope)?;
        let owed = self.spool.layout.owed_of(&self.id);
        if let Err(error) = disk::replace(&owed, &file) {
            // It may be in place or not; the client hears 451 and comes again, so it must not stay.
            if let Err(second) = disk::remove(&owed) {
                tracing::error!(entry = %self.id, %second, "an entry that was answered 451 stays in the spool and may be delivered twice");
            }
            return Err(error);
        }
        self.settled = true;
        // Left behind it is removed at the next start: `owed/` decides.
        if let Err(error) = disk::remove(&self.spool.layout.prepared_of(&self.id)) {
            tracing::warn!(entry = %self.id, %error, "could not remove the prepared envelope of an owed entry");
        }
        let stage = Stage::Waiting {
            next_attempt_at: envelope.next_attempt_at,
            fresher: None,
        };
        self.spool.index().set(&self.id, stage);
        self.spool.changed.notify_one();
        Ok(())
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        // Both, whatever becomes of the first: its room is given back, and the next start asks neither for the other.
        let envelope = disk::remove(&self.spool.layout.prepared_of(&self.id));
        let message = disk::remove(&self.spool.layout.message_of(&self.id));
        if let Err(error) = envelope.and(message) {
            tracing::warn!(entry = %self.id, %error, "could not remove a prepared entry; the next start does");
        }
        self.spool.index().release(&self.id);
    }
}

/// An owed entry in hand, with its message.
#[derive(Debug)]
pub struct Owed {
    /// The envelope as it stands after the last attempt.
    pub envelope: Envelope,
    /// The message as the client sent it.
    pub message: Bytes,
    claim: Claim,
}

/// The hold on an owed entry; dropped unsettled it gives the entry back.
#[derive(Debug)]
struct Claim {
    spool: Arc<Spool>,
    id: EntryId,
    seal: Seal,
    /// What to go by at the next attempt, where the disk knows less.
    fresher: Option<Box<Envelope>>,
    /// Held while the message is read and decided.
    turn: Option<Turn>,
    settled: bool,
}

/// The right to decide an entry: beside others, or alone where the process has died over it.
#[derive(Debug)]
#[expect(dead_code, reason = "held, never looked at")]
pub(super) enum Turn {
    Beside(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
}

impl Turn {
    /// Waits for it. A death while several were being decided counts for each of them; from then on each is decided with no other
    /// owed entry beside it, so that only the one that kills is found dying again.
    pub(super) async fn of(spool: &Spool, id: &EntryId) -> Self {
        let deciding = Arc::clone(&spool.deciding);
        let deaths = spool.index().deaths(id);
        match deaths {
            0 => Self::Beside(deciding.read_owned().await),
            _ => Self::Alone(deciding.write_owned().await),
        }
    }
}

impl Owed {
    pub(super) fn claim(
        spool: Arc<Spool>,
        id: &EntryId,
        turn: Turn,
    ) -> Result<Option<Self>, SpoolError> {
        let Some(fresher) = spool.index().claim(id) else {
            return Ok(None);
        };
        let mut claim = Claim {
            spool,
            id: id.clone(),
            seal: Seal {
                octets: 0,
                sha256: String::new(),
            },
            fresher,
            turn: Some(turn),
            settled: false,
        };
        claim.note(hand::Stage::Deciding);
        let owed_file = claim.spool.layout.owed_of(id);
        let octets = fs::read(&owed_file).map_err(disk::failed("reading", &owed_file))?;
        let stored = match Stored::parse(&octets) {
            Ok(stored) => stored,
            Err(Unreadable::Newer(version)) => {
                let what = format!("version {version}");
                return Err(SpoolError::Newer {
                    path: owed_file,
                    what,
                });
            }
            Err(Unreadable::Json(error)) => return Err(claim.damaged(error.to_string())),
        };
        let message_file = claim.spool.layout.message_of(id);
        let message = match fs::read(&message_file) {
            Ok(message) => message,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(claim.damaged("its message file is gone".to_owned()));
            }
            Err(error) => return Err(disk::failed("reading", &message_file)(error)),
        };
        claim.seal = Seal::of(&message);
        if claim.seal.sha256 != stored.message_sha256 || stored.envelope.id != *id {
            return Err(claim.damaged("its message is not the one that was written".to_owned()));
        }
        let envelope = match &claim.fresher {
            Some(fresher) => (**fresher).clone(),
            None => stored.envelope,
        };
        Ok(Some(Self {
            envelope,
            message: Bytes::from(message),
            claim,
        }))
    }

    /// The message was read and decided: what the process dies of from here on is not its content, and waiting for a next hop
    /// is most of an attempt.
    pub async fn is_decided(&mut self) {
        if self.claim.turn.is_some() {
            self.stands_at(hand::Stage::Delivering).await;
            self.claim.turn = None;
        }
    }

    /// The message is read once more in this attempt.
    pub async fn is_deciding(&mut self) {
        if self.claim.turn.is_none() {
            let turn = Turn::of(&self.claim.spool, &self.claim.id).await;
            self.claim.turn = Some(turn);
            self.stands_at(hand::Stage::Deciding).await;
        }
    }

    async fn stands_at(&self, stage: hand::Stage) {
        let (spool, id) = (Arc::clone(&self.claim.spool), self.claim.id.clone());
        let noted = blocking(move || {
            let deaths = spool.index().deaths(&id);
            hand::note(&spool.layout, &id, stage, deaths);
            Ok(())
        });
        if let Err(error) = noted.await {
            tracing::warn!(entry = %self.claim.id, %error, "where an entry stands could not be noted");
        }
    }

    /// Notes in the midst of an attempt what is still owed, so that nothing that happens in the rest of it brings back
    /// what is done. On `Err` the disk has the older envelope, while this process goes by the new one.
    pub async fn note(&mut self, envelope: Envelope) -> Result<(), SpoolError> {
        let file = self.claim.seal.envelope_file(&envelope)?;
        let owed = self.claim.spool.layout.owed_of(&self.claim.id);
        self.claim.fresher = Some(Box::new(envelope.clone()));
        self.envelope = envelope;
        blocking(move || disk::replace(&owed, &file)).await
    }

    /// Keeps what is still owed for a later attempt. On `Err` the disk has the older envelope, while this process goes
    /// by the new one; a restart would try again those who already had their copy.
    pub async fn keep(self, envelope: Envelope) -> Result<(), SpoolError> {
        let claim = self.claim;
        blocking(move || claim.keep(envelope)).await
    }

    /// Removes it: nothing is owed any more. On `Err` it is out of this process's hands, but may come back after a
    /// restart.
    pub async fn done(self) -> Result<(), SpoolError> {
        let claim = self.claim;
        blocking(move || claim.done()).await
    }

    /// Gives it up: it stays in `dead/` for the operator.
    pub async fn dead(self, why: &str) -> Result<(), SpoolError> {
        let (claim, mut envelope) = (self.claim, self.envelope);
        envelope.dead = Some(why.to_owned());
        blocking(move || claim.dead(&envelope)).await
    }
}

impl Claim {
    /// Notes where the attempt stands: whoever finds the note at start knows that the process died meanwhile.
    fn note(&self, stage: hand::Stage) {
        let deaths = self.spool.index().deaths(&self.id);
        hand::note(&self.spool.layout, &self.id, stage, deaths);
    }

    /// The attempt came to an end.
    fn out_of_hand(&self, deaths: u32) {
        self.spool.index().set_deaths(&self.id, deaths);
        self.note(hand::Stage::Idle);
    }

    /// The attempt fell over. Whoever does so again and again is left alone.
    fn fell_over(&mut self) {
        let deaths = self.spool.index().deaths(&self.id).saturating_add(1);
        self.out_of_hand(deaths);
        if deaths < self.spool.settings.crashes {
            return;
        }
        let (layout, id) = (&self.spool.layout, &self.id);
        match quarantine(layout, id, deaths, self.fresher.as_deref()) {
            Ok(()) => {
                self.settled = true;
                self.spool.index().set(&self.id, Stage::Dead);
            }
            Err(error) => tracing::error!(entry = %id, %error, "could not be put into quarantine"),
        }
    }

    fn keep(mut self, envelope: Envelope) -> Result<(), SpoolError> {
        self.out_of_hand(0);
        if envelope.id != self.id || envelope.recipients.is_empty() {
            let what = "kept under another entry's id, or owing nothing";
            let id = self.id.clone();
            return Err(SpoolError::Misused { id, what });
        }
        let written = self
            .seal
            .envelope_file(&envelope)
            .and_then(|file| disk::replace(&self.spool.layout.owed_of(&self.id), &file));
        self.settled = true;
        let stage = Stage::Waiting {
            next_attempt_at: envelope.next_attempt_at,
            fresher: written.is_err().then(|| Box::new(envelope)),
        };
        self.spool.index().set(&self.id, stage);
        self.spool.changed.notify_one();
        written
    }

    fn done(mut self) -> Result<(), SpoolError> {
        self.out_of_hand(0);
        self.settled = true;
        self.spool.index().release(&self.id);
        let owed = self.spool.layout.owed_of(&self.id);
        // Synced before the message goes: an envelope that came back after a power loss would be a second copy.
        disk::remove(&owed)?;
        disk::sync_parent(&owed)?;
        disk::remove(&self.spool.layout.message_of(&self.id))
    }

    fn dead(mut self, envelope: &Envelope) -> Result<(), SpoolError> {
        let file = self.seal.envelope_file(envelope)?;
        disk::replace(&self.spool.layout.dead_of(&self.id), &file)?;
        self.settled = true;
        self.out_of_hand(0);
        self.spool.index().set(&self.id, Stage::Dead);
        let owed = self.spool.layout.owed_of(&self.id);
        disk::remove(&owed)?;
        disk::sync_parent(&owed)
    }

    /// Moves an entry that cannot be read back to `dead/` as it is.
    fn damaged(mut self, why: String) -> SpoolError {
        self.out_of_hand(0);
        let owed = self.spool.layout.owed_of(&self.id);
        let id = self.id.clone();
        tracing::error!(entry = %id, %why, "an owed entry cannot be read back and is moved to dead/");
        match disk::rename(&owed, &self.spool.layout.dead_of(&id)) {
            Ok(()) => {
                self.settled = true;
                self.spool.index().set(&id, Stage::Dead);
                SpoolError::Damaged { id, why }
            }
            Err(error) => error,
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if std::thread::panicking() {
            self.fell_over();
            if self.settled {
                return;
            }
        } else {
            // Given back, or cut short because the relay stops: nobody's fault.
            self.note(hand::Stage::Idle);
        }
        let stage = Stage::Waiting {
            next_attempt_at: self.spool.settings.next_attempt_at(Timestamp::now(), 1),
            fresher: self.fresher.take(),
        };
        self.spool.index().set(&self.id, stage);
        self.spool.changed.notify_one();
    }
}

/// What stands first in `dead` of an entry that is in quarantine.
pub(super) const QUARANTINE: &str = "quarantine";

/// Leaves an entry alone over which the process died too often: to `dead/`, for the operator to look at. `fresher` is the envelope
/// where the disk knows less.
pub(super) fn quarantine(
    layout: &super::Layout,
    id: &EntryId,
    deaths: u32,
    fresher: Option<&Envelope>,
) -> Result<(), SpoolError> {
    tracing::error!(entry = %id, deaths, "quarantine: the process died over an owed message again and again (spool.crashes); it lies in dead/");
    let owed = layout.owed_of(id);
    let octets = fs::read(&owed).map_err(disk::failed("reading", &owed))?;
    let file = match Stored::parse(&octets) {
        Ok(mut stored) => {
            if let Some(fresher) = fresher {
                stored.envelope = fresher.clone();
            }
            stored.envelope.dead = Some(format!(
                "{QUARANTINE}: the process died over it {deaths} times"
            ));
            let json = |source| SpoolError::Json {
                id: id.clone(),
                source,
            };
            serde_json::to_vec(&stored).map_err(json)?
        }
        // It cannot be read either way.
        Err(_) => octets,
    };
    disk::replace(&layout.dead_of(id), &file)?;
    disk::remove(&owed)?;
    disk::sync_parent(&owed)?;
    // Whoever has it tried again gives it all its lives back.
    hand::note(layout, id, hand::Stage::Idle, 0);
    Ok(())
}
