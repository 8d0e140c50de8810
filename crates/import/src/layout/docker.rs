//! What `docker save` wrote before docker 25, and podman, kaniko and others write still: `manifest.json` and layers.
//!
//! Such an archive has no manifest that anybody signed or serves; one is made, the same for all who have the same layers.
//! Layers stay as they are and are compared with the config, which is the only thing in the archive that names them by digest.

use std::collections::BTreeMap;
use std::io::{self, Read};

use oci_spec::image::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::place::Place;
use super::saved::{Elsewhere, Root};
use crate::ImportError;
use crate::image::{MANIFEST, MAX_MANIFEST, sha256_of};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const GZIP_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u8,
    media_type: &'a str,
    config: Part<'a>,
    layers: Vec<Part<'a>>,
}

#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    media_type: &'a str,
    digest: String,
    size: u64,
}

/// Finds the images of an archive, and where their bytes are.
pub(super) fn convert(
    place: &Place,
) -> Result<(BTreeMap<String, Elsewhere>, Vec<Root>), ImportError> {
    let what = place.path().display().to_string();
    let refuse = |reason: String| ImportError::Upstream { what: what.clone(), reason };
    let gone = || ImportError::Gone {
        what: what.clone(),
        reason: "has neither manifest.json nor index.json, so `docker save` did not write it"
            .into(),
    };
    let list = place.read("manifest.json", MAX_MANIFEST)?.ok_or_else(gone)?;
    let list: Vec<Item> = serde_json::from_slice(&list)
        .map_err(|e| refuse(format!("its manifest.json is none: {e}")))?;
    let mut elsewhere = BTreeMap::new();
    let mut roots = Vec::new();
    // images share layers, which are read once
    let mut known: BTreeMap<String, (Part, String)> = BTreeMap::new();
    for item in list {
        let config = place
            .read(&item.config, MAX_MANIFEST)?
            .ok_or_else(|| refuse(format!("names {:?}, which is not in it", item.config)))?;
        let digest = sha256_of(&config)?;
        let stem = item.config.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
        if stem.len() == 64 && stem != digest.digest() {
            let reason = format!("what is there has the digest {digest}");
            return Err(ImportError::Mismatch { what: item.config, reason });
        }
        let parsed: Config = serde_json::from_slice(&config)
            .map_err(|e| refuse(format!("{:?} is no config of an image: {e}", item.config)))?;
        let diff_ids = parsed.rootfs.diff_ids;
        if diff_ids.len() != item.layers.len() {
            let (layers, named) = (item.layers.len(), diff_ids.len());
            return Err(refuse(format!(
                "has {layers} layers of an image whose config names {named}"
            )));
        }
        let mut layers = Vec::new();
        for (name, diff_id) in item.layers.into_iter().zip(diff_ids) {
            if !known.contains_key(&name) {
                known.insert(name.clone(), layer(place, &name, &refuse)?);
            }
            let Some((part, inner)) = known.get(&name) else { continue };
            if *inner != diff_id {
                let reason =
                    format!("the config says {diff_id}, but what is there has the digest {inner}");
                return Err(ImportError::Mismatch { what: name, reason });
            }
            elsewhere.insert(part.digest.clone(), Elsewhere::Named(name));
            layers.push(part.clone());
        }
        let size = config.len() as u64;
        let part = Part { media_type: CONFIG, digest: digest.to_string(), size };
        elsewhere.insert(digest.to_string(), Elsewhere::Named(item.config));
        let manifest = Manifest { schema_version: 2, media_type: MANIFEST, config: part, layers };
        let manifest = serde_json::to_vec(&manifest).map_err(|e| refuse(e.to_string()))?;
        let root = sha256_of(&manifest)?;
        elsewhere.insert(root.to_string(), Elsewhere::Made(manifest));
        roots.extend(named(&root, item.repo_tags.unwrap_or_default()));
    }
    Ok((elsewhere, roots))
}

fn named(digest: &Digest, tags: Vec<String>) -> Vec<Root> {
    let root = |image| Root::new(digest.clone(), None, image);
    if tags.is_empty() {
        vec![root(None)]
    } else {
        tags.into_iter().map(|tag| root(Some(tag))).collect()
    }
}

/// Describes a layer, with the digest of the tar in it.
fn layer<'a>(
    place: &Place,
    name: &str,
    refuse: &dyn Fn(String) -> ImportError,
) -> Result<(Part<'a>, String), ImportError> {
    let open =
        || place.get(name)?.ok_or_else(|| refuse(format!("names {name:?}, which is not in it")));
    let digest = |reader: &mut dyn Read| hash(reader).map_err(|source| place.failed(source));
    let mut opened = open()?;
    let size = opened.size;
    let outer = digest(&mut opened.reader)?;
    let mut magic = [0; 2];
    let is_gzip =
        size > 2 && open()?.reader.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    let (media_type, inner) = if is_gzip {
        let mut unpacked = flate2::read::MultiGzDecoder::new(open()?.reader);
        let inner =
            hash(&mut unpacked).map_err(|e| refuse(format!("{name:?} cannot be unpacked: {e}")))?;
        (GZIP_LAYER, inner)
    } else {
        (LAYER, outer.clone())
    };
    Ok((Part { media_type, digest: outer, size }, inner))
}

fn hash(reader: &mut dyn Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok(format!("sha256:{}", hex::encode(hasher.finalize())));
        }
        hasher.update(&buffer[..read]);
    }
}
