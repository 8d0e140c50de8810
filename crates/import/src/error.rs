//! Errors of an import.

use std::io;
use std::path::{Path, PathBuf};

use perennial_manifest::Origin;
use perennial_oci::{DigestMismatch, ManifestError, ReferenceError, Rule, TreeError};
use perennial_operation::{ErrorKind, Failed};
use perennial_store::StoreError;
use reqwest::Url;

/// A failure of an upstream, of its answers, or of this machine. The text says what happened, to
/// what, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The request is invalid.
    #[error("{0}")]
    Usage(String),
    /// The upstream does not have it (404, 410).
    #[error("{what} is not there: {reason}")]
    Gone {
        /// A URL or reference.
        what: String,
        /// The upstream's answer.
        reason: String,
    },
    /// The upstream was unreachable or refused, after all tries.
    #[error("{what}: {reason}")]
    Upstream {
        /// A URL or reference.
        what: String,
        /// The last failure.
        reason: String,
    },
    /// An archive on this machine has no such image.
    #[error("{0}")]
    NoImage(String),
    /// The content differs from the announced one.
    #[error("{what}: {reason}")]
    Mismatch {
        /// A URL or reference.
        what: String,
        /// The difference.
        reason: String,
    },
    /// The content is not what was asked for: it does not read, is a web page, or exceeds a limit.
    #[error("{what}: {reason}")]
    Unfit {
        /// A URL or reference.
        what: String,
        /// What it is instead.
        reason: String,
    },
    /// The address is inside a private network.
    #[error("{0} is an address inside a private network; --allow-private lets it be called")]
    Private(String),
    /// The caller cancelled the import.
    #[error(
        "the import was cancelled; what came of it is kept, and the same command continues there"
    )]
    Cancelled,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

impl ImportError {
    /// The kind of this failure. Every importer's errors get their exit codes by it, whether they
    /// end the import or cost a part of it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Usage(_) | Self::Private(_) => ErrorKind::Usage,
            Self::Gone { .. } | Self::NoImage(_) => ErrorKind::NotFound,
            Self::Mismatch { .. } => ErrorKind::Verification,
            Self::Upstream { .. }
            | Self::Unfit { .. }
            | Self::Cancelled
            | Self::Store(_)
            | Self::File { .. } => ErrorKind::Failed,
        }
    }

    /// This failure as that of a part, which the import goes on without.
    /// Such parts are remarked on in the signed release.
    pub(crate) fn of(&self, what: impl Into<String>) -> Failed {
        let [what, reason] = [what.into(), self.to_string()].map(|text| Origin::shown(&text).text);
        Failed::new(what, reason).of(self.kind())
    }

    /// The failure of the whole for that of a part: a thing that lacks a part is there, but not
    /// whole.
    pub(crate) fn of_whole(self) -> Self {
        match self {
            Self::Gone { what, reason } => {
                Self::Upstream { what, reason: format!("is not there: {reason}") }
            }
            other => other,
        }
    }

    /// Whether other parts of the import would fail as well: the fault is local, or the caller has
    /// left.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Store(StoreError::Denied(_)) => false,
            Self::Store(_) | Self::File { .. } | Self::Cancelled => true,
            _ => false,
        }
    }

    /// The error for an invalid manifest; `what` is its digest or URL.
    pub(crate) fn manifest(what: impl Into<String>, error: ManifestError) -> Self {
        Self::Upstream { what: what.into(), reason: error.to_string() }
    }
}

impl From<Box<DigestMismatch>> for ImportError {
    fn from(error: Box<DigestMismatch>) -> Self {
        Self::Mismatch { what: error.expected.to_string(), reason: error.to_string() }
    }
}

impl From<ReferenceError> for ImportError {
    fn from(error: ReferenceError) -> Self {
        Self::Usage(Origin::shown(&error.to_string()).text)
    }
}

impl From<TreeError> for ImportError {
    fn from(error: TreeError) -> Self {
        let (what, reason) = (error.digest.to_string(), error.rule.to_string());
        match error.rule {
            Rule::Size { .. } => Self::Mismatch { what, reason },
            _ => Self::Upstream { what, reason },
        }
    }
}

/// Adds the path to an I/O error.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> ImportError + '_ {
    |source| ImportError::File { path: path.to_owned(), source }
}

/// A URL for messages: without credentials, which are private to the user, and without fragment.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    Origin::shown(url.as_str()).text
}
