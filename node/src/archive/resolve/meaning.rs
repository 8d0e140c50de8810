//! The release or the file that a selector means.
//!
//! The digest of an image's manifest means the image. Digests need no trust; of several releases
//! with one manifest, those of trusted publishers come first.

use std::collections::BTreeMap;

use perennial_manifest::{BlobId, Candidate, PublisherId, ReleaseId, Role, Selector, Sha256Digest};
use perennial_store::{ReleaseRow, Store, StoreError};

use super::Unresolved;
use crate::archive::{Archive, ArchiveError, Observer};

/// Releases that are looked at for one digest, at most.
const RELEASES: usize = 64;
/// Releases of which peers say that they have a file with a digest, looked at until one does.
const CLAIMED: usize = 8;

/// The release or the file that a selector means.
#[derive(Debug)]
pub enum Meaning {
    /// Candidates that agree on the bytes; the first is the one to fetch. Never empty.
    Release(Vec<Candidate>),
    /// One file.
    Blob {
        /// Its id.
        blob: BlobId,
        /// The SHA-256 by which it was named: a claim until its bytes are hashed.
        sha256: Option<Sha256Digest>,
    },
}

/// What a digest is in a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    /// The manifest of an image, or an index of manifests.
    Manifest,
    /// Any file.
    File,
}

impl Archive {
    /// The meaning of a selector. As [`Archive::resolve`] for names.
    ///
    /// # Errors
    /// As for [`Archive::resolve`] and [`Archive::blob_of`]; [`Unresolved::Ambiguous`] for the
    /// manifest of several releases.
    pub async fn meaning(
        &self,
        selector: &Selector,
        only: Option<PublisherId>,
        ask: bool,
        observer: &dyn Observer,
    ) -> Result<Meaning, ArchiveError> {
        match selector {
            Selector::Blob(blob) => Ok(Meaning::Blob { blob: *blob, sha256: None }),
            Selector::Sha256(digest) => self.of_digest(selector, *digest, ask, observer).await,
            Selector::Release(release) => self.of_bare(*release, only, ask, observer).await,
            Selector::Name(name) if name.digest().is_some() => {
                match self.resolve(selector, only, false, observer).await {
                    Err(error) if is_unknown(&error) => {}
                    resolved => return resolved.map(Meaning::Release),
                }
                match name.digest() {
                    Some(digest) => self.of_digest(selector, digest, ask, observer).await,
                    None => Ok(Meaning::Release(Vec::new())),
                }
            }
            Selector::ReleasePrefix(_) | Selector::Purl(_) | Selector::Name(_) => {
                self.resolve(selector, only, ask, observer).await.map(Meaning::Release)
            }
        }
    }

    /// The releases known here that have a file with this SHA-256, if they agree on their bytes.
    ///
    /// # Errors
    /// [`Unresolved::NotFound`] or [`Unresolved::Ambiguous`], or the store's error.
    pub(super) async fn with_file(
        &self,
        selector: &Selector,
        digest: Sha256Digest,
    ) -> Result<Vec<Candidate>, ArchiveError> {
        let found = self.having(digest, As::File).await?;
        match self.one_of(selector, found).await? {
            Some(agreeing) => Ok(agreeing),
            None => {
                let (selector, near) = (selector.clone(), Vec::new());
                Err(Box::new(Unresolved::NotFound { selector, near, asked: None }).into())
            }
        }
    }

    /// 64 hex digits: a release, or else a digest whose algorithm was left out.
    async fn of_bare(
        &self,
        release: ReleaseId,
        only: Option<PublisherId>,
        ask: bool,
        observer: &dyn Observer,
    ) -> Result<Meaning, ArchiveError> {
        let selector = Selector::Release(release);
        let bytes = *release.entry().as_bytes();
        let (blob, digest) = (BlobId::from_bytes(bytes), Sha256Digest::from_bytes(bytes));
        let here = self.blocking(move |archive| {
            let store = &archive.store;
            let is_digest = store.release(&release)?.is_none()
                && (store.blob_of_sha256(&digest)?.is_some()
                    || !store.releases_with(&digest, 1)?.is_empty());
            Ok::<_, ArchiveError>((is_digest, store.blob_size(&blob)?.is_some()))
        });
        match here.await? {
            (true, _) => return self.of_digest(&selector, digest, ask, observer).await,
            (false, true) => return Ok(Meaning::Blob { blob, sha256: None }),
            (false, false) => {}
        }
        let unknown = match self.resolve(&selector, only, ask, observer).await {
            Err(error) if ask && is_unknown(&error) => error,
            resolved => return resolved.map(Meaning::Release),
        };
        if let Ok(meaning) = self.of_digest(&selector, digest, ask, observer).await {
            return Ok(meaning);
        }
        let claims = self.network.lookup(Selector::Blob(blob), None).await.claims;
        if claims.is_empty() { Err(unknown) } else { Ok(Meaning::Blob { blob, sha256: None }) }
    }

    async fn of_digest(
        &self,
        selector: &Selector,
        digest: Sha256Digest,
        ask: bool,
        observer: &dyn Observer,
    ) -> Result<Meaning, ArchiveError> {
        let mut images = self.having(digest, As::Manifest).await?;
        let held = self.held_with(digest).await?;
        if images.is_empty()
            && ask
            && (held.is_none() || self.having(digest, As::File).await?.is_empty())
        {
            self.learn_of(digest, observer).await?;
            images = self.having(digest, As::Manifest).await?;
        }
        if let Some(agreeing) = self.one_of(selector, images).await? {
            return Ok(Meaning::Release(agreeing));
        }
        let blob = match held {
            Some(blob) => blob,
            None if ask => self.blob_of(digest, observer).await?,
            None => return Err(ArchiveError::NotHeld(digest)),
        };
        Ok(Meaning::Blob { blob, sha256: Some(digest) })
    }

    /// Takes in the releases of which peers say that they have a file with this digest, with their
    /// lists, which show whether that is so.
    async fn learn_of(
        &self,
        digest: Sha256Digest,
        observer: &dyn Observer,
    ) -> Result<(), ArchiveError> {
        self.network.connected().await;
        for release in self.search_elsewhere(digest.to_string()).await.into_iter().take(CLAIMED) {
            let known = self.resolve(&Selector::Release(release), None, true, observer).await;
            if known.is_err() || self.fetch_list(release).await.is_err() {
                continue;
            }
            // Its files are found by their digests from here on.
            self.in_store(move |store| store.refresh_state(&release)).await?;
            if !self.having(digest, As::File).await?.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// The releases whose lists are here and have a file with this digest.
    async fn having(&self, digest: Sha256Digest, part: As) -> Result<Vec<Candidate>, ArchiveError> {
        self.blocking(move |archive| {
            let store = &archive.store;
            let mut found = Vec::new();
            for row in store.releases_with(&digest, RELEASES)? {
                if has(store, &row, &digest, part)? {
                    found.push(store.candidate(&row)?);
                }
            }
            Ok::<_, ArchiveError>(found)
        })
        .await
    }

    /// The releases to choose from, if they agree on their bytes; `None` if there are none.
    async fn one_of(
        &self,
        selector: &Selector,
        all: Vec<Candidate>,
    ) -> Result<Option<Vec<Candidate>>, ArchiveError> {
        let own = self.publisher();
        let follows = self.store.follows();
        let trusted = |id: &PublisherId| *id == own || follows.names(id);
        let (ours, strangers): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|candidate| trusted(&candidate.publisher));
        let all = last_of_each(if ours.is_empty() { strangers } else { ours });
        if all.iter().all(|candidate| candidate.agrees_with(&all[0])) {
            return Ok(Some(all).filter(|all| !all.is_empty()));
        }
        let (selector, claims) = (selector.clone(), self.claims(all).await?);
        Err(Box::new(Unresolved::Ambiguous { selector, claims }).into())
    }
}

/// Of the releases of one name by one publisher, the last.
fn last_of_each(all: Vec<Candidate>) -> Vec<Candidate> {
    let mut last: BTreeMap<(String, PublisherId), Candidate> = BTreeMap::new();
    for candidate in all {
        let key = (candidate.purl.to_string(), candidate.publisher);
        if last.get(&key).is_none_or(|before| before.seq < candidate.seq) {
            last.insert(key, candidate);
        }
    }
    last.into_values().collect()
}

fn has(
    store: &Store,
    row: &ReleaseRow,
    digest: &Sha256Digest,
    part: As,
) -> Result<bool, StoreError> {
    let list = match store.read_list(&row.artifacts) {
        Ok(list) => list,
        // A damaged list shows nothing; others still may.
        Err(StoreError::Corrupt { .. } | StoreError::InvalidList { .. }) => None,
        Err(error) => return Err(error),
    };
    let named = list.iter().flat_map(|list| list.iter()).filter(|file| {
        let manifest = matches!(file.role, Role::ImageIndex | Role::ImageManifest);
        file.sha256 == *digest && (manifest || part == As::File)
    });
    for file in named {
        if !store.refutes(digest, &file.blake3)? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(in crate::archive) fn is_unknown(error: &ArchiveError) -> bool {
    matches!(error, ArchiveError::Unresolved(why) if matches!(**why, Unresolved::NotFound { .. }))
}
