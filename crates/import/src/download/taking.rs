//! Turns downloaded files into blobs.

use perennial_store::{Added, Lease, SMALL, Store};

use super::Part;
use crate::ImportError;
use crate::meter::blocking;

/// Stored blobs in the order of their files, and the lease that keeps them.
pub(crate) struct Taken {
    pub(crate) added: Vec<Added>,
    pub(crate) lease: Lease,
}

impl Taken {
    /// The number of bytes that the store did not have before.
    pub(crate) fn new_bytes(&self) -> u64 {
        self.added.iter().filter(|added| added.new).map(|added| added.size).sum()
    }
}

/// Moves files into the store as blobs, behind one fsync. After a failure, the files not yet moved
/// can still be resumed.
pub(crate) async fn take(store: &Store, mut parts: Vec<Part>) -> Result<Taken, ImportError> {
    let store = store.clone();
    blocking(move || {
        let mut batch = store.batch();
        let mut added = Vec::with_capacity(parts.len());
        // The files stay locked until the batch is committed.
        for part in &mut parts {
            part.forget()?;
            match batch.take_file(part.path(), &|_| {}) {
                Ok(taken) => added.push(taken),
                Err(error) => {
                    part.remember()?;
                    return Err(error.into());
                }
            }
        }
        let lease = batch.commit()?;
        let large = added.iter().filter(|added| added.size > SMALL);
        store.note_sha256(&large.map(|added| (added.sha256, added.blob)).collect::<Vec<_>>())?;
        Ok(Taken { added, lease })
    })
    .await
}
