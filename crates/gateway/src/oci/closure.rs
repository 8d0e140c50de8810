//! All that an image consists of, as the files of an OCI image layout.
//!
//! Promises that everything in it is held here: what is signed of it can be given out.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use perennial_manifest::{Artifact, ArtifactPath, BlobId, Platform, Role, Sha256Digest};
use perennial_store::{Added, Lease, Store};
use serde::Serialize;

use super::Registry;
use super::digest::Digest;
use super::digest_index::ContentRef;
use super::error::OciError;
use super::manifest::{Descriptor, Manifest, OCI_INDEX};
use crate::blocking::blocking;

/// Deepest nesting of indexes.
const DEPTH: usize = 4;
/// Most manifests and blobs of one image.
const MOST: usize = 10_000;
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// What an image consists of, by digest.
#[derive(Debug, Default)]
pub(crate) struct Closure {
    files: BTreeMap<Digest, Artifact>,
    layout: Vec<Artifact>,
}

/// The `index.json` of a layout.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: &'static str,
    manifests: [Descriptor; 1],
}

impl Closure {
    pub(crate) fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.files.keys()
    }

    pub(crate) fn blobs(&self) -> Vec<BlobId> {
        self.files.values().map(|artifact| artifact.blake3).collect()
    }

    /// All files.
    pub(crate) fn artifacts(&self) -> Result<Vec<Artifact>, OciError> {
        Ok(self.files.values().chain(&self.layout).cloned().collect())
    }

    /// Takes a manifest in.
    pub(crate) fn add_manifest(
        &mut self,
        found: &ContentRef,
        sha256: Sha256Digest,
        manifest: &Manifest,
        platform: Option<Platform>,
    ) -> Result<(), OciError> {
        let role = if manifest.is_index() { Role::ImageIndex } else { Role::ImageManifest };
        self.insert(found, sha256, role, platform)
    }

    fn insert(
        &mut self,
        found: &ContentRef,
        sha256: Sha256Digest,
        role: Role,
        platform: Option<Platform>,
    ) -> Result<(), OciError> {
        if self.files.len() >= MOST {
            return Err(OciError::invalid(format!(
                "it names more than {MOST} manifests and blobs"
            )));
        }
        let artifact = Artifact { platform, ..file(&found.digest.path(), found, sha256, role)? };
        self.files.insert(found.digest, artifact);
        Ok(())
    }
}

fn file(
    path: &str,
    found: &ContentRef,
    sha256: Sha256Digest,
    role: Role,
) -> Result<Artifact, OciError> {
    let kind = &found.media_type;
    let plain = kind.len() <= 255 && kind.contains('/') && !kind.chars().any(char::is_control);
    Ok(Artifact {
        path: ArtifactPath::parse(path).map_err(|error| OciError::internal(&error))?,
        size: found.size,
        blake3: found.blob,
        sha256,
        media_type: if plain { kind.clone() } else { "application/octet-stream".into() },
        role,
        platform: None,
        exec: false,
        origins: Vec::new(),
    })
}

/// What a blob of an image is for, by its type.
fn role_of(descriptor: &Descriptor, is_config: bool) -> Role {
    let kind = descriptor.media_type.as_str();
    if kind.starts_with("application/vnd.cncf.helm.chart.content") {
        Role::Chart
    } else if kind.contains("simplesigning")
        || kind.contains("sigstore")
        || kind.contains("signature")
    {
        Role::Signature
    } else if kind.contains("spdx") || kind.contains("cyclonedx") {
        Role::Sbom
    } else if is_config {
        Role::ImageConfig
    } else {
        Role::ImageLayer
    }
}

impl Registry {
    /// Takes in all that a manifest names, down to the blobs of the images of an index; refuses where anything is not held.
    pub(crate) async fn close_over(
        &self,
        closure: &mut Closure,
        root: &Manifest,
    ) -> Result<(), OciError> {
        let mut todo = vec![(root.clone(), 0)];
        while let Some((manifest, depth)) = todo.pop() {
            for part in manifest.parts().filter(|part| !part.is_foreign()) {
                let is_config =
                    manifest.config.as_ref().is_some_and(|config| config.digest == part.digest);
                let Some((found, sha256)) = self.named(closure, part).await? else { continue };
                closure.insert(&found, sha256, role_of(part, is_config), None)?;
            }
            if depth >= DEPTH && !manifest.children().is_empty() {
                return Err(OciError::invalid(format!(
                    "indexes are nested more than {DEPTH} deep"
                )));
            }
            for child in manifest.children() {
                let Some((found, sha256)) = self.named(closure, child).await? else { continue };
                let bytes = self.whole(true, &found).await?;
                let inner = Manifest::parse(&bytes)
                    .map_err(|why| OciError::invalid(format!("{}: {why}", found.digest)))?;
                let found =
                    ContentRef { media_type: inner.media_type(Some(&child.media_type)), ..found };
                closure.add_manifest(&found, sha256, &inner, child.platform())?;
                todo.push((inner, depth + 1));
            }
        }
        Ok(())
    }

    /// What a descriptor names, unless it is taken in already.
    async fn named(
        &self,
        closure: &Closure,
        descriptor: &Descriptor,
    ) -> Result<Option<(ContentRef, Sha256Digest)>, OciError> {
        let digest = descriptor.digest().ok_or_else(OciError::digest)?;
        if closure.files.contains_key(&digest) {
            return Ok(None);
        }
        let missing = |why: &str| {
            let message = format!("{digest} {why}");
            OciError::new(StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN", message)
        };
        let found =
            self.held(&digest).await?.ok_or_else(|| missing("is not held here: push it first"))?;
        if descriptor.size != found.size {
            return Err(OciError::invalid(format!(
                "{digest} has {} bytes, not {}",
                found.size, descriptor.size
            )));
        }
        let (store, blob) = (self.gateway.backend.store().clone(), found.blob);
        let sha256 = match digest.sha256() {
            Some(sha256) => sha256,
            None => {
                let hash = move || store.copy_out(&blob, &mut std::io::sink());
                blocking(move || Ok::<_, OciError>(hash()?)).await?
            }
        };
        let kind =
            [&descriptor.media_type, &found.media_type].into_iter().find(|kind| !kind.is_empty());
        let media_type = kind.cloned().unwrap_or_default();
        Ok(Some((ContentRef { media_type, ..found }, sha256)))
    }

    /// What a digest names, if all of it is here.
    pub(crate) async fn held(&self, digest: &Digest) -> Result<Option<ContentRef>, OciError> {
        let held = |store: &Store, found: &ContentRef| Ok(store.blob_size(&found.blob)?.is_some());
        let snapshot = self.snapshot().await?;
        let mut found = self.look(&snapshot, digest, &[], held).await?;
        if found.is_none() {
            let snapshot = self.renewed(snapshot).await?;
            found = self.look(&snapshot, digest, &[], held).await?;
        }
        Ok(found.and_then(|(found, is_held)| is_held.then_some(found)))
    }

    /// Adds the two files that make it a layout.
    pub(crate) async fn add_layout(
        &self,
        closure: &mut Closure,
        root: &ContentRef,
        tag: Option<&str>,
    ) -> Result<Lease, OciError> {
        let mut descriptor = Descriptor::new(root.media_type.clone(), &root.digest, root.size);
        if let Some(tag) = tag {
            descriptor.annotations.insert(REF_NAME.into(), tag.into());
        }
        let index = Index { schema_version: 2, media_type: OCI_INDEX, manifests: [descriptor] };
        let index = serde_json::to_vec(&index)?;
        let (added, lease) = self.add(vec![LAYOUT.to_vec(), index]).await?;
        let kinds = [
            ("oci-layout", "application/vnd.oci.layout.header.v1+json"),
            ("index.json", OCI_INDEX),
        ];
        for ((path, kind), added) in kinds.into_iter().zip(added) {
            let Added { blob, sha256, size, .. } = added;
            let found = ContentRef {
                digest: sha256.into(),
                blob,
                size,
                media_type: kind.into(),
                release: None,
            };
            closure.layout.push(file(path, &found, sha256, Role::Index)?);
        }
        Ok(lease)
    }
}
