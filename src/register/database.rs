//! One SQLite file: making it, recognising it, opening it for reading or writing.
//!
//! WAL, so that readers never wait for a writer; `synchronous=FULL`, so that a change that was acknowledged survives the
//! loss of power. It must never know what a record means. A file that is not ours, is of a later version, or was made
//! with other keys is refused, at start and at every later opening.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::RegisterError;
use super::keys::{KeyRing, inscribe};

const SCHEMA: &str = include_str!("schema.sql");
const SCHEMA_VERSION: i64 = 2;
/// `pxgt`, so that `file` and we can tell whose database it is.
const APPLICATION_ID: i64 = 0x7078_6774;
/// What a writer may keep of the file in memory, in KiB; used up by imports only.
const WRITE_CACHE_KIB: i64 = 64 * 1024;
/// How long the write-ahead log grows before it is carried over, in pages of 4 KiB.
const WRITE_LOG_PAGES: i64 = 8_192;
/// Statements kept ready on each connection.
const STATEMENTS_MAX: usize = 32;
/// How often the write-ahead log is tried to be emptied after an erasure, and how long between two times.
const CUT_TRIES: u32 = 10;
const CUT_PAUSE: Duration = Duration::from_millis(10);

/// Where the register is and how long to wait for it.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) path: PathBuf,
    pub(super) keys: KeyRing,
    pub(super) read_wait: Duration,
    pub(super) write_wait: Duration,
}

/// A connection and the file it was opened on.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) connection: Connection,
    file: (u64, u64),
    wait: Duration,
}

/// The same, allowed to write.
pub(super) type Writing = Reading;

impl Writing {
    /// What was blanked still stands in the write-ahead log until that is copied and cut. Readers come and go within
    /// milliseconds; where they do not, a relay cuts the log within the hour. The blanking itself is done.
    pub(super) fn leave_nothing_behind(&self) {
        let cut = (0..CUT_TRIES).any(|tried| {
            if tried > 0 {
                std::thread::sleep(CUT_PAUSE);
            }
            self.cut_the_log()
        });
        if !cut {
            tracing::info!(
                "what was blanked stands in the write-ahead log until that is cut, within the hour"
            );
        }
    }

    /// Copies the write-ahead log into the database and empties it, where no reader is in the way.
    pub(super) fn cut_the_log(&self) -> bool {
        // It does not wait for readers: it would hold the write lock meanwhile, and a withdrawal would wait with it.
        let cut = self.connection.busy_timeout(Duration::ZERO).and_then(|()| {
            let pragma = "PRAGMA wal_checkpoint(TRUNCATE)";
            self.connection
                .query_row(pragma, [], |row| row.get::<_, i64>(0))
        });
        let restored = self.connection.busy_timeout(self.wait);
        matches!((cut, restored), (Ok(0), Ok(())))
    }
}

impl Database {
    /// Opens for reading; the file must be there.
    pub(super) fn open_for_reading(&self) -> Result<Reading, RegisterError> {
        let reading = self.connect(self.read_wait)?;
        reading.connection.pragma_update(None, "query_only", true)?;
        self.recognise(&reading.connection)?;
        Ok(reading)
    }

    /// Opens for writing; the file must be there. A register that vanished under a running process is not replaced by
    /// an empty one.
    pub(super) fn open_for_writing(&self) -> Result<Writing, RegisterError> {
        let writing = self.connect_for_writing()?;
        self.recognise(&writing.connection)?;
        Ok(writing)
    }

    /// Makes file and schema where they are missing, then opens for writing: at start only.
    pub(super) fn open_or_make(&self) -> Result<Writing, RegisterError> {
        self.make_file()?;
        let mut writing = self.connect_for_writing()?;
        let connection = &mut writing.connection;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if is_empty(&transaction)? {
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            inscribe(&transaction, &self.keys.now())?;
        }
        transaction.commit()?;
        self.recognise(&writing.connection)?;
        Ok(writing)
    }

    /// Whether the path still names the file of this connection. One that was moved away or replaced, by a restore for
    /// example, would go on answering with what is no longer the register.
    pub(super) fn is_current(&self, reading: &Reading) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|metadata| identity(&metadata) == reading.file)
    }

    fn connect_for_writing(&self) -> Result<Writing, RegisterError> {
        let writing = self.connect(self.write_wait)?;
        let connection = &writing.connection;
        self.use_wal(connection)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Subjects and names of records are hashes: a batch touches pages all over the file. With the default cache every
        // one of them was read again, with the default log every batch was carried over by itself.
        connection.pragma_update(None, "cache_size", -WRITE_CACHE_KIB)?;
        connection.pragma_update(None, "wal_autocheckpoint", WRITE_LOG_PAGES)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // What is taken out (a sealed address after erasure) is overwritten, not left in free pages.
        connection.pragma_update(None, "secure_delete", true)?;
        // Without a limit the log keeps its length when it is begun anew, and what it held past the new end stays readable.
        let query = "PRAGMA journal_size_limit = 0";
        connection.query_row(query, [], |row| row.get::<_, i64>(0))?;
        Ok(writing)
    }

    fn connect(&self, wait: Duration) -> Result<Reading, RegisterError> {
        let file = identity(&std::fs::metadata(&self.path).map_err(|source| self.file(source))?);
        let connection = Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(wait)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(Reading {
            connection,
            file,
            wait,
        })
    }

    /// Made by us and not by SQLite, so that it is 0600 from its first octet; `-wal` and `-shm` take its mode over.
    fn make_file(&self) -> Result<(), RegisterError> {
        if let Some(directory) = self.path.parent().filter(|path| *path != Path::new("")) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(|source| self.file(source))?;
        }
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)
            .map(drop)
            .map_err(|source| self.file(source))
    }

    /// The switch to WAL does not wait for a lock by itself: two processes at first start meet here.
    fn use_wal(&self, connection: &Connection) -> Result<(), RegisterError> {
        let mut left = self.write_wait;
        loop {
            let pause = Duration::from_millis(20);
            match connection
                .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
                .map_err(RegisterError::from)
            {
                Ok(mode) if mode == "wal" => return Ok(()),
                Ok(mode) => {
                    return Err(RegisterError::NotOurs {
                        path: self.path.clone(),
                        problem: format!(
                            "stays in journal mode `{mode}`: the register needs WAL, hence a local file system"
                        ),
                    });
                }
                Err(RegisterError::Busy) if left > pause => {
                    std::thread::sleep(pause);
                    left -= pause;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Is it ours, of this version, made with these keys?
    fn recognise(&self, connection: &Connection) -> Result<(), RegisterError> {
        let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let version = number("user_version")?;
        let problem = match (number("application_id")?, version) {
            (APPLICATION_ID, SCHEMA_VERSION) => None,
            (APPLICATION_ID, later) if later > SCHEMA_VERSION => Some(format!(
                "is a register of schema {later}; this version knows {SCHEMA_VERSION}: use the later version"
            )),
            _ => Some("is not a consent register".to_owned()),
        };
        if let Some(problem) = problem {
            return Err(RegisterError::NotOurs {
                path: self.path.clone(),
                problem,
            });
        }
        self.keys.recognise(connection)
    }

    fn file(&self, source: std::io::Error) -> RegisterError {
        RegisterError::File {
            path: self.path.clone(),
            source,
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn is_empty(connection: &Connection) -> Result<bool, RegisterError> {
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(tables == 0 && version == 0)
}
