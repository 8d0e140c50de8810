//! A named file of a release: its path, its digests, its purpose.
//!
//! Owns the fields of one artifact and their bounds. `list` owns the list of artifacts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ArtifactPath, BlobId, ListError, Role, Sha256Digest, link};

/// Most origins of one artifact.
pub const MAX_ORIGINS: usize = 16;
/// Longest origin, in bytes.
const MAX_ORIGIN: usize = 2048;
const MAX_MEDIA_TYPE: usize = 255;

/// The platform an artifact runs on, in the words of OCI.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system: `linux`, `windows`, …
    pub os: String,
    /// Processor architecture: `amd64`, `arm64`, …
    pub arch: String,
    /// Variant of the architecture: `v7`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Whether content for `other` runs where this platform is wanted. A platform without a variant
    /// is met by every variant.
    #[must_use]
    pub fn is_met_by(&self, other: &Self) -> bool {
        (&self.os, &self.arch) == (&other.os, &other.arch)
            && (self.variant.is_none() || self.variant == other.variant)
    }
}

/// A text that is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a platform (`os/arch` or `os/arch/variant`)")]
pub struct PlatformError(String);

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, arch, variant) = match parts[..] {
            [os, arch] => (os, arch, None),
            [os, arch, variant] => (os, arch, Some(variant.to_owned())),
            _ => return Err(PlatformError(text.to_owned())),
        };
        if parts.iter().any(|part| part.is_empty() || part.chars().any(char::is_control)) {
            return Err(PlatformError(text.to_owned()));
        }
        Ok(Self { os: os.to_owned(), arch: arch.to_owned(), variant })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.arch)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// A named file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Path below the directory of the release.
    pub path: ArtifactPath,
    /// Length in bytes.
    pub size: u64,
    /// BLAKE3 of the bytes: the name in the swarm.
    pub blake3: BlobId,
    /// SHA-256 of the bytes: the name for docker, Helm and SHA256SUMS.
    pub sha256: Sha256Digest,
    /// RFC 6838 media type.
    pub media_type: String,
    /// Purpose of the file.
    pub role: Role,
    /// Platform, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Whether it is written as executable.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exec: bool,
    /// URLs or OCI references where it was seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
}

impl Artifact {
    /// Whether it is a symbolic link, whose bytes are the target.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.media_type == link::SYMLINK
    }

    /// Whether it is an empty directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.media_type == link::DIRECTORY
    }

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
                "more than 16 origins, or one that is empty, too long or contains control \
                characters",
            );
        }
        if let Some(platform) = &self.platform {
            let parts = [Some(&platform.os), Some(&platform.arch), platform.variant.as_ref()];
            if !parts.into_iter().flatten().all(|part| plain(part, 64)) {
                return refuse(
                    "a part of the platform is empty, too long or contains control characters",
                );
            }
        }
        Ok(())
    }
}
