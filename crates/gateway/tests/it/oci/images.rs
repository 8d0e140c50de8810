//! Images, and the releases that publishers sign of them.

use std::collections::BTreeMap;

use perennial_manifest::{
    Artifact, ArtifactList, ArtifactListRef, ArtifactPath, Body as Said, Draft, Keypair, Purl,
    Release, ReleaseId, Role, SignedEntry, Status, StatusKind, Target,
};
use perennial_store::Store;
use serde_json::json;

use super::{OCI_MANIFEST, sha256};

/// Signs the next entry of a key's feed in a store.
fn sign(store: &Store, key: &Keypair, body: Said) -> SignedEntry {
    let next = store.feed(&key.id()).unwrap().next(None).unwrap();
    let issued_at = 1_750_000_000 + next.seq;
    next.entry(key.id(), issued_at, body).sign(key).unwrap()
}

pub(super) fn yank(
    store: &Store,
    key: &Keypair,
    release: ReleaseId,
    references: Vec<String>,
) -> SignedEntry {
    let target = Target::Release(release.entry());
    let status = Status { target, status: StatusKind::Yanked, text: "gone".into(), references };
    sign(store, key, Said::Status(status))
}

fn list(store: &Store, artifacts: Vec<Artifact>) -> ArtifactListRef {
    let (encoded, claim) = ArtifactList::new(artifacts).unwrap().encode().unwrap();
    store.add_small(vec![encoded]).unwrap();
    claim
}

/// A signed release whose list is in the store, but whose entry is not.
pub(super) fn release(store: &Store, key: &Keypair, draft: Draft) -> SignedEntry {
    let list = list(store, draft.artifacts);
    let body = Release { tags: draft.tags, ..Release::new(draft.purl, list) };
    sign(store, key, Said::Release(Box::new(body)))
}

pub(super) fn artifact(store: &Store, bytes: &[u8], media_type: &str, role: Role) -> Artifact {
    let mut batch = store.batch();
    let added = batch.add_bytes(bytes.to_vec()).unwrap();
    batch.commit().unwrap();
    let path = ArtifactPath::parse(&format!("blobs/sha256/{}", added.sha256.to_hex())).unwrap();
    added.artifact(path, role, media_type)
}

/// An image of one layer.
pub(super) struct Image {
    pub(super) layer: Vec<u8>,
    pub(super) config: Vec<u8>,
    pub(super) manifest: Vec<u8>,
}

impl Image {
    /// The manifest of a signature of this image, a referrer. Its config is the blob `{}`.
    pub(super) fn signature(&self) -> Vec<u8> {
        let signature = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "x/signature",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"),
                "size": 2},
            "layers": [], "subject": {"mediaType": OCI_MANIFEST, "digest": self.digest(),
                "size": self.manifest.len()},
        });
        signature.to_string().into_bytes()
    }

    pub(super) fn new(layer: Vec<u8>) -> Self {
        let config =
            json!({"os": "linux", "architecture": "amd64", "layer": sha256(&layer)}).to_string();
        let config = config.into_bytes();
        let descriptor = |kind: &str, bytes: &[u8]| {
            json!({
                "mediaType": kind, "digest": sha256(bytes), "size": bytes.len(),
            })
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer)],
        });
        Self { layer, config, manifest: manifest.to_string().into_bytes() }
    }

    pub(super) fn digest(&self) -> String {
        sha256(&self.manifest)
    }

    pub(super) fn artifacts(&self, store: &Store) -> Vec<Artifact> {
        vec![
            artifact(store, &self.manifest, OCI_MANIFEST, Role::ImageManifest),
            artifact(
                store,
                &self.config,
                "application/vnd.oci.image.config.v1+json",
                Role::ImageConfig,
            ),
            artifact(
                store,
                &self.layer,
                "application/vnd.oci.image.layer.v1.tar+gzip",
                Role::ImageLayer,
            ),
        ]
    }

    /// A release of the image in a repository (`quay.io/a/b`) under a tag, with its bytes in
    /// `store`.
    pub(super) fn release(
        &self,
        store: &Store,
        key: &Keypair,
        repository: &str,
        tag: &str,
    ) -> SignedEntry {
        let tags = BTreeMap::from([(format!("{repository}:{tag}"), self.digest())]);
        let signed = release(store, key, draft(repository, tag, self.artifacts(store), tags));
        store.put_entries(std::slice::from_ref(&signed)).unwrap();
        signed
    }
}

pub(super) fn draft(
    repository: &str,
    version: &str,
    artifacts: Vec<Artifact>,
    tags: BTreeMap<String, String>,
) -> Draft {
    let (registry, path) = repository.split_once('/').unwrap();
    let purl = format!("pkg:docker/{path}@{version}?repository_url={registry}");
    Draft {
        purl: Purl::parse(&purl).unwrap(),
        license: None,
        artifacts,
        from: "test".into(),
        tags,
        observations: Vec::new(),
        notes: None,
    }
}
