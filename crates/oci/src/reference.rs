//! References to images, and the package URLs of their releases: one spelling for each.

use std::fmt;
use std::str::FromStr;

use perennial_manifest::{Purl, PurlError};

use crate::{Digest, DigestError, Repository, is_tag};

/// Most characters of a malformed reference that an error quotes.
const QUOTED: usize = 300;

/// An image: a repository and a tag or digest in it.
///
/// Read as docker reads it, with or without `docker://`: short names are Docker Hub's, a missing
/// version is the tag `latest`, and of a tag and a digest only the digest counts.
///
/// ```
/// use perennial_oci::Reference;
///
/// let image: Reference = "docker://quay.io/kubesphere/ks-console:v3.4.1".parse()?;
/// let purl = image.purl()?;
/// assert_eq!(purl.as_str(), "pkg:docker/kubesphere/ks-console@v3.4.1?repository_url=quay.io");
/// assert_eq!(Reference::of_purl(&purl), Some(image));
///
/// assert_eq!("nginx".parse::<Reference>()?.to_string(), "docker.io/library/nginx:latest");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    repository: Repository,
    version: Version,
}

/// The part of a reference after the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// A name that may mean something else tomorrow.
    Tag(String),
    /// One manifest, whatever is pushed later.
    Digest(Digest),
}

/// A text that is not a reference to an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an image (`docker://registry/repository:tag`): {fault}")]
pub struct ReferenceError {
    text: String,
    fault: Fault,
}

/// The part of a reference that breaks the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error(
        "its name is not `[host[:port]/]path` with a path of lower-case letters, digits and single \
         separators"
    )]
    Name,
    #[error("{0}")]
    Version(#[from] VersionError),
}

/// A text that is neither a tag nor a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// A text without a colon that is not a tag.
    #[error("a tag is made of letters, digits, `_`, `.` and `-`, at most 128 of them")]
    Tag,
    /// A text with a colon that is not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl Reference {
    /// A tag or digest of a repository.
    #[must_use]
    pub fn new(repository: Repository, version: Version) -> Self {
        Self { repository, version }
    }

    /// The image that a package URL names; `None` if it has no version, or parts that are not those
    /// of an image.
    #[must_use]
    pub fn of_purl(purl: &Purl) -> Option<Self> {
        let version = purl.version()?.parse().ok()?;
        (purl.ty() == "docker")
            .then(|| Repository::of_purl(purl))
            .flatten()
            .map(|repository| Self { repository, version })
    }

    /// The package URL of a release of this image.
    ///
    /// # Errors
    /// [`PurlError`] if it is longer than a package URL may be.
    pub fn purl(&self) -> Result<Purl, PurlError> {
        self.repository.purl(&self.version.to_string())
    }

    /// Whether a name states a tag or a digest.
    #[must_use]
    pub fn has_version(text: &str) -> bool {
        text.rsplit('/').next().is_some_and(|last| last.contains([':', '@']))
    }

    /// The repository.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag or digest.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The tag, if the reference is by tag.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        match &self.version {
            Version::Tag(tag) => Some(tag),
            Version::Digest(_) => None,
        }
    }

    /// The digest, if the reference is by digest.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        match self.version {
            Version::Tag(_) => None,
            Version::Digest(digest) => Some(digest),
        }
    }

    /// The same repository at another version.
    #[must_use]
    pub fn at(&self, version: Version) -> Self {
        Self { repository: self.repository.clone(), version }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let refuse = |fault| ReferenceError { text: text.chars().take(QUOTED).collect(), fault };
        let name = text.strip_prefix("docker://").unwrap_or(text);
        let (name, digest) = match name.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (name, None),
        };
        // A colon before the last slash belongs to a port.
        let last = name.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match name[last..].split_once(':') {
            Some((path, tag)) => (&name[..last + path.len()], Some(tag)),
            None => (name, None),
        };
        let tag = tag.unwrap_or("latest");
        if !is_tag(tag) {
            return Err(refuse(VersionError::Tag.into()));
        }
        let version = match digest {
            Some(digest) => digest.parse().map(Version::Digest).map_err(VersionError::Digest),
            None => Ok(Version::Tag(tag.to_owned())),
        };
        let version = version.map_err(|error| refuse(error.into()))?;
        let repository = Repository::parse(name).ok_or_else(|| refuse(Fault::Name))?;
        Ok(Self { repository, version })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Version::Tag(tag) => write!(f, "{}:{tag}", self.repository),
            Version::Digest(digest) => write!(f, "{}@{digest}", self.repository),
        }
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        match text.contains(':') {
            true => Ok(Self::Digest(text.parse()?)),
            false if is_tag(text) => Ok(Self::Tag(text.to_owned())),
            false => Err(VersionError::Tag),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}
