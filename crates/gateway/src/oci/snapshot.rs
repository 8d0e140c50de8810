//! What this node knows of images, asked off the threads that answer requests.

use std::sync::{Arc, PoisonError};

use perennial_manifest::{ArtifactList, ArtifactListRef, PublisherId, ReleaseId};
use perennial_store::{Store, StoreError};

use super::Registry;
use super::digest::Digest;
use super::digest_index::{ContentRef, DigestIndex};
use super::error::OciError;
use super::image_catalog::{Image, ImageCatalog};
use super::name::{Named, Repository};
use super::referrers::Subjects;
use crate::backend::Backend;
use crate::content::run;
use crate::lists::Lists;

/// ImageCatalog and index; kept in step with the store by every question.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) catalog: ImageCatalog,
    pub(crate) digest_index: DigestIndex,
    pub(crate) subjects: Subjects,
}

/// What a question is answered with: the store, and whom it trusts at that moment.
pub(crate) struct View<'a> {
    pub(crate) store: &'a Store,
    backend: &'a dyn Backend,
    lists: &'a Lists,
    pub(crate) trusted: &'a dyn Fn(&PublisherId) -> bool,
}

impl View<'_> {
    /// An artifact list, if it is here and whole.
    pub(crate) fn list(
        &self,
        claim: &ArtifactListRef,
    ) -> Result<Option<Arc<ArtifactList>>, StoreError> {
        self.lists.whole(self.backend, claim)
    }
}

/// What a name means.
pub(crate) enum Selection {
    /// This repository.
    One(Repository),
    /// One of these, by name alone.
    Several(Vec<Repository>),
    /// None.
    Unknown,
}

impl Registry {
    /// Asks what is known.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Snapshot, &View<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, OciError> {
        let (backend, lists) = (Arc::clone(&self.gateway.backend), Arc::clone(&self.gateway.lists));
        let snapshot = Arc::clone(&self.snapshot);
        let asked = run(move || {
            let (store, own) = (backend.store(), backend.publisher());
            // read once: the same answer for all of one question
            let follows = store.follows();
            let trusted = |publisher: &PublisherId| *publisher == own || follows.names(publisher);
            let mut snapshot = snapshot.lock().unwrap_or_else(PoisonError::into_inner);
            let snapshot = &mut *snapshot;
            snapshot.catalog.refresh(store, &trusted)?;
            let view = View { store, backend: &*backend, lists: &lists, trusted: &trusted };
            snapshot.digest_index.take(snapshot.catalog.take_fresh(), &view)?;
            question(snapshot, &view)
        });
        asked.await.map_err(|error| OciError::store(&error))
    }
}

impl Snapshot {
    /// The repository that a name means: of those that trusted publishers speak of, if there are such.
    pub(crate) fn which(&self, name: &Named, view: &View<'_>) -> Selection {
        let meant = self.catalog.meant(name);
        let known = |repository: &Repository| self.catalog.get(repository).is_some();
        let ours = |repository: &Repository| {
            self.catalog.get(repository).is_some_and(|image| is_ours(image, view.trusted))
        };
        let mut named: Vec<Repository> = meant.iter().filter(|r| ours(r)).cloned().collect();
        if named.is_empty() {
            named = meant.into_iter().filter(known).collect();
        }
        match named.len() {
            0 => Selection::Unknown,
            1 => named.pop().map_or(Selection::Unknown, Selection::One),
            _ => Selection::Several(named),
        }
    }

    /// Whether anybody speaks of a repository of this name.
    pub(crate) fn is_repository(&self, name: &Named) -> bool {
        self.catalog.meant(name).iter().any(|repository| self.catalog.get(repository).is_some())
    }

    /// What a digest names.
    pub(crate) fn find(
        &mut self,
        digest: &Digest,
        first: &[ReleaseId],
        view: &View<'_>,
    ) -> Result<Option<ContentRef>, StoreError> {
        let found = self.digest_index.find(digest, first, view)?;
        if found.as_ref().is_some_and(|found| found.release.is_some()) {
            return Ok(found);
        }
        self.digest_index.retry(view)?;
        self.digest_index.find(digest, first, view)
    }

    /// Lists that are not here and may name a digest: of these releases, else of some of the repository's.
    pub(crate) fn absent_lists(
        &self,
        name: &Named,
        digest: &Digest,
        first: &[ReleaseId],
        view: &View<'_>,
    ) -> Result<Vec<(ReleaseId, ArtifactListRef)>, StoreError> {
        /// Lists that one request may have fetched.
        const MOST: usize = 4;
        let meant = self.catalog.meant(name);
        let mut releases: Vec<_> = meant
            .iter()
            .filter_map(|r| self.catalog.get(r))
            .flat_map(|image| &image.releases)
            .collect();
        releases.sort_by_key(|image| {
            let root = image.roots.contains(digest);
            (
                !first.contains(&image.release),
                !root,
                !(view.trusted)(&image.publisher),
                u64::MAX - image.seq,
            )
        });
        let mut absent = Vec::new();
        for image in releases {
            if absent.len() == MOST {
                break;
            }
            if view.store.blob_size(&image.list.blob)?.is_none() {
                absent.push((image.release, image.list));
            }
        }
        Ok(absent)
    }

    /// Whether a release in the repository is a release of this manifest.
    pub(crate) fn is_root(&self, name: &Named, digest: &Digest) -> bool {
        let meant = self.catalog.meant(name);
        let mut images = meant.iter().filter_map(|r| self.catalog.get(r));
        images.any(|image| image.releases.iter().any(|release| release.roots.contains(digest)))
    }
}

/// Whether a trusted publisher says something of an image.
pub(crate) fn is_ours(image: &Image, trusted: &dyn Fn(&PublisherId) -> bool) -> bool {
    let tagged = image.tags.values().flatten().any(|statement| trusted(&statement.publisher));
    tagged || image.releases.iter().any(|release| trusted(&release.publisher))
}
