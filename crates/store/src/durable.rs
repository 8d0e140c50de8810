//! Writing files so that a power cut cannot halve them: temporary name, fsync, rename, fsync of the
//! directory.
//!
//! Owns that order and the calls it consists of, each of which is a step at which tests let the
//! disk fail (`faults`). A failed fsync ends the operation: the kernel may have dropped the pages,
//! so a second fsync that succeeds proves nothing (Rebello et al., ATC 2020).

use std::fs::{self, File};
#[cfg(not(test))]
use std::io;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

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

/// Fsyncs a directory. File systems that cannot do that (CIFS, NTFS and others answer EINVAL) write
/// names in an order of their own; refusing them would make no name more durable.
///
/// # Errors
/// Those of the operating system, except that it cannot sync directories.
pub fn sync_directory(dir: &Path) -> std::io::Result<()> {
    use rustix::io::Errno;
    match File::open(dir)?.sync_all() {
        Err(error)
            if [Errno::INVAL, Errno::OPNOTSUPP, Errno::NOSYS]
                .iter()
                .any(|cannot| error.raw_os_error() == Some(cannot.raw_os_error())) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Creates a directory and its missing parents, and fsyncs the one that names it.
pub(crate) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    step().and_then(|()| fs::create_dir_all(dir)).at(dir)?;
    dir.parent().map_or(Ok(()), sync_dir)
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
