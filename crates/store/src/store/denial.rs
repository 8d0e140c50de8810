//! What the owner denied: neither taken in nor handed out, from the moment the answer is given.
//!
//! A digest is denied for its bytes, wherever they occur. A package or a publisher is denied for
//! what its releases say: they resolve nowhere, and their bytes are handed out only where another
//! release that this node keeps has them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use perennial_manifest::{
    Artifact, BlobId, DenyTarget, PublisherId, ReleaseId, Selector, Sha256Digest,
};

use crate::catalog::{ReleaseFilter, ReleaseRow};
use crate::deny::{Denial, DenyList};
use crate::error::StoreError;
use crate::state::Pin;
use crate::store::Store;

/// Releases looked at that have a file whose bytes are asked for.
const LISTING: usize = 256;

impl Store {
    /// The deny list, with the reasons given.
    #[must_use]
    pub fn denied(&self) -> BTreeMap<DenyTarget, String> {
        self.0.state.denied().targets().clone()
    }

    /// Denies something, durably and at once. A collection removes denied digests, pinned or not;
    /// what is denied by name or by publisher it removes unless it is pinned.
    ///
    /// # Errors
    /// Failures of the disk; nothing changed then.
    pub fn deny(&self, target: DenyTarget, reason: String) -> Result<(), StoreError> {
        self.0.state.change_denied(|list| {
            list.insert(target, reason);
            true
        })?;
        self.0.generation.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Takes something off the deny list. Returns whether it was on it.
    ///
    /// # Errors
    /// Failures of the disk; nothing changed then.
    pub fn undeny(&self, target: &DenyTarget) -> Result<bool, StoreError> {
        let changed = self.0.state.change_denied(|list| list.remove(target))?;
        self.0.generation.fetch_add(1, Ordering::SeqCst);
        Ok(changed)
    }

    /// The line of the deny list for exactly this.
    #[must_use]
    pub fn denial(&self, target: &DenyTarget) -> Option<Denial> {
        self.0.state.denied().get(target)
    }

    /// Whether a publisher is denied.
    #[must_use]
    pub fn denies_publisher(&self, publisher: &PublisherId) -> bool {
        self.0.state.denied().has_publisher(publisher)
    }

    /// Whether any publisher is denied.
    #[must_use]
    pub fn denies_publishers(&self) -> bool {
        self.0.state.denied().has_publishers()
    }

    /// The line of the deny list that covers a release.
    #[must_use]
    pub fn denial_of_release(&self, row: &ReleaseRow) -> Option<Denial> {
        denial_of(&self.0.state.denied(), row)
    }

    /// The releases denied by name, for those who keep lists of releases of their own.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn denied_by_name(&self) -> Result<HashMap<ReleaseId, Denial>, StoreError> {
        let list = self.0.state.denied();
        let mut found = HashMap::new();
        for purl in list.packages() {
            let selector = Some(Selector::Purl(purl.clone()));
            for row in
                self.known_releases(&ReleaseFilter { selector, ..ReleaseFilter::default() })?
            {
                if let Some(denial) = denial_of(&list, &row) {
                    found.insert(row.release, denial);
                }
            }
        }
        Ok(found)
    }

    /// The line of the deny list that covers bytes: by a digest of theirs; or by the releases that
    /// have them, if no other release that this node keeps does.
    ///
    /// # Errors
    /// Failures of the disk and the index.
    pub fn denial_of_blob(&self, blob: &BlobId) -> Result<Option<Denial>, StoreError> {
        let list = self.0.state.denied();
        if let Some(denial) = list.of_bytes(blob, None) {
            return Ok(Some(denial));
        }
        if !list.has_sha256() && !list.has_releases() {
            return Ok(None);
        }
        let Some(sha256) = self.0.blobs.noted_sha256(blob)? else { return Ok(None) };
        if let Some(denial) = list.of_bytes(blob, Some(&sha256)) {
            return Ok(Some(denial));
        }
        if !list.has_releases() {
            return Ok(None);
        }
        let denial = self.denied_with(&list, &sha256)?;
        Ok(denial.map(|denial| denial.of(blob)))
    }

    /// The denial of a file that only denied releases have.
    fn denied_with(
        &self,
        list: &Arc<DenyList>,
        sha256: &Sha256Digest,
    ) -> Result<Option<Denial>, StoreError> {
        let mut found = None;
        for row in self.0.read(|catalog| catalog.with_digest(sha256, LISTING))? {
            match denial_of(list, &row) {
                Some(denial) => found = found.or(Some(denial)),
                None if self.keeps_release(&row) => return Ok(None),
                None => {}
            }
        }
        Ok(found)
    }

    /// Whether a release is this node's own, followed or pinned.
    fn keeps_release(&self, row: &ReleaseRow) -> bool {
        let own = self.own_feed().is_some_and(|own| own.publisher == row.publisher);
        own || self.follows().keeps(&row.publisher)
            || self.pins().contains(&Pin::Release(row.release))
    }

    /// Refuses bytes that are denied.
    ///
    /// # Errors
    /// [`StoreError::Denied`], and failures of the disk and the index.
    pub fn refuse_denied(&self, blob: &BlobId) -> Result<(), StoreError> {
        match self.denial_of_blob(blob)? {
            Some(denial) => Err(StoreError::Denied(Box::new(denial))),
            None => Ok(()),
        }
    }

    /// Refuses a digest, a package or a publisher that is on the list as such.
    ///
    /// # Errors
    /// [`StoreError::Denied`].
    pub fn refuse_target(&self, target: &DenyTarget) -> Result<(), StoreError> {
        match self.denial(target) {
            Some(denial) => Err(StoreError::Denied(Box::new(denial))),
            None => Ok(()),
        }
    }

    /// Refuses a file by the digests that its list claims, before any byte of it is here.
    ///
    /// # Errors
    /// [`StoreError::Denied`].
    pub fn refuse_artifact(&self, artifact: &Artifact) -> Result<(), StoreError> {
        match self.0.state.denied().of_bytes(&artifact.blake3, Some(&artifact.sha256)) {
            Some(denial) => Err(StoreError::Denied(Box::new(denial))),
            None => Ok(()),
        }
    }

    /// Leaves out the releases that are denied.
    pub(super) fn without_denied(&self, mut rows: Vec<ReleaseRow>) -> Vec<ReleaseRow> {
        let list = self.0.state.denied();
        if list.has_releases() {
            rows.retain(|row| denial_of(&list, row).is_none());
        }
        rows
    }

    /// Pages of releases that are not denied, from `read`, which reads those after one and at most
    /// so many.
    pub(super) fn undenied_page(
        &self,
        after: Option<&ReleaseId>,
        limit: usize,
        read: &dyn Fn(Option<&ReleaseId>, usize) -> Result<Vec<ReleaseRow>, StoreError>,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let (mut found, mut after) = (Vec::new(), after.copied());
        loop {
            let page = read(after.as_ref(), limit)?;
            let whole = page.len() < limit;
            after = page.last().map(|row| row.release).or(after);
            found.extend(self.without_denied(page));
            if whole || found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }
}

fn denial_of(list: &DenyList, row: &ReleaseRow) -> Option<Denial> {
    let by_list = || list.of_bytes(&row.artifacts.blob, None);
    list.of_release(&row.publisher, &row.purl).or_else(by_list).map(|denial| denial.of(&row.purl))
}
