//! Generated images: bytes by digest, as any upstream holds them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub(crate) fn sha512(bytes: &[u8]) -> String {
    format!("sha512:{}", hex::encode(Sha512::digest(bytes)))
}

/// Pseudorandom bytes, unique to the seed.
pub(crate) fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 32);
    let mut block = Sha256::digest(seed.to_le_bytes());
    while bytes.len() < len {
        bytes.extend_from_slice(&block);
        block = Sha256::digest(block);
    }
    bytes.truncate(len);
    bytes
}

/// Blobs and manifests by digest, with their media types.
#[derive(Debug, Clone, Default)]
pub(crate) struct Made(pub(crate) BTreeMap<String, (String, Vec<u8>)>);

impl Made {
    /// Adds bytes and returns their descriptor.
    pub(crate) fn put(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = sha256(&bytes);
        let size = bytes.len();
        self.0.insert(digest.clone(), (media_type.to_owned(), bytes));
        json!({ "mediaType": media_type, "digest": digest, "size": size })
    }

    pub(crate) fn manifest(&mut self, manifest: &Value) -> Value {
        let media_type = manifest["mediaType"].as_str().unwrap().to_owned();
        self.put(&media_type, serde_json::to_vec(manifest).unwrap())
    }

    /// An image of a config and some layers.
    pub(crate) fn image(&mut self, config: &str, layers: &[Vec<u8>]) -> Value {
        let config = self.put(CONFIG, config.as_bytes().to_vec());
        let layers: Vec<_> = layers.iter().map(|layer| self.put(LAYER, layer.clone())).collect();
        self.manifest(&json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config,
            "layers": layers }))
    }

    /// An index of images for `linux/<arch>`, which share the first layer.
    pub(crate) fn index(&mut self, seed: u32, arches: &[&str]) -> Value {
        let shared = noise(seed, 300_000);
        let mut manifests = Vec::new();
        for (at, arch) in (1u32..).zip(arches) {
            let layers = [shared.clone(), noise(seed + at, 5_000)];
            let mut image =
                self.image(&format!(r#"{{"architecture":"{arch}","os":"linux"}}"#), &layers);
            image["platform"] = json!({ "os": "linux", "architecture": arch });
            manifests.push(image);
        }
        self.manifest(&json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }))
    }

    /// A signature of a subject, or one without a subject.
    pub(crate) fn signature(&mut self, subject: Option<&Value>, text: &str) -> Value {
        let config = self.put("application/vnd.oci.empty.v1+json", b"{}".to_vec());
        let layer =
            self.put("application/vnd.dev.cosign.simplesigning.v1+json", text.as_bytes().to_vec());
        let mut manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config,
            "layers": [layer] });
        if let Some(subject) = subject {
            manifest["subject"] = subject.clone();
        }
        self.manifest(&manifest)
    }
}

pub(crate) fn digest_of(descriptor: &Value) -> String {
    descriptor["digest"].as_str().unwrap().to_owned()
}
