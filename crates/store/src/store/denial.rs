//! What the owner denied: neither taken in nor handed out, from the moment the answer is given.
//!
//! A digest is denied for its bytes, wherever they occur. A package or a publisher is denied for
//! what its releases say: they resolve nowhere, and their bytes are handed out only where another
//! release that this node keeps has them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};

use perennial_manifest::{
    Artifact, BlobId, DenyTarget, EntryId, PublisherId, ReleaseId, Selector, Sha256Digest,
};

use crate::catalog::{ReleaseFilter, ReleaseRow};
use crate::deny::{Denial, DenyList};
use crate::error::StoreError;
use crate::rows;
use crate::state::Pin;
use crate::store::Store;
use crate::store::denied_content::DeniedContent;

/// Releases looked at that have a file whose bytes are asked for.
const LISTING: usize = 1024;

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
    /// Failures of the disk and the index. It may be denied then, and can be denied again.
    pub fn deny(&self, target: DenyTarget, reason: String) -> Result<(), StoreError> {
        self.0.state.change_denied(|list| {
            list.insert(target, reason);
            true
        })?;
        self.note_denied()
    }

    /// Takes something off the deny list. Returns whether it was on it.
    ///
    /// # Errors
    /// Failures of the disk and the index. It may be allowed then.
    pub fn undeny(&self, target: &DenyTarget) -> Result<bool, StoreError> {
        let changed = self.0.state.change_denied(|list| list.remove(target))?;
        self.note_denied()?;
        Ok(changed)
    }

    /// Makes the deny list count for the bytes that are here.
    pub(super) fn note_denied(&self) -> Result<(), StoreError> {
        let _turn = self.0.denying.lock().unwrap_or_else(PoisonError::into_inner);
        let (list, mut denied) = (self.0.state.denied(), Vec::new());
        for target in list.targets().keys() {
            denied.extend(self.denied_by(&list, target)?);
        }
        let content = Arc::new(DeniedContent::of(self, denied));
        *self.0.denied.write().unwrap_or_else(PoisonError::into_inner) = content;
        self.0.decisions_changed();
        Ok(())
    }

    /// The releases that a line of the deny list covers by name or by publisher.
    fn denied_by(
        &self,
        list: &DenyList,
        target: &DenyTarget,
    ) -> Result<Vec<(ReleaseRow, Denial)>, StoreError> {
        let mut filter = ReleaseFilter::default();
        match target {
            DenyTarget::Blob(_) | DenyTarget::Sha256(_) => return Ok(Vec::new()),
            DenyTarget::Package(purl) => filter.selector = Some(Selector::Purl(purl.clone())),
            DenyTarget::Publisher(publisher) => filter.publisher = Some(*publisher),
        }
        let rows = self.known_releases(&filter)?.into_iter();
        Ok(rows.filter_map(|row| denial_of(list, &row).map(|denial| (row, denial))).collect())
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

    /// Whether an entry was offered that was not taken in, because its publisher is denied.
    #[must_use]
    pub fn has_refused(&self, id: &EntryId) -> bool {
        self.denied_content().has_refused(id)
    }

    pub(super) fn denied_content(&self) -> Arc<DeniedContent> {
        Arc::clone(&self.0.denied.read().unwrap_or_else(PoisonError::into_inner))
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
            let denied = self.denied_by(&list, &purl.clone().into())?;
            found.extend(denied.into_iter().map(|(row, denial)| (row.release, denial)));
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
        let content = self.denied_content();
        let by_name = content.denial(blob).filter(|_| list.has_releases());
        if !list.has_sha256() && by_name.is_none() {
            return Ok(None);
        }
        let Some(sha256) = self.0.blobs.noted_sha256(blob)? else { return Ok(None) };
        if let Some(denial) = list.of_bytes(blob, Some(&sha256)) {
            return Ok(Some(denial));
        }
        match by_name {
            Some(denial) if !self.is_kept(&list, &content, blob, &sha256)? => {
                Ok(Some(denial.clone().of(blob)))
            }
            _ => Ok(None),
        }
    }

    /// Whether a release that this node keeps, and that is not denied, has a blob of one that is.
    fn is_kept(
        &self,
        list: &DenyList,
        content: &DeniedContent,
        blob: &BlobId,
        sha256: &Sha256Digest,
    ) -> Result<bool, StoreError> {
        let (follows, own) = (self.follows(), self.own_feed().map(|own| own.publisher));
        let keeps = |row: &ReleaseRow| {
            let is_kept = own == Some(row.publisher)
                || follows.keeps(&row.publisher, row.purl.as_str())
                || self.0.state.has_pin(&Pin::Release(row.release));
            is_kept && denial_of(list, row).is_none()
        };
        let with =
            |sha256: &Sha256Digest| self.0.read(|catalog| catalog.with_digest(sha256, LISTING));
        if with(sha256)?.iter().any(keeps) {
            return Ok(true);
        }
        // Releases with one list have the same files.
        if let Some(claim) = content.list(blob)
            && let Ok(Some(artifacts)) = self.read_list(claim)
            && let Some(file) = rows::first_file(&artifacts)
            && with(&file.sha256)?.iter().any(|row| row.artifacts.blob == *blob && keeps(row))
        {
            return Ok(true);
        }
        content.is_in_large(self, blob, keeps)
    }

    /// The releases with more files than the index finds.
    pub(super) fn large_releases(&self) -> Result<Vec<ReleaseRow>, StoreError> {
        self.0.read(|catalog| catalog.large_releases())
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

    /// Refuses bytes that are not here, and of which only a denied release is known to say that it
    /// has them. For those who found no other one.
    ///
    /// # Errors
    /// [`StoreError::Denied`], and failures of the index.
    pub fn refuse_listed(&self, sha256: &Sha256Digest) -> Result<(), StoreError> {
        let list = self.0.state.denied();
        if !list.has_releases() {
            return Ok(());
        }
        let rows = self.0.read(|catalog| catalog.with_digest(sha256, LISTING))?;
        match rows.iter().find_map(|row| denial_of(&list, row)) {
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
        read: impl Fn(Option<&ReleaseId>, usize) -> Result<Vec<ReleaseRow>, StoreError>,
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
