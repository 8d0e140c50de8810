//! The images pushed to both registries: blobs, manifests of each kind that registries know, and
//! referrers.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const SIGNATURE: &str = "application/vnd.example.signature";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Incompressible bytes that differ by seed.
fn bytes(len: usize, seed: u8) -> Vec<u8> {
    let blocks = (0..len.div_ceil(32))
        .flat_map(|at| Sha256::digest([&[seed], &at.to_le_bytes()[..]].concat()));
    blocks.take(len).collect()
}

fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": sha256(bytes), "size": bytes.len()})
}

/// All content of the test.
pub(crate) struct Content {
    pub(crate) layer: Vec<u8>,
    /// A blob pushed in chunks.
    pub(crate) chunked: Vec<u8>,
    pub(crate) config: Vec<u8>,
    /// An image with both layers.
    pub(crate) image: Vec<u8>,
    /// An image without layers for another platform.
    pub(crate) other: Vec<u8>,
    pub(crate) other_config: Vec<u8>,
    /// An index of both images.
    pub(crate) index: Vec<u8>,
    pub(crate) docker: Vec<u8>,
    /// Docker's manifest list with one image for linux/amd64.
    pub(crate) list: Vec<u8>,
    /// A manifest that refers to `image`.
    pub(crate) signature: Vec<u8>,
    /// A blob that is never pushed.
    pub(crate) absent: Vec<u8>,
}

impl Content {
    pub(crate) fn new() -> Self {
        let (layer, chunked, absent) = (bytes(100_000, 1), bytes(50_000, 2), bytes(1000, 3));
        let config = |arch| json!({"os": "linux", "architecture": arch}).to_string().into_bytes();
        let image =
            |schema: &str, config_kind: &str, layer_kind: &str, config: &[u8], layers: &[&[u8]]| {
                let layers: Vec<Value> =
                    layers.iter().map(|layer| descriptor(layer_kind, layer)).collect();
                let config = descriptor(config_kind, config);
                json!({"schemaVersion": 2, "mediaType": schema, "config": config, "layers": layers})
            };
        let (amd64, arm64) = (config("amd64"), config("arm64"));
        let first = image(OCI_MANIFEST, OCI_CONFIG, OCI_LAYER, &amd64, &[&layer, &chunked]);
        let first = first.to_string().into_bytes();
        let other =
            image(OCI_MANIFEST, OCI_CONFIG, OCI_LAYER, &arm64, &[]).to_string().into_bytes();
        let docker = image(DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER, &amd64, &[&layer]);
        let docker = docker.to_string().into_bytes();
        let index = |schema: &str, kind: &str, images: &[(&[u8], &str)]| {
            let manifests: Vec<Value> = images
                .iter()
                .map(|(image, arch)| {
                    let mut descriptor = descriptor(kind, image);
                    descriptor["platform"] = json!({"os": "linux", "architecture": arch});
                    descriptor
                })
                .collect();
            json!({"schemaVersion": 2, "mediaType": schema, "manifests": manifests})
                .to_string()
                .into_bytes()
        };
        let mut signature = image(OCI_MANIFEST, OCI_CONFIG, OCI_LAYER, &amd64, &[&chunked]);
        signature["artifactType"] = SIGNATURE.into();
        signature["subject"] = descriptor(OCI_MANIFEST, &first);
        signature["annotations"] = json!({"org.example": "a b"});
        Self {
            index: index(OCI_INDEX, OCI_MANIFEST, &[(&first, "amd64"), (&other, "arm64")]),
            list: index(DOCKER_LIST, DOCKER_MANIFEST, &[(&docker, "amd64")]),
            signature: signature.to_string().into_bytes(),
            layer,
            chunked,
            config: amd64,
            image: first,
            other,
            other_config: arm64,
            docker,
            absent,
        }
    }

    /// All content with its names.
    pub(crate) fn all(&self) -> [(&'static str, &[u8]); 12] {
        [
            ("layer", &self.layer),
            ("chunked layer", &self.chunked),
            ("config", &self.config),
            ("image", &self.image),
            ("other image", &self.other),
            ("other config", &self.other_config),
            ("index", &self.index),
            ("docker image", &self.docker),
            ("docker list", &self.list),
            ("signature", &self.signature),
            ("absent", &self.absent),
            ("first part", &self.absent[..200]),
        ]
    }
}
