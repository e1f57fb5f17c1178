//! What the table does to a disk: its directory, its lock, a file put in place whole or not at all.
//!
//! Blocking. It knows names and octets, not what they mean. An error names the file and what was done to it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::LearnError;

const LOCK: &str = "lock";

pub(super) fn failed(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> LearnError + use<> {
    let path = path.to_owned();
    move |source| LearnError::Disk {
        doing,
        path: path.clone(),
        source,
    }
}

pub(super) fn make_directory(path: &Path) -> Result<(), LearnError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed("making the directory", path))
}

/// Keeps everybody else from writing here for as long as the answer is held.
pub(super) fn lock(directory: &Path) -> Result<File, LearnError> {
    let path = directory.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed("making", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LearnError::Locked {
            directory: directory.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(failed("locking", &path)(error)),
    }
}

/// Temporary file (0600), fsync, rename, fsync of the directory.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), LearnError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let unfinished = PathBuf::from(name);
    // One that a crash left behind may have another mode.
    let _ = fs::remove_file(&unfinished);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|file| {
            let mut file = BufWriter::new(file);
            write(&mut file)?;
            file.flush()?;
            file.get_ref().sync_all()
        })
        .map_err(failed("writing", &unfinished))
        .and_then(|()| fs::rename(&unfinished, path).map_err(failed("renaming to", path)));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written?;
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    File::open(directory)
        .and_then(|handle| handle.sync_all())
        .map_err(failed("syncing the directory", directory))
}
