//! What a release consists of: artifacts, and the list of them that is a blob of its own.
//!
//! Owns the list's encoding, order and bounds (FORMAT.md, "Artifact list"). Promises that a decoded list is canonical, has
//! no two paths that could be one file, and sums to what the release entry says. Knows nothing of how bytes are kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::canonical::{self, CanonicalError};
use crate::{ArtifactPath, BlobId, PathError, Sha256Digest};

/// Most artifacts of one release.
pub const MAX_ARTIFACTS: usize = 100_000;
/// Longest encoded list, in bytes.
pub const MAX_LIST: usize = 64 << 20;
/// Most origins of one artifact, and the longest of them in bytes.
pub const MAX_ORIGINS: usize = 16;
const MAX_ORIGIN: usize = 2048;
const MAX_MEDIA_TYPE: usize = 255;

/// A list that may not be signed or believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The bytes are not the one encoding of a list.
    #[error("artifact list: {0}")]
    Encoding(#[from] CanonicalError),
    /// One of the paths is not allowed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// More than [`MAX_ARTIFACTS`] artifacts, or more than [`MAX_LIST`] bytes.
    #[error("artifact list: {what} {found} is more than {limit}")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// The number found or claimed.
        found: u64,
        /// The most allowed.
        limit: u64,
    },
    /// A release of nothing.
    #[error("artifact list: it is empty")]
    Empty,
    /// The artifacts do not stand in byte order of their paths.
    #[error("artifact list: {0} is out of order")]
    Unsorted(ArtifactPath),
    /// Two paths that are one file on some file system.
    #[error("artifact list: {0} and {1} would be one file on some file systems")]
    Twins(ArtifactPath, ArtifactPath),
    /// A path that is a file here and a directory there.
    #[error("artifact list: {0} is a file and a directory")]
    FileAndDirectory(ArtifactPath),
    /// A field is too long or malformed.
    #[error("artifact {0}: {1}")]
    Field(ArtifactPath, &'static str),
    /// The list is not the one that the release entry describes.
    #[error("artifact list: the release says {what} {claimed}, the list has {found}")]
    Mismatch {
        /// What differs.
        what: &'static str,
        /// What the entry says.
        claimed: u64,
        /// What the list has.
        found: u64,
    },
}

/// What an artifact is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names of DESIGN, section 4, say what they are")]
pub enum Role {
    Source,
    Binary,
    ImageIndex,
    ImageManifest,
    ImageConfig,
    ImageLayer,
    Chart,
    Package,
    Index,
    Signature,
    Sbom,
    Checksums,
    Licence,
    Doc,
}

impl Role {
    /// The word used in data and on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Binary => "binary",
            Self::ImageIndex => "image-index",
            Self::ImageManifest => "image-manifest",
            Self::ImageConfig => "image-config",
            Self::ImageLayer => "image-layer",
            Self::Chart => "chart",
            Self::Package => "package",
            Self::Index => "index",
            Self::Signature => "signature",
            Self::Sbom => "sbom",
            Self::Checksums => "checksums",
            Self::Licence => "licence",
            Self::Doc => "doc",
        }
    }

    /// All roles.
    pub const ALL: [Self; 14] = [
        Self::Source,
        Self::Binary,
        Self::ImageIndex,
        Self::ImageManifest,
        Self::ImageConfig,
        Self::ImageLayer,
        Self::Chart,
        Self::Package,
        Self::Index,
        Self::Signature,
        Self::Sbom,
        Self::Checksums,
        Self::Licence,
        Self::Doc,
    ];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|role| role.as_str()).collect();
            format!("{text:?} is no role; roles are {}", known.join(", "))
        })
    }
}

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
    fn check(&self) -> Result<(), ListError> {
        let refuse = |why| Err(ListError::Field(self.path.clone(), why));
        let plain = |text: &str, max: usize| {
            !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control)
        };
        if !plain(&self.media_type, MAX_MEDIA_TYPE) || !self.media_type.contains('/') {
            return refuse("the media type is not of the form type/subtype, or too long");
        }
        if self.origins.len() > MAX_ORIGINS || !self.origins.iter().all(|origin| plain(origin, MAX_ORIGIN)) {
            return refuse(
                "more than 16 origins, or one that is empty, too long or holds control characters",
            );
        }
        if let Some(platform) = &self.platform {
            let parts = [Some(&platform.os), Some(&platform.arch), platform.variant.as_ref()];
            if !parts.into_iter().flatten().all(|part| plain(part, 64)) {
                return refuse("a part of the platform is empty, too long or holds control characters");
            }
        }
        Ok(())
    }
}

/// What a release entry says of its artifact list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ArtifactListRef {
    /// The encoded list.
    pub blob: BlobId,
    /// How many artifacts it has.
    pub count: u32,
    /// The sum of their sizes.
    pub bytes: u64,
    /// How long the encoded list is, in bytes.
    pub size: u64,
}

impl ArtifactListRef {
    /// Checks the claims before anything is fetched or allocated for them.
    pub fn check(&self) -> Result<(), ListError> {
        let too_large =
            |what, found, limit: usize| Err(ListError::TooLarge { what, found, limit: limit as u64 });
        if self.count == 0 {
            return Err(ListError::Empty);
        }
        if self.count as usize > MAX_ARTIFACTS {
            return too_large("the number of artifacts", u64::from(self.count), MAX_ARTIFACTS);
        }
        if self.size > MAX_LIST as u64 {
            return too_large("the length", self.size, MAX_LIST);
        }
        Ok(())
    }
}

/// The artifacts of a release, sorted by the bytes of their paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactList {
    artifacts: Vec<Artifact>,
    bytes: u64,
}

impl ArtifactList {
    /// Sorts and checks.
    pub fn new(mut artifacts: Vec<Artifact>) -> Result<Self, ListError> {
        artifacts.sort_by(|a, b| a.path.cmp(&b.path));
        Self::checked(artifacts)
    }

    fn checked(artifacts: Vec<Artifact>) -> Result<Self, ListError> {
        let count = artifacts.len();
        if count == 0 {
            return Err(ListError::Empty);
        }
        if count > MAX_ARTIFACTS {
            let (found, limit) = (count as u64, MAX_ARTIFACTS as u64);
            return Err(ListError::TooLarge { what: "the number of artifacts", found, limit });
        }
        let mut bytes = 0u64;
        for pair in artifacts.windows(2) {
            if pair[0].path > pair[1].path {
                return Err(ListError::Unsorted(pair[1].path.clone()));
            }
        }
        for artifact in &artifacts {
            artifact.check()?;
            bytes = bytes.checked_add(artifact.size).ok_or(ListError::TooLarge {
                what: "the sum of sizes",
                found: u64::MAX,
                limit: u64::MAX - 1,
            })?;
        }
        refuse_twins(&artifacts)?;
        Ok(Self { artifacts, bytes })
    }

    /// The one encoding, and what a release entry says of it.
    pub fn encode(&self) -> Result<(Vec<u8>, ArtifactListRef), ListError> {
        let encoded = canonical::to_vec(&self.artifacts)?;
        let list_ref = ArtifactListRef {
            blob: BlobId::of(&encoded),
            count: u32::try_from(self.artifacts.len()).unwrap_or(u32::MAX),
            bytes: self.bytes,
            size: encoded.len() as u64,
        };
        list_ref.check()?;
        Ok((encoded, list_ref))
    }

    /// Reads a list that `claim` describes. Work and memory follow the bytes given, never the numbers claimed.
    pub fn decode(encoded: &[u8], claim: &ArtifactListRef) -> Result<Self, ListError> {
        claim.check()?;
        let mismatch = |what, claimed, found| Err(ListError::Mismatch { what, claimed, found });
        if encoded.len() as u64 != claim.size {
            return mismatch("length", claim.size, encoded.len() as u64);
        }
        let list = Self::checked(canonical::from_slice(encoded)?)?;
        if list.artifacts.len() as u64 != u64::from(claim.count) {
            return mismatch("count", u64::from(claim.count), list.artifacts.len() as u64);
        }
        if list.bytes != claim.bytes {
            return mismatch("total bytes", claim.bytes, list.bytes);
        }
        Ok(list)
    }

    /// The artifacts in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Artifact> {
        self.artifacts.iter()
    }

    /// How many there are; never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a list is never empty")]
    pub fn len(&self) -> usize {
        self.artifacts.len()
    }

    /// The sum of their sizes.
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.bytes
    }
}

impl<'a> IntoIterator for &'a ArtifactList {
    type Item = &'a Artifact;
    type IntoIter = std::slice::Iter<'a, Artifact>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Refuses two paths that some file system would make one, and a path that is both a file and a directory.
fn refuse_twins(artifacts: &[Artifact]) -> Result<(), ListError> {
    // With NUL, which no path holds, in the place of `/`, a file stands right before what would be inside it: one look at
    // each neighbour is enough. Keys are folded, so `docs` with `Docs/a` is found too.
    let mut keys: Vec<(String, &ArtifactPath)> =
        artifacts.iter().map(|a| (a.path.twin_key().replace('/', "\0"), &a.path)).collect();
    keys.sort();
    for pair in keys.windows(2) {
        let ((first, path), (second, other)) = (&pair[0], &pair[1]);
        match second.strip_prefix(first.as_str()) {
            Some("") => return Err(ListError::Twins((*path).clone(), (*other).clone())),
            Some(rest) if rest.starts_with('\0') => return Err(ListError::FileAndDirectory((*path).clone())),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn artifact(path: &str, size: u64) -> Artifact {
        Artifact {
            path: ArtifactPath::parse(path).unwrap(),
            size,
            blake3: BlobId::of(path.as_bytes()),
            sha256: Sha256Digest::from_bytes([7; 32]),
            media_type: "application/gzip".into(),
            role: Role::Binary,
            platform: None,
            exec: false,
            origins: Vec::new(),
        }
    }

    #[test]
    fn a_list_reads_back_and_is_sorted() {
        let list = ArtifactList::new(vec![artifact("b", 2), artifact("a/x", 1), artifact("B2", 3)]).unwrap();
        let (encoded, claim) = list.encode().unwrap();
        assert_eq!((claim.count, claim.bytes), (3, 6));
        assert_eq!(ArtifactList::decode(&encoded, &claim).unwrap(), list);
        let order: Vec<_> = list.iter().map(|a| a.path.as_str()).collect();
        assert_eq!(order, ["B2", "a/x", "b"]);
    }

    #[test]
    fn twins_and_clashes_are_refused() {
        for (one, two) in [("a", "a"), ("README", "readme"), ("x/É", "x/é")] {
            let result = ArtifactList::new(vec![artifact(one, 1), artifact(two, 1)]);
            assert!(matches!(result, Err(ListError::Twins(..))), "{one} {two}: {result:?}");
        }
        for (file, inside) in [("a", "a/b"), ("Docs", "docs/x/y"), ("a/b", "A/B/c")] {
            // `a-` and `a.` sort between `a` and `a/`
            let others = ["a-", "a.b", "zz"].map(|other| artifact(other, 1));
            let mut artifacts = vec![artifact(file, 1), artifact(inside, 1)];
            artifacts.extend(others);
            let result = ArtifactList::new(artifacts);
            assert!(matches!(result, Err(ListError::FileAndDirectory(_))), "{result:?}");
        }
    }

    #[test]
    fn claims_that_differ_are_refused_before_they_cost() {
        let (encoded, claim) = ArtifactList::new(vec![artifact("a", 1)]).unwrap().encode().unwrap();
        let wrong = [
            ArtifactListRef { count: 2, ..claim },
            ArtifactListRef { count: 0, ..claim },
            ArtifactListRef { count: u32::MAX, ..claim },
            ArtifactListRef { bytes: 2, ..claim },
            ArtifactListRef { size: claim.size + 1, ..claim },
            ArtifactListRef { size: u64::MAX, ..claim },
        ];
        for claim in wrong {
            assert!(ArtifactList::decode(&encoded, &claim).is_err(), "{claim:?}");
        }
        let overflow = ArtifactList::new(vec![artifact("a", u64::MAX), artifact("b", 1)]);
        assert!(matches!(overflow, Err(ListError::TooLarge { what: "the sum of sizes", .. })));
    }

    #[test]
    fn bytes_that_claim_a_million_entries_cost_nothing() {
        // array header that claims 10^6 entries, and one of 2^40, with nothing behind them
        for head in ["9a000f4240", "9b0000010000000000"] {
            let encoded = hex::decode(head).unwrap();
            let claim = ArtifactListRef {
                blob: BlobId::of(&encoded),
                count: 1,
                bytes: 0,
                size: encoded.len() as u64,
            };
            assert!(matches!(ArtifactList::decode(&encoded, &claim), Err(ListError::Encoding(_))));
        }
        // 10^5 nested arrays must be an error, not the end of the stack
        let deep = vec![0x81; 100_000];
        let claim = ArtifactListRef { blob: BlobId::of(&deep), count: 1, bytes: 0, size: deep.len() as u64 };
        assert!(matches!(ArtifactList::decode(&deep, &claim), Err(ListError::Encoding(_))));
    }

    #[test]
    fn an_unsorted_encoding_is_refused() {
        let raw = vec![artifact("b", 1), artifact("a", 1)];
        let encoded = canonical::to_vec(&raw).unwrap();
        let claim =
            ArtifactListRef { blob: BlobId::of(&encoded), count: 2, bytes: 2, size: encoded.len() as u64 };
        assert!(matches!(ArtifactList::decode(&encoded, &claim), Err(ListError::Unsorted(_))));
    }
}
