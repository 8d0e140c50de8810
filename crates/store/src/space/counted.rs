//! An index whose growth is noted in the ledger.

use std::sync::Arc;

use super::Space;
use crate::error::StoreError;
use crate::index_trait::{Change, MetaIndex, Visit};

/// An index on disk, counted.
#[derive(Debug)]
pub(crate) struct Counted<I> {
    pub(crate) index: I,
    pub(crate) space: Arc<Space>,
}

impl<I: MetaIndex> MetaIndex for Counted<I> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.index.get(key)
    }

    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        let applied = self.index.apply(changes);
        let bytes = |change: &Change| match change {
            Change::Put(key, value) => key.len() + value.len(),
            Change::Remove(key) => key.len(),
        };
        self.space.index_grew(changes.iter().map(bytes).sum::<usize>() as u64);
        applied
    }

    fn walk(&self, prefix: &[u8], from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.index.walk(prefix, from, visit)
    }

    fn disk_bytes(&self) -> u64 {
        self.index.disk_bytes()
    }
}
