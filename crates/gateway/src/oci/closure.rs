//! The files of a pushed image, as an OCI image layout.
//!
//! All of them are held by this node, so that every signed file can be served. The rules are those
//! of [`perennial_oci::Tree`], the same as for imports.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use perennial_manifest::{Artifact, BlobId, PathError};
use perennial_oci::{Digest, LayoutFile, Manifest, Stored, Tree};
use perennial_store::{Added, Lease, Store};

use super::Registry;
use super::digest_index::ContentRef;
use super::error::OciError;
use crate::blocking::blocking;

/// The contents of an image, by digest.
#[derive(Debug)]
pub(crate) struct Closure {
    root: Digest,
    tree: Tree,
    stored: BTreeMap<Digest, Stored>,
}

impl Closure {
    /// The digest of the root manifest.
    pub(crate) fn root(&self) -> Digest {
        self.root
    }

    /// Records the root manifest, once it is stored.
    pub(crate) fn root_stored(&mut self, added: &Added) {
        self.stored.insert(self.root, stored(added));
    }

    pub(crate) fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.stored.keys()
    }

    pub(crate) fn blobs(&self) -> Vec<BlobId> {
        self.stored.values().map(|stored| stored.blob).collect()
    }

    /// The artifacts of the image, without the two files that make a directory a layout.
    fn artifacts(&self) -> Result<Vec<Artifact>, PathError> {
        let contents = self.tree.contents().filter_map(|(digest, content)| {
            Some(content.artifact(&digest, *self.stored.get(&digest)?))
        });
        contents.collect()
    }
}

fn stored(added: &Added) -> Stored {
    Stored { blob: added.blob, sha256: added.sha256, size: added.size }
}

impl Registry {
    /// Collects everything that a manifest names, down to the blobs of the images in an index.
    /// Fails if any of it is not held.
    pub(crate) async fn close_over(
        &self,
        root: Digest,
        size: u64,
        manifest: &Manifest,
    ) -> Result<Closure, OciError> {
        let mut closure = Closure { root, tree: Tree::image(root), stored: BTreeMap::new() };
        let invalid = |error: perennial_oci::TreeError| OciError::invalid(error.to_string());
        while let Some(visit) = closure.tree.next_visit().map_err(invalid)? {
            let digest = visit.digest();
            if digest == root {
                closure.tree.add(&visit, size, manifest).map_err(invalid)?;
                continue;
            }
            let (found, stored) = self.named(&digest).await?;
            let bytes = self.whole(true, &found).await?;
            let inner = Manifest::parse(&bytes)
                .map_err(|error| OciError::invalid(format!("{digest} {error}")))?;
            closure.tree.add(&visit, stored.size, &inner).map_err(invalid)?;
            closure.stored.insert(digest, stored);
        }
        let blobs: Vec<(Digest, u64)> =
            closure.tree.blobs().map(|(digest, blob)| (digest, blob.size)).collect();
        for (digest, size) in blobs {
            let (_, stored) = self.named(&digest).await?;
            if stored.size != size {
                let message = format!("{digest} has {} bytes, not {size}", stored.size);
                return Err(OciError::invalid(message));
            }
            closure.stored.insert(digest, stored);
        }
        Ok(closure)
    }

    /// The content that a digest names, with its digests in the store.
    async fn named(&self, digest: &Digest) -> Result<(ContentRef, Stored), OciError> {
        let found = self.held(digest).await?.ok_or_else(|| {
            let message = format!("{digest} is not held here: push it first");
            OciError::new(StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN", message)
        })?;
        let (store, blob) = (self.gateway.backend.store().clone(), found.blob);
        let sha256 = match digest.sha256() {
            Some(sha256) => sha256,
            None => {
                let hash = move || store.copy_out(&blob, &mut std::io::sink());
                blocking(move || Ok::<_, OciError>(hash()?)).await?
            }
        };
        let stored = Stored { blob, sha256, size: found.size };
        Ok((found, stored))
    }

    /// The content that a digest names, if the whole of it is held.
    pub(crate) async fn held(&self, digest: &Digest) -> Result<Option<ContentRef>, OciError> {
        let held = |store: &Store, found: &ContentRef| Ok(store.blob_size(&found.blob)?.is_some());
        let snapshot = self.snapshot().await?;
        let mut found = self.look(&snapshot, digest, &[], held).await?;
        if found.is_none() {
            let snapshot = self.renewed(snapshot).await?;
            found = self.look(&snapshot, digest, &[], held).await?;
        }
        match found.and_then(|(found, is_held)| is_held.then_some(found)) {
            // What this node signs, it has hashed itself or has from a publisher that it trusts.
            Some(found) if !found.vouched && !self.is_true(&found).await? => Ok(None),
            found => Ok(found),
        }
    }

    /// The artifacts of an OCI layout of the image. The lease protects the two files created for
    /// it.
    pub(crate) async fn lay_out(
        &self,
        closure: &Closure,
        tag: Option<&str>,
    ) -> Result<(Vec<Artifact>, Lease), OciError> {
        let entry: Vec<_> = closure.tree.entry(&closure.root, tag).into_iter().collect();
        let index = LayoutFile::index(&entry)?;
        let files = [LayoutFile::header(), index];
        let (added, lease) =
            self.add(files.iter().map(|file| file.bytes.clone()).collect()).await?;
        let made = files.iter().zip(&added).map(|(file, added)| file.artifact(stored(added)));
        let made = made.collect::<Result<Vec<_>, _>>();
        let (Ok(mut artifacts), Ok(made)) = (closure.artifacts(), made) else {
            return Err(OciError::internal(&"a digest does not make a path"));
        };
        artifacts.extend(made);
        Ok((artifacts, lease))
    }
}
