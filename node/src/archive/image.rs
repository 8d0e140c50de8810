//! Images as container engines take them: the files of a release with full names, for all
//! platforms or for one.
//!
//! The signed `index.json` names a manifest by its tag alone. What is written for engines has an
//! `index.json` with full names, and docker's `manifest.json` beside it; every other file is the
//! release's own.

mod files;
mod save;

use perennial_manifest::{Artifact, ArtifactList, ListError, PathError, Platform, ReleaseId, Role};
use perennial_oci::{Digest, HEADER_PATH, INDEX_PATH, MAX_MANIFEST, ManifestError};
use perennial_operation::ErrorKind;
use perennial_store::{Lease, StoreError};

use super::{Archive, ArchiveError, FetchedRelease, Observer};
use files::Files;

/// An image, ready to be written.
#[derive(Debug)]
pub struct Image {
    /// The files.
    pub list: ArtifactList,
    /// The full names (`quay.io/team/app:v1`).
    pub names: Vec<String>,
    /// The digest of the manifest that the names mean.
    pub digest: Digest,
    /// Whether docker's `load` can read it: it reads no artifacts that are not images.
    pub for_docker: bool,
    /// Protects the files that were made for it.
    _lease: Lease,
}

/// Why an image cannot be written for engines.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The release is not an image.
    #[error("{0} is not an image, and has one form for every platform")]
    NotAnImage(ReleaseId),
    /// The image is not for this platform.
    #[error("the image is not for {wanted}; it is for {}", known.join(", "))]
    Platform {
        /// The requested platform.
        wanted: Platform,
        /// The platforms of the image.
        known: Vec<String>,
    },
    /// The release lacks a file, or it is too long to be a manifest.
    #[error("the release has no {0} that could be a manifest")]
    Missing(String),
    /// A manifest cannot be read.
    #[error("{path} {source}")]
    Manifest {
        /// Its path.
        path: String,
        /// The reason.
        source: ManifestError,
    },
    /// A file of the image is no JSON document.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A made file cannot be listed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The files do not make a list.
    #[error(transparent)]
    List(#[from] ListError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ImageError {
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::NotAnImage(_) => ErrorKind::Usage,
            Self::Platform { .. } => ErrorKind::NotFound,
            Self::Store(StoreError::Corrupt { .. }) => ErrorKind::Verification,
            _ => ErrorKind::Failed,
        }
    }
}

impl Archive {
    /// The image of a held release as engines take it, for `platform` alone if given; `None` if the
    /// release is not an image.
    ///
    /// # Errors
    /// [`ImageError`].
    pub async fn image(
        &self,
        release: &FetchedRelease,
        platform: Option<Platform>,
    ) -> Result<Option<Image>, ArchiveError> {
        let (id, list) = (release.row.release, release.list.clone());
        let is_image = release.row.purl.ty() == "docker" && is_layout(&list);
        match (is_image, &platform) {
            (true, _) => {}
            (false, Some(_)) => return Err(ImageError::NotAnImage(id).into()),
            (false, None) => return Ok(None),
        }
        self.blocking(move |archive| Files::new(&archive.store, &list).image(id, platform.as_ref()))
            .await
            .map(Some)
    }

    /// Fetches the parts of an image that one platform needs.
    ///
    /// # Errors
    /// [`FetchError`](super::FetchError) and [`ImageError`].
    pub async fn fetch_platform(
        &self,
        release: ReleaseId,
        platform: &Platform,
        observer: &dyn Observer,
    ) -> Result<FetchedRelease, ArchiveError> {
        let is_manifest = |artifact: &Artifact| {
            let role =
                matches!(artifact.role, Role::Index | Role::ImageIndex | Role::ImageManifest);
            role && artifact.size <= MAX_MANIFEST
        };
        let manifests = self
            .fetch_some(
                release,
                move |list| list.iter().filter(|artifact| is_manifest(artifact)).cloned().collect(),
                observer,
            )
            .await?;
        if manifests.row.purl.ty() != "docker" || !is_layout(&manifests.list) {
            return Err(ImageError::NotAnImage(release).into());
        }
        let (list, platform) = (manifests.list.clone(), platform.clone());
        let wanted = self.blocking(move |archive| {
            let files = Files::new(&archive.store, &list);
            let (root, _) = files.root(release)?;
            let image = files.choose(&root, Some(&platform))?;
            files.parts(&image)
        });
        let wanted = wanted.await?;
        let mut fetched = self.fetch_some(release, move |_| wanted, observer).await?;
        for (peer, bytes) in manifests.from.clone() {
            *fetched.from.entry(peer).or_insert(0) += bytes;
        }
        Ok(fetched)
    }
}

fn is_layout(list: &ArtifactList) -> bool {
    let has = |path: &str| list.iter().any(|artifact| artifact.path.as_str() == path);
    has(INDEX_PATH) && has(HEADER_PATH)
}
