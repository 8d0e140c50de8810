//! Why something was not imported.

use std::io;
use std::path::{Path, PathBuf};

use perennial_oci::{DigestMismatch, ManifestError, ReferenceError, Rule, TreeError};
use perennial_store::StoreError;
use reqwest::Url;

/// A fault of an upstream, of its answers, or of this machine. The text says what happened, to what,
/// and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The request makes no sense.
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
    /// The upstream could not be reached or refused, after all tries.
    #[error("{what}: {reason}")]
    Upstream {
        /// A URL or reference.
        what: String,
        /// The last fault.
        reason: String,
    },
    /// The bytes are not the ones that the upstream announced.
    #[error("{what}: {reason}")]
    Mismatch {
        /// A URL or reference.
        what: String,
        /// The difference.
        reason: String,
    },
    /// The address is inside a private network.
    #[error("{0} is an address inside a private network; --allow-private lets it be called")]
    Private(String),
    /// The caller no longer waits for the outcome.
    #[error(
        "the import was cancelled; what came of it is kept, and the same command continues there"
    )]
    Cancelled,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl ImportError {
    /// Whether other parts of the import would fail as well: the fault lies here, or the caller has
    /// left.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Store(StoreError::Denied(_)) => false,
            Self::Store(_) | Self::File { .. } | Self::Cancelled => true,
            _ => false,
        }
    }

    /// A manifest that breaks a rule. `what`: its digest or URL.
    pub(crate) fn manifest(what: impl Into<String>, error: ManifestError) -> Self {
        Self::Upstream { what: what.into(), reason: error.to_string() }
    }
}

impl From<DigestMismatch> for ImportError {
    fn from(error: DigestMismatch) -> Self {
        Self::Mismatch { what: error.expected.to_string(), reason: error.to_string() }
    }
}

impl From<ReferenceError> for ImportError {
    fn from(error: ReferenceError) -> Self {
        Self::Usage(error.to_string())
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

/// Names the file that an operation failed on.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> ImportError + '_ {
    |source| ImportError::File { path: path.to_owned(), source }
}

/// A URL for people and statements: without credentials, which are the user's own business, and
/// without fragment.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs that cannot have any.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_fragment(None);
    url.into()
}
