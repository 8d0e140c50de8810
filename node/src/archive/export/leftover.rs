//! The temporary files of an export, and those that a killed export left behind.
//!
//! A file is written under a name of its own beside its final name. It is locked while it is in
//! use, so that the next export into the directory can tell it from a leftover.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};
use tempfile::NamedTempFile;

const PREFIX: &str = ".perennial-";
/// Letters and digits after the prefix.
const RANDOM: usize = 6;

/// Whether a file has the name of a temporary file of an export.
pub(crate) fn is_leftover(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
    random.is_some_and(|random| {
        random.len() == RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

/// A new temporary file, locked until it is closed.
pub(in crate::archive) fn temporary(dir: &Path) -> io::Result<NamedTempFile> {
    loop {
        let file = tempfile::Builder::new().prefix(PREFIX).rand_bytes(RANDOM).tempfile_in(dir)?;
        // Without locks (some network file systems) no leftover is removed either.
        let _ = flock(file.as_file(), FlockOperation::LockExclusive);
        // Another export may have taken it for a leftover before it was locked.
        if file.as_file().metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Removes what killed exports left in a directory. What cannot be removed stays.
pub(in crate::archive) fn sweep(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if is_leftover(&entry.file_name()) && !is_in_use(&entry.path()) {
            tracing::info!(path = %entry.path().display(), "removing what a killed export left");
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a process may still write to it; in doubt, it may.
fn is_in_use(path: &Path) -> bool {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file: io::Result<File> = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let unlocked = file.and_then(|file| {
        let is_file = file.metadata()?.is_file();
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(is_file)
    });
    !unlocked.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_use_stays_and_a_leftover_goes() {
        let dir = tempfile::tempdir().unwrap();
        let used = temporary(dir.path()).unwrap();
        let left = temporary(dir.path()).unwrap().keep().unwrap().1;
        assert!(is_leftover(left.file_name().unwrap()) && left.exists());
        for name in [".perennial-12345", ".perennial-1234567", ".perennial-12/45", "perennial-a"] {
            assert!(!is_leftover(name.as_ref()), "{name}");
        }
        let mine = dir.path().join(".perennial-notes");
        fs::write(&mine, "").unwrap();
        sweep(dir.path());
        assert!(used.path().exists() && !left.exists() && mine.exists());
    }
}
