//! From downloaded files to blobs.

use perennial_store::{Added, Lease, SMALL, Store};

use super::Part;
use crate::ImportError;
use crate::meter::blocking;

/// Blobs, in the order of their files, and what keeps them.
pub(crate) struct Taken {
    pub(crate) added: Vec<Added>,
    pub(crate) lease: Lease,
}

impl Taken {
    /// How many bytes were not in the store before.
    pub(crate) fn new_bytes(&self) -> u64 {
        self.added.iter().filter(|added| added.new).map(|added| added.size).sum()
    }
}

/// Makes files blobs behind one fsync. They are gone afterwards; of those that were not taken, the rest of an import can go on.
pub(crate) async fn take(store: &Store, mut parts: Vec<Part>) -> Result<Taken, ImportError> {
    let store = store.clone();
    blocking(move || {
        let mut batch = store.batch();
        let mut added = Vec::with_capacity(parts.len());
        // the locks are held to the end
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
