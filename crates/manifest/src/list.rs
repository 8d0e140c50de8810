//! The contents of a release: the list of its artifacts, a blob of its own.
//!
//! Owns the list's encoding, order and bounds (FORMAT.md, "Artifact list"). Promises that a decoded
//! list is canonical, has no two paths that could be one file, and adds up to what the release
//! entry says. Does not know how bytes are kept.

mod clash;
mod content;
mod list_ref;

use crate::canonical::{self, CanonicalError};
use crate::{Artifact, ArtifactPath, BlobId, PathError};

pub use clash::{Clash, clashes};
pub use list_ref::ArtifactListRef;

/// Most artifacts of one release.
pub const MAX_ARTIFACTS: usize = 100_000;
/// Longest encoded list, in bytes.
pub const MAX_LIST: usize = 64 << 20;

/// Why a list may be neither signed nor believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The bytes are not the one encoding of a list.
    #[error("artifact list: {0}")]
    Encoding(#[from] CanonicalError),
    /// A path is not allowed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// More than [`MAX_ARTIFACTS`] artifacts, or more than [`MAX_LIST`] bytes.
    #[error("artifact list: {what} {found} is more than {limit}")]
    TooLarge {
        /// The quantity: files or bytes.
        what: &'static str,
        /// The number found or claimed.
        found: u64,
        /// The most allowed.
        limit: u64,
    },
    /// The list is empty.
    #[error("artifact list: it is empty")]
    Empty,
    /// The artifacts are not in byte order of their paths.
    #[error("artifact list: {0} is out of order")]
    Unsorted(ArtifactPath),
    /// Two paths are one file on some file system.
    #[error("artifact list: {0} and {1} would be one file on some file systems")]
    Twins(ArtifactPath, ArtifactPath),
    /// One path is both a file and a directory.
    #[error("artifact list: {0} is a file and a directory")]
    FileAndDirectory(ArtifactPath),
    /// A field is too long or malformed.
    #[error("artifact {0}: {1}")]
    Field(ArtifactPath, &'static str),
    /// The list is not the one that the release entry describes.
    #[error("artifact list: the release says {what} {claimed}, the list has {found}")]
    Mismatch {
        /// The number that differs.
        what: &'static str,
        /// Its value according to the entry.
        claimed: u64,
        /// Its value according to the list.
        found: u64,
    },
}

/// The artifacts of a release, sorted by the bytes of their paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactList {
    artifacts: Vec<Artifact>,
    bytes: u64,
}

impl ArtifactList {
    /// Sorts and checks artifacts.
    ///
    /// # Errors
    /// [`ListError`]: none or too many, a field out of bounds, or two paths that could be one file.
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

    /// The one encoding, and the claim that a release entry makes about it.
    ///
    /// # Errors
    /// [`ListError`] if it is longer than [`MAX_LIST`].
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

    /// Reads the list that `claim` describes. Work and memory follow the bytes given, never the
    /// numbers claimed.
    ///
    /// # Errors
    /// [`ListError`]: it is not canonical, breaks a rule, or differs from the claim.
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

    /// Number of artifacts; never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a list is never empty")]
    pub fn len(&self) -> usize {
        self.artifacts.len()
    }

    /// Sum of their sizes, in bytes.
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

/// Refuses two paths that some file system would make one, and a path that is both a file and a
/// directory.
fn refuse_twins(artifacts: &[Artifact]) -> Result<(), ListError> {
    let clash = clashes(artifacts.iter().map(|artifact| &artifact.path)).into_iter().next();
    match clash {
        Some(Clash { first, nested: true, .. }) => Err(ListError::FileAndDirectory(first)),
        Some(Clash { first, second, .. }) => Err(ListError::Twins(first, second)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Role, Sha256Digest};

    fn artifact(path: &str, size: u64) -> Artifact {
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
        let list = ArtifactList::new(vec![artifact("b", 2), artifact("a/x", 1), artifact("B2", 3)])
            .unwrap();
        let (encoded, claim) = list.encode().unwrap();
        assert_eq!((claim.count, claim.bytes), (3, 6));
        assert_eq!(ArtifactList::decode(&encoded, &claim).unwrap(), list);
        let order: Vec<_> = list.iter().map(|a| a.path.as_str()).collect();
        assert_eq!(order, ["B2", "a/x", "b"]);
    }

    #[test]
    fn duplicate_and_clashing_paths_are_refused() {
        for (one, two) in [("a", "a"), ("README", "readme"), ("x/É", "x/é")] {
            let result = ArtifactList::new(vec![artifact(one, 1), artifact(two, 1)]);
            assert!(matches!(result, Err(ListError::Twins(..))), "{one} {two}: {result:?}");
        }
        for (file, inside) in [("a", "a/b"), ("Docs", "docs/x/y"), ("a/b", "A/B/c")] {
            // `a-` and `a.` sort between `a` and `a/`.
            let others = ["a-", "a.b", "zz"].map(|other| artifact(other, 1));
            let mut artifacts = vec![artifact(file, 1), artifact(inside, 1)];
            artifacts.extend(others);
            let result = ArtifactList::new(artifacts);
            assert!(matches!(result, Err(ListError::FileAndDirectory(_))), "{result:?}");
        }
    }

    #[test]
    fn contradictory_claims_are_refused_before_allocation() {
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
    fn a_claim_of_a_million_entries_allocates_nothing() {
        // Array headers that claim 10^6 entries and 2^40, with nothing behind them.
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
        // 10^5 nested arrays must cause an error, not exhaust the stack.
        let deep = vec![0x81; 100_000];
        let claim = ArtifactListRef {
            blob: BlobId::of(&deep),
            count: 1,
            bytes: 0,
            size: deep.len() as u64,
        };
        assert!(matches!(ArtifactList::decode(&deep, &claim), Err(ListError::Encoding(_))));
    }

    #[test]
    fn an_unsorted_encoding_is_refused() {
        let raw = vec![artifact("b", 1), artifact("a", 1)];
        let encoded = canonical::to_vec(&raw).unwrap();
        let claim = ArtifactListRef {
            blob: BlobId::of(&encoded),
            count: 2,
            bytes: 2,
            size: encoded.len() as u64,
        };
        assert!(matches!(ArtifactList::decode(&encoded, &claim), Err(ListError::Unsorted(_))));
    }
}
