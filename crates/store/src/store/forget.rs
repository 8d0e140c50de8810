//! Forgetting entries: of publishers that the user names, and of strangers that have more than
//! their share.
//!
//! Promises that pinned releases stay, with the entries before them. Killed in between, the index
//! lacks entries that the packs have, and is made again with those that are still there.

use std::collections::{BTreeMap, HashSet};
use std::sync::PoisonError;

use perennial_manifest::{EntryId, PublisherId};

use crate::error::StoreError;
use crate::state::Pin;
use crate::store::Store;

/// The outcome of forgetting a publisher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Entries that went.
    pub entries: u64,
    /// Entries that stay, up to the last release that is pinned.
    pub kept: u64,
}

impl Store {
    /// Drops the entries of a publisher after its last pinned release; all, if none is pinned. The
    /// bytes of its releases go with the next collection. What peers send of it later is taken in
    /// as that of any other publisher.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`], failures of the disk and the index.
    pub fn forget(&self, publisher: &PublisherId) -> Result<Forgotten, StoreError> {
        if self.is_read_only() {
            return Err(StoreError::ReadOnly { path: self.dir().to_owned() });
        }
        self.0.blobs.space().make_way();
        let gate = self.0.blobs.gate().write().unwrap_or_else(PoisonError::into_inner);
        // Before anything goes: what an index lacks and the packs have would come back.
        let all: HashSet<EntryId> = self.entries_of(publisher)?.into_iter().collect();
        self.0.blobs.check_room_to_drop(&all)?;
        let entries = self.cut(&[(*publisher, 0)].into())?;
        drop(gate);
        self.0.blobs.space().restore();
        Ok(Forgotten { entries, kept: self.feed(publisher)?.entries })
    }

    /// Cuts the largest feeds of strangers if they have more than their share.
    pub(super) fn cut_excess(&self) -> Result<(), StoreError> {
        // Again, if pins kept some of what was to go.
        while self.cut_once()? {}
        Ok(())
    }

    fn cut_once(&self) -> Result<bool, StoreError> {
        let excess = self.0.entry_counts().excess();
        if excess.is_empty() {
            return Ok(false);
        }
        let _gate = self.0.blobs.gate().write().unwrap_or_else(PoisonError::into_inner);
        let mut cuts = BTreeMap::new();
        for (publisher, stay) in &excess {
            let seq = self.0.read(|catalog| catalog.cut_after(publisher, *stay))?;
            cuts.extend(seq.map(|seq| (*publisher, seq)));
        }
        // As for `forget`: what the index lacks and the packs have would come back.
        let mut all = HashSet::new();
        for publisher in cuts.keys() {
            all.extend(self.entries_of(publisher)?);
        }
        match self.0.blobs.check_room_to_drop(&all).and_then(|()| self.cut(&cuts)) {
            Ok(entries) => tracing::info!(
                entries,
                publishers = cuts.len(),
                "the newest entries of the largest feeds that are not followed were dropped"
            ),
            // The entries that came are stored; the next call tries again.
            Err(error) => {
                tracing::warn!(%error, "feeds that are not followed could not be cut");
                return Ok(false);
            }
        }
        Ok(self.0.entry_counts().fix(&excess))
    }

    /// Drops the entries of feeds, of each from a number on, and their bytes; those that a pin
    /// needs stay. The caller holds the gate exclusively: packs are rewritten.
    fn cut(&self, cuts: &BTreeMap<PublisherId, u64>) -> Result<u64, StoreError> {
        let dropped = self.0.write(|catalog| {
            let mut cuts = cuts.clone();
            for pin in self.pins() {
                let Pin::Release(release) = pin else { continue };
                let Some(row) = catalog.release(&release)? else { continue };
                if let Some(seq) = cuts.get_mut(&row.publisher) {
                    *seq = (*seq).max(row.seq + 1);
                }
            }
            let gone = catalog.cut(&cuts)?;
            let entries: HashSet<EntryId> = gone.values().flatten().copied().collect();
            if !entries.is_empty() {
                // Under the lock: an entry that comes again meanwhile would be found in its pack.
                catalog.blobs.drop_entries(&entries)?;
            }
            let mut counts = self.0.entry_counts();
            for (publisher, gone) in &gone {
                counts.remove(*publisher, gone.len() as u64);
                let value = catalog.publisher(publisher)?;
                counts.set_forked(*publisher, value.is_some_and(|v| v.feed.is_forked()));
            }
            Ok(gone)
        })?;
        let mut damaged = self.damaged_entries();
        let mut entries = 0;
        for id in dropped.values().flatten() {
            damaged.remove(id);
            entries += 1;
        }
        drop(damaged);
        self.0.feeds_changed(dropped.into_keys().collect(), true);
        Ok(entries)
    }
}
