//! Removing records: damaged blobs from the look-ups, dead records from the disk.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use perennial_manifest::BlobId;

use super::record::{self, HEADER};
use super::{Keep, Kind, OF_INDEX, Packs, Sealed, index_path, pack_path};
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

    /// The packs with records that `dead` selects, and the bytes of each pack that stay. Those
    /// first that need the least room to be written anew, because they make room for the others.
    fn with_dead(
        &self,
        dead: &dyn Fn(Kind, &[u8; 32]) -> bool,
    ) -> Result<Vec<(Arc<Sealed>, u64)>, StoreError> {
        let mut found = Vec::new();
        for pack in self.sealed() {
            let rows = pack.rows()?;
            let live = rows.iter().filter(|row| !dead(row.kind, &row.key));
            let (count, bytes) = live.fold((0, 0), |(n, bytes), row| {
                (n + 1, bytes + HEADER as u64 + u64::from(row.len))
            });
            if count < rows.len() {
                found.push((pack, bytes + count as u64 * OF_INDEX));
            }
        }
        found.sort_by_key(|(_, bytes)| *bytes);
        Ok(found)
    }

    /// Makes sure that there is room to write all packs anew that have such records, one after the
    /// other.
    pub(crate) fn check_room_to_compact(
        &self,
        dead: &dyn Fn(Kind, &[u8; 32]) -> bool,
    ) -> Result<(), StoreError> {
        let active = self.active().rows();
        let live = active.iter().filter(|row| !dead(row.kind, &row.key));
        let of_active: u64 = live.map(|row| HEADER as u64 + u64::from(row.len)).sum();
        let of_active =
            if active.iter().any(|row| dead(row.kind, &row.key)) { of_active } else { 0 };
        let most = self.with_dead(dead)?.last().map_or(0, |(_, bytes)| *bytes);
        match self.space.has_room_to_move(most.max(of_active)) {
            true => Ok(()),
            false => Err(StoreError::DiskFull { path: self.dir.clone() }),
        }
    }

    /// Drops the records that `dead` selects, by rewriting the rest of their packs, except of packs
    /// for which there is no room to do so. Damaged entries are carried over unchanged; damaged
    /// blobs go to `keep`. Returns the bytes freed.
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
        for (pack, live) in self.with_dead(dead)? {
            if !self.space.has_room_to_move(live) {
                tracing::warn!(
                    pack = pack.number(),
                    bytes = live,
                    "a pack keeps what nothing needs: there is no room to write the rest of it anew"
                );
                continue;
            }
            let rows = pack.rows()?;
            for row in rows.iter().filter(|row| !is_dead(row)) {
                // A disk that does not answer is an error and does not prove damage: nothing is
                // removed.
                let raw = pack.read_raw(row)?;
                if row.kind == Kind::Blob && !raw.is_whole() {
                    keep(BlobId::from_bytes(row.key), &raw.content)?;
                } else if raw.is_whole() || self.active().find(row.kind, &row.key).is_none() {
                    self.append_again(&raw)?;
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
            self.space.shrunk();
        }
        Ok(before.saturating_sub(self.disk_bytes()))
    }
}
