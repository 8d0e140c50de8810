//! What must not be collected now, because an add, a fetch or a reader needs it: counted in memory.
//!
//! Leases end with the process; what an unfinished add or fetch leaves is spared by the grace period instead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use perennial_manifest::BlobId;

/// Who holds what, by count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leases(Arc<Mutex<HashMap<BlobId, usize>>>);

/// Keeps blobs from being collected until it is dropped.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    blobs: Vec<BlobId>,
}

impl Leases {
    /// Takes a lease on some blobs, here or not yet.
    pub(crate) fn take(&self, blobs: Vec<BlobId>) -> Lease {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for blob in &blobs {
            *held.entry(*blob).or_insert(0) += 1;
        }
        Lease { leases: self.clone(), blobs }
    }

    /// Whether anybody holds a lease on a blob.
    pub(crate) fn covers(&self, blob: &BlobId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(blob)
    }
}

impl Lease {
    /// Takes one more blob in.
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
