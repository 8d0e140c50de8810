//! How an operation tells its caller how far it is, and learns that the caller has left.

/// What an operation is doing, in the order of an `add` or a `get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for the configured peers to connect.
    Connecting,
    /// Asking peers what a name means and who holds it.
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

/// How far an operation is. Within a stage, numbers only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What the operation is doing.
    pub stage: Stage,
    /// Bytes done in this stage.
    pub bytes: u64,
    /// Bytes this stage has to do, where that is known.
    pub total_bytes: Option<u64>,
    /// Files or blobs done in this stage.
    pub items: u64,
    /// Files or blobs this stage has to do, where that is known.
    pub total_items: Option<u64>,
    /// Peers that hold some of the bytes still missing.
    pub peers: u32,
}

impl Progress {
    /// The beginning of `stage`, before any number is known.
    #[must_use]
    pub fn of(stage: Stage) -> Progress {
        Progress { stage, bytes: 0, total_bytes: None, items: 0, total_items: None, peers: 0 }
    }
}

/// The caller of an operation, as the operation sees it. `()` observes nothing and waits to the
/// end.
pub trait Observer: Send + Sync {
    /// Hears of progress. Called often, also from blocking threads; must not wait.
    fn progress(&self, progress: Progress);

    /// Whether the caller no longer waits. Long operations stop at the next file or blob; what they
    /// acknowledged stays.
    fn has_left(&self) -> bool;
}

impl Observer for () {
    fn progress(&self, _: Progress) {}

    fn has_left(&self) -> bool {
        false
    }
}
