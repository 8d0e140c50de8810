//! The failures of a store, each with the path, blob or entry concerned.

use std::io;
use std::path::{Path, PathBuf};

use perennial_manifest::{BlobId, EntryId, ReleaseId};

use crate::deny::Denial;

/// A failed operation on the store. Nothing of it was acknowledged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Whoever wanted bytes added left before they were. Nothing of them is kept.
    #[error("the add was given up before it was complete")]
    GivenUp,
    /// The disk is full. Nothing of the operation is kept; it can be repeated once there is room.
    #[error("disk full while writing {path}: free some space and try again")]
    DiskFull {
        /// The file being written.
        path: PathBuf,
    },
    /// The archive has all the room that its owner gives it. Nothing of the operation is kept; it
    /// can be repeated once there is room.
    #[error(
        "the disk limit of this archive is reached: {used} of {quota} bytes are used, and {needed} \
         more are needed"
    )]
    OverQuota {
        /// Bytes of everything below the data directory.
        used: u64,
        /// Bytes that it may have.
        quota: u64,
        /// Bytes that were to be taken.
        needed: u64,
    },
    /// The file system was mounted read-only.
    #[error(
        "{path}: the file system is read-only; what is here can be read, verified and served, and \
         nothing can be added or changed"
    )]
    ReadOnly {
        /// The file or directory that was to be written.
        path: PathBuf,
    },
    /// The data directory is gone, or another one is in its place: a disk was unmounted, say.
    #[error("{dir}: {reason}")]
    Gone {
        /// The data directory.
        dir: PathBuf,
        /// What is there now.
        reason: &'static str,
    },
    /// The operating system reported an error.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// Stored bytes do not match their name. They were set aside.
    #[error("{blob} is damaged on this disk; it was set aside and can be fetched again")]
    Corrupt {
        /// The damaged blob.
        blob: BlobId,
    },
    /// A stored entry does not read back.
    #[error("entry {0} is damaged on this disk; it is repaired when a peer sends it again")]
    DamagedEntry(EntryId),
    /// The store does not hold the blob.
    #[error("{0} is not held here")]
    NotHeld(BlobId),
    /// What was asked for is on the deny list.
    #[error("{0}")]
    Denied(Box<Denial>),
    /// A file changed while it was read.
    #[error("{0} changed while it was being added; add it again")]
    Changed(PathBuf),
    /// The path is not a regular file.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// Bytes from a peer do not belong to the blob.
    #[error("the bytes received are not those of {0}")]
    WrongBytes(BlobId),
    /// A peer ended the transfer early.
    #[error("the transfer of {blob} broke off: {source}")]
    Broken {
        /// The blob being transferred.
        blob: BlobId,
        /// The error of the stream.
        source: io::Error,
    },
    /// The index failed. The store still serves reads, and takes nothing in until the index is open
    /// again.
    #[error("the index failed ({0}); the store is read-only until it is reopened")]
    Index(String),
    /// No known entry states this release.
    #[error("release {0} is not in the catalog")]
    UnknownRelease(ReleaseId),
    /// A task that used the store was cancelled or panicked before it had an outcome.
    #[error("the work on the store ended early: {0}")]
    Interrupted(String),
    /// The bytes of an artifact list are not what a release says of them. Its publisher signed
    /// that: the bytes are undamaged, and whoever sent them is not at fault.
    #[error(
        "the release is invalid: its publisher signed an artifact list that does not fit it \
         ({list}: {reason})"
    )]
    InvalidList {
        /// The blob that is said to be the list.
        list: BlobId,
        /// The difference.
        reason: String,
    },
    /// A state file or entry does not read back.
    #[error("{path}: {reason}")]
    Format {
        /// The file, or the name of the entry.
        path: PathBuf,
        /// The defect.
        reason: String,
    },
}

impl StoreError {
    /// Whether there is no room for what was to be written.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::OverQuota { .. })
    }

    /// Attaches the path to an I/O error.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        // One that came up through code that knows only I/O errors.
        let source = match source.downcast::<Self>() {
            Ok(own) => return own,
            Err(source) => source,
        };
        if source.kind() == io::ErrorKind::StorageFull
            || source.kind() == io::ErrorKind::QuotaExceeded
        {
            Self::DiskFull { path: path.to_owned() }
        } else if source.kind() == io::ErrorKind::ReadOnlyFilesystem {
            Self::ReadOnly { path: path.to_owned() }
        } else {
            Self::Io { path: path.to_owned(), source }
        }
    }
}

/// A result that lacks its path.
pub(crate) trait AtPath<T> {
    /// Attaches the path.
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
