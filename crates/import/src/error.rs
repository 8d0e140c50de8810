//! Why something was not imported.

use perennial_store::StoreError;

/// An upstream, or what it sent, is no good. The text says what happened, to what, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The upstream has no such thing (404, 410).
    #[error("{what} is not there: {reason}")]
    Gone {
        /// A URL or reference.
        what: String,
        /// What the upstream said.
        reason: String,
    },
    /// The upstream could not be reached or refused, after all tries.
    #[error("{what}: {reason}")]
    Upstream {
        /// A URL or reference.
        what: String,
        /// What happened.
        reason: String,
    },
    /// The bytes are not what the upstream says they are.
    #[error("{what}: {reason}")]
    Mismatch {
        /// A URL or reference.
        what: String,
        /// What was expected and what came.
        reason: String,
    },
    /// The address is not to be called.
    #[error("{0} is an address inside a private network; --allow-private lets it be called")]
    Private(String),
    /// Nobody waits for the outcome any more.
    #[error(
        "the import was cancelled; what came of it is kept, and the same command goes on from there"
    )]
    Cancelled,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl ImportError {
    /// Whether to go on with something else makes no sense: the fault lies here, or nobody waits for the outcome.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Store(StoreError::Denied(_)) => false,
            Self::Store(_) | Self::File { .. } | Self::Cancelled => true,
            _ => false,
        }
    }
}
