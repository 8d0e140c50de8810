//! What the owner of a node can refuse to take in and give out.

use std::fmt;
use std::str::FromStr;

use crate::{
    BlobId, DigestError, PublisherError, PublisherId, Purl, PurlError, Sha256Digest, serde_as_text,
};

/// A digest, a package or a publisher on a deny list.
///
/// ```
/// use perennial_manifest::DenyTarget;
///
/// let package: DenyTarget = "pkg:generic/kubekey".parse()?;
/// assert!(matches!(package, DenyTarget::Package(_)));
/// assert!("kubekey".parse::<DenyTarget>().is_err());
/// # Ok::<(), perennial_manifest::DenyTargetError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DenyTarget {
    /// The bytes with this BLAKE3.
    Blob(BlobId),
    /// The bytes with this SHA-256.
    Sha256(Sha256Digest),
    /// All releases that the package URL can mean: without a version, those of every version.
    Package(Purl),
    /// Everything that this publisher signed.
    Publisher(PublisherId),
}

/// A text that names nothing that can be denied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DenyTargetError {
    /// It begins like a digest and is none.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// It begins like a package URL and is none.
    #[error(transparent)]
    Package(#[from] PurlError),
    /// It begins like a DID and is none.
    #[error(transparent)]
    Publisher(#[from] PublisherError),
    /// It begins like nothing of these.
    #[error(
        "{0:?} is not a digest (blake3:…, sha256:…), a package (pkg:…) or a publisher (did:key:…)"
    )]
    Other(String),
}

impl DenyTarget {
    /// Whether it covers a release, by its name or its publisher.
    #[must_use]
    pub fn covers(&self, publisher: &PublisherId, purl: &Purl) -> bool {
        match self {
            Self::Package(denied) => denied.means(purl),
            Self::Publisher(denied) => denied == publisher,
            Self::Blob(_) | Self::Sha256(_) => false,
        }
    }

    /// Whether it covers releases, rather than bytes.
    #[must_use]
    pub const fn is_of_releases(&self) -> bool {
        matches!(self, Self::Package(_) | Self::Publisher(_))
    }

    /// The kind of thing, for people and scripts.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Blob(_) | Self::Sha256(_) => "digest",
            Self::Package(_) => "package",
            Self::Publisher(_) => "publisher",
        }
    }
}

impl fmt::Display for DenyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(blob) => blob.fmt(f),
            Self::Sha256(sha256) => sha256.fmt(f),
            Self::Package(purl) => purl.fmt(f),
            Self::Publisher(publisher) => publisher.fmt(f),
        }
    }
}

impl FromStr for DenyTarget {
    type Err = DenyTargetError;

    fn from_str(text: &str) -> Result<Self, DenyTargetError> {
        match text.split_once(':').map(|(scheme, _)| scheme) {
            Some("blake3") => Ok(Self::Blob(text.parse()?)),
            Some("sha256") => Ok(Self::Sha256(text.parse()?)),
            Some("pkg") => Ok(Self::Package(text.parse()?)),
            Some("did") => Ok(Self::Publisher(text.parse()?)),
            _ => Err(DenyTargetError::Other(text.chars().take(100).collect())),
        }
    }
}

serde_as_text!(DenyTarget);

impl From<BlobId> for DenyTarget {
    fn from(blob: BlobId) -> Self {
        Self::Blob(blob)
    }
}

impl From<Sha256Digest> for DenyTarget {
    fn from(sha256: Sha256Digest) -> Self {
        Self::Sha256(sha256)
    }
}

impl From<Purl> for DenyTarget {
    fn from(purl: Purl) -> Self {
        Self::Package(purl)
    }
}

impl From<PublisherId> for DenyTarget {
    fn from(publisher: PublisherId) -> Self {
        Self::Publisher(publisher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keypair;

    #[test]
    fn each_kind_reads_back_as_it_is_written() {
        let key = Keypair::from_seed([7; 32]).id().to_string();
        let digests = [format!("blake3:{}", "ab".repeat(32)), format!("sha256:{}", "0".repeat(64))];
        for text in digests.into_iter().chain([key, "pkg:generic/kubekey@v3.1.0".to_owned()]) {
            let target: DenyTarget = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
            let json = serde_json::to_string(&target).unwrap();
            assert_eq!(serde_json::from_str::<DenyTarget>(&json).unwrap(), target);
        }
        for wrong in ["", "kubekey", "blake3:00", "sha256:", "did:web:a.org", "pkg:", "all"] {
            assert!(wrong.parse::<DenyTarget>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_package_covers_its_versions_and_a_publisher_all_it_signed() {
        let (one, other) = (Keypair::from_seed([1; 32]).id(), Keypair::from_seed([2; 32]).id());
        let purl = |text: &str| text.parse::<Purl>().unwrap();
        let covers = |target: DenyTarget, text: &str| target.covers(&one, &purl(text));
        let package = |text: &str| DenyTarget::from(purl(text));
        assert!(covers(package("pkg:generic/a"), "pkg:generic/a@1"));
        assert!(covers(package("pkg:generic/a@1"), "pkg:generic/a@1"));
        assert!(!covers(package("pkg:generic/a@2"), "pkg:generic/a@1"));
        assert!(!covers(package("pkg:npm/a"), "pkg:generic/a@1"));
        assert!(covers(one.into(), "pkg:generic/a@1") && !covers(other.into(), "pkg:generic/a@1"));
        assert!(!covers(BlobId::of(b"").into(), "pkg:generic/a@1"));
    }
}
