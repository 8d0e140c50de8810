//! What this node knows of images, asked off the threads that answer requests.

use std::sync::{Arc, Mutex, PoisonError};

use perennial_manifest::{ArtifactList, ArtifactListRef, PublisherId, ReleaseId};
use perennial_store::{Store, StoreError};

use super::Registry;
use super::catalogue::{Catalogue, Image};
use super::digest::Digest;
use super::holdings::{Found, Holdings};
use super::name::{Named, Repository};
use super::referrers::Subjects;
use super::refusal::Refusal;
use crate::backend::Backend;
use crate::content::run;
use crate::lists::Lists;

/// Catalogue and index; kept in step with the store by every question.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) catalogue: Catalogue,
    pub(crate) holdings: Holdings,
    pub(crate) subjects: Subjects,
}

/// What a question is answered with: the store, and whom it trusts at that moment.
pub(crate) struct World<'a> {
    pub(crate) store: &'a Store,
    backend: &'a dyn Backend,
    lists: &'a Lists,
    pub(crate) trusted: &'a dyn Fn(&PublisherId) -> bool,
}

impl World<'_> {
    /// An artifact list, if it is here and whole.
    pub(crate) fn list(
        &self,
        claim: &ArtifactListRef,
    ) -> Result<Option<Arc<ArtifactList>>, StoreError> {
        self.lists.whole(self.backend, claim)
    }
}

/// What a name means.
pub(crate) enum Which {
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
        question: impl FnOnce(&mut Known, &World<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (backend, lists) = (Arc::clone(&self.faces.backend), Arc::clone(&self.faces.lists));
        let known: Arc<Mutex<Known>> = Arc::clone(&self.known);
        let asked = run(move || {
            let (store, own) = (backend.store(), backend.publisher());
            // read once: the same answer for all of one question
            let follows = store.follows();
            let trusted = |publisher: &PublisherId| *publisher == own || follows.names(publisher);
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            let known = &mut *known;
            known.catalogue.refresh(store, &trusted)?;
            let world = World { store, backend: &*backend, lists: &lists, trusted: &trusted };
            known.holdings.take(known.catalogue.take_fresh(), &world)?;
            question(known, &world)
        });
        asked.await.map_err(|error| Refusal::store(&error))
    }
}

impl Known {
    /// The repository that a name means: of those that trusted publishers speak of, if there are such.
    pub(crate) fn which(&self, name: &Named, world: &World<'_>) -> Which {
        let meant = self.catalogue.meant(name);
        let known = |repository: &Repository| self.catalogue.get(repository).is_some();
        let ours = |repository: &Repository| {
            self.catalogue.get(repository).is_some_and(|image| is_ours(image, world.trusted))
        };
        let mut named: Vec<Repository> = meant.iter().filter(|r| ours(r)).cloned().collect();
        if named.is_empty() {
            named = meant.into_iter().filter(known).collect();
        }
        match named.len() {
            0 => Which::Unknown,
            1 => named.pop().map_or(Which::Unknown, Which::One),
            _ => Which::Several(named),
        }
    }

    /// Whether anybody speaks of a repository of this name.
    pub(crate) fn is_repository(&self, name: &Named) -> bool {
        self.catalogue.meant(name).iter().any(|repository| self.catalogue.get(repository).is_some())
    }

    /// What a digest names.
    pub(crate) fn find(
        &mut self,
        digest: &Digest,
        first: &[ReleaseId],
        world: &World<'_>,
    ) -> Result<Option<Found>, StoreError> {
        let found = self.holdings.find(digest, first, world)?;
        if found.as_ref().is_some_and(|found| found.release.is_some()) {
            return Ok(found);
        }
        self.holdings.retry(world)?;
        self.holdings.find(digest, first, world)
    }

    /// Lists that are not here and may name a digest: of these releases, else of some of the repository's.
    pub(crate) fn absent_lists(
        &self,
        name: &Named,
        digest: &Digest,
        first: &[ReleaseId],
        world: &World<'_>,
    ) -> Result<Vec<(ReleaseId, ArtifactListRef)>, StoreError> {
        /// Lists that one request may have fetched.
        const MOST: usize = 4;
        let meant = self.catalogue.meant(name);
        let mut releases: Vec<_> = meant
            .iter()
            .filter_map(|r| self.catalogue.get(r))
            .flat_map(|image| &image.releases)
            .collect();
        releases.sort_by_key(|image| {
            let root = image.roots.contains(digest);
            (
                !first.contains(&image.release),
                !root,
                !(world.trusted)(&image.publisher),
                u64::MAX - image.seq,
            )
        });
        let mut absent = Vec::new();
        for image in releases {
            if absent.len() == MOST {
                break;
            }
            if world.store.blob_size(&image.list.blob)?.is_none() {
                absent.push((image.release, image.list));
            }
        }
        Ok(absent)
    }

    /// Whether a release in the repository is a release of this manifest.
    pub(crate) fn is_root(&self, name: &Named, digest: &Digest) -> bool {
        let meant = self.catalogue.meant(name);
        let mut images = meant.iter().filter_map(|r| self.catalogue.get(r));
        images.any(|image| image.releases.iter().any(|release| release.roots.contains(digest)))
    }
}

/// Whether a trusted publisher says something of an image.
pub(crate) fn is_ours(image: &Image, trusted: &dyn Fn(&PublisherId) -> bool) -> bool {
    let tagged = image.tags.values().flatten().any(|statement| trusted(&statement.publisher));
    tagged || image.releases.iter().any(|release| trusted(&release.publisher))
}
