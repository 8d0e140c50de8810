//! The outcome of an import, and its progress.

use perennial_manifest::Draft;
use perennial_operation::{Completeness, Failed};
use perennial_store::Lease;

/// Imported releases, ready to be signed.
#[derive(Debug, Default)]
pub struct Imported {
    /// Unsigned releases; their blobs are in the store.
    pub drafts: Vec<Draft>,
    /// Parts that could not be imported, with the reason.
    pub failed: Vec<Failed>,
    /// Published checksum files that nothing could be compared with, with the reason.
    pub unchecked: Vec<Failed>,
    /// Bytes that were not in the store before.
    pub new_bytes: u64,
    /// The references of each release, held and missing, if requested.
    pub completeness: Vec<Completeness>,
    /// What is not signed of the URLs, because it looks like a secret; never its value.
    pub withheld: Vec<String>,
    /// Leases that keep the blobs until the releases are signed.
    pub leases: Vec<Lease>,
}

/// The progress of an import. Counters only grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes received or already held.
    pub bytes: u64,
    /// Total bytes, as far as known.
    pub total_bytes: Option<u64>,
    /// Finished blobs.
    pub items: u64,
    /// Total blobs, as far as known.
    pub total_items: Option<u64>,
}

/// Observes an import, and may cancel it.
pub trait Watch: Send + Sync {
    /// Called often; must be cheap.
    fn progress(&self, progress: &Progress);
    /// Whether to stop, because the caller no longer waits for the outcome.
    fn is_cancelled(&self) -> bool;
}

/// Ignores progress and never cancels.
impl Watch for () {
    fn progress(&self, _: &Progress) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}
