//! Queries that read lists: a snapshot together with the store.
//!
//! They run on blocking threads and hold no lock; those that may read many lists run one at a time.

use std::collections::HashSet;
use std::sync::Arc;

use perennial_manifest::{ArtifactList, ArtifactListRef, PublisherId, ReleaseId};
use perennial_oci::Digest;
use perennial_store::{Store, StoreError};

use super::Snapshot;
use crate::blocking::blocking;
use crate::http_error::HttpError;
use crate::lists::Lists;
use crate::oci::Registry;
use crate::oci::digest_index::{ContentRef, Listed, digest_of};
use crate::oci::image_catalog::ImageRelease;
use crate::oci::name::Named;

/// Lists read to find one digest, at most: of trusted publishers, and as many of others.
const LOOKS: usize = 8;
/// Lists fetched for one request, at most.
const FETCHES: usize = 4;

/// A release that may list a digest.
pub(crate) struct ListedBy {
    pub(crate) release: ReleaseId,
    publisher: PublisherId,
}

/// A snapshot and the store. Every method may read the disk.
pub(crate) struct View {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) store: Store,
    lists: Arc<Lists>,
}

impl View {
    /// An artifact list, if it is held and undamaged.
    pub(crate) fn list(
        &self,
        claim: &ArtifactListRef,
    ) -> Result<Option<Arc<ArtifactList>>, StoreError> {
        self.lists.whole(&self.store, claim)
    }

    /// The content that a digest names: the bytes that have it by this node's own hashing, else
    /// those listed by the releases `first`, by trusted publishers, or by strangers, in this order.
    /// A list that this node's hashing refutes comes last.
    pub(crate) fn find(
        &self,
        digest: &Digest,
        first: &[ReleaseId],
    ) -> Result<Option<ContentRef>, StoreError> {
        let own = match digest.sha256() {
            Some(sha256) => {
                self.store.refuse_target(&sha256.into())?;
                self.store.blob_of_sha256(&sha256)?
            }
            None => None,
        };
        if let Some(blob) = &own {
            self.store.refuse_denied(blob)?;
        }
        let own = match own {
            Some(blob) => self.store.blob_size(&blob)?.map(|size| (blob, size)),
            None => None,
        };
        let mut refuted = None;
        for (listed, claim) in self.candidates(digest, first)? {
            let Some(list) = self.list(&claim)? else { continue };
            let found = list.iter().find(|artifact| digest_of(artifact) == Some(*digest));
            let Some(artifact) = found else { continue };
            let (blob, size) = own.unwrap_or((artifact.blake3, artifact.size));
            let is_false = match digest.sha256() {
                Some(sha256) if own.is_none() => self.store.refutes(&sha256, &blob)?,
                _ => false,
            };
            let trusted = own.is_some() || self.snapshot.trusts(&listed.publisher);
            let content = ContentRef {
                digest: *digest,
                blob,
                size,
                media_type: artifact.media_type.clone(),
                release: Some(listed.release),
                vouched: trusted && !is_false,
            };
            if !is_false {
                return Ok(Some(content));
            }
            refuted = Some(content);
        }
        // Said to be something else by all that list it; whoever serves it will find out.
        if refuted.is_some() {
            return Ok(refuted);
        }
        Ok(own.map(|(blob, size)| {
            let media_type = "application/octet-stream".to_owned();
            ContentRef { digest: *digest, blob, size, media_type, release: None, vouched: true }
        }))
    }

    /// The releases that may list a digest: those of `first`, then those of trusted publishers.
    pub(crate) fn candidates(
        &self,
        digest: &Digest,
        first: &[ReleaseId],
    ) -> Result<Vec<(ListedBy, ArtifactListRef)>, StoreError> {
        let mut all = Vec::new();
        for release in first.iter().take(LOOKS) {
            let row = self.store.release(release)?;
            all.extend(row.map(|row| {
                (ListedBy { release: *release, publisher: row.publisher }, row.artifacts)
            }));
        }
        let (ours, others): (Vec<_>, Vec<_>) = self
            .snapshot
            .listing(digest)
            .partition(|listed| self.snapshot.trusts(&listed.publisher));
        let listed = ours.into_iter().take(LOOKS).chain(others.into_iter().take(LOOKS));
        all.extend(listed.map(|listed| {
            let Listed { release, publisher, list } = listed;
            (ListedBy { release, publisher }, list)
        }));
        Ok(all)
    }

    /// Returns whether one of `releases` lists a digest. Lists that are not held do not count.
    pub(crate) fn is_listed(
        &self,
        digest: &Digest,
        releases: &HashSet<ReleaseId>,
    ) -> Result<bool, StoreError> {
        let known = self.snapshot.listing(digest);
        for listed in known.filter(|listed| releases.contains(&listed.release)) {
            let list = self.list(&listed.list)?;
            if list.is_some_and(|list| list.iter().any(|a| digest_of(a) == Some(*digest))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lists that are not held and may contain a digest: those of the releases `first`, else those
    /// of the manifest's releases in any repository and of the repository's releases, most likely
    /// first.
    pub(crate) fn absent_lists(
        &self,
        name: &Named,
        digest: &Digest,
        first: &[ReleaseId],
    ) -> Result<Vec<(ReleaseId, ArtifactListRef)>, StoreError> {
        let mut releases: Vec<&ImageRelease> = self.snapshot.releases(name).collect();
        releases.extend(self.snapshot.rooted(digest));
        releases.sort_by_key(|image| {
            (
                !first.contains(&image.release),
                !image.roots.contains(digest),
                !self.snapshot.trusts(&image.publisher),
                u64::MAX - image.seq,
                image.release,
            )
        });
        releases.dedup_by_key(|image| image.release);
        let mut absent = Vec::new();
        for image in releases {
            if absent.len() == FETCHES {
                break;
            }
            if self.store.blob_size(&image.list.blob)?.is_none() {
                absent.push((image.release, image.list));
            }
        }
        Ok(absent)
    }
}

impl Registry {
    /// Runs a query that reads the disk on a blocking thread.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        snapshot: &Arc<Snapshot>,
        question: impl FnOnce(&View) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, HttpError> {
        let view = View {
            snapshot: Arc::clone(snapshot),
            store: self.gateway.backend.store().clone(),
            lists: Arc::clone(&self.gateway.lists),
        };
        blocking(move || Ok(question(&view)?)).await
    }

    /// As [`Self::read`], for queries that may read many lists: they run one at a time, and waiting
    /// ones occupy no thread.
    pub(crate) async fn search<T: Send + 'static>(
        &self,
        snapshot: &Arc<Snapshot>,
        question: impl FnOnce(&View) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, HttpError> {
        // The semaphore is never closed. The permit moves into the task, which continues when the
        // client disconnects.
        let permit = Arc::clone(&self.searching).acquire_owned().await;
        self.read(snapshot, move |view| {
            let _permit = permit;
            question(view)
        })
        .await
    }
}
