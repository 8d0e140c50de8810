//! The draft of an image: an OCI image layout as a list of artifacts.
//!
//! `oci-layout` and `index.json` are made here, the same for all who have the same image; everything else is as it came.

use std::collections::BTreeMap;

use perennial_manifest::{Artifact, ArtifactPath, Draft, Observation, Platform, Role};
use serde::Serialize;

use super::gather::Gathered;
use super::keeper::Kept;
use super::tree::Entry;
use super::{INDEX, Keeper, Reference, image_purl};
use crate::ImportError;

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// What a release says besides its bytes.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) from: String,
    pub(crate) license: Option<String>,
    pub(crate) notes: Option<String>,
    pub(crate) observations: Vec<Observation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u8,
    media_type: &'a str,
    manifests: Vec<Named<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Named<'a> {
    media_type: &'a str,
    digest: &'a str,
    size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, &'a str>,
}

impl<'a> Named<'a> {
    fn new(entry: &'a Entry) -> Self {
        Self {
            media_type: &entry.media_type,
            digest: entry.digest.as_ref(),
            size: entry.size,
            annotations: entry.tag.iter().map(|tag| (REF_NAME, tag.as_str())).collect(),
        }
    }
}

/// Makes the release of an image that is in the store.
pub(crate) async fn draft(
    keeper: &Keeper<'_>,
    reference: &Reference,
    image: Gathered,
    about: About,
) -> Result<Draft, ImportError> {
    let purl = image_purl(reference)?;
    let manifests = [&image.root].into_iter().chain(&image.attached).map(Named::new).collect();
    let index = Index { schema_version: 2, media_type: INDEX, manifests };
    let index = serde_json::to_vec(&index).map_err(|e| ImportError::Usage(e.to_string()))?;
    let layout = keeper.bytes(LAYOUT.to_vec()).await?;
    let index = keeper.bytes(index).await?;
    let origins = image.origins;
    let file =
        |path: &str, kept: Kept, media_type: String, role: Role, platform: Option<Platform>| {
            let path = ArtifactPath::parse(path).map_err(|e| ImportError::Upstream {
                what: reference.to_string(),
                reason: e.to_string(),
            })?;
            let Kept { blob, sha256, size } = kept;
            let (origins, exec) = (origins.clone(), false);
            Ok::<_, ImportError>(Artifact {
                path,
                size,
                blake3: blob,
                sha256,
                media_type,
                role,
                platform,
                exec,
                origins,
            })
        };
    let mut artifacts = vec![
        file("oci-layout", layout, "application/json".into(), Role::Doc, None)?,
        file("index.json", index, INDEX.into(), Role::Index, None)?,
    ];
    for (path, piece) in image.pieces {
        artifacts.push(file(&path, piece.kept, piece.media_type, piece.role, piece.platform)?);
    }
    let tags = match (reference.digest(), reference.tag()) {
        (None, Some(_)) => BTreeMap::from([(reference.to_string(), image.root.digest.to_string())]),
        _ => BTreeMap::new(),
    };
    let About { from, license, notes, observations } = about;
    Ok(Draft { purl, license, artifacts, from, tags, observations, notes })
}
