//! A snapshot of all known images: immutable, shared by all requests, and replaced as a whole when
//! entries arrive or follows change.
//!
//! A [`Snapshot`] answers from memory; a [`View`] adds the store to it, for queries that read
//! lists. Snapshots are built one at a time ([`crate::memo`]) and are never older than the request
//! they answer.

mod denied;
mod view;

use std::collections::BTreeSet;
use std::sync::Arc;

use perennial_manifest::{PublisherId, ReleaseId};
use perennial_oci::{Digest, Repository};
use perennial_store::{Follows, Store, StoreError};

use super::Registry;
use super::digest_index::{DigestIndex, DigestIndexer, Listed};
use super::image_catalog::{FeedReader, Image, ImageCatalog, ImageRelease, News};
use super::name::{HERE, Named};
use crate::http_error::HttpError;
use crate::lists::Lists;
use crate::memo::{Age, Memo};

use denied::Denied;
pub(crate) use view::{ListedBy, View};

/// The snapshots, and the builder that derives each from the last.
pub(crate) type Snapshots = Memo<(), Arc<Snapshot>, SnapshotBuilder>;

/// All known images at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) images: ImageCatalog,
    index: DigestIndex,
    has_missing: bool,
    own: PublisherId,
    follows: Follows,
    denied: Denied,
}

/// The repository that a name resolves to.
pub(crate) enum Selection {
    /// Exactly one repository.
    One(Repository),
    /// Several registries have a repository of this name.
    Several(Vec<Repository>),
    /// No known repository.
    Unknown,
}

/// State from which snapshots are built. A build reads only the feeds that grew and the new lists.
#[derive(Debug, Default)]
pub(crate) struct SnapshotBuilder {
    feeds: FeedReader,
    lists: DigestIndexer,
    /// What was read from feeds and is not indexed yet.
    news: News,
}

impl SnapshotBuilder {
    fn build(
        &mut self,
        (store, lists): (&Store, &Lists),
        own: PublisherId,
        follows: &Follows,
        retry: bool,
    ) -> Result<Arc<Snapshot>, StoreError> {
        // Read first: what is denied meanwhile belongs to the next generation.
        let denied = Denied::of(store)?;
        let trusted: BTreeSet<_> = follows.publishers.keys().chain([&own]).copied().collect();
        self.feeds.refresh(store, &trusted, &mut self.news)?;
        let News { fresh, void } = std::mem::take(&mut self.news);
        if !void.is_empty() {
            self.lists.forget(&void);
        }
        let new = fresh.len();
        for ImageRelease { publisher, release, list, .. } in fresh {
            self.lists.add(Listed { publisher, release, list });
        }
        let trusts = |publisher: &PublisherId| trusted.contains(publisher);
        self.lists.fill(new, retry, &trusts, &|claim| lists.read(store, claim))?;
        Ok(Arc::new(Snapshot {
            images: self.feeds.catalog().clone(),
            index: self.lists.index().clone(),
            has_missing: self.lists.has_missing(),
            own,
            follows: follows.clone(),
            denied,
        }))
    }
}

impl Registry {
    /// The current snapshot.
    pub(crate) async fn snapshot(&self) -> Result<Arc<Snapshot>, HttpError> {
        self.built(Age::Generation).await
    }

    /// A snapshot with the lists that have arrived since; `snapshot` itself if none was missing.
    pub(crate) async fn renewed(
        &self,
        snapshot: Arc<Snapshot>,
    ) -> Result<Arc<Snapshot>, HttpError> {
        if !snapshot.has_missing {
            return Ok(snapshot);
        }
        self.built(Age::Request).await
    }

    /// A snapshot at most this old. One that must be new also reads the lists that were missing.
    async fn built(&self, age: Age) -> Result<Arc<Snapshot>, HttpError> {
        let (lists, own) = (Arc::clone(&self.gateway.lists), self.gateway.backend.publisher());
        let store = self.gateway.backend.store();
        let retry = age == Age::Request;
        let build = move |builder: &mut SnapshotBuilder, store: &Store, follows: &Follows| {
            Ok(builder.build((store, &lists), own, follows, retry)?)
        };
        self.snapshots.get((), age, store, build).await
    }
}

impl Snapshot {
    /// Returns whether a publisher is this node's own or is followed by name.
    pub(crate) fn trusts(&self, publisher: &PublisherId) -> bool {
        *publisher == self.own || self.follows.names(publisher)
    }

    /// Why a release is denied, if it is.
    pub(crate) fn denial(&self, publisher: &PublisherId, release: &ReleaseId) -> Option<&str> {
        self.denied.why(publisher, release)
    }

    fn is_allowed(&self, publisher: &PublisherId, release: &ReleaseId) -> bool {
        self.denial(publisher, release).is_none()
    }

    /// Why all statements about an image are denied, if they are.
    pub(crate) fn denial_of_image(&self, image: &Image) -> Option<&str> {
        let mut said = self.said(image);
        said.next()
            .is_none()
            .then(|| all_said(image))
            .into_iter()
            .flatten()
            .find_map(|(publisher, release)| self.denial(publisher, release))
    }

    /// The statements about an image that are not denied.
    fn said<'a>(
        &'a self,
        image: &'a Image,
    ) -> impl Iterator<Item = (&'a PublisherId, &'a ReleaseId)> {
        all_said(image).filter(|(publisher, release)| self.is_allowed(publisher, release))
    }

    /// Returns whether a list was missing that may have arrived since.
    pub(crate) fn has_missing(&self) -> bool {
        self.has_missing
    }

    /// Returns whether a trusted publisher made a statement about an image.
    pub(crate) fn is_ours(&self, image: &Image) -> bool {
        self.said(image).any(|(publisher, _)| self.trusts(publisher))
    }

    /// Returns whether this node's own publisher made a statement about an image.
    pub(crate) fn is_own(&self, image: &Image) -> bool {
        self.said(image).any(|(publisher, _)| self.is_own_publisher(publisher))
    }

    /// Returns whether a publisher is this node's own.
    pub(crate) fn is_own_publisher(&self, publisher: &PublisherId) -> bool {
        *publisher == self.own
    }

    /// Returns whether a publisher's statements about an image count for tags. The names of a
    /// machine's own registry, `localhost` and the like, are the same on every machine: one that
    /// this node gave means what this node says, whatever others call so.
    pub(crate) fn counts(&self, image: &Image, publisher: &PublisherId) -> bool {
        let is_private = image.repository.is_local() && self.is_own(image);
        if is_private { *publisher == self.own } else { self.trusts(publisher) }
    }

    /// The repository that this node's pushes under a bare name go to, if there were any.
    fn pushed(&self, name: &Named) -> Option<&Image> {
        let Named::Bare(path) = name else { return None };
        let repository = Repository::new(HERE, path)?;
        self.images.get(&repository).filter(|image| self.is_own(image))
    }

    /// Resolves a name to a repository. A bare name is the one that this node pushes to under that
    /// name, whatever else is known by it; otherwise those of trusted publishers are preferred.
    pub(crate) fn select(&self, name: &Named) -> Selection {
        match self.pushed(name) {
            Some(pushed) => Selection::One(pushed.repository.clone()),
            None => self.select_from(self.images.named(name)),
        }
    }

    /// As [`Self::select`], for one tag: a tag that this node never pushed is looked for in the
    /// other repositories of a bare name.
    pub(crate) fn select_for_tag(&self, name: &Named, tag: &str) -> Selection {
        let Some(pushed) = self.pushed(name) else { return self.select(name) };
        let mut said = pushed.tags.get(tag).into_iter().flatten();
        let own = || Selection::One(pushed.repository.clone());
        if said.any(|statement| statement.publisher == self.own) {
            return own();
        }
        let mut others = self.images.named(name);
        others.retain(|image| image.repository != pushed.repository);
        match self.select_from(others) {
            Selection::Unknown => own(),
            selection => selection,
        }
    }

    fn select_from(&self, named: Vec<&Image>) -> Selection {
        let mut selected: Vec<&Image> =
            named.iter().filter(|image| self.is_ours(image)).copied().collect();
        if selected.is_empty() {
            selected = named;
        }
        match &selected[..] {
            [] => Selection::Unknown,
            [image] => Selection::One(image.repository.clone()),
            _ => Selection::Several(selected.iter().map(|i| i.repository.clone()).collect()),
        }
    }

    /// The releases of the repositories that a name can refer to.
    pub(crate) fn releases(&self, name: &Named) -> impl DoubleEndedIterator<Item = &ImageRelease> {
        let releases = self.images.named(name).into_iter().flat_map(|image| &image.releases);
        releases.filter(|image| self.is_allowed(&image.publisher, &image.release))
    }

    /// The repositories of the same path in other registries that have a tag by a trusted
    /// publisher.
    pub(crate) fn elsewhere<'a>(
        &'a self,
        repository: &'a Repository,
        tag: &'a str,
    ) -> impl Iterator<Item = &'a Repository> {
        let same_path = self.images.named(&Named::Bare(repository.path().to_owned()));
        let tagged = same_path.into_iter().filter(move |image| {
            let mut said = image.tags.get(tag).into_iter().flatten();
            said.any(|statement| {
                self.counts(image, &statement.publisher)
                    && self.is_allowed(&statement.publisher, &statement.release)
            })
        });
        tagged.map(|image| &image.repository).filter(move |other| *other != repository)
    }

    /// Returns whether this node deleted a manifest from a repository by its digest, and no release
    /// of it there counts since.
    pub(crate) fn is_deleted(&self, repository: &Repository, digest: &Digest) -> bool {
        self.images.is_deleted(&self.own, repository, digest)
            && !self.live(repository).any(|release| release.roots.contains(digest))
    }

    /// The releases in a repository that trusted publishers signed and did not yank.
    pub(crate) fn live(&self, repository: &Repository) -> impl Iterator<Item = &ImageRelease> {
        let releases = self.images.get(repository).into_iter().flat_map(|image| &image.releases);
        releases.filter(|release| {
            self.trusts(&release.publisher)
                && self.is_allowed(&release.publisher, &release.release)
                && !self.images.is_yanked(&release.publisher, &release.release)
        })
    }

    /// The releases that list a digest, as far as their lists are or were here.
    fn listing(&self, digest: &Digest) -> impl Iterator<Item = Listed> {
        let listed = self.index.releases(digest).into_iter();
        listed.filter(|listed| self.is_allowed(&listed.publisher, &listed.release))
    }

    /// Returns whether any repository has a release of this manifest.
    pub(crate) fn is_root(&self, digest: &Digest) -> bool {
        self.rooted(digest).next().is_some()
    }

    /// The releases of a manifest that are not denied, in any repository.
    fn rooted(&self, digest: &Digest) -> impl Iterator<Item = &ImageRelease> {
        let releases = self.images.iter().flat_map(|image| &image.releases);
        releases.filter(move |release| {
            release.roots.contains(digest) && self.is_allowed(&release.publisher, &release.release)
        })
    }
}

/// All statements about an image.
fn all_said(image: &Image) -> impl Iterator<Item = (&PublisherId, &ReleaseId)> {
    let said = image.tags.values().flatten().map(|said| (&said.publisher, &said.release));
    said.chain(image.releases.iter().map(|release| (&release.publisher, &release.release)))
}
