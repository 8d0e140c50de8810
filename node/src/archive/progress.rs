//! Progress reports from an operation to its caller, and cancellation when the caller has left.

/// The stages of an operation, in the order of an `add` or a `get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for the configured peers to connect.
    Connecting,
    /// Asking peers for the meanings of a name and for holders.
    Finding,
    /// Reading files into the store.
    Storing,
    /// Receiving bytes from an upstream.
    Importing,
    /// Receiving bytes from peers.
    Fetching,
    /// Writing files out.
    Writing,
    /// Reading stored blobs back.
    Verifying,
}

/// The progress of an operation. Within a stage, numbers only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    pub fn of(stage: Stage) -> Progress {
        Progress { stage, bytes: 0, total_bytes: None, items: 0, total_items: None, peers: 0 }
    }
}

/// The caller of an operation, as the operation sees it. `()` ignores progress and never leaves.
pub trait Observer: Send + Sync {
    /// Receives progress. Called often, also from blocking threads; must not block.
    fn progress(&self, progress: Progress);

    /// Returns whether the caller has left. Long operations then stop at the next file or blob;
    /// acknowledged work stays.
    fn has_left(&self) -> bool;
}

impl Observer for () {
    fn progress(&self, _: Progress) {}

    fn has_left(&self) -> bool {
        false
    }
}
