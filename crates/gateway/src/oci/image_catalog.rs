//! An in-memory catalog of images, built from signed releases: which tags mean which digests, and
//! by which publisher.
//!
//! Kept in step with the store's entries by [`FeedReader`]. Holds no bytes and decides nothing
//! about trust ([`super::policy`] does).

mod feed_reader;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use perennial_manifest::{ArtifactListRef, PublisherId, ReleaseId};
use perennial_oci::{Digest, Repository};

use super::name::Named;
pub(crate) use feed_reader::{FeedReader, News};

/// One release's statement about a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) publisher: PublisherId,
    pub(crate) release: ReleaseId,
    pub(crate) seq: u64,
    pub(crate) digest: Digest,
}

/// A release of an image.
#[derive(Debug, Clone)]
pub(crate) struct ImageRelease {
    pub(crate) publisher: PublisherId,
    pub(crate) release: ReleaseId,
    pub(crate) seq: u64,
    pub(crate) list: ArtifactListRef,
    /// The root manifests of the release: those of its tags, or of its version.
    pub(crate) roots: Vec<Digest>,
}

/// The statements about one repository.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) repository: Repository,
    pub(crate) tags: BTreeMap<String, Vec<Statement>>,
    pub(crate) releases: Vec<ImageRelease>,
}

/// All known images. Immutable once published, and cheap to clone: clones share all unchanged
/// parts.
#[derive(Debug, Clone, Default)]
pub(crate) struct ImageCatalog {
    /// Keyed by path, so that a bare name finds its repositories in all registries, ordered by
    /// registry.
    by_path: Arc<BTreeMap<Arc<str>, Arc<Vec<Image>>>>,
    yanked: Arc<HashSet<(PublisherId, ReleaseId)>>,
    deleted: Arc<HashSet<(PublisherId, Repository, Digest)>>,
    forked: Arc<HashSet<PublisherId>>,
}

impl ImageCatalog {
    /// The statements about a repository.
    pub(crate) fn get(&self, repository: &Repository) -> Option<&Image> {
        self.of_path(repository.path()).iter().find(|image| image.repository == *repository)
    }

    fn of_path(&self, path: &str) -> &[Image] {
        self.by_path.get(path).map_or(&[], |images| images.as_slice())
    }

    /// All images, by path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Image> {
        self.by_path.values().flat_map(|images| images.iter())
    }

    /// The images that a name can refer to: the repository's if the name has a registry, else those
    /// of any registry. Official docker.io images are also found without `library/`.
    pub(crate) fn named(&self, name: &Named) -> Vec<&Image> {
        let path = match name {
            Named::Full(repository) => return self.get(repository).into_iter().collect(),
            Named::Bare(path) => path,
        };
        let mut named: Vec<&Image> = self.of_path(path).iter().collect();
        if !path.contains('/') {
            let library = self.of_path(&format!("library/{path}")).iter();
            named.extend(library.filter(|image| image.repository.registry() == "docker.io"));
        }
        named
    }

    /// Returns whether a publisher yanked a release.
    pub(crate) fn is_yanked(&self, publisher: &PublisherId, release: &ReleaseId) -> bool {
        self.yanked.contains(&(*publisher, *release))
    }

    /// Returns whether a publisher deleted a manifest from a repository, at any time.
    pub(crate) fn is_deleted(
        &self,
        publisher: &PublisherId,
        repository: &Repository,
        digest: &Digest,
    ) -> bool {
        self.deleted.contains(&(*publisher, repository.clone(), *digest))
    }

    /// Returns whether a publisher signed two histories.
    pub(crate) fn is_forked(&self, publisher: &PublisherId) -> bool {
        self.forked.contains(publisher)
    }

    /// Drops all statements of some publishers.
    fn forget(&mut self, gone: &BTreeSet<PublisherId>) {
        let goes = |release: &ImageRelease| gone.contains(&release.publisher);
        Arc::make_mut(&mut self.by_path).retain(|_, images| {
            if images.iter().flat_map(|image| &image.releases).any(goes) {
                let images = Arc::make_mut(images);
                for image in images.iter_mut() {
                    image.releases.retain(|release| !goes(release));
                    for said in image.tags.values_mut() {
                        said.retain(|statement| !gone.contains(&statement.publisher));
                    }
                    image.tags.retain(|_, said| !said.is_empty());
                }
                images.retain(|image| !image.releases.is_empty());
            }
            !images.is_empty()
        });
        Arc::make_mut(&mut self.yanked).retain(|(publisher, _)| !gone.contains(publisher));
        Arc::make_mut(&mut self.deleted).retain(|(publisher, ..)| !gone.contains(publisher));
        Arc::make_mut(&mut self.forked).retain(|publisher| !gone.contains(publisher));
    }

    fn image(&mut self, repository: Repository) -> &mut Image {
        let by_path = Arc::make_mut(&mut self.by_path);
        let images = by_path.entry(repository.path().into()).or_default();
        let images = Arc::make_mut(images);
        let at = images.binary_search_by(|image| image.repository.cmp(&repository));
        let at = at.unwrap_or_else(|at| {
            let (tags, releases) = (BTreeMap::new(), Vec::new());
            images.insert(at, Image { repository, tags, releases });
            at
        });
        &mut images[at]
    }
}
