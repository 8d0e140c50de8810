//! Leases: blobs that an add, a fetch or a reader needs, and that must not be collected now.
//! Counted in memory.
//!
//! Leases end with the process; the grace period protects what an unfinished add or fetch leaves
//! behind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use perennial_manifest::BlobId;

/// The number of leases on each blob.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leases(Arc<Mutex<HashMap<BlobId, usize>>>);

/// Protects blobs from being collected until it is dropped.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    blobs: Vec<BlobId>,
}

impl Leases {
    /// Takes a lease on some blobs, held or not yet.
    pub(crate) fn take(&self, blobs: Vec<BlobId>) -> Lease {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for blob in &blobs {
            *held.entry(*blob).or_insert(0) += 1;
        }
        Lease { leases: self.clone(), blobs }
    }

    /// Whether there is a lease on a blob.
    pub(crate) fn covers(&self, blob: &BlobId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(blob)
    }
}

impl Lease {
    /// Extends the lease to one more blob.
    pub(crate) fn add(&mut self, blob: BlobId) {
        *self.leases.0.lock().unwrap_or_else(PoisonError::into_inner).entry(blob).or_insert(0) += 1;
        self.blobs.push(blob);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.leases.0.lock().unwrap_or_else(PoisonError::into_inner);
        for blob in &self.blobs {
            if let Some(count) = held.get_mut(blob) {
                *count -= 1;
                if *count == 0 {
                    held.remove(blob);
                }
            }
        }
    }
}
