//! Where the content is that digests name: which release lists it, under which name of the swarm.
//!
//! An index in memory from digests to releases, of bounded size; what a release says of a digest is read from its list when
//! it is asked for. Lists that are not here yet are tried again when something is missed.

use std::collections::{BTreeSet, HashSet};

use perennial_manifest::{Artifact, ArtifactListRef, BlobId, PublisherId, ReleaseId, Role};
use perennial_store::StoreError;

use super::digest::Digest;
use super::image_catalog::ImageRelease;
use super::snapshot::View;

/// Most pairs of digest and release that are kept, of 20 bytes each.
const PAIRS: usize = 2_000_000;
/// Most of them while they are strangers'.
const STRANGERS: usize = 500_000;
/// Most lists that are read to find one digest.
const LOOKS: usize = 8;
/// Most lists that are looked for again at once.
const RETRIES: usize = 1000;

/// Content that a digest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContentRef {
    pub(crate) digest: Digest,
    pub(crate) blob: BlobId,
    pub(crate) size: u64,
    pub(crate) media_type: String,
    /// A release that names it; none for what is held by itself.
    pub(crate) release: Option<ReleaseId>,
}

/// The index.
#[derive(Debug, Default)]
pub(crate) struct DigestIndex {
    releases: Vec<(PublisherId, ReleaseId, ArtifactListRef)>,
    pairs: BTreeSet<([u8; 16], u32)>,
    /// Releases whose list was not here.
    missing: HashSet<u32>,
}

impl DigestIndex {
    /// Takes releases in.
    pub(crate) fn take(
        &mut self,
        fresh: Vec<ImageRelease>,
        view: &View<'_>,
    ) -> Result<(), StoreError> {
        for image in fresh {
            let Ok(at) = u32::try_from(self.releases.len()) else { return Ok(()) };
            self.releases.push((image.publisher, image.release, image.list));
            self.index(at, view)?;
        }
        Ok(())
    }

    fn index(&mut self, at: u32, view: &View<'_>) -> Result<(), StoreError> {
        let Some((publisher, _, claim)) = self.releases.get(at as usize) else { return Ok(()) };
        let room = if (view.trusted)(publisher) { PAIRS } else { STRANGERS };
        match view.list(claim)? {
            Some(list) if self.pairs.len() + list.len() <= room => {
                self.missing.remove(&at);
                self.pairs
                    .extend(list.iter().filter_map(digest_of).map(|digest| (digest.key(), at)));
            }
            _ => {
                self.missing.insert(at);
            }
        }
        Ok(())
    }

    /// Looks again for lists that were not here.
    pub(crate) fn retry(&mut self, view: &View<'_>) -> Result<(), StoreError> {
        let again: Vec<u32> = self.missing.iter().take(RETRIES).copied().collect();
        again.into_iter().try_for_each(|at| self.index(at, view))
    }

    /// What a digest names: by what these releases say, else by what trusted publishers say, else by anybody's word. Bytes
    /// that this node hashed itself are believed before any list.
    pub(crate) fn find(
        &self,
        digest: &Digest,
        first: &[ReleaseId],
        view: &View<'_>,
    ) -> Result<Option<ContentRef>, StoreError> {
        let own = match digest.sha256() {
            Some(sha256) => view.store.blob_of_sha256(&sha256)?,
            None => None,
        };
        let own = match own {
            Some(blob) => view.store.blob_size(&blob)?.map(|size| (blob, size)),
            None => None,
        };
        for (release, claim) in self.candidates(digest, first, view)? {
            let Some(list) = view.list(&claim)? else { continue };
            if let Some(artifact) =
                list.iter().find(|artifact| digest_of(artifact) == Some(*digest))
            {
                let (blob, size) = own.unwrap_or((artifact.blake3, artifact.size));
                let media_type = artifact.media_type.clone();
                return Ok(Some(ContentRef {
                    digest: *digest,
                    blob,
                    size,
                    media_type,
                    release: Some(release),
                }));
            }
        }
        let media_type = "application/octet-stream".to_owned();
        Ok(own.map(|(blob, size)| ContentRef {
            digest: *digest,
            blob,
            size,
            media_type,
            release: None,
        }))
    }

    /// The releases that list a digest, those that trusted publishers signed first.
    pub(crate) fn candidates(
        &self,
        digest: &Digest,
        first: &[ReleaseId],
        view: &View<'_>,
    ) -> Result<Vec<(ReleaseId, ArtifactListRef)>, StoreError> {
        let mut all = Vec::new();
        for release in first.iter().take(LOOKS) {
            all.extend(view.store.release(release)?.map(|row| (*release, row.artifacts)));
        }
        let key = digest.key();
        let newest = self.pairs.range((key, 0)..=(key, u32::MAX)).rev();
        let listed = newest.filter_map(|(_, at)| self.releases.get(*at as usize).copied());
        let (ours, others): (Vec<_>, Vec<_>) =
            listed.partition(|(publisher, ..)| (view.trusted)(publisher));
        let ours = ours.into_iter().take(LOOKS);
        all.extend(
            ours.chain(others.into_iter().take(LOOKS)).map(|(_, release, claim)| (release, claim)),
        );
        Ok(all)
    }
}

/// The digest that an artifact of an image's layout is for.
pub(crate) fn digest_of(artifact: &Artifact) -> Option<Digest> {
    match Digest::of_path(artifact.path.as_str())? {
        // the path only repeats what the list says in a field that is checked elsewhere
        Digest::Sha256(_) => Some(Digest::from(artifact.sha256)),
        sha512 => Some(sha512),
    }
}

/// Whether an artifact may be a manifest.
pub(crate) fn is_manifest(artifact: &Artifact) -> bool {
    let role = matches!(artifact.role, Role::ImageManifest | Role::ImageIndex);
    let kind = &artifact.media_type;
    role || (kind.ends_with("+json") && (kind.contains("manifest") || kind.contains("image.index")))
}
