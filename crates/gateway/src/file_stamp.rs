//! Whether a file that was read is still the same: files of secrets are replaced while the node
//! runs, by a rename or by a link that leads elsewhere.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What tells a version of a file from the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileStamp {
    file: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
    len: u64,
}

impl FileStamp {
    /// The stamp of the file that a path leads to now. Costs one call of the system.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let meta = fs::metadata(path)?;
        Ok(Self {
            file: (meta.dev(), meta.ino()),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
            len: meta.len(),
        })
    }
}
