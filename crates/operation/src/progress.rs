//! Progress of an operation.

use serde::{Deserialize, Serialize};

/// The stages of an operation, in the order of an `add` or a `get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Waiting for a connection to a configured peer.
    Connecting,
    /// Asking peers for the meanings of a name and for holders.
    Finding,
    /// Reading files into the store.
    Storing,
    /// Downloading from an upstream.
    Importing,
    /// Downloading from peers.
    Fetching,
    /// Writing files out.
    Writing,
    /// Reading stored blobs back.
    Verifying,
}

/// The progress of an operation. Within a stage, numbers only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The current stage.
    pub stage: Stage,
    /// Bytes done in this stage.
    pub bytes: u64,
    /// Total bytes of this stage, if known.
    pub total_bytes: Option<u64>,
    /// Files or blobs done in this stage.
    pub items: u64,
    /// Total files or blobs of this stage, if known.
    pub total_items: Option<u64>,
    /// Peers that hold some of the missing bytes.
    pub peers: u32,
}

impl Progress {
    /// The start of `stage`, with all numbers at zero or unknown.
    #[must_use]
    pub fn of(stage: Stage) -> Self {
        Self { stage, bytes: 0, total_bytes: None, items: 0, total_items: None, peers: 0 }
    }
}
