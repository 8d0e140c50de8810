//! The archives that `docker save` wrote before docker 25 and that podman, kaniko and others still
//! write: `manifest.json` and layers.
//!
//! Such an archive has no manifest that was ever signed or served. One is generated, identical for
//! the same layers and config. Layers are stored as they are and verified against the config, the
//! only file of the archive that identifies them by digest.

use std::collections::BTreeMap;
use std::io::{self, Read};

use perennial_manifest::Sha256;
use perennial_oci::{Descriptor, Digest, MAX_MANIFEST, OCI_MANIFEST};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::contents::{Contents, Elsewhere, Lost, Root};
use super::place::Place;
use crate::ImportError;

/// Longest `manifest.json`, in bytes: it lists all images of the archive.
const MAX_LIST: u64 = 32 << 20;
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const GZIP_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<Option<String>>>,
    layers: Option<Vec<String>>,
}

impl Item {
    /// The names of the image. Some programs write an empty one, or `<none>:<none>`, for none.
    fn names(&self) -> impl Iterator<Item = &String> {
        let all = self.repo_tags.iter().flatten().flatten();
        all.filter(|name| !name.is_empty() && !name.starts_with("<none>"))
    }
}

/// Every field may be null or missing: an image without layers has none of them.
#[derive(Deserialize)]
struct Config {
    rootfs: Option<RootFs>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u8,
    media_type: &'static str,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// Finds the images of an archive, and the places of their blobs.
pub(super) fn convert(place: &Place) -> Result<Contents, ImportError> {
    let what = place.path().display().to_string();
    let refuse = |reason: String| ImportError::Upstream { what: what.clone(), reason };
    let foreign = || {
        refuse(match place.has("repositories") {
            true => "was saved by docker before version 1.10, which gave layers no digests; load \
                     and save it once with a current docker, and add the result"
                .into(),
            false => {
                "has neither manifest.json nor index.json, so `docker save` did not write it".into()
            }
        })
    };
    let bytes = place.read("manifest.json", MAX_LIST)?.ok_or_else(foreign)?;
    let list: Vec<&RawValue> = serde_json::from_slice(&bytes)
        .map_err(|e| refuse(format!("its manifest.json cannot be read: {e}")))?;
    let mut contents = Contents::default();
    let mut first = None;
    // Layers shared by several images are read once.
    let mut known: BTreeMap<String, (Descriptor, Digest)> = BTreeMap::new();
    for (number, item) in list.into_iter().enumerate() {
        let (name, taken) = match serde_json::from_str::<Item>(item.get()) {
            Ok(item) => {
                let name = item.names().next().unwrap_or(&item.config).clone();
                (name, image(place, number, item, &mut known, &mut contents, &refuse))
            }
            Err(e) => {
                let reason = format!("entry {} of its manifest.json: {e}", number + 1);
                (what.clone(), Err(refuse(reason)))
            }
        };
        match taken {
            Ok(()) => {}
            Err(error) if error.is_final() => return Err(error),
            Err(error) => {
                contents.left_out.push(Lost { number, failed: error.of(name) });
                first.get_or_insert(error);
            }
        }
    }
    match first {
        Some(error) if contents.roots.is_empty() => Err(error),
        _ => Ok(contents),
    }
}

/// Adds one image to the contents.
fn image(
    place: &Place,
    number: usize,
    item: Item,
    known: &mut BTreeMap<String, (Descriptor, Digest)>,
    contents: &mut Contents,
    refuse: &dyn Fn(String) -> ImportError,
) -> Result<(), ImportError> {
    let names: Vec<String> = item.names().cloned().collect();
    let config = place
        .read(&item.config, MAX_MANIFEST)?
        .ok_or_else(|| refuse(format!("names {:?}, which is not in it", item.config)))?;
    let digest = Digest::sha256_of(&config);
    let stem = item.config.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
    if stem.len() == 64 && stem != digest.hex() {
        let reason = format!("the file has the digest {digest}");
        return Err(ImportError::Mismatch { what: item.config, reason });
    }
    let parsed: Config = serde_json::from_slice(&config)
        .map_err(|e| refuse(format!("{:?} is not the config of an image: {e}", item.config)))?;
    let diff_ids = parsed.rootfs.and_then(|rootfs| rootfs.diff_ids).unwrap_or_default();
    let files = item.layers.unwrap_or_default();
    if diff_ids.len() != files.len() {
        let (layers, named) = (files.len(), diff_ids.len());
        return Err(refuse(format!("has {layers} layers of an image whose config names {named}")));
    }
    let mut layers = Vec::new();
    for (name, diff_id) in files.into_iter().zip(diff_ids) {
        if !known.contains_key(&name) {
            known.insert(name.clone(), layer(place, &name, refuse)?);
        }
        let Some((part, inner)) = known.get(&name) else { continue };
        if inner.to_string() != diff_id {
            let reason = format!("the config says {diff_id}, but the layer has the digest {inner}");
            return Err(ImportError::Mismatch { what: name, reason });
        }
        contents.elsewhere.insert(part.digest, Elsewhere::Named(name));
        layers.push(part.clone());
    }
    let size = config.len() as u64;
    let part = Descriptor::new(CONFIG, digest, size);
    contents.elsewhere.insert(digest, Elsewhere::Named(item.config));
    let manifest = Manifest { schema_version: 2, media_type: OCI_MANIFEST, config: part, layers };
    let manifest = serde_json::to_vec(&manifest).map_err(|e| refuse(e.to_string()))?;
    let root = Digest::sha256_of(&manifest);
    contents.elsewhere.insert(root, Elsewhere::Made(manifest));
    contents.roots.extend(named(number, root, names));
    Ok(())
}

fn named(number: usize, digest: Digest, tags: Vec<String>) -> Vec<Root> {
    let root = |image| Root::new(number, digest, None, image);
    if tags.is_empty() {
        vec![root(None)]
    } else {
        tags.into_iter().map(|tag| root(Some(tag))).collect()
    }
}

/// Describes a layer, and returns the digest of its uncompressed tar.
fn layer(
    place: &Place,
    name: &str,
    refuse: &dyn Fn(String) -> ImportError,
) -> Result<(Descriptor, Digest), ImportError> {
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
        (LAYER, outer)
    };
    Ok((Descriptor::new(media_type, outer, size), inner))
}

fn hash(reader: &mut dyn Read) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok(hasher.finish().into());
        }
        hasher.update(&buffer[..read]);
    }
}
