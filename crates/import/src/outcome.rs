//! What an import gives, and how far it is.

use perennial_manifest::Draft;
use perennial_store::Lease;

/// Releases that were brought in and wait to be signed.
#[derive(Debug, Default)]
pub struct Imported {
    /// Unsigned releases; their blobs are in the store.
    pub drafts: Vec<Draft>,
    /// What could not be had, and why.
    pub failed: Vec<Failed>,
    /// Bytes that were not in the store before.
    pub new_bytes: u64,
    /// What a release needs and how much of it came, where that was asked for.
    pub completeness: Vec<Completeness>,
    /// Keeps the blobs until the releases are signed.
    pub leases: Vec<Lease>,
}

/// Something that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// A URL or reference.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// How much of what a release refers to is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completeness {
    /// The release that refers to it, as a package URL.
    pub of: String,
    /// References that are held.
    pub held: Vec<String>,
    /// References that are not, each with the reason.
    pub missing: Vec<Failed>,
}

/// How far an import is. Numbers only grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that came, and that were found here already.
    pub bytes: u64,
    /// Of so many, as far as is known.
    pub total_bytes: Option<u64>,
    /// Blobs done.
    pub items: u64,
    /// Of so many, as far as is known.
    pub total_items: Option<u64>,
}

/// Hears of progress, and says whether to go on.
pub trait Watch: Send + Sync {
    /// Called often; must be cheap.
    fn progress(&self, progress: &Progress);
    /// Whether nobody waits for the outcome any more.
    fn is_cancelled(&self) -> bool;
}
