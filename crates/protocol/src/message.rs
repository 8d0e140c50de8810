//! The messages between peers: requests, responses and blob requests, and their encoding
//! (DAG-CBOR).
//!
//! Owns every bound on a message; a list longer than its bound is rejected while it is read, before
//! it costs memory. Every message that decodes re-encodes to the same bytes. Does not choose
//! responses. `PROTOCOL.md` describes the bytes.

use perennial_manifest::{BlobId, EntryId, Holding, PublisherId, ReleaseId, Sha256Digest};
use serde::{Deserialize, Serialize};

mod blob;
mod bounded;
mod frame;
mod holdings;
pub use blob::{BlobRange, BlobRequest};
pub use bounded::{Bounded, TooMany};
pub use frame::{frame_length, frame_prefix};

/// Gossip topic of signed entries. A message is one encoded `SignedEntry`.
pub const TOPIC: &str = "perennial/entries/1";
/// Protocol name of requests and responses.
pub const REQUEST_PROTOCOL: &str = "/perennial/request/1";
/// Protocol name of blob streams.
pub const BLOB_PROTOCOL: &str = "/perennial/blob/1";

/// Largest encoded request, in bytes.
pub const MAX_REQUEST: usize = 512 * 1024;
/// Largest encoded response, in bytes.
pub const MAX_RESPONSE: usize = 8 * 1024 * 1024;
/// Bytes of entries in one response, at most; the remaining entries are requested again.
pub const MAX_ENTRIES_BYTES: usize = 4 * 1024 * 1024;
/// Largest encoded blob request in bytes, without its length prefix.
pub const MAX_BLOB_REQUEST: usize = 256 * 1024;
/// Entries in one request, at most.
pub const MAX_ENTRY_IDS: usize = 512;
/// Publishers in one scope, at most.
pub const MAX_SCOPE: usize = 1024;
/// Entries in the response to a `Find` or a `Search`, at most.
pub const MAX_FOUND: usize = 256;
/// Longest text of a selector or a search, in bytes.
pub const MAX_SELECTOR: usize = 1100;
/// Releases in one `Have`, at most.
pub const MAX_HAVE_RELEASES: usize = 256;
/// Blobs in one `Have`, at most.
pub const MAX_HAVE_BLOBS: usize = 1024;
/// Blobs in one blob request, at most.
pub const MAX_BLOB_ITEMS: usize = 1024;
/// Ranges in one item of a blob request, at most.
pub const MAX_RANGES: usize = 256;
/// Size in bytes of bao's verification group. Ranges start at multiples of it.
pub const GROUP: u64 = 16 * 1024;
/// Largest negentropy message in a request, in bytes.
pub const MAX_RECONCILE_REQUEST: usize = 384 * 1024;
/// Largest negentropy message in a response, in bytes.
pub const MAX_RECONCILE_RESPONSE: usize = 4 * 1024 * 1024;

/// Status of an item of a blob request: the size and the bao encoding of the ranges follow.
pub const BLOB_OK: u8 = 0;
/// Status of an item of a blob request: the peer does not hold the blob. Nothing follows.
pub const BLOB_NOT_HELD: u8 = 1;
/// Status of an item of a blob request: refused for now. Nothing follows.
pub const BLOB_REFUSED: u8 = 2;

/// The publishers whose entries are reconciled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every publisher.
    All,
    /// These publishers, sorted, each once.
    Publishers(Bounded<PublisherId, MAX_SCOPE>),
}

impl Scope {
    /// Whether its publishers are sorted, each once: else one scope would have many names.
    pub(crate) fn is_sorted(&self) -> bool {
        match self {
            Self::All => true,
            Self::Publishers(some) => some.windows(2).all(|pair| pair[0] < pair[1]),
        }
    }
}

/// A request to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// One round of range-based reconciliation. The responder keeps no state: this message is all
    /// it needs.
    Reconcile {
        /// The publishers whose entries are reconciled.
        scope: Scope,
        /// A negentropy message of the initiator.
        #[serde(with = "serde_bytes")]
        message: Vec<u8>,
    },
    /// Asks for entries by id.
    Entries {
        /// The entries, in the requested order.
        ids: Bounded<EntryId, MAX_ENTRY_IDS>,
    },
    /// Asks for release entries that match a selector.
    Find {
        /// A `Selector` as text.
        selector: String,
        /// Only entries of this publisher.
        publisher: Option<PublisherId>,
        /// Entries requested, at most; no more than [`MAX_FOUND`].
        limit: u16,
    },
    /// Asks how much the peer holds.
    Have {
        /// Releases to ask about.
        releases: Bounded<ReleaseId, MAX_HAVE_RELEASES>,
        /// Blobs to ask about.
        blobs: Bounded<BlobId, MAX_HAVE_BLOBS>,
    },
    /// Asks which blob has this SHA-256. The answer is a claim until the bytes are hashed.
    ResolveSha256 {
        /// The digest to look for.
        digest: Sha256Digest,
    },
    /// Asks for release entries by parts of their names, by their files' names, or by a digest.
    /// Answered with `Found`. A peer of version 0.1.0 closes the stream without a response.
    Search {
        /// Words separated by spaces, all of which have to occur.
        text: String,
        /// Entries requested, at most; no more than [`MAX_FOUND`].
        limit: u16,
    },
}

/// An encoded `SignedEntry` as sent. Verified when it is decoded, not here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryBytes(#[serde(with = "serde_bytes")] pub Vec<u8>);

/// A peer's claim about a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobClaim {
    /// The blob's digest.
    pub blob: BlobId,
    /// Its size in bytes.
    pub size: u64,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The peer has used up its share for now.
    Busy,
    /// The request exceeds the largest answer.
    TooLarge,
    /// The request is malformed.
    Malformed,
}

/// A response to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Response {
    /// To `Reconcile`: the responder's negentropy message.
    Reconcile {
        /// A negentropy message of the responder.
        #[serde(with = "serde_bytes")]
        message: Vec<u8>,
    },
    /// To `Entries`: the entries that the peer has, up to [`MAX_ENTRIES_BYTES`], in the requested
    /// order.
    Entries {
        /// Encoded entries.
        entries: Bounded<EntryBytes, MAX_ENTRY_IDS>,
    },
    /// To `Find` and `Search`: release entries that match.
    Found {
        /// Encoded entries.
        entries: Bounded<EntryBytes, MAX_FOUND>,
    },
    /// To `Have`, in the requested order.
    Have {
        /// The holding of each release; `None` when the peer does not know it.
        #[serde(with = "holdings")]
        releases: Bounded<Option<Holding>, MAX_HAVE_RELEASES>,
        /// The size in bytes of each blob that is completely held.
        blobs: Bounded<Option<u64>, MAX_HAVE_BLOBS>,
    },
    /// To `ResolveSha256`.
    Sha256 {
        /// The blob, if the peer holds one.
        blob: Option<BlobClaim>,
    },
    /// To any request: it is not answered.
    Refused {
        /// Why it is not answered.
        reason: Refusal,
    },
}

/// Why a message could not be encoded or decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The message exceeds its bound.
    #[error("a message of {length} bytes is over the limit of {limit}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The bound in bytes.
        limit: usize,
    },
    /// The bytes are not the encoding of a known message.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// The message decodes, but is not the canonical encoding of its value.
    #[error("a message is not in its canonical encoding")]
    NotCanonical,
    /// The ranges of a blob request are out of order, overlapping, empty or unaligned.
    #[error(
        "blob ranges must ascend, must not overlap or be empty, and start at multiples of {GROUP}"
    )]
    Ranges,
}

impl Request {
    /// Encodes the message.
    ///
    /// # Errors
    /// When the message is over [`MAX_REQUEST`].
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        encode(self, MAX_REQUEST)
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// When the bytes are too long, not canonical or over a bound.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let request: Self = decode(bytes, MAX_REQUEST)?;
        match &request {
            Self::Reconcile { message, .. } if message.len() > MAX_RECONCILE_REQUEST => {
                Err(MessageError::TooLong { length: message.len(), limit: MAX_RECONCILE_REQUEST })
            }
            Self::Find { selector, .. } if selector.len() > MAX_SELECTOR => {
                Err(MessageError::TooLong { length: selector.len(), limit: MAX_SELECTOR })
            }
            Self::Search { text, .. } if text.len() > MAX_SELECTOR => {
                Err(MessageError::TooLong { length: text.len(), limit: MAX_SELECTOR })
            }
            _ => Ok(request),
        }
    }
}

impl Response {
    /// Encodes the message.
    ///
    /// # Errors
    /// When the message is over [`MAX_RESPONSE`].
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        encode(self, MAX_RESPONSE)
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// When the bytes are too long, not canonical or over a bound.
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
