//! Digests: BLAKE3 for blobs and entries, SHA-256 for the names that other tools use.
//!
//! Owns their parsing and printing. Every id is 32 bytes and has exactly one text form. The store
//! hashes files.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not the expected digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct DigestError {
    text: String,
    expected: &'static str,
}

impl DigestError {
    /// The form that the text lacks.
    pub(crate) const fn expected(&self) -> &'static str {
        self.expected
    }

    fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.chars().take(100).collect(), expected }
    }
}

fn parse_hex(
    text: &str,
    hex_part: Option<&str>,
    expected: &'static str,
) -> Result<[u8; 32], DigestError> {
    let err = || DigestError::new(text, expected);
    let hex_part = hex_part.ok_or_else(err)?;
    // One value, one text: upper case is refused, as in OCI.
    if hex_part.len() != 64 || hex_part.bytes().any(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(err());
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(hex_part, &mut bytes).map_err(|_| err())?;
    Ok(bytes)
}

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The id with these 32 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Its 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The 64 lower-case hex digits, without the algorithm's name.
            #[must_use]
            pub fn to_hex(&self) -> String {
                hex::encode(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), &hex::encode(self.0)[..16])
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                parse_hex(text, text.strip_prefix($prefix), $expected).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    serde_bytes::ByteArray::<32>::deserialize(deserializer)
                        .map(|bytes| Self(bytes.into_array()))
                }
            }
        }
    };
}

digest!(
    /// The BLAKE3 of a blob, written `blake3:<64 hex>` (the name that OCI registered).
    ///
    /// ```
    /// use perennial_manifest::BlobId;
    ///
    /// let id = BlobId::of(b"abc");
    /// assert_eq!(id.to_string().parse(), Ok(id));
    /// assert!(id.to_string().to_uppercase().parse::<BlobId>().is_err(), "one value, one text");
    /// ```
    BlobId, "blake3:", "a blob id (`blake3:` and 64 lower-case hex digits)"
);
digest!(
    /// A SHA-256, written `sha256:<64 hex>`: what docker, Helm and SHA256SUMS call the same bytes.
    Sha256Digest, "sha256:", "a SHA-256 digest (`sha256:` and 64 lower-case hex digits)"
);
digest!(
    /// The BLAKE3 of an entry's payload, written as 64 hex digits.
    EntryId, "", "an entry id (64 lower-case hex digits)"
);
digest!(
    /// The id of an entry whose body is a release, written as 64 hex digits.
    ReleaseId, "", "a release id (64 lower-case hex digits)"
);

digest!(
    /// The digest of a release's content: what is compared when publishers are (FORMAT.md,
    /// "Content"). Equal contents are equal bytes under equal names, wherever they came from.
    ContentId, "content:", "a content id (`content:` and 64 lower-case hex digits)"
);

impl BlobId {
    /// The id of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl EntryId {
    /// The id of the entry with this payload.
    #[must_use]
    pub fn of(payload: &[u8]) -> Self {
        Self(*blake3::hash(payload).as_bytes())
    }
}

impl From<EntryId> for ReleaseId {
    fn from(entry: EntryId) -> Self {
        Self(entry.0)
    }
}

impl ReleaseId {
    /// The id of the entry that states this release.
    #[must_use]
    pub const fn entry(&self) -> EntryId {
        EntryId(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_text() {
        let id = BlobId::of(b"abc");
        let text = id.to_string();
        assert_eq!(text, "blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
        assert_eq!(text.parse::<BlobId>(), Ok(id));
        assert!(text.to_uppercase().parse::<BlobId>().is_err());
        assert!(text.replace("blake3", "sha256").parse::<BlobId>().is_err());
        assert!(text[..70].parse::<BlobId>().is_err());
        assert!("".parse::<EntryId>().is_err());
    }
}
