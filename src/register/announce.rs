//! A restriction announces itself: the import steps aside for withdrawals, refusals, objections and erasures.
//!
//! SQLite lets one process write at a time and is not fair: an import that begins its next transaction at once can keep
//! a withdrawal waiting for minutes. So who writes a restriction holds a shared lock on `PATH.restrictions` meanwhile,
//! and an import takes it exclusively for an instant after each batch, which it cannot while anybody holds it.
//! It must never know what is written. It never fails: an announcement that cannot be made makes a withdrawal slower,
//! and a withdrawal that failed for want of an announcement would be lost. A dead process's lock goes with it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a restriction tries to announce itself before it goes on unannounced.
const ANNOUNCE_WITHIN: Duration = Duration::from_millis(500);
/// The longest that an import waits after one batch.
pub const GIVE_WAY_MAX: Duration = Duration::from_secs(60);
/// How often the lock is tried: the system has no wait with an end.
const TRY_EVERY: Duration = Duration::from_millis(1);

/// Holds the announcement until it is dropped.
#[derive(Debug)]
#[must_use = "the announcement lasts only as long as this"]
pub struct Guard {
    /// Closing the file lets go of the lock.
    _file: Option<File>,
}

impl Guard {
    /// Whether imports see it.
    pub fn is_announced(&self) -> bool {
        self._file.is_some()
    }
}

/// Announces that a restriction is about to be written to the register at `path`. Call it before the write
/// transaction and drop it after the commit. Blocks for an instant.
pub fn restriction(path: &Path) -> Guard {
    let announced = open(path).and_then(|file| {
        Ok(locked(&file, Instant::now() + ANNOUNCE_WITHIN, Mode::Shared)?.then_some(file))
    });
    match announced {
        Ok(Some(file)) => Guard { _file: Some(file) },
        Ok(None) => {
            tracing::warn!("a restriction is written unannounced: its lock is held");
            Guard { _file: None }
        }
        Err(error) => {
            tracing::warn!(%error, "a restriction is written unannounced");
            Guard { _file: None }
        }
    }
}

/// Waits while restrictions are announced, at most for `bound`. Says whether none is announced any more.
pub fn give_way(path: &Path, bound: Duration) -> bool {
    let until = Instant::now() + bound;
    match open(path).and_then(|file| locked(&file, until, Mode::Alone)) {
        Ok(free) => free,
        Err(error) => {
            tracing::warn!(%error, "restrictions cannot be waited for");
            // Whoever waits for SQLite's lock at this moment gets a chance at least.
            std::thread::sleep(TRY_EVERY * 2);
            false
        }
    }
}

#[derive(Clone, Copy)]
enum Mode {
    Shared,
    Alone,
}

fn locked(file: &File, until: Instant, mode: Mode) -> io::Result<bool> {
    loop {
        let tried = match mode {
            Mode::Shared => file.try_lock_shared(),
            Mode::Alone => file.try_lock(),
        };
        match tried {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return Ok(false),
            Err(TryLockError::WouldBlock) => std::thread::sleep(TRY_EVERY),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// `PATH.restrictions`, empty for ever, made where it is missing.
fn open(path: &Path) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".restrictions");
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(PathBuf::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_waits_while_a_restriction_is_announced_and_no_longer() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("consent.db");
        let short = Duration::from_millis(30);
        assert!(give_way(&path, short));
        let (one, two) = (restriction(&path), restriction(&path));
        assert!(one.is_announced() && two.is_announced());
        drop(one);
        assert!(!give_way(&path, short), "one is still announced");
        let waiting = {
            let path = path.clone();
            std::thread::spawn(move || give_way(&path, Duration::from_secs(20)))
        };
        std::thread::sleep(short);
        assert!(!waiting.is_finished());
        drop(two);
        assert!(waiting.join().unwrap());
        assert!(give_way(&path, Duration::ZERO));
    }

    #[test]
    fn an_announcement_that_cannot_be_made_stops_nothing() {
        let path = Path::new("/proc/nowhere/consent.db");
        assert!(!restriction(path).is_announced());
        assert!(!give_way(path, Duration::ZERO));
    }

    #[test]
    fn the_lock_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("consent.db");
        drop(restriction(&path));
        let made = place.path().join("consent.db.restrictions");
        let mode = made.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }
}
