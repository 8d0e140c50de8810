//! The contents of a store in numbers.

use perennial_manifest::Holding;

use super::Catalog;
use crate::error::StoreError;
use crate::rows::ReleaseValue;

/// The contents of a store in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries in the catalog.
    pub entries: u64,
    /// Releases in the catalog.
    pub releases: u64,
    /// Releases held whole.
    pub held: u64,
    /// Releases held in part.
    pub partial: u64,
    /// Releases whose artifact list is not what their publisher says of it.
    pub invalid: u64,
    /// Blobs held.
    pub blobs: u64,
    /// Bytes used on this disk.
    pub stored_bytes: u64,
    /// Blobs that were found damaged and set aside, and have not been replaced.
    pub quarantined: u64,
    /// Bytes of all held releases, as if they shared nothing.
    pub logical_bytes: u64,
}

impl Catalog<'_> {
    /// Counts entries, releases and held releases, and sums the bytes of the latter.
    pub(crate) fn counts(&self) -> Result<Stats, StoreError> {
        let mut stats = Stats { entries: self.count()?, ..Stats::default() };
        self.index.walk(b"R", b"R", &mut |_, value| {
            stats.releases += 1;
            if let Some(value) = ReleaseValue::decode(value) {
                match value.state {
                    Holding::Held => {
                        stats.held += 1;
                        stats.logical_bytes += value.artifacts.bytes;
                    }
                    Holding::Partial => stats.partial += 1,
                    Holding::Invalid => stats.invalid += 1,
                    Holding::Known => {}
                }
            }
            true
        })?;
        Ok(stats)
    }
}
