//! The files that make an OCI image layout of manifests and blobs.
//!
//! Owns the two files that are written here and not fetched, and the artifact of every file. Both
//! depend on the image alone: no origin, no time, nothing of the machine.

use perennial_manifest::{Artifact, ArtifactPath, BlobId, PathError, Platform, Role, Sha256Digest};
use serde::Serialize;

use crate::{Content, Descriptor, Digest, OCI_INDEX};

/// The annotation that holds the tag of a manifest in `index.json`.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The path of the index of a layout.
pub const INDEX_PATH: &str = "index.json";
/// The path of the file that marks a layout.
pub const HEADER_PATH: &str = "oci-layout";
/// The media type of [`HEADER_PATH`], from the list in the image specification.
const HEADER_TYPE: &str = "application/vnd.oci.layout.header.v1+json";
const HEADER: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The names and the size of bytes that are in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The name in the swarm.
    pub blob: BlobId,
    /// The SHA-256.
    pub sha256: Sha256Digest,
    /// The size, in bytes.
    pub size: u64,
}

/// A file of a layout that is made, not fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutFile {
    path: &'static str,
    media_type: &'static str,
    /// The content.
    pub bytes: Vec<u8>,
}

impl LayoutFile {
    /// `oci-layout`, the same in every layout.
    #[must_use]
    pub fn header() -> Self {
        Self { path: HEADER_PATH, media_type: HEADER_TYPE, bytes: HEADER.to_vec() }
    }

    /// `index.json`, which names these manifests.
    ///
    /// # Errors
    /// An error of JSON, which text and numbers do not cause.
    pub fn index(manifests: &[Descriptor]) -> Result<Self, serde_json::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Index<'a> {
            schema_version: u8,
            media_type: &'static str,
            manifests: &'a [Descriptor],
        }
        let index = Index { schema_version: 2, media_type: OCI_INDEX, manifests };
        let bytes = serde_json::to_vec(&index)?;
        Ok(Self { path: INDEX_PATH, media_type: OCI_INDEX, bytes })
    }

    /// The artifact of this file, once it is stored.
    ///
    /// # Errors
    /// [`PathError`], which no path of this crate causes.
    pub fn artifact(&self, stored: Stored) -> Result<Artifact, PathError> {
        artifact(self.path, self.media_type, Role::Index, None, stored)
    }
}

impl Content {
    /// The artifact of this content, once it is stored.
    ///
    /// # Errors
    /// As [`LayoutFile::artifact`].
    pub fn artifact(&self, digest: &Digest, stored: Stored) -> Result<Artifact, PathError> {
        artifact(&digest.path(), &self.media_type, self.role, self.platform.clone(), stored)
    }
}

/// Origins stay empty: they would make one list for each mirror of the same image. The release says
/// where it was acquired.
fn artifact(
    path: &str,
    media_type: &str,
    role: Role,
    platform: Option<Platform>,
    stored: Stored,
) -> Result<Artifact, PathError> {
    let Stored { blob, sha256, size } = stored;
    Ok(Artifact {
        path: ArtifactPath::parse(path)?,
        size,
        blake3: blob,
        sha256,
        media_type: media_type.to_owned(),
        role,
        platform,
        exec: false,
        origins: Vec::new(),
    })
}
