//! Publishers, named by their Ed25519 key as `did:key`, and the key pairs that sign.
//!
//! Owns key parsing and strict verification (no small-order keys, canonical encodings only). Does
//! not store keys.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// multicodec `ed25519-pub` as a varint (did:key spec, "Ed25519").
const ED25519_PUB: [u8; 2] = [0xed, 0x01];
/// Longest text that is decoded; a did:key of Ed25519 has 56 characters.
const MAX_TEXT: usize = 64;

/// A text or bytes that do not name a usable Ed25519 key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublisherError {
    /// Not `did:key:z…` of an Ed25519 key.
    #[error("{0:?} is not a publisher (`did:key:z6Mk…`, an Ed25519 key)")]
    Text(String),
    /// The 32 bytes are not a point on the curve, not canonical, or of small order.
    #[error("these bytes are not a usable Ed25519 public key")]
    Key,
    /// Not one of the words for [`PublisherKind`].
    #[error("{0:?} is neither `upstream` nor `archivist`")]
    Kind(String),
}

/// An Ed25519 public key that signs statements, written `did:key:z6Mk…`.
///
/// ```
/// use perennial_manifest::PublisherId;
///
/// let text = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
/// let id: PublisherId = text.parse()?;
/// assert_eq!(id.to_string(), text);
/// assert!("did:web:example.org".parse::<PublisherId>().is_err());
/// # Ok::<(), perennial_manifest::PublisherError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublisherId([u8; 32]);

impl PublisherId {
    /// The publisher with this public key.
    ///
    /// # Errors
    /// [`PublisherError::Key`] for a key that strict verification never accepts.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, PublisherError> {
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| PublisherError::Key)?;
        if key.is_weak() || key.to_edwards().compress().to_bytes() != bytes {
            return Err(PublisherError::Key);
        }
        Ok(Self(bytes))
    }

    /// The 32 bytes of the public key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature` is this publisher's over `message` (RFC 8032 with the strict checks of
    /// `verify_strict`).
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
    }
}

impl fmt::Display for PublisherId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = ED25519_PUB.to_vec();
        bytes.extend_from_slice(&self.0);
        write!(f, "did:key:z{}", bs58::encode(bytes).into_string())
    }
}

impl fmt::Debug for PublisherId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublisherId({})", hex::encode(&self.0[..8]))
    }
}

impl FromStr for PublisherId {
    type Err = PublisherError;

    fn from_str(text: &str) -> Result<Self, PublisherError> {
        let err = || PublisherError::Text(text.chars().take(100).collect());
        let base58 = text.strip_prefix("did:key:z").ok_or_else(err)?;
        if base58.len() > MAX_TEXT {
            return Err(err());
        }
        let bytes = bs58::decode(base58).into_vec().map_err(|_| err())?;
        let key = bytes.strip_prefix(&ED25519_PUB).ok_or_else(err)?;
        let id = Self::from_bytes(key.try_into().map_err(|_| err())?)?;
        // Base58 has spellings with leading zeros; only the printed one is accepted.
        if id.to_string() == text { Ok(id) } else { Err(err()) }
    }
}

impl Serialize for PublisherId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for PublisherId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            let bytes = serde_bytes::ByteArray::<32>::deserialize(deserializer)?;
            Self::from_bytes(bytes.into_array()).map_err(D::Error::custom)
        }
    }
}

/// The role that a publisher claims. Never conflated, in data or on screen.
///
/// The default is for a publisher whose feed has no profile: it counts as an archivist, because
/// silence makes no one upstream.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum PublisherKind {
    /// The project itself.
    Upstream,
    /// A third party that saved a copy.
    #[default]
    Archivist,
}

impl PublisherKind {
    /// The word for it, in profiles and in `--json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Archivist => "archivist",
        }
    }
}

impl fmt::Display for PublisherKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for PublisherKind {
    type Err = PublisherError;

    fn from_str(text: &str) -> Result<Self, PublisherError> {
        match text {
            "upstream" => Ok(Self::Upstream),
            "archivist" => Ok(Self::Archivist),
            other => Err(PublisherError::Kind(other.chars().take(100).collect())),
        }
    }
}

/// A publisher's secret key. Its bytes are never printed.
#[derive(Clone)]
pub struct Keypair(SigningKey);

impl Keypair {
    /// The key pair of a 32-byte seed (RFC 8032, "secret key").
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The seed. Keep it secret.
    #[must_use]
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The publisher it signs as.
    #[must_use]
    pub fn id(&self) -> PublisherId {
        PublisherId(self.0.verifying_key().to_bytes())
    }

    /// The Ed25519 signature over `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keypair of {}", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_did_key_has_one_text() {
        // The test vector for Ed25519 of the did:key specification.
        let text = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
        let id: PublisherId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        for wrong in ["did:key:z", "did:key:f6Mk", "did:web:example.org", "did:key:z1", &text[..40]]
        {
            assert!(wrong.parse::<PublisherId>().is_err(), "{wrong}");
        }
        assert_eq!(PublisherId::from_bytes([0; 32]), Err(PublisherError::Key), "small order");
        assert!(!format!("{:?}", Keypair::from_seed([9; 32])).contains("0909"));
    }

    #[test]
    fn a_key_has_one_encoding() {
        // y at and above the field's prime p: p + n is another spelling of n.
        let second_ways = (0xed..=0xff).flat_map(|low| [0x7f, 0xff].map(|top| (low, top)));
        let mut usable = 0;
        for (low, top) in second_ways {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, top);
            usable += usize::from(VerifyingKey::from_bytes(&bytes).is_ok_and(|key| !key.is_weak()));
            assert_eq!(PublisherId::from_bytes(bytes), Err(PublisherError::Key), "{low:x} {top:x}");
        }
        assert!(usable > 0, "only their encoding is wrong");
    }
}
