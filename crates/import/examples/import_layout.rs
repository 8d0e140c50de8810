//! Imports the images of an OCI layout, verified against every digest, and prints the unsigned
//! releases. Needs no network.
//!
//! `cargo run -p perennial-import --example import_layout -- oci:DIR [NAME]`, or
//! `oci-archive:FILE`, `docker-archive:FILE`; without arguments it makes a small layout first.

use std::error::Error;
use std::fs;
use std::path::Path;

use perennial_import::{Archive, layout};
use perennial_oci::{Digest, OCI_MANIFEST, REF_NAME};
use perennial_store::{OpenOptions, Store};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let mut args = std::env::args().skip(1);
    let source = match args.next() {
        Some(source) => source,
        None => format!("oci:{}", sample(&scratch.path().join("layout"))?),
    };
    let name = args.next().or_else(|| Some("registry.example/hello:v1".to_owned()));

    let store = Store::open(&scratch.path().join("data"), OpenOptions::default())?;
    let what = Archive { source, name, license: Some("MIT".to_owned()), notes: None };
    // `()` watches the import: it ignores progress and never cancels.
    let imported = layout(&store, &what, &()).await?;
    for draft in &imported.drafts {
        println!("{}, {} new bytes", draft.purl, imported.new_bytes);
        for artifact in &draft.artifacts {
            println!("  {:<14} {:>8}  {}", artifact.role.as_str(), artifact.size, artifact.path);
        }
    }
    for failed in &imported.failed {
        println!("not imported: {}: {}", failed.what, failed.reason);
    }
    // A node signs the drafts now. Until then the leases in `imported` keep the blobs.
    Ok(())
}

/// A layout of one image with one layer.
fn sample(dir: &Path) -> Result<String, Box<dyn Error>> {
    let config = put(dir, "application/vnd.oci.image.config.v1+json", b"{}")?;
    let layer = put(dir, "application/vnd.oci.image.layer.v1.tar", &[0; 1024])?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer],
    });
    let mut image = put(dir, OCI_MANIFEST, manifest.to_string().as_bytes())?;
    image["annotations"] = json!({ REF_NAME: "v1" });
    let index = json!({"schemaVersion": 2, "manifests": [image]});
    fs::write(dir.join("index.json"), index.to_string())?;
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(dir.to_str().ok_or("a path in UTF-8")?.to_owned())
}

/// Writes a blob of the layout; returns its descriptor.
fn put(dir: &Path, media_type: &str, bytes: &[u8]) -> Result<Value, Box<dyn Error>> {
    let digest = Digest::sha256_of(bytes);
    let path = dir.join(digest.path());
    fs::create_dir_all(path.parent().ok_or("below the layout")?)?;
    fs::write(path, bytes)?;
    Ok(json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()}))
}
