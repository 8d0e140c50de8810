//! Making files that a power cut cannot halve: temporary name, fsync, rename, fsync of the directory.
//!
//! Owns that order, in one place. A failed fsync ends the operation: the kernel may have dropped the pages, so a second
//! fsync that succeeds proves nothing (Rebello et al., ATC 2020).

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::error::{AtPath, StoreError};

/// Fsyncs a directory, so that the names in it last.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|dir| dir.sync_all()).at(dir)
}

/// Makes a directory and its missing parents, and fsyncs the one that names it.
pub(crate) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).at(dir)?;
    dir.parent().map_or(Ok(()), sync_dir)
}

/// Replaces a small file as a whole. The temporary file lies beside it, and is removed on failure.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut tmp = tempfile::Builder::new().prefix(".tmp-").tempfile_in(dir).at(path)?;
    tmp.write_all(bytes).at(path)?;
    tmp.as_file().sync_all().at(path)?;
    tmp.persist(path).map_err(|e| StoreError::io(path, e.error))?;
    sync_dir(dir)
}

/// Removes a file that may be gone already.
pub(crate) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.at(path),
    }
}
