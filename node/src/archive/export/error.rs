//! Why files were not written out.

use std::io::{self, ErrorKind as IoKind};
use std::path::{Path, PathBuf};

use perennial_manifest::link::LinkError;
use perennial_manifest::{ArtifactPath, BlobId, Sha256Digest};
use perennial_operation::ErrorKind;
use perennial_store::StoreError;

/// Why files were not written out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A directory or file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The target's disk is full.
    #[error("disk full while writing {}", path.display())]
    DiskFull {
        /// The file being written.
        path: PathBuf,
    },
    /// A path below the target has to be a directory, but is not.
    #[error("{} is in the way: it is not a directory, and links are not followed", path.display())]
    NotADirectory {
        /// The conflicting path.
        path: PathBuf,
    },
    /// A path below the target has to be a file, but is not.
    #[error("{} is in the way: it is not a regular file", path.display())]
    NotAFile {
        /// The conflicting path.
        path: PathBuf,
    },
    /// The target file exists with other bytes.
    #[error("{} already exists with other content", path.display())]
    Exists {
        /// The existing file.
        path: PathBuf,
    },
    /// A blob does not have the SHA-256 that was claimed for it.
    #[error("{blob} does not have the claimed {claimed}: it has {computed}")]
    WrongSha256 {
        /// The blob's id.
        blob: BlobId,
        /// The digest that a signed list or a peer claims.
        claimed: Sha256Digest,
        /// The digest of the blob's bytes.
        computed: Sha256Digest,
    },
    /// The release has a symbolic link that leads out of its tree, or has no valid target.
    #[error("{path} of the release is {error}; it was not made")]
    Link {
        /// The link's path in the release.
        path: ArtifactPath,
        /// The rule it breaks.
        error: LinkError,
    },
    /// The store failed, or found the blob damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ExportError {
    pub(in crate::archive) fn kind(&self) -> ErrorKind {
        match self {
            Self::WrongSha256 { .. }
            | Self::Link { .. }
            | Self::Store(StoreError::Corrupt { .. }) => ErrorKind::Verification,
            _ => ErrorKind::Failed,
        }
    }

    pub(in crate::archive) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::DiskFull { .. } | Self::Store(StoreError::DiskFull { .. }) => {
                Some("free some space, or give a directory on another disk with -o")
            }
            Self::NotADirectory { .. } | Self::NotAFile { .. } => {
                Some("move it elsewhere, or give another directory with -o")
            }
            Self::Exists { .. } => Some("--force replaces it; or give another directory with -o"),
            Self::Store(StoreError::Corrupt { .. }) => {
                Some("get it again: the damaged copy was set aside")
            }
            _ => None,
        }
    }

    pub(in crate::archive) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if source.kind() == IoKind::StorageFull {
            Self::DiskFull { path }
        } else {
            Self::Io { path, source }
        }
    }
}
