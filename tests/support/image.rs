//! A small image, as a layout on disk.

use std::path::Path;

use perennial_oci::Digest;
use serde_json::json;

/// The digests of an image of one layer, as `sha256:HEX`.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its manifest.
    pub manifest: String,
    /// Its configuration.
    pub config: String,
    /// Its layer.
    pub layer: String,
}

/// Writes the layout of an image with this layer.
///
/// # Panics
/// If the disk does not take it.
#[must_use]
pub fn write_image(dir: &Path, layer: &[u8]) -> Image {
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("made");
    let add = |kind: &str, bytes: &[u8]| {
        let digest = Digest::sha256_of(bytes);
        std::fs::write(dir.join(digest.path()), bytes).expect("written");
        let media_type = format!("application/vnd.oci.image.{kind}");
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    };
    let layer = add("layer.v1.tar", layer);
    let config = add("config.v1+json", br#"{"architecture":"amd64","os":"linux"}"#);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
    });
    let manifest = add("manifest.v1+json", manifest.to_string().as_bytes());
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    std::fs::write(dir.join("index.json"), index.to_string()).expect("written");
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("written");
    let named = |descriptor: &serde_json::Value| {
        descriptor["digest"].as_str().expect("a digest").to_owned()
    };
    Image { manifest: named(&manifest), config: named(&config), layer: named(&layer) }
}
