//! What container engines read in a layout, so that an image has its full name once it is loaded.
//!
//! `index.json` holds a tag alone, as its specification says: of `v1`, podman makes
//! `localhost/v1:latest`. containerd and podman take the full name from an annotation. docker's
//! `load` reads a file of its own, and no index.

use serde_json::{Value, json};

use crate::{Descriptor, Digest, OCI_INDEX, REF_NAME};

/// The annotation that holds the full name of a manifest in `index.json`.
pub const IMAGE_NAME: &str = "io.containerd.image.name";
/// The path of docker's list of images in an archive.
pub const DOCKER_PATH: &str = "manifest.json";
/// The media type of [`DOCKER_PATH`].
pub const DOCKER_TYPE: &str = "application/json";

/// The types of an image's config: what has another one is not for an engine to run.
const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// Whether a config makes its manifest an image that an engine can run.
#[must_use]
pub fn is_image_config(config: &Descriptor) -> bool {
    CONFIGS.contains(&config.media_type.as_str())
}

/// `index.json` with the full names (`quay.io/team/app:v1`) of the manifest `root`: once for each
/// name, and with everything else as it was.
///
/// # Errors
/// An error of JSON if `index` is none.
pub fn name_index(
    index: &[u8],
    root: &Digest,
    names: &[String],
) -> Result<Vec<u8>, serde_json::Error> {
    let mut index: Value = serde_json::from_slice(index)?;
    let root = root.to_string();
    if let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) {
        let given = std::mem::take(entries);
        for entry in given {
            let is_root = entry.get("digest").and_then(Value::as_str) == Some(&root);
            if !is_root || names.is_empty() {
                entries.push(entry);
                continue;
            }
            entries.extend(names.iter().map(|name| named(entry.clone(), name)));
        }
    }
    serde_json::to_vec(&index)
}

/// The `index.json` of one manifest, by its full names.
///
/// # Errors
/// An error of JSON, which text and numbers do not cause.
pub fn index_of_one(manifest: &Descriptor, names: &[String]) -> Result<Vec<u8>, serde_json::Error> {
    let mut entry = serde_json::to_value(manifest)?;
    if let Some(platform) = manifest.platform() {
        entry["platform"] = json!({"os": platform.os, "architecture": platform.arch});
        if let Some(variant) = &platform.variant {
            entry["platform"]["variant"] = json!(variant);
        }
    }
    let entries: Vec<Value> = match names {
        [] => vec![entry],
        names => names.iter().map(|name| named(entry.clone(), name)).collect(),
    };
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries});
    serde_json::to_vec(&index)
}

fn named(mut entry: Value, name: &str) -> Value {
    let tag = name.rsplit_once(':').map_or(name, |(_, tag)| tag);
    if !entry["annotations"].is_object() {
        entry["annotations"] = json!({});
    }
    entry["annotations"][REF_NAME] = json!(tag);
    entry["annotations"][IMAGE_NAME] = json!(name);
    entry
}

/// [`DOCKER_PATH`] for one image of one platform: docker finds its files in the layout.
///
/// # Errors
/// As [`index_of_one`].
pub fn docker_list(
    config: &Digest,
    layers: impl IntoIterator<Item = Digest>,
    names: &[String],
) -> Result<Vec<u8>, serde_json::Error> {
    let layers: Vec<String> = layers.into_iter().map(|layer| layer.path()).collect();
    let image = json!({"Config": config.path(), "RepoTags": names, "Layers": layers});
    serde_json::to_vec(&json!([image]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 2] = ["quay.io/team/app:v1", "quay.io/team/app:latest"];

    #[test]
    fn the_root_gets_its_names_and_other_entries_stay() {
        let (root, other) = (Digest::sha256_of(b"root"), Digest::sha256_of(b"other"));
        let index = json!({"schemaVersion": 2, "x": 1, "manifests": [
            {"digest": root.to_string(), "size": 4, "annotations": {"a": "b", REF_NAME: "v1"}},
            {"digest": other.to_string(), "size": 5, "annotations": {REF_NAME: "sha256-00.sig"}},
        ]});
        let text = index.to_string();
        let names = NAMES.map(str::to_owned);
        let named: Value =
            serde_json::from_slice(&name_index(text.as_bytes(), &root, &names).unwrap()).unwrap();
        let entries = named["manifests"].as_array().unwrap();
        assert_eq!((entries.len(), &named["x"]), (3, &json!(1)));
        for (entry, name) in entries.iter().zip(NAMES) {
            let tag = name.rsplit_once(':').unwrap().1;
            let expected = json!({"a": "b", REF_NAME: tag, IMAGE_NAME: name});
            assert_eq!(entry["annotations"], expected);
        }
        assert_eq!(entries[2], index["manifests"][1]);
        let same: Value =
            serde_json::from_slice(&name_index(text.as_bytes(), &root, &[]).unwrap()).unwrap();
        assert_eq!(same, index);
        assert!(name_index(b"no", &root, &names).is_err());
    }

    #[test]
    fn one_manifest_and_dockers_list_are_what_engines_expect() {
        let (image, config) = (Digest::sha256_of(b"image"), Digest::sha256_of(b"config"));
        let manifest = Descriptor::new(crate::OCI_MANIFEST, image, 5);
        let names = NAMES.map(str::to_owned);
        let index: Value =
            serde_json::from_slice(&index_of_one(&manifest, &names).unwrap()).unwrap();
        assert_eq!(index["manifests"][1]["annotations"][IMAGE_NAME], NAMES[1]);
        assert_eq!(index["manifests"][0]["digest"], image.to_string());
        let layer = Digest::sha256_of(b"layer");
        let docker: Value =
            serde_json::from_slice(&docker_list(&config, [layer], &names).unwrap()).unwrap();
        let expected = json!([{
            "Config": config.path(), "RepoTags": NAMES, "Layers": [layer.path()],
        }]);
        assert_eq!(docker, expected);
    }
}
