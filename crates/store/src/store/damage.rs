//! Damage as it is found: the bytes set aside, and the releases that are no longer held.
//!
//! Promises that the catalog stops listing a release as held before subscribers hear of it. Repairs
//! nothing: a subscriber fetches the blobs again, and the next add replaces what was set aside.

use std::collections::BTreeSet;

use perennial_manifest::{ArtifactList, BlobId, Holding, ReleaseId};
use tokio::sync::broadcast;

use crate::catalog::{ReleaseFilter, ReleaseRow};
use crate::error::StoreError;
use crate::store::Store;

/// Discoveries that a slow subscriber may lag behind. Older ones are dropped, and [`Store::verify`]
/// finds them again.
pub(super) const DAMAGE_BACKLOG: usize = 256;

/// One discovery of damage, by a read or by [`Store::verify`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damaged {
    /// Blobs that do not match their name, or that a held release names and that are missing.
    pub blobs: Vec<BlobId>,
    /// Releases that name one of them. None is listed as held any more.
    pub releases: Vec<ReleaseId>,
}

impl Store {
    /// Subscribes to damage found from now on.
    ///
    /// The channel is bounded. A subscriber that receives `Lagged` has missed discoveries, which
    /// the next [`Store::verify`] reports again. It is closed when the last clone of the store is
    /// dropped.
    #[must_use]
    pub fn damage(&self) -> broadcast::Receiver<Damaged> {
        self.0.damage.subscribe()
    }

    /// Passes an outcome on. If it reports a damaged blob, the releases that name the blob stop
    /// being held (and become wanted where they are followed), and subscribers are told.
    pub(super) fn record_damage<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Corrupt { blob }) = &outcome {
            match self.mark_missing(blob) {
                Ok(releases) => self.tell_damage(Damaged { blobs: vec![*blob], releases }),
                Err(error) => {
                    tracing::error!(%blob, %error,
                        "could not mark the releases of a damaged blob as missing");
                }
            }
        }
        outcome
    }

    pub(crate) fn tell_damage(&self, damaged: Damaged) {
        // An error means that there is no subscriber.
        let _ = self.0.damage.send(damaged);
    }

    /// Recounts the releases that name a blob, and returns them.
    fn mark_missing(&self, blob: &BlobId) -> Result<Vec<ReleaseId>, StoreError> {
        let naming = self.naming(&BTreeSet::from([*blob]))?;
        self.refresh_rows(&naming)?;
        Ok(naming.into_iter().map(|row| row.release).collect())
    }

    /// The releases, held at least in part, that name one of these blobs.
    pub(super) fn naming(&self, blobs: &BTreeSet<BlobId>) -> Result<Vec<ReleaseRow>, StoreError> {
        let names =
            |list: ArtifactList| list.iter().any(|artifact| blobs.contains(&artifact.blake3));
        let mut naming = Vec::new();
        if blobs.is_empty() {
            return Ok(naming);
        }
        for row in self.known_releases(&ReleaseFilter::default())? {
            if row.state <= Holding::Known {
                continue;
            }
            let affected = blobs.contains(&row.artifacts.blob)
                || match self.0.read(|catalog| catalog.read_list(&row.artifacts)) {
                    Ok(list) => list.is_some_and(names),
                    // The list is damaged as well, so the release is not whole either.
                    Err(StoreError::Corrupt { .. }) => true,
                    Err(StoreError::InvalidList { .. }) => false,
                    Err(error) => return Err(error),
                };
            if affected {
                naming.push(row);
            }
        }
        Ok(naming)
    }
}
