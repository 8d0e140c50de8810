//! The digests by which registries name content: `sha256:…` and `sha512:…`.
//!
//! OCI registers other algorithms too. They are refused here: a digest that cannot be checked
//! protects nothing.

use std::fmt;
use std::io;
use std::str::FromStr;

use perennial_manifest::{Sha256, Sha256Digest};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha512};

/// Most characters of a malformed digest that an error quotes.
const QUOTED: usize = 100;

/// A digest of a manifest or blob.
///
/// ```
/// use perennial_oci::Digest;
///
/// let digest = Digest::sha256_of(b"");
/// assert_eq!(
///     digest.to_string(),
///     "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
/// );
/// assert!(digest.to_string().parse() == Ok(digest) && digest.matches(b""));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Digest {
    /// `sha256:` and 64 hex digits.
    Sha256([u8; 32]),
    /// `sha512:` and 128 hex digits.
    Sha512([u8; 64]),
}

/// A text that is not a digest, or not one that can be checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The text does not have the form `algorithm:hex`, or the hex digits are too few, too many or
    /// in upper case.
    #[error(
        "{0:?} is not a digest (`sha256:` and 64, or `sha512:` and 128, lower-case hex digits)"
    )]
    Malformed(String),
    /// The algorithm is not SHA-256 or SHA-512.
    #[error("{0:?}: this digest algorithm is not known; sha256 and sha512 are")]
    Algorithm(String),
}

/// Bytes that do not have the digest they were asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content received has the digest {found}")]
pub struct DigestMismatch {
    /// The digest that was asked for.
    pub expected: Digest,
    /// The digest of the bytes, by the same algorithm.
    pub found: Digest,
}

impl Digest {
    /// The SHA-256 of `bytes`.
    #[must_use]
    pub fn sha256_of(bytes: &[u8]) -> Self {
        Sha256Digest::of(bytes).into()
    }

    /// Whether `bytes` have this digest.
    #[must_use]
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let mut check = self.check();
        check.update(bytes);
        check.finish().is_ok()
    }

    /// Begins to compare bytes with this digest, piece by piece.
    #[must_use]
    pub fn check(&self) -> Check {
        let hasher = match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::Sha512(_) => Hasher::Sha512(Sha512::new()),
        };
        Check { expected: *self, hasher }
    }

    /// The digest in the form that artifact lists hold; `None` for SHA-512, which they do not.
    #[must_use]
    pub fn sha256(&self) -> Option<Sha256Digest> {
        match self {
            Self::Sha256(bytes) => Some(Sha256Digest::from_bytes(*bytes)),
            Self::Sha512(_) => None,
        }
    }

    /// `sha256` or `sha512`.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::Sha512(_) => "sha512",
        }
    }

    /// The lower-case hex digits, without the algorithm.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(self.as_bytes())
    }

    /// The first 16 bytes: enough to index by, too few to trust.
    #[must_use]
    pub fn key(&self) -> [u8; 16] {
        let mut key = [0; 16];
        key.copy_from_slice(&self.as_bytes()[..16]);
        key
    }

    /// The path of this content in an OCI image layout: `blobs/<algorithm>/<hex>`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("blobs/{}/{}", self.algorithm(), self.hex())
    }

    /// The digest of the content at a path of an OCI image layout.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        let (algorithm, hex) = path.strip_prefix("blobs/")?.split_once('/')?;
        parse(algorithm, hex)
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha512(bytes) => bytes,
        }
    }
}

/// Reads the one spelling of a digest; upper case is refused, as the specification asks.
fn parse(algorithm: &str, hex: &str) -> Option<Digest> {
    if !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    match algorithm {
        "sha256" => {
            let mut bytes = [0; 32];
            hex::decode_to_slice(hex, &mut bytes).ok().map(|()| Digest::Sha256(bytes))
        }
        "sha512" => {
            let mut bytes = [0; 64];
            hex::decode_to_slice(hex, &mut bytes).ok().map(|()| Digest::Sha512(bytes))
        }
        _ => None,
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let quoted = || text.chars().take(QUOTED).collect();
        let (algorithm, hex) =
            text.split_once(':').ok_or_else(|| DigestError::Malformed(quoted()))?;
        parse(algorithm, hex).ok_or_else(|| {
            let known = matches!(algorithm, "sha256" | "sha512");
            let plain = hex.bytes().all(|b| b.is_ascii_hexdigit()) && !hex.is_empty();
            if known || algorithm.is_empty() || !plain {
                DigestError::Malformed(quoted())
            } else {
                DigestError::Algorithm(quoted())
            }
        })
    }
}

impl From<Sha256Digest> for Digest {
    fn from(digest: Sha256Digest) -> Self {
        Self::Sha256(*digest.as_bytes())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A comparison under way between bytes and the digest they must have.
///
/// Also a [`io::Write`], so that `io::copy` can feed it.
#[derive(Debug, Clone)]
pub struct Check {
    expected: Digest,
    hasher: Hasher,
}

#[derive(Debug, Clone)]
enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Check {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.hasher {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Ends the comparison.
    ///
    /// # Errors
    /// [`DigestMismatch`] if the bytes have another digest.
    pub fn finish(self) -> Result<(), Box<DigestMismatch>> {
        let found = match self.hasher {
            Hasher::Sha256(hasher) => hasher.finish().into(),
            Hasher::Sha512(hasher) => Digest::Sha512(hasher.finalize().into()),
        };
        if found == self.expected {
            Ok(())
        } else {
            Err(Box::new(DigestMismatch { expected: self.expected, found }))
        }
    }
}

impl io::Write for Check {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
