//! What a store holds, in numbers.

use crate::error::StoreError;
use crate::pack::Kind;
use crate::store::Store;

/// What a store holds, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries known.
    pub entries: u64,
    /// Releases known.
    pub releases: u64,
    /// Releases held whole.
    pub held: u64,
    /// Blobs here.
    pub blobs: u64,
    /// Bytes on this disk.
    pub stored_bytes: u64,
    /// Blobs that were found damaged and set aside, and did not come again yet.
    pub quarantined: u64,
    /// Bytes of all held releases, as if nothing were shared.
    pub logical_bytes: u64,
}

impl Store {
    /// What is here, in numbers.
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
