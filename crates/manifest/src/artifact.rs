//! A named file of a release: what it is called, by which digests, what it is for.
//!
//! Owns the fields of one artifact and their bounds. The list of them is `list`'s.

use serde::{Deserialize, Serialize};

use crate::{ArtifactPath, BlobId, ListError, Role, Sha256Digest};

/// Most origins of one artifact.
pub const MAX_ORIGINS: usize = 16;
/// Longest origin, in bytes.
const MAX_ORIGIN: usize = 2048;
const MAX_MEDIA_TYPE: usize = 255;

/// What an artifact runs on, in OCI's words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`, `windows`, …
    pub os: String,
    /// `amd64`, `arm64`, …
    pub arch: String,
    /// `v7`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A named file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Where it goes, below the release's directory.
    pub path: ArtifactPath,
    /// Its length in bytes.
    pub size: u64,
    /// Its name in the swarm.
    pub blake3: BlobId,
    /// Its name for docker, Helm and SHA256SUMS.
    pub sha256: Sha256Digest,
    /// RFC 6838 media type.
    pub media_type: String,
    /// What it is for.
    pub role: Role,
    /// What it runs on, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Whether it is to be executable.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exec: bool,
    /// URLs or OCI references it was seen at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
}

impl Artifact {
    pub(crate) fn check(&self) -> Result<(), ListError> {
        let refuse = |why| Err(ListError::Field(self.path.clone(), why));
        let plain = |text: &str, max: usize| {
            !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control)
        };
        if !plain(&self.media_type, MAX_MEDIA_TYPE) || !self.media_type.contains('/') {
            return refuse("the media type is not of the form type/subtype, or too long");
        }
        if self.origins.len() > MAX_ORIGINS
            || !self.origins.iter().all(|origin| plain(origin, MAX_ORIGIN))
        {
            return refuse(
                "more than 16 origins, or one that is empty, too long or holds control characters",
            );
        }
        if let Some(platform) = &self.platform {
            let parts = [Some(&platform.os), Some(&platform.arch), platform.variant.as_ref()];
            if !parts.into_iter().flatten().all(|part| plain(part, 64)) {
                return refuse(
                    "a part of the platform is empty, too long or holds control characters",
                );
            }
        }
        Ok(())
    }
}
