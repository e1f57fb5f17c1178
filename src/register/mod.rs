//! The register: who consented to what, on disk, with the keys that make it useless to a thief.
//!
//! Look-ups answer where people stand; records are added to one chain per controller; the fold of `consent` is written
//! beside them in the same transaction. Only an erasure or a retention period takes what a record says away, and the
//! chain tells which. There is no cache: every look-up sees what every process has committed. It must never know a
//! message or a finding. An answer that does not come in time, or cannot be read whole, is an error and the caller strips
//! (`store_unavailable`); it is never an old or a partial answer.

mod chain;
mod database;
mod erase;
mod error;
mod expire;
mod history;
mod payload;
mod people;
mod readers;
mod rows;
mod seal;
mod settings;
mod verify;
mod writer;

pub mod announce;
pub mod diff;
pub mod export;
pub mod import;
pub mod keys;
pub mod rotate;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

pub use chain::Head;
pub use erase::{Defence, Erasure};
pub use error::RegisterError;
pub use expire::{Expired, Retention};
pub use history::{Blanked, Gone, History, Person, ProofRecord};
pub use keys::{Identity, Keys, KeysError};
pub use seal::SealError;
pub use settings::Settings;
pub use verify::Verified;
pub use writer::{Recorded, Row, RowEntry};

use crate::consent::{Assertion, ChangeKind, Contact, ProofId, Standing};
use database::{Database, Writing};
use keys::KeyRing;
use readers::Readers;

/// The most subjects one look-up may ask for; a message has 1,000 recipients at most.
pub const LOOKUP_SUBJECTS_MAX: usize = 10_000;

/// How often one write or question is begun anew because the keys were rotated under it.
const KEYS_FOLLOWED_MAX: usize = 3;

/// An open register.
#[derive(Debug)]
pub struct Register {
    database: Arc<Database>,
    readers: Readers,
    writer: Mutex<Option<Writing>>,
}

impl Register {
    /// Opens the register, making it where it is missing. Blocks; called at start.
    ///
    /// # Errors
    /// When settings, file or keys are not those of a register of ours.
    pub fn open(settings: &Settings, keys: Arc<Keys>) -> Result<Self, RegisterError> {
        settings.check()?;
        let database = Arc::new(Database {
            keys: KeyRing::new(&settings.path()?, keys),
            path: settings.path()?,
            read_wait: Duration::from_millis(settings.lookup_timeout_ms),
            write_wait: Duration::from_millis(settings.write_timeout_ms),
        });
        let writer = database.open_or_make()?;
        Ok(Self {
            readers: Readers::new(Arc::clone(&database), settings.lookup_connections),
            database,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// The keys, with those generations as the current ones that the register calls so. To be asked anew for each message:
    /// another process may rotate them.
    pub fn keys(&self) -> Arc<Keys> {
        self.database.keys.now()
    }

    /// Where these people stand with this controller, in their order; unknown ones get an empty standing.
    ///
    /// # Errors
    /// When there is no whole answer within `lookup_timeout_ms`. Nothing of it may then be kept. After `KeysRotated` the
    /// identities are computed anew with `keys` and asked again.
    pub async fn look_up(
        &self,
        controller: &str,
        identities: &[Identity],
    ) -> Result<Vec<Standing>, RegisterError> {
        if identities.len() > LOOKUP_SUBJECTS_MAX {
            let count = identities.len();
            return Err(RegisterError::TooMany { count });
        }
        let answer = self.readers.look_up(identities.to_vec()).await;
        if let Err(error) = &answer {
            tracing::warn!(controller, subjects = identities.len(), %error, "consent look-up failed");
        }
        answer
    }

    /// Writes one row down, received at `recorded_at`. Blocks until it is on disk.
    ///
    /// # Errors
    /// When it cannot be a record, or the register cannot take it.
    pub fn record(&self, row: &Row, recorded_at: Timestamp) -> Result<Recorded, RegisterError> {
        if let RowEntry::Change(said) = &row.entry
            && said.kind == ChangeKind::Erased
        {
            return Ok(self.bury(row, said, recorded_at)?.recorded);
        }
        // From before the write lock until after the commit: an import steps aside meanwhile.
        let _announced = row
            .is_restriction()
            .then(|| announce::restriction(&self.database.path));
        let recorded = self.write_batch(std::slice::from_ref(row), recorded_at)?;
        Ok(recorded.first().copied().unwrap_or(Recorded::AlreadyThere))
    }

    /// Writes one contact record down, received at `recorded_at`. Blocks until it is on disk.
    ///
    /// # Errors
    /// When it cannot be a record, or the register cannot take it.
    pub fn record_contact(
        &self,
        controller: &str,
        address: &str,
        contact: &Contact,
        recorded_at: Timestamp,
    ) -> Result<Recorded, RegisterError> {
        let row = Row {
            controller: controller.to_owned(),
            address: address.to_owned(),
            entry: RowEntry::Contact(contact.clone()),
        };
        self.record(&row, recorded_at)
    }

    /// Writes rows down in one transaction, received at `recorded_at`, and answers for each in their order. Blocks until
    /// they are on disk.
    ///
    /// # Errors
    /// When one of them cannot be a record, or the register cannot take them: then nothing was written.
    pub fn write_batch(
        &self,
        rows: &[Row],
        recorded_at: Timestamp,
    ) -> Result<Vec<Recorded>, RegisterError> {
        let erases = rows.iter().any(
            |row| matches!(&row.entry, RowEntry::Change(said) if said.kind == ChangeKind::Erased),
        );
        self.write(|writing, keys| {
            let recorded = writer::write_batch(writing, keys, rows, recorded_at)?;
            if erases {
                writing.leave_nothing_behind();
            }
            Ok(recorded)
        })
    }

    /// Erases one person as of `at`: a tombstone that an older record cannot revive, everything older blanked (D22).
    /// Blocks until it is on disk.
    ///
    /// # Errors
    /// When the register cannot take it: then nothing was written.
    pub fn erase(
        &self,
        controller: &str,
        address: &str,
        at: Timestamp,
        recorded_at: Timestamp,
    ) -> Result<Erasure, RegisterError> {
        let said = Assertion {
            at: Some(at),
            ..Assertion::new(ChangeKind::Erased)
        };
        let row = Row {
            controller: controller.to_owned(),
            address: address.to_owned(),
            entry: RowEntry::Change(said.clone()),
        };
        self.bury(&row, &said, recorded_at)
    }

    fn bury(
        &self,
        row: &Row,
        said: &Assertion,
        recorded_at: Timestamp,
    ) -> Result<Erasure, RegisterError> {
        let _announced = announce::restriction(&self.database.path);
        self.write(|writing, keys| {
            let erasure = writer::erase(writing, keys, (row, said), recorded_at)?;
            writing.leave_nothing_behind();
            Ok(erasure)
        })
    }

    /// Ends what is past its period at `now`. Blocks, for as long as it takes, in small transactions.
    ///
    /// # Errors
    /// When the register cannot take it; what was committed before stays ended.
    pub fn expire(&self, retention: &Retention, now: Timestamp) -> Result<Expired, RegisterError> {
        retention.check()?;
        self.write(|writing, _| {
            let expired = expire::expire(&self.database, writing, retention, now)?;
            writing.leave_nothing_behind();
            Ok(expired)
        })
    }

    /// Counts what `expire` would end, and writes nothing. Blocks, for as long as it takes.
    ///
    /// # Errors
    /// When the register cannot be read.
    pub fn would_expire(
        &self,
        retention: &Retention,
        now: Timestamp,
    ) -> Result<Expired, RegisterError> {
        retention.check()?;
        expire::due(
            &self.database.open_for_reading()?.connection,
            retention,
            now,
        )
    }

    /// Where one person stands now. Blocks.
    ///
    /// # Errors
    /// When the register cannot be read.
    pub fn get(&self, controller: &str, address: &str) -> Result<Standing, RegisterError> {
        self.about(controller, address, |connection, _, identity| {
            rows::standing(connection, identity)
        })
    }

    /// Everything recorded of one person, oldest receipt first, with the address as it was given: for the operator's
    /// own terminal, never for a log. Blocks.
    ///
    /// # Errors
    /// When the register cannot be read or the address does not open.
    pub fn history(&self, controller: &str, address: &str) -> Result<History, RegisterError> {
        self.about(controller, address, |connection, keys, identity| {
            history::history(connection, keys, controller, identity)
        })
    }

    /// The record of this name, whatever is left of it. Blocks.
    ///
    /// # Errors
    /// When the register cannot be read.
    pub fn proof(&self, id: &ProofId) -> Result<Option<ProofRecord>, RegisterError> {
        history::proof(&self.database.open_for_reading()?.connection, id)
    }

    /// What was sealed away of an erased person's records, oldest first. Blocks.
    ///
    /// # Errors
    /// When the register cannot be read or a record does not open.
    pub fn defence(&self, controller: &str, address: &str) -> Result<Vec<Defence>, RegisterError> {
        self.about(controller, address, erase::defence)
    }

    /// Shows every living person, of one controller or of all, as of one moment, until `show` breaks off. Blocks.
    ///
    /// # Errors
    /// When the register cannot be read or an address does not open.
    pub fn each<B>(
        &self,
        controller: Option<&str>,
        show: impl FnMut(Person) -> std::ops::ControlFlow<B>,
    ) -> Result<std::ops::ControlFlow<B>, RegisterError> {
        let reading = self.database.open_for_reading()?;
        history::each(&reading.connection, &self.keys(), controller, show)
    }

    /// The end of every controller's chain. Blocks.
    ///
    /// # Errors
    /// When the register cannot be read.
    pub fn heads(&self) -> Result<Vec<Head>, RegisterError> {
        chain::heads(&self.database.open_for_reading()?.connection)
    }

    /// Empties the write-ahead log where no reader is in the way, and says whether it did: what was blanked while somebody
    /// read still stands there. Blocks for an instant.
    ///
    /// # Errors
    /// When the register cannot be opened for writing.
    pub fn empty_log(&self) -> Result<bool, RegisterError> {
        self.write(|writing, _| Ok(writing.cut_the_log()))
    }

    /// Recomputes every chain, adds every person's records up again and compares with what is written beside them and
    /// with the heads that somebody wrote down. Blocks, for as long as it takes.
    ///
    /// # Errors
    /// When the register cannot be read, or `Unverified` with the first record that does not fit.
    pub fn verify(&self, heads: &[Head]) -> Result<Verified, RegisterError> {
        let reading = self.database.open_for_reading()?;
        verify::verify(&reading.connection, &self.keys(), heads)
    }

    /// Reads about one person, as of one moment: a rotation that carries them over meanwhile does not hide them.
    fn about<T>(
        &self,
        controller: &str,
        address: &str,
        work: impl Fn(&rusqlite::Connection, &Keys, &Identity) -> Result<T, RegisterError>,
    ) -> Result<T, RegisterError> {
        let mut reading = self.database.open_for_reading()?;
        let mut result = Err(RegisterError::KeysRotated);
        for _ in 0..KEYS_FOLLOWED_MAX {
            if !matches!(result, Err(RegisterError::KeysRotated)) {
                break;
            }
            let keys = self.keys();
            let identity = keys.identity(controller, address);
            let snapshot = reading.connection.transaction()?;
            result = self
                .database
                .keys
                .check_lookup(&snapshot, identity.generation())
                .and_then(|()| work(&snapshot, &keys, &identity));
            snapshot.finish()?;
        }
        result
    }

    fn write<T>(
        &self,
        work: impl Fn(&mut Writing, (&KeyRing, &Keys)) -> Result<T, RegisterError>,
    ) -> Result<T, RegisterError> {
        // After a panic the slot is empty, since what stood in it was taken out before.
        let mut slot = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writing = match slot.take() {
            Some(writing) if self.database.is_current(&writing) => writing,
            _ => self.database.open_for_writing()?,
        };
        let mut result = work(&mut writing, (&self.database.keys, &self.keys()));
        // Nothing was written, and the new keys are here: a withdrawal is not sent away because a key was rotated.
        for _ in 1..KEYS_FOLLOWED_MAX {
            if matches!(result, Err(RegisterError::KeysRotated)) {
                result = work(&mut writing, (&self.database.keys, &self.keys()));
            }
        }
        // After an engine's error the connection is not trusted with the next write.
        if !matches!(
            result,
            Err(RegisterError::Engine(_) | RegisterError::Damaged(_))
        ) {
            *slot = Some(writing);
        }
        result
    }
}

#[cfg(test)]
mod tests;
