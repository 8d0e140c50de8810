//! The outcome of an import, and its progress.

use perennial_manifest::Draft;
use perennial_store::Lease;

/// Imported releases that wait to be signed.
#[derive(Debug, Default)]
pub struct Imported {
    /// Unsigned releases; their blobs are in the store.
    pub drafts: Vec<Draft>,
    /// Parts that could not be had, with the reason.
    pub failed: Vec<Failed>,
    /// Bytes that were not in the store before.
    pub new_bytes: u64,
    /// The references of each release and how many of them are held, if that was asked for.
    pub completeness: Vec<Completeness>,
    /// Keeps the blobs until the releases are signed.
    pub leases: Vec<Lease>,
}

/// A part that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// A URL or reference.
    pub what: String,
    /// The reason.
    pub reason: String,
}

/// The references of a release, held and missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completeness {
    /// The release that refers to it, as a package URL.
    pub of: String,
    /// References that are held.
    pub held: Vec<String>,
    /// References that are not held, each with the reason.
    pub missing: Vec<Failed>,
}

/// The progress of an import. Numbers only grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that arrived or were held already.
    pub bytes: u64,
    /// All bytes, as far as is known.
    pub total_bytes: Option<u64>,
    /// Finished blobs.
    pub items: u64,
    /// All blobs, as far as is known.
    pub total_items: Option<u64>,
}

/// Receives progress, and says whether to continue.
pub trait Watch: Send + Sync {
    /// Called often; must be cheap.
    fn progress(&self, progress: &Progress);
    /// Whether the caller no longer waits for the outcome.
    fn is_cancelled(&self) -> bool;
}
