//! Asking and changing the index, and what happens when it fails.
//!
//! Promises that reads that need only files go on without it, and that nothing is taken in until it was opened again,
//! or made again where it is not to be believed.

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

    /// Asks the index. One that fails is in doubt: it is opened again, or made again, before the question is put once more.
    pub(crate) fn read<T>(
        &self,
        work: impl Fn(&Catalog<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.ask(&work) {
            Err(StoreError::Index(_)) => self.write(work),
            other => other,
        }
    }

    /// Asks the index as it is.
    pub(super) fn ask<T>(
        &self,
        work: impl Fn(&Catalog<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let index = self.index();
        work(&Catalog { index: &*index, blobs: &self.blobs })
    }

    /// Changes the index. If it fails by itself, it is opened again before the next change, not retried on the same handle.
    pub(crate) fn write<T>(
        &self,
        work: impl Fn(&Catalog<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _writing = self.lock();
        let mut outcome = self.ask(&work);
        for afresh in [false, true] {
            let Err(StoreError::Index(reason)) = &outcome else { break };
            tracing::error!(%reason, afresh, "the index failed; opening it again");
            self.renew(reason, afresh)?;
            outcome = self.ask(&work);
        }
        outcome
    }

    /// Counts the entries of an index that takes the place of another.
    fn count_entries(&self, index: &dyn MetaIndex) -> Result<(), StoreError> {
        let publishers = Catalog { index, blobs: &self.blobs }.publishers()?;
        *self.entry_counts() = EntryCounts::of(publishers);
        Ok(())
    }

    pub(super) fn entry_counts(&self) -> MutexGuard<'_, EntryCounts> {
        self.entry_counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the index and opens it again; from nothing if `afresh`. The caller holds the writing lock.
    pub(crate) fn renew(&self, reason: &str, afresh: bool) -> Result<(), StoreError> {
        let mut slot = self.index.write().unwrap_or_else(PoisonError::into_inner);
        // sled locks its files: the old handle goes before the new one comes. Its drop may panic on a full disk.
        let old = std::mem::replace(&mut *slot, Arc::new(crate::index_trait::Unavailable));
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(old)));
        let opened =
            rebuild::reopen_index(&self.layout, &self.blobs, &self.state, self.kind, afresh);
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // what is known is still listed, from the packs; the next change tries again
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
