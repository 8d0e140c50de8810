//! Descriptors: how manifests and indexes refer to content.

use std::collections::BTreeMap;

use perennial_manifest::Platform;
use serde::Serialize;

use crate::fields::Fields;
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

impl Descriptor {
    /// Reads a descriptor as programs write it: fields that are not needed may be missing or
    /// `null`.
    pub(crate) fn read(json: &[u8]) -> Result<Self, ManifestError> {
        let names = ["mediaType", "digest", "size", "artifactType", "annotations", "platform"];
        let fields = Fields::find(json, names)?;
        let digest = fields.get::<String>(1)?.unwrap_or_default().parse()?;
        let missing = |field| ManifestError::Descriptor { digest, field };
        Ok(Self {
            // Readers in Go take a blob of no type for bytes.
            media_type: fields.get(0)?.unwrap_or_default(),
            digest,
            size: fields.get(2)?.ok_or_else(|| missing("size"))?,
            artifact_type: fields.get(3)?,
            annotations: texts(fields.get(4)?),
            platform: fields.raw(5).map_or(Ok(Runs::Unstated), Runs::read)?,
        })
    }
}

/// Takes a text that is `null` for an empty one, as Go does.
pub(crate) fn texts(texts: Option<BTreeMap<String, Option<String>>>) -> BTreeMap<String, String> {
    let texts = texts.unwrap_or_default().into_iter();
    texts.map(|(key, text)| (key, text.unwrap_or_default())).collect()
}

impl Runs {
    fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        let fields = Fields::find(json, ["os", "architecture", "variant"])?;
        let word = |at| Ok::<String, serde_json::Error>(fields.get(at)?.unwrap_or_default());
        let (os, arch) = (word(0)?, word(1)?);
        let plain = |text: &String| {
            let fits = !text.is_empty() && text.len() <= MAX_WORD;
            fits && text != "unknown" && !text.chars().any(char::is_control)
        };
        if plain(&os) && plain(&arch) {
            Ok(Self::On(Platform { os, arch, variant: fields.get(2)?.filter(plain) }))
        } else {
            Ok(Self::Nowhere)
        }
    }
}
