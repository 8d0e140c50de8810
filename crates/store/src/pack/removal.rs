//! Removing records: damaged blobs from the look-ups, dead records from the disk.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use perennial_manifest::BlobId;

use super::{Keep, Kind, Packs, Sealed, index_path, pack_path, record};
use crate::durable;
#[cfg(test)]
use crate::error::AtPath;
use crate::error::StoreError;

impl Packs {
    /// Removes damaged blobs from the look-ups: this one wherever it is damaged, and any other
    /// damaged blob of the same sealed packs, because their index is rewritten as a whole.
    pub(crate) fn forget_damaged(&self, blob: &BlobId, keep: Keep<'_>) -> Result<(), StoreError> {
        self.active().forget_damaged(blob, keep)?;
        // Exclusively, so that a pack that is being compacted away is not brought back.
        let mut all = self.sealed.write().unwrap_or_else(PoisonError::into_inner);
        for (number, pack) in &mut *all {
            let Some(row) = pack.find(Kind::Blob, blob.as_bytes())? else { continue };
            if pack.read_raw(&row)?.is_whole() {
                continue;
            }
            let mut good = Vec::new();
            for row in pack.rows()? {
                let raw = pack.read_raw(&row)?;
                if row.kind == Kind::Entry || raw.is_whole() {
                    good.push(row);
                } else {
                    keep(BlobId::from_bytes(row.key), &raw.content)?;
                }
            }
            // Before the index changes: a reader of the old one looks again, and waits for this.
            self.epoch.fetch_add(1, Ordering::SeqCst);
            Sealed::write_index(&self.dir, *number, good)?;
            self.open.close(*number);
            *pack = Arc::new(Sealed::open(&self.dir, *number, &self.open, keep)?);
        }
        Ok(())
    }

    /// Drops the records that `dead` selects, by rewriting the rest of their packs. Damaged entries
    /// are carried over unchanged; damaged blobs go to `keep`. Returns the bytes freed.
    pub(crate) fn compact(
        &self,
        dead: &dyn Fn(Kind, &[u8; 32]) -> bool,
        keep: Keep<'_>,
    ) -> Result<u64, StoreError> {
        let before = self.disk_bytes();
        let is_dead = |row: &record::Row| dead(row.kind, &row.key);
        // No lock is held while `dead` is asked: it may look records up.
        let rows = self.active().rows();
        if rows.iter().any(is_dead) {
            let mut active = self.active();
            active.sync()?;
            self.seal(&mut active)?;
        }
        for pack in self.sealed() {
            let rows = pack.rows()?;
            if !rows.iter().any(is_dead) {
                continue;
            }
            for row in rows.iter().filter(|row| !is_dead(row)) {
                // A disk that does not answer is an error and does not prove damage: nothing is
                // removed.
                let raw = pack.read_raw(row)?;
                if row.kind == Kind::Blob && !raw.is_whole() {
                    keep(BlobId::from_bytes(row.key), &raw.content)?;
                } else if raw.is_whole() || self.active().find(row.kind, &row.key).is_none() {
                    self.append(&raw)?;
                }
            }
            self.sync()?;
            // The one moment at which a reader could find a record about to go. No write makes it a
            // step.
            #[cfg(test)]
            crate::durable::faults::step().at(&self.dir)?;
            self.sealed.write().unwrap_or_else(PoisonError::into_inner).remove(&pack.number());
            self.epoch.fetch_add(1, Ordering::SeqCst);
            self.open.close(pack.number());
            // The pack before its index: an index without a pack is ignored, but a pack without an
            // index would be taken for the active one.
            durable::remove_file(&pack_path(&self.dir, pack.number()))?;
            durable::remove_file(&index_path(&self.dir, pack.number()))?;
            durable::sync_dir(&self.dir)?;
        }
        Ok(before.saturating_sub(self.disk_bytes()))
    }
}
