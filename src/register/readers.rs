//! Look-ups beside the mail: a few connections, a bounded wait, the whole message's recipients in one go.
//!
//! SQLite blocks, so it works on blocking threads, never more than there are connections: a hung disk costs that many
//! threads and every further look-up its time-out, nothing else. It must never remember an answer. A connection that
//! failed is dropped and a new one opened at the next look-up, so that no restart is needed once the disk is back.

use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use super::RegisterError;
use super::database::{Database, Reading};
use super::keys::Identity;
use super::rows;
use crate::consent::Standing;

#[derive(Debug)]
pub(super) struct Readers {
    database: Arc<Database>,
    idle: Arc<Mutex<Vec<Reading>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(database: Arc<Database>, connections: usize) -> Self {
        Self {
            database,
            idle: Arc::default(),
            permits: Arc::new(Semaphore::new(connections)),
        }
    }

    pub(super) async fn look_up(
        &self,
        identities: Vec<Identity>,
    ) -> Result<Vec<Standing>, RegisterError> {
        let wait = self.database.read_wait;
        let answer = async {
            let permit = Arc::clone(&self.permits)
                .acquire_owned()
                .await
                .map_err(|_| RegisterError::Interrupted)?;
            let database = Arc::clone(&self.database);
            let idle = Arc::clone(&self.idle);
            let work = tokio::task::spawn_blocking(move || {
                // Held by the work, not by who waits for it: given up is not finished.
                let _permit = permit;
                look_up_blocking(&database, &idle, &identities)
            });
            work.await.map_err(|_| RegisterError::Interrupted)?
        };
        tokio::time::timeout(wait, answer)
            .await
            .map_err(|_| RegisterError::TimedOut {
                milliseconds: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            })?
    }
}

fn look_up_blocking(
    database: &Database,
    idle: &Mutex<Vec<Reading>>,
    identities: &[Identity],
) -> Result<Vec<Standing>, RegisterError> {
    let held = idle.lock().ok().and_then(|mut idle| idle.pop());
    let mut reading = match held {
        Some(reading) if database.is_current(&reading) => reading,
        _ => database.open_for_reading()?,
    };
    let standings = look_up_in(database, &mut reading, identities)?;
    if let Ok(mut idle) = idle.lock() {
        idle.push(reading);
    }
    Ok(standings)
}

/// One read transaction, so that all recipients of a message are seen at one moment.
fn look_up_in(
    database: &Database,
    reading: &mut Reading,
    identities: &[Identity],
) -> Result<Vec<Standing>, RegisterError> {
    let transaction = reading.connection.transaction()?;
    for (place, identity) in identities.iter().enumerate() {
        // One message's identities are made together; who mixes generations is refused all the same.
        let same = place
            .checked_sub(1)
            .and_then(|before| identities.get(before))
            .is_some_and(|before| before.generation() == identity.generation());
        if !same {
            database
                .keys
                .check_lookup(&transaction, identity.generation())?;
        }
    }
    let standings = identities
        .iter()
        .map(|identity| rows::standing(&transaction, identity))
        .collect::<Result<_, _>>()?;
    transaction.finish()?;
    Ok(standings)
}

#[cfg(test)]
impl Readers {
    pub(super) async fn take_all_for_test(&self) -> tokio::sync::OwnedSemaphorePermit {
        let all = u32::try_from(self.permits.available_permits()).unwrap();
        Arc::clone(&self.permits)
            .acquire_many_owned(all)
            .await
            .unwrap()
    }
}
