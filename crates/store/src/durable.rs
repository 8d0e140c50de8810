//! Writing files so that a power cut cannot halve them: temporary name, fsync, rename, fsync of the
//! directory.
//!
//! Owns that order and the calls it consists of, each of which is a step at which tests let the
//! disk fail (`faults`). A failed fsync ends the operation: the kernel may have dropped the pages,
//! so a second fsync that succeeds proves nothing (Rebello et al., ATC 2020).

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::sync::Once;

use crate::error::{AtPath, StoreError};
#[cfg(test)]
pub(crate) mod faults;

#[cfg(test)]
use faults::step;

#[cfg(not(test))]
fn step() -> io::Result<()> {
    Ok(())
}

/// Writes bytes at an offset.
pub(crate) fn write_at(
    file: &File,
    bytes: &[u8],
    offset: u64,
    path: &Path,
) -> Result<(), StoreError> {
    step().and_then(|()| file.write_all_at(bytes, offset)).at(path)
}

/// Fsyncs a file. After a failure, everything written since the last success is in doubt, and no
/// further call can settle it.
pub(crate) fn sync_file(file: &File, path: &Path) -> Result<(), StoreError> {
    step().and_then(|()| file.sync_all()).at(path)
}

/// Renames a file into place.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    step().and_then(|()| fs::rename(from, to)).at(to)
}

/// Truncates a file.
pub(crate) fn truncate(file: &File, len: u64, path: &Path) -> Result<(), StoreError> {
    step().and_then(|()| file.set_len(len)).at(path)
}

/// Fsyncs a directory, which makes the names in it durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    step().and_then(|()| sync_directory(dir)).at(dir)
}

/// Fsyncs a directory. A file system that cannot do that is reported once in the log: refusing it
/// would make no name more durable.
///
/// # Errors
/// Those of the operating system, except that it cannot sync directories.
pub fn sync_directory(dir: &Path) -> io::Result<()> {
    match File::open(dir)?.sync_all() {
        Err(error) if cannot_sync_dirs(&error) => {
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                tracing::warn!(
                    dir = %dir.display(),
                    "this file system cannot sync directories: the last files written before a \
                     power cut may be missing after it"
                );
            });
            Ok(())
        }
        other => other,
    }
}

/// Whether an error says that a file system has no sync of directories (CIFS, some FUSE), rather
/// than that it failed.
fn cannot_sync_dirs(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errnos = [Errno::INVAL, Errno::NOTSUP, Errno::NOSYS];
    errnos.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Creates a directory and its missing parents, and fsyncs every directory that names a new one.
pub(crate) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    make_dir(parent)?;
    let made = step().and_then(|()| fs::DirBuilder::new().mode(0o700).create(dir));
    match made {
        // Another thread was faster, and may not have fsynced its parent yet.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        other => other.at(dir)?,
    }
    sync_dir(parent)
}

/// Prefix of temporary files that lie beside the file they are about to replace.
pub(crate) const TMP: &str = ".tmp-";

/// Replaces a small file as a whole. The temporary file lies beside it and is removed on failure.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut tmp = tempfile::Builder::new().prefix(TMP).tempfile_in(dir).at(path)?;
    step().and_then(|()| tmp.write_all(bytes)).at(path)?;
    sync_file(tmp.as_file(), path)?;
    step().and_then(|()| tmp.persist(path).map_err(|e| e.error)).at(path)?;
    sync_dir(dir)
}

/// Removes a file, which may be missing already.
pub(crate) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match step().and_then(|()| fs::remove_file(path)) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.at(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::{Plan, during};

    #[test]
    fn each_new_directory_is_made_and_then_its_parent_synced() {
        for step in 0..=6 {
            let dir = tempfile::tempdir().unwrap();
            let (made, failed) =
                during(Plan::Once(step), || make_dir(&dir.path().join("new/data/blobs")));
            assert_eq!((failed, made.is_err()), (step < 6, step < 6), "step {step}");
        }
    }

    #[test]
    fn a_file_system_without_sync_of_directories_is_told_from_one_that_fails() {
        use rustix::io::Errno;
        for (errno, cannot) in
            [(Errno::INVAL, true), (Errno::NOTSUP, true), (Errno::IO, false), (Errno::NOSPC, false)]
        {
            assert_eq!(cannot_sync_dirs(&errno.into()), cannot, "{errno}");
        }
    }
}
