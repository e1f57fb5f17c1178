//! The few things the spool does to a disk, each with the order that makes it durable.
//!
//! Blocking; called from `spawn_blocking` or at start. It knows names and octets, not what they mean. After a
//! failed write or fsync the file is given up, never synced again: what the kernel then still holds is unknown.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::SpoolError;

/// The end of a name that is not valid yet; such files are removed at start.
pub(super) const UNFINISHED: &str = ".tmp";

/// Attaches to an I/O error what was done to which file.
pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| SpoolError::Disk {
        doing,
        path,
        source,
    }
}

/// Makes a directory and its missing parents with mode 0700.
pub(super) fn make_directory(path: &Path) -> Result<(), SpoolError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed("making the directory", path))
}

/// Whether so many octets leave `free` on the file system. One that does not say how much it has is asked no further.
pub(super) fn has_room(directory: &Path, octets: u64, free: u64) -> Result<(), SpoolError> {
    let Ok(facts) = rustix::fs::statvfs(directory) else {
        return Ok(());
    };
    let available = facts.f_bavail.saturating_mul(facts.f_frsize);
    if available < octets.saturating_add(free) {
        return Err(SpoolError::Full {
            limit: "free_bytes",
            value: free,
        });
    }
    Ok(())
}

/// Writes a file that must not exist yet and syncs it and its directory. What was begun and not finished is removed.
pub(super) fn write_new(path: &Path, octets: &[u8]) -> Result<(), SpoolError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("making", path))?;
    let written = write_and_sync(&mut file, path, octets).and_then(|()| sync_parent(path));
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Puts a file in place at once or not at all: temporary file, fsync, rename, fsync of the directory.
///
/// After an error the old content, the new content or nothing may be in place; the caller must not build on any.
pub(super) fn replace(path: &Path, octets: &[u8]) -> Result<(), SpoolError> {
    let unfinished = unfinished(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(failed("making", &unfinished))?;
    let renamed = write_and_sync(&mut file, &unfinished, octets)
        .and_then(|()| fs::rename(&unfinished, path).map_err(failed("renaming to", path)));
    if renamed.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    renamed.and_then(|()| sync_parent(path))
}

/// Renames within the spool and syncs both directories, the new one first.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), SpoolError> {
    fs::rename(from, to).map_err(failed("renaming to", to))?;
    sync_parent(to)?;
    sync_parent(from)
}

/// Removes a file; one that is already gone is as good.
pub(super) fn remove(path: &Path) -> Result<(), SpoolError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("removing", path)(error))
        }
        _ => Ok(()),
    }
}

/// Syncs the directory a file lies in, so that its name survives a power loss.
pub(super) fn sync_parent(path: &Path) -> Result<(), SpoolError> {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => sync_directory(directory),
        _ => sync_directory(Path::new(".")),
    }
}

/// Syncs a directory.
pub(super) fn sync_directory(directory: &Path) -> Result<(), SpoolError> {
    File::open(directory)
        .and_then(|handle| handle.sync_all())
        .map_err(failed("syncing the directory", directory))
}

fn write_and_sync(file: &mut File, path: &Path, octets: &[u8]) -> Result<(), SpoolError> {
    file.write_all(octets).map_err(failed("writing", path))?;
    file.sync_all().map_err(failed("syncing", path))
}

/// The name of a file while it is being written.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    PathBuf::from(name)
}
