//! Counting the contents of a store.

use crate::catalog::Stats;
use crate::error::StoreError;
use crate::pack::Kind;
use crate::store::Store;

impl Store {
    /// The contents in numbers. Walks all release rows and all large blobs.
    ///
    /// # Errors
    /// Failures of the disk and the index.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let mut stats = self.0.read(|catalog| catalog.counts())?;
        self.0.blobs.packs().each(Kind::Blob, &mut |_, _| {
            stats.blobs += 1;
            Ok(())
        })?;
        self.0.blobs.each_large(&mut |_, info| {
            stats.blobs += 1;
            stats.stored_bytes += info.disk_bytes;
            Ok(())
        })?;
        for (blob, bytes) in self.0.blobs.leftovers()? {
            stats.quarantined += u64::from(self.0.blobs.is_quarantined(&blob)?);
            stats.stored_bytes += bytes;
        }
        stats.stored_bytes += self.0.blobs.packs().disk_bytes() + self.0.index().disk_bytes();
        Ok(stats)
    }
}
