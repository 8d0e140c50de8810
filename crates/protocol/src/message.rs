//! What peers say to each other: requests, responses and blob requests, and their one encoding (DAG-CBOR).
//!
//! Owns every bound on a message; a list longer than its bound is refused while it is read, before it costs
//! memory. Promises that what decodes re-encodes to the same bytes. Does not decide what to answer.
//! The bytes are drawn in `PROTOCOL.md`.

use perennial_manifest::{BlobId, EntryId, Holding, PublisherId, ReleaseId, Sha256Digest};
use serde::{Deserialize, Serialize};

mod blob;
mod bounded;
mod frame;
mod holdings;
pub use blob::{BlobRange, BlobRequest};
pub use bounded::{Bounded, TooMany};
pub use frame::{frame_length, frame_prefix};

/// Gossip topic of signed entries. A message is one `SignedEntry`, encoded.
pub const TOPIC: &str = "perennial/entries/1";
/// Protocol name of requests and responses.
pub const REQUEST_PROTOCOL: &str = "/perennial/request/1";
/// Protocol name of blob streams.
pub const BLOB_PROTOCOL: &str = "/perennial/blob/1";

/// Largest encoded request.
pub const MAX_REQUEST: usize = 512 * 1024;
/// Largest encoded response.
pub const MAX_RESPONSE: usize = 8 * 1024 * 1024;
/// Bytes of entries that one response carries at most; the rest is asked for again.
pub const MAX_ENTRIES_BYTES: usize = 4 * 1024 * 1024;
/// Largest encoded blob request (without its length).
pub const MAX_BLOB_REQUEST: usize = 256 * 1024;
/// Entries that one request names.
pub const MAX_ENTRY_IDS: usize = 512;
/// Publishers that one scope names.
pub const MAX_SCOPE: usize = 1024;
/// Entries that a `Find` answer carries.
pub const MAX_FOUND: usize = 256;
/// Longest selector text.
pub const MAX_SELECTOR: usize = 1100;
/// Releases that one `Have` names.
pub const MAX_HAVE_RELEASES: usize = 256;
/// Blobs that one `Have` names.
pub const MAX_HAVE_BLOBS: usize = 1024;
/// Blobs that one blob request names.
pub const MAX_BLOB_ITEMS: usize = 1024;
/// Ranges that one item of a blob request names.
pub const MAX_RANGES: usize = 256;
/// Ranges start at multiples of this: the group that bao verifies.
pub const GROUP: u64 = 16 * 1024;
/// Largest negentropy message in a request, and in a response.
pub const MAX_RECONCILE_REQUEST: usize = 384 * 1024;
/// See [`MAX_RECONCILE_REQUEST`].
pub const MAX_RECONCILE_RESPONSE: usize = 4 * 1024 * 1024;

/// Answer to an item of a blob request: the encoded ranges follow (size, then bao).
pub const BLOB_OK: u8 = 0;
/// Answer to an item of a blob request: not held here. Nothing follows.
pub const BLOB_NOT_HELD: u8 = 1;
/// Answer to an item of a blob request: held perhaps, not given now. Nothing follows.
pub const BLOB_REFUSED: u8 = 2;

/// Whose entries a reconciliation is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everybody's.
    All,
    /// These publishers', sorted, each once.
    Publishers(Bounded<PublisherId, MAX_SCOPE>),
}

/// A question to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// One round of range-based reconciliation. Rounds carry no state: the responder needs only this message.
    Reconcile {
        /// Whose entries.
        scope: Scope,
        /// A negentropy message of the initiator.
        #[serde(with = "serde_bytes")]
        message: Vec<u8>,
    },
    /// These entries, please.
    Entries {
        /// Which.
        ids: Bounded<EntryId, MAX_ENTRY_IDS>,
    },
    /// Release entries that match a selector.
    Find {
        /// A `Selector` as text.
        selector: String,
        /// Only this publisher's.
        publisher: Option<PublisherId>,
        /// At most so many, up to [`MAX_FOUND`].
        limit: u16,
    },
    /// What do you hold of these?
    Have {
        /// Releases.
        releases: Bounded<ReleaseId, MAX_HAVE_RELEASES>,
        /// Blobs.
        blobs: Bounded<BlobId, MAX_HAVE_BLOBS>,
    },
    /// Which blob has this SHA-256? The answer is a claim until the bytes were hashed.
    ResolveSha256 {
        /// The digest.
        digest: Sha256Digest,
    },
}

/// An encoded `SignedEntry` as it travels: checked by whoever decodes it, not here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryBytes(#[serde(with = "serde_bytes")] pub Vec<u8>);

/// A blob that a peer says has a certain SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobClaim {
    /// The blob.
    pub blob: BlobId,
    /// Its size in bytes.
    pub size: u64,
}

/// Why a peer does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Asked too much for now: later.
    Busy,
    /// Never so much at once.
    TooLarge,
    /// The question makes no sense.
    Malformed,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Response {
    /// To `Reconcile`: the responder's negentropy message.
    Reconcile {
        /// The message.
        #[serde(with = "serde_bytes")]
        message: Vec<u8>,
    },
    /// To `Entries`: those of them that the peer has, up to [`MAX_ENTRIES_BYTES`], in the order asked.
    Entries {
        /// Encoded entries.
        entries: Bounded<EntryBytes, MAX_ENTRY_IDS>,
    },
    /// To `Find`: release entries that match.
    Found {
        /// Encoded entries.
        entries: Bounded<EntryBytes, MAX_FOUND>,
    },
    /// To `Have`, in the order asked.
    Have {
        /// Of each release; `None` of one that the peer does not know.
        #[serde(with = "holdings")]
        releases: Bounded<Option<Holding>, MAX_HAVE_RELEASES>,
        /// Of each blob the size, if every byte of it is held.
        blobs: Bounded<Option<u64>, MAX_HAVE_BLOBS>,
    },
    /// To `ResolveSha256`.
    Sha256 {
        /// The blob, if the peer holds one.
        blob: Option<BlobClaim>,
    },
    /// No answer, and why.
    Refused {
        /// Why.
        reason: Refusal,
    },
}

/// Why a message was not written or not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Longer than the bound.
    #[error("a message of {length} bytes, limit {limit}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The bound.
        limit: usize,
    },
    /// Not the encoding of anything we know.
    #[error("not a message: {0}")]
    Malformed(String),
    /// Decodes, but is not the one encoding of its value.
    #[error("not the canonical encoding")]
    NotCanonical,
    /// Ranges out of order, overlapping, empty or not aligned.
    #[error(
        "blob ranges must ascend, must not overlap or be empty, and start at multiples of {GROUP}"
    )]
    Ranges,
}

impl Request {
    /// Its encoding.
    ///
    /// # Errors
    /// When it is over [`MAX_REQUEST`].
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        encode(self, MAX_REQUEST)
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is too long, not canonical or over a bound.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let request: Self = decode(bytes, MAX_REQUEST)?;
        match &request {
            Self::Reconcile { message, .. } if message.len() > MAX_RECONCILE_REQUEST => {
                Err(MessageError::TooLong { length: message.len(), limit: MAX_RECONCILE_REQUEST })
            }
            Self::Find { selector, .. } if selector.len() > MAX_SELECTOR => {
                Err(MessageError::TooLong { length: selector.len(), limit: MAX_SELECTOR })
            }
            _ => Ok(request),
        }
    }
}

impl Response {
    /// Its encoding.
    ///
    /// # Errors
    /// When it is over [`MAX_RESPONSE`].
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        encode(self, MAX_RESPONSE)
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is too long, not canonical or over a bound.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        decode(bytes, MAX_RESPONSE)
    }
}

fn encode<T: Serialize>(value: &T, limit: usize) -> Result<Vec<u8>, MessageError> {
    let bytes =
        serde_ipld_dagcbor::to_vec(value).map_err(|e| MessageError::Malformed(e.to_string()))?;
    if bytes.len() > limit {
        return Err(MessageError::TooLong { length: bytes.len(), limit });
    }
    Ok(bytes)
}

fn decode<T: Serialize + serde::de::DeserializeOwned>(
    bytes: &[u8],
    limit: usize,
) -> Result<T, MessageError> {
    if bytes.len() > limit {
        return Err(MessageError::TooLong { length: bytes.len(), limit });
    }
    let value: T = serde_ipld_dagcbor::from_slice(bytes).map_err(|e| {
        let mut text = e.to_string();
        text.truncate(text.char_indices().nth(200).map_or(text.len(), |(at, _)| at));
        MessageError::Malformed(text)
    })?;
    if encode(&value, limit)? != bytes {
        return Err(MessageError::NotCanonical);
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
