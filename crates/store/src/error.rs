//! What can go wrong in the store, each with the path or blob it happened to.

use std::io;
use std::path::{Path, PathBuf};

use perennial_manifest::{BlobId, EntryId, ReleaseId};

/// An operation on the store failed; what it had not acknowledged did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk is full. Nothing of the operation is kept; it can be tried again when there is room.
    #[error("disk full while writing {path}: free some space and try again")]
    DiskFull {
        /// What was being written.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Stored bytes no longer match their name. They were set aside.
    #[error("{blob} is damaged on this disk; it was set aside and can be fetched again")]
    Corrupt {
        /// Which blob.
        blob: BlobId,
    },
    /// A stored entry no longer reads back.
    #[error("entry {0} is damaged on this disk; it is mended when it comes again")]
    DamagedEntry(EntryId),
    /// The bytes are not here.
    #[error("{0} is not held here")]
    NotHeld(BlobId),
    /// The deny list names it.
    #[error("{0} is on this node's deny list")]
    Denied(BlobId),
    /// A file changed while it was read.
    #[error("{0} changed while it was being added; add it again")]
    Changed(PathBuf),
    /// Not a regular file.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// Bytes from a peer do not belong to the blob.
    #[error("the bytes received are not those of {0}")]
    WrongBytes(BlobId),
    /// A peer ended early.
    #[error("the transfer of {blob} broke off: {source}")]
    Broken {
        /// Which blob.
        blob: BlobId,
        /// What the stream said.
        source: io::Error,
    },
    /// The index failed. The store serves reads; it takes nothing in until it is opened again.
    #[error("the index failed ({0}); the store is read-only until it is reopened")]
    Index(String),
    /// No entry that states this release is known here.
    #[error("release {0} is not in the catalog")]
    UnknownRelease(ReleaseId),
    /// A task that used the store was cancelled or panicked before it had an outcome.
    #[error("the work on the store ended early: {0}")]
    Interrupted(String),
    /// A state file or entry does not read back.
    #[error("{path}: {reason}")]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl StoreError {
    /// Says what `source` happened to.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull
            || source.kind() == io::ErrorKind::QuotaExceeded
        {
            Self::DiskFull { path: path.to_owned() }
        } else {
            Self::Io { path: path.to_owned(), source }
        }
    }
}

/// A result with the path still to be told.
pub(crate) trait AtPath<T> {
    /// Says what the error happened to.
    fn at(self, path: &Path) -> Result<T, StoreError>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::io(path, source))
    }
}

impl<T> AtPath<T> for rustix::io::Result<T> {
    fn at(self, path: &Path) -> Result<T, StoreError> {
        self.map_err(|errno| StoreError::io(path, errno.into()))
    }
}
