//! Descriptors: how manifests and indexes refer to content.

use std::collections::BTreeMap;

use perennial_manifest::Platform;
use serde::{Deserialize, Deserializer, Serialize};

use crate::role::is_manifest;
use crate::{Digest, ManifestError};

/// Longest name of an operating system, architecture or variant, in bytes.
const MAX_WORD: usize = 64;

/// A reference to content by type, digest and size.
///
/// Serialises as `index.json` holds it, without the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type of the content.
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The size of the content, in bytes.
    pub size: u64,
    /// The type of artifact, of a referrer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Further properties by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(skip)]
    platform: Runs,
}

/// The platform that a descriptor states.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Runs {
    Unstated,
    On(Platform),
    /// `unknown/unknown`, by which builders mark attestations, or words that a list cannot hold.
    Nowhere,
}

impl Descriptor {
    /// A descriptor without platform, artifact type and annotations.
    #[must_use]
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            artifact_type: None,
            annotations: BTreeMap::new(),
            platform: Runs::Unstated,
        }
    }

    /// The platform that the content runs on, if one is stated in words that a list may hold.
    #[must_use]
    pub fn platform(&self) -> Option<&Platform> {
        match &self.platform {
            Runs::On(platform) => Some(platform),
            Runs::Unstated | Runs::Nowhere => None,
        }
    }

    /// Whether a platform is stated, even an unusable one.
    #[must_use]
    pub fn states_platform(&self) -> bool {
        self.platform != Runs::Unstated
    }

    /// Whether the content is a manifest or index, by its type.
    #[must_use]
    pub fn is_manifest(&self) -> bool {
        is_manifest(&self.media_type)
    }

    /// The digest of the manifest that this one is a builder's attestation of (buildkit's
    /// `vnd.docker.reference.digest`).
    #[must_use]
    pub fn attests(&self) -> Option<&str> {
        self.annotations.get("vnd.docker.reference.digest").map(String::as_str)
    }
}

/// A descriptor as programs write it: fields that are missing or `null` are told from wrong ones
/// later, with a reason.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawDescriptor {
    media_type: Option<String>,
    pub(crate) digest: String,
    size: Option<u64>,
    artifact_type: Option<String>,
    #[serde(default, deserialize_with = "texts")]
    annotations: BTreeMap<String, String>,
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default, deserialize_with = "nullable")]
    os: String,
    #[serde(default, deserialize_with = "nullable")]
    architecture: String,
    variant: Option<String>,
}

/// Takes `null` for nothing.
pub(crate) fn nullable<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// Takes `null` for no texts, and a text that is `null` for an empty one, as Go does.
pub(crate) fn texts<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let texts = Option::<BTreeMap<String, Option<String>>>::deserialize(from)?;
    let texts = texts.unwrap_or_default().into_iter();
    Ok(texts.map(|(key, text)| (key, text.unwrap_or_default())).collect())
}

impl TryFrom<RawDescriptor> for Descriptor {
    type Error = ManifestError;

    fn try_from(raw: RawDescriptor) -> Result<Self, ManifestError> {
        let digest = raw.digest.parse()?;
        let missing = |field| ManifestError::Descriptor { digest, field };
        Ok(Self {
            // Readers in Go take a blob of no type for bytes.
            media_type: raw.media_type.unwrap_or_default(),
            digest,
            size: raw.size.ok_or_else(|| missing("size"))?,
            artifact_type: raw.artifact_type,
            annotations: raw.annotations,
            platform: raw.platform.map_or(Runs::Unstated, Runs::from),
        })
    }
}

impl From<RawPlatform> for Runs {
    fn from(raw: RawPlatform) -> Self {
        let plain = |text: &String| {
            let fits = !text.is_empty() && text.len() <= MAX_WORD;
            fits && text != "unknown" && !text.chars().any(char::is_control)
        };
        if plain(&raw.os) && plain(&raw.architecture) {
            let variant = raw.variant.filter(plain);
            Self::On(Platform { os: raw.os, arch: raw.architecture, variant })
        } else {
            Self::Nowhere
        }
    }
}
