//! Releases and their lists as the store's users ask for them. What is denied is left out, unless
//! they ask for what is known.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use perennial_manifest::{ArtifactList, ArtifactListRef, Holding, ReleaseId, Sha256Digest};

use crate::catalog::{Bounds, Catalog, Place, Recount, ReleaseFilter, ReleaseRow};
use crate::error::StoreError;
use crate::store::Store;

impl Store {
    /// Releases that a filter selects, without those that are denied. With a release id, reads one
    /// entry and two rows; with a package URL, the rows under that name; with a publisher alone,
    /// two rows per release of its feed; otherwise (a plain name, no selector) every release row
    /// until the limit is reached.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn releases(&self, filter: &ReleaseFilter) -> Result<Vec<ReleaseRow>, StoreError> {
        let mut limit = filter.limit;
        loop {
            let rows = self.known_releases(&ReleaseFilter { limit, ..filter.clone() })?;
            let is_whole = limit == 0 || rows.len() < limit;
            let mut found = self.without_denied(rows);
            if is_whole || found.len() >= filter.limit {
                if filter.limit > 0 {
                    found.truncate(filter.limit);
                }
                return Ok(found);
            }
            limit = limit.saturating_mul(2);
        }
    }

    /// As [`Store::releases`], with those that are denied.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn known_releases(&self, filter: &ReleaseFilter) -> Result<Vec<ReleaseRow>, StoreError> {
        self.0.read(|catalog| catalog.releases(filter))
    }

    /// Releases in the order of [`Store::releases`] without a filter, behind `after`, at most
    /// `limit`, without those that are denied. `None` if `after` is not known. Reads one row for
    /// each, whatever comes before them.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn releases_after(
        &self,
        after: Option<&ReleaseId>,
        limit: usize,
    ) -> Result<Option<Vec<ReleaseRow>>, StoreError> {
        let (mut found, mut after) = (Vec::new(), after.copied());
        while found.len() < limit {
            let missing = limit - found.len();
            let read = self.0.read(|catalog| catalog.releases_after(after.as_ref(), missing))?;
            let Some(rows) = read else { return Ok(None) };
            let is_last = rows.len() < missing;
            after = rows.last().map(|row| row.release);
            found.extend(self.without_denied(rows));
            if is_last {
                break;
            }
        }
        Ok(Some(found))
    }

    /// One release. Reads one entry and two rows.
    ///
    /// # Errors
    /// [`StoreError::Denied`], [`StoreError::DamagedEntry`], and failures of the index.
    pub fn release(&self, id: &ReleaseId) -> Result<Option<ReleaseRow>, StoreError> {
        let known = self.known_release(id)?;
        match known.as_ref().and_then(|row| self.denial_of_release(row)) {
            Some(denial) => Err(StoreError::Denied(Box::new(denial))),
            None => Ok(known),
        }
    }

    /// As [`Store::release`], denied or not.
    ///
    /// # Errors
    /// [`StoreError::DamagedEntry`], and failures of the index.
    pub fn known_release(&self, id: &ReleaseId) -> Result<Option<ReleaseRow>, StoreError> {
        self.0.read(|catalog| catalog.release(id))
    }

    /// Releases in which all words of `text` occur: in the name, the version, the registry or the
    /// names of files, or that have a file with the digest given.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn search(&self, text: &str, limit: usize) -> Result<Vec<ReleaseRow>, StoreError> {
        let found = self.0.read(|catalog| catalog.search(text, limit, Bounds::WIDE))?;
        Ok(self.without_denied(found))
    }

    /// As [`Store::search`], with a small bound on the time it takes: of many words, only the
    /// beginnings count.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn search_briefly(&self, text: &str, limit: usize) -> Result<Vec<ReleaseRow>, StoreError> {
        let found = self.0.read(|catalog| catalog.search(text, limit, Bounds::NARROW))?;
        Ok(self.without_denied(found))
    }

    /// The releases that are known to have a file with this SHA-256, by their lists as far as they
    /// are or were here.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn releases_with(
        &self,
        sha256: &Sha256Digest,
        limit: usize,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let found = self.0.read(|catalog| catalog.with_digest(sha256, limit))?;
        Ok(self.without_denied(found))
    }

    /// The artifact list of a release, if it is here.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] or [`StoreError::Format`] if the list or its entry is damaged,
    /// [`StoreError::InvalidList`] if the list does not fit the release.
    pub fn artifact_list(&self, id: &ReleaseId) -> Result<Option<ArtifactList>, StoreError> {
        self.record_damage(self.0.read(|catalog| catalog.artifact_list(id)))
    }

    /// An artifact list by what a release says of it, if it is here.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if its bytes are damaged, [`StoreError::InvalidList`] if they are
    /// not what the release says of them.
    pub fn read_list(&self, claim: &ArtifactListRef) -> Result<Option<ArtifactList>, StoreError> {
        self.record_damage(self.0.read(|catalog| catalog.read_list(claim)))
    }

    /// Recounts how much of a release is held; to be called when blobs of it came or went. `None`
    /// if the release is not known.
    ///
    /// # Errors
    /// Failures of the disk and the index.
    pub fn refresh_state(&self, id: &ReleaseId) -> Result<Option<Holding>, StoreError> {
        let _recounting = self.recounting();
        let Some(row) = self.known_release(id)? else { return Ok(None) };
        self.recount_one(&row.artifacts, &|catalog| catalog.place_of(id))
    }

    /// Notes the content of a release whose list has come, so that it is compared with other
    /// releases of its name.
    ///
    /// # Errors
    /// [`StoreError::InvalidList`] if its list does not fit it; failures of the disk and the index.
    pub fn note_content(&self, id: &ReleaseId) -> Result<(), StoreError> {
        let noted = self.0.write(|catalog| catalog.note_content(id));
        if let Err(StoreError::InvalidList { .. }) = &noted {
            self.refresh_state(id)?;
        }
        self.record_damage(noted)
    }

    /// Recounts how much of many releases is held, including those whose entry is damaged.
    pub(crate) fn refresh_rows(&self, rows: &[ReleaseRow]) -> Result<(), StoreError> {
        let _recounting = self.recounting();
        for row in rows {
            self.recount_one(&row.artifacts, &|catalog| catalog.place_of_row(row))?;
        }
        Ok(())
    }

    /// One count at a time, so that the last one noted is the last one made.
    fn recounting(&self) -> MutexGuard<'_, ()> {
        self.0.recounting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts how much of a release is held, and notes it. Lists of strangers may be long, so the
    /// count does not hold up other changes of the index.
    fn recount_one(
        &self,
        claim: &ArtifactListRef,
        place: &dyn Fn(&Catalog<'_>) -> Result<Place, StoreError>,
    ) -> Result<Option<Holding>, StoreError> {
        let removals = self.0.removals.load(Ordering::SeqCst);
        let recount = self.0.read(|catalog| catalog.recount(claim))?;
        self.note_held(claim, (&recount, removals), place)
    }

    /// Notes a count that was made after so many removals, or one that is made now if more bytes
    /// were removed since.
    pub(super) fn note_held(
        &self,
        claim: &ArtifactListRef,
        (recount, removals): (&Recount, u64),
        place: &dyn Fn(&Catalog<'_>) -> Result<Place, StoreError>,
    ) -> Result<Option<Holding>, StoreError> {
        self.0.write(|catalog| {
            let Some(place) = place(catalog)? else { return Ok(None) };
            let follows = self.0.state.follows();
            if self.0.removals.load(Ordering::SeqCst) == removals {
                return catalog.note_held(place, recount, &follows).map(Some);
            }
            catalog.note_held(place, &catalog.recount(claim)?, &follows).map(Some)
        })
    }

    /// Releases of followed publishers that are not held, by ascending id, after `after`. Reads two
    /// rows per release returned, at most `2 * limit`.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn wanted(
        &self,
        after: Option<&ReleaseId>,
        limit: usize,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let read =
            |after: Option<&ReleaseId>, limit| self.0.read(|catalog| catalog.wanted(after, limit));
        self.undenied_page(after, limit, read)
    }

    /// Of those, the releases of publishers followed by name; none unless all are followed.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn wanted_first(
        &self,
        after: Option<&ReleaseId>,
        limit: usize,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let read = |after: Option<&ReleaseId>, limit| {
            self.0.read(|catalog| catalog.wanted_first(after, limit))
        };
        self.undenied_page(after, limit, read)
    }
}
