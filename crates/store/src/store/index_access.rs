//! Reading and changing the index, and recovery when it fails.
//!
//! Promises that reads that need only files continue without it, and that nothing is taken in until
//! it was reopened, or rebuilt if it is not trusted.

use std::sync::{Arc, MutexGuard, PoisonError};

use crate::catalog::Catalog;
use crate::error::StoreError;
use crate::index_trait::MetaIndex;
use crate::rebuild;
use crate::store::Inner;
use crate::store::entry_counts::EntryCounts;

impl Inner {
    pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index(&self) -> Arc<dyn MetaIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the index. One that fails is in doubt: it is reopened or rebuilt before the read is
    /// repeated.
    pub(crate) fn read<T>(
        &self,
        work: impl Fn(&Catalog<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.ask(&work) {
            Err(StoreError::Index(_)) => self.write(work),
            other => other,
        }
    }

    /// Reads the index as it is.
    pub(super) fn ask<T>(
        &self,
        work: impl Fn(&Catalog<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let index = self.index();
        work(&Catalog { index: &*index, blobs: &self.blobs })
    }

    /// Changes the index. If it fails, it is reopened before the change is repeated, not retried on
    /// the same handle.
    pub(crate) fn write<T>(
        &self,
        work: impl Fn(&Catalog<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _writing = self.lock();
        let mut outcome = self.ask(&work);
        for afresh in [false, true] {
            let Err(StoreError::Index(reason)) = &outcome else { break };
            tracing::error!(%reason, afresh, "the index failed; reopening it");
            self.renew(reason, afresh)?;
            outcome = self.ask(&work);
        }
        outcome
    }

    /// Counts the entries of an index that replaces another.
    fn count_entries(&self, index: &dyn MetaIndex) -> Result<(), StoreError> {
        let publishers = Catalog { index, blobs: &self.blobs }.publishers()?;
        let share = self.entry_counts().share();
        let counts = EntryCounts::of(publishers, &self.state, share);
        *self.entry_counts() = counts;
        Ok(())
    }

    pub(super) fn entry_counts(&self) -> MutexGuard<'_, EntryCounts> {
        self.entry_counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the index and opens it again, from nothing with `afresh`. The caller holds the
    /// writing lock.
    pub(crate) fn renew(&self, reason: &str, afresh: bool) -> Result<(), StoreError> {
        let mut slot = self.index.write().unwrap_or_else(PoisonError::into_inner);
        // Sled locks its files, so the old handle is dropped before the new one is opened.
        *slot = Arc::new(crate::index_trait::Unavailable);
        let opened =
            rebuild::reopen_index(&self.layout, &self.blobs, &self.state, self.kind, afresh);
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // The catalog is still readable, from the packs; the next change tries again.
                *slot = rebuild::read_only(&self.blobs, &self.state)?;
                self.count_entries(&**slot)?;
                return Err(error);
            }
        };
        self.count_entries(&*opened.index)?;
        *slot = opened.index;
        let why = opened.rebuilt.unwrap_or_else(|| reason.to_owned());
        *self.rebuilt.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        Ok(())
    }
}
