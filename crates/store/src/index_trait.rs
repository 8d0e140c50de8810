//! The narrow interface to the index: ordered keys, small values, atomic batches. The catalog uses
//! nothing else of it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use crate::error::StoreError;

/// Longest value. Sled writes values over 128 KiB to files that it never fsyncs.
pub(crate) const MAX_VALUE: usize = 4 << 10;

/// Where the index is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IndexKind {
    /// In sled, beside the blobs.
    #[default]
    Sled,
    /// In memory, rebuilt at every start; for tests.
    Memory,
}

/// A change to the index.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// Sets a key.
    Put(Vec<u8>, Vec<u8>),
    /// Removes a key.
    Remove(Vec<u8>),
}

/// Receives a key and its value; returns `false` to end the walk.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> bool;

/// A durable ordered map. It holds nothing that cannot be rebuilt from the files.
pub(crate) trait MetaIndex: Send + Sync + std::fmt::Debug {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// Applies changes: all of them, or none after a crash. They are durable on return.
    fn apply(&self, changes: &[Change]) -> Result<(), StoreError>;
    /// Visits the keys with a prefix in ascending order, starting at `from`.
    fn walk(&self, prefix: &[u8], from: &[u8], visit: Visit<'_>) -> Result<(), StoreError>;
    /// Bytes on disk.
    fn disk_bytes(&self) -> u64;
}

/// The index in memory: for tests, and as the model that the sled index is compared with.
#[derive(Debug, Default)]
pub(crate) struct Memory(RwLock<BTreeMap<Vec<u8>, Vec<u8>>>);

impl MetaIndex for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                Change::Put(key, value) => map.insert(key.clone(), value.clone()),
                Change::Remove(key) => map.remove(key),
            };
        }
        Ok(())
    }

    fn walk(&self, prefix: &[u8], from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let start = prefix.max(from).to_vec();
        for (key, value) in map.range((Bound::Included(start), Bound::Unbounded)) {
            if !key.starts_with(prefix) || !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}

/// Stands in while there is no index. Every use is an error, which makes the next change try to
/// open one.
#[derive(Debug)]
pub(crate) struct Unavailable;

impl MetaIndex for Unavailable {
    fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Err(StoreError::Index("it could not be opened".into()))
    }

    fn apply(&self, _: &[Change]) -> Result<(), StoreError> {
        Err(StoreError::Index("it could not be opened".into()))
    }

    fn walk(&self, _: &[u8], _: &[u8], _: Visit<'_>) -> Result<(), StoreError> {
        Err(StoreError::Index("it could not be opened".into()))
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}

/// A catalog without an index on disk: readable, and every change is an error, which makes the next
/// one try to open the index.
#[derive(Debug)]
pub(crate) struct ReadOnly(pub(crate) Memory);

impl MetaIndex for ReadOnly {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(key)
    }

    fn apply(&self, _: &[Change]) -> Result<(), StoreError> {
        Err(StoreError::Index("it could not be opened".into()))
    }

    fn walk(&self, prefix: &[u8], from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.0.walk(prefix, from, visit)
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}
