//! One signed statement in a publisher's feed.
//!
//! Owns the payload and its bounds (FORMAT.md, "Entry"); `signed` owns the envelope around it.
//! Promises that one payload has one id. Does not know the feed: `feed` decides whether an entry
//! continues it.

mod signed;

use ipld_core::ipld::Ipld;
use serde::{Deserialize, Serialize};

use crate::canonical::{self, CanonicalError};
use crate::{Body, BodyError, EntryId, Keypair, PublisherId};

pub use signed::SignedEntry;
use signed::signed_bytes;

/// Longest payload, in bytes.
pub const MAX_PAYLOAD: usize = 8 << 10;
/// Longest encoded entry: payload, two signatures and the envelope.
pub const MAX_ENCODED: usize = MAX_PAYLOAD + 512;
/// Most predecessors of one entry.
pub const MAX_PREVS: usize = 4;
/// Deepest nesting of maps and lists, the payload included: the same for every reader, whatever its
/// codec accepts.
pub const MAX_DEPTH: usize = 32;
/// Highest sequence number. Many readers of DAG-CBOR have signed integers.
pub const MAX_SEQ: u64 = i64::MAX as u64;

/// Bytes that are not an entry, or an entry that must not be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Over [`MAX_PAYLOAD`] or [`MAX_ENCODED`].
    #[error("entry of {found} bytes is longer than {limit}")]
    TooLong {
        /// Length found.
        found: usize,
        /// The most allowed.
        limit: usize,
    },
    /// Not the one encoding of an entry.
    #[error("entry: {0}")]
    Encoding(#[from] CanonicalError),
    /// The body is not allowed.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The signer marked a field as critical that this version does not know.
    #[error("entry: the critical field {0:?} is not known to this version")]
    Critical(String),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("entry: more than {MAX_DEPTH} maps and lists nested inside each other")]
    TooDeep,
    /// A first entry with predecessors, or a later one without; too many predecessors, or a
    /// duplicate.
    #[error("entry: seq {seq} with {prevs} predecessors")]
    Prevs {
        /// Its sequence number.
        seq: u64,
        /// Number of predecessors.
        prevs: usize,
    },
    /// A signature does not verify, or there are too few or too many.
    #[error("entry: not signed by {0}")]
    Signature(PublisherId),
    /// Signed with a key that is not the publisher's.
    #[error("entry: the given key does not belong to {0}")]
    WrongKey(PublisherId),
}

/// A statement and its place in a feed, without a signature.
///
/// ```
/// use perennial_manifest::{Body, Entry, Keypair, Profile, PublisherKind, SignedEntry};
///
/// let key = Keypair::from_seed([1; 32]);
/// let body = Body::Profile(Profile {
///     name: "KubeSphere savers".into(),
///     publisher_kind: PublisherKind::Archivist,
///     contact: None,
///     claims: Vec::new(),
/// });
/// let entry = Entry { publisher: key.id(), seq: 0, prevs: Vec::new(), issued_at: 0, body };
/// let signed = entry.sign(&key)?;
///
/// let mut bytes = signed.encode();
/// let received = SignedEntry::decode(&bytes)?;
/// assert_eq!((received.id(), received.entry().publisher), (signed.id(), key.id()));
///
/// *bytes.last_mut().unwrap() ^= 1;
/// assert!(SignedEntry::decode(&bytes).is_err(), "the signature does not verify");
/// # Ok::<(), perennial_manifest::EntryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The publisher whose feed it is in.
    pub publisher: PublisherId,
    /// Sequence number: one more than the highest of `prevs`; 0 for the first entry.
    pub seq: u64,
    /// Predecessors, 1 to [`MAX_PREVS`]; none for the first entry.
    pub prevs: Vec<EntryId>,
    /// Unix seconds by the publisher's clock. Proves nothing.
    pub issued_at: u64,
    /// The statement.
    pub body: Body,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    publisher: PublisherId,
    seq: u64,
    prevs: Vec<EntryId>,
    issued_at: u64,
    kind: String,
    body: Ipld,
}

impl Entry {
    /// Signs with the publisher's key. A `rotate` needs [`Entry::sign_rotation`].
    ///
    /// # Errors
    /// [`EntryError::WrongKey`], or the error of an invalid entry: an entry that readers would
    /// refuse is not signed.
    pub fn sign(self, key: &Keypair) -> Result<SignedEntry, EntryError> {
        if key.id() != self.publisher {
            return Err(EntryError::WrongKey(self.publisher));
        }
        if let Body::Rotate(rotate) = &self.body {
            return Err(EntryError::WrongKey(rotate.next));
        }
        self.sign_by(&[key])
    }

    /// Signs a `rotate` with the old key and its successor.
    ///
    /// # Errors
    /// As [`Entry::sign`].
    pub fn sign_rotation(self, old: &Keypair, new: &Keypair) -> Result<SignedEntry, EntryError> {
        match &self.body {
            Body::Rotate(rotate) if rotate.next == new.id() && self.publisher == old.id() => {
                self.sign_by(&[old, new])
            }
            Body::Rotate(rotate) if rotate.next != new.id() => {
                Err(EntryError::WrongKey(rotate.next))
            }
            _ => Err(EntryError::WrongKey(self.publisher)),
        }
    }

    fn sign_by(self, keys: &[&Keypair]) -> Result<SignedEntry, EntryError> {
        let payload = canonical::to_vec(&Payload {
            publisher: self.publisher,
            seq: self.seq,
            prevs: self.prevs.clone(),
            issued_at: self.issued_at,
            kind: self.body.kind().to_owned(),
            body: self.body.to_fields()?,
        })?;
        let signed = signed_bytes(&payload);
        let sigs = keys.iter().map(|key| key.sign(&signed)).collect();
        // Read back the way every reader does: what is signed here is accepted there.
        SignedEntry::verify(payload, sigs)
    }

    fn read(payload: &[u8]) -> Result<Self, EntryError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(EntryError::TooLong { found: payload.len(), limit: MAX_PAYLOAD });
        }
        // The whole value first: it reveals fields that `Payload` does not know, and whether the
        // bytes are its one encoding.
        let whole: Ipld = canonical::from_slice(payload)?;
        check_open_fields(&whole, 1)?;
        let read: Payload =
            serde_ipld_dagcbor::from_slice(payload).map_err(CanonicalError::from)?;
        let prevs_fit = match read.prevs.len() {
            0 => read.seq == 0,
            1..=MAX_PREVS => read.seq > 0 && read.seq <= MAX_SEQ,
            _ => false,
        };
        let mut sorted = read.prevs.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if !prevs_fit || sorted != read.prevs {
            return Err(EntryError::Prevs { seq: read.seq, prevs: read.prevs.len() });
        }
        let body = Body::from_fields(&read.kind, &read.body)?;
        body.check()?;
        if matches!(body, Body::Merge(_)) && read.prevs.len() < 2 {
            return Err(EntryError::Prevs { seq: read.seq, prevs: read.prevs.len() });
        }
        Ok(Self {
            publisher: read.publisher,
            seq: read.seq,
            prevs: read.prevs,
            issued_at: read.issued_at,
            body,
        })
    }
}

/// Refuses what no reader may skip: a field whose name begins with `!` (none is known so far), and
/// excessive nesting.
fn check_open_fields(value: &Ipld, depth: usize) -> Result<(), EntryError> {
    match value {
        Ipld::Map(_) | Ipld::List(_) if depth > MAX_DEPTH => Err(EntryError::TooDeep),
        Ipld::Map(map) => map.iter().try_for_each(|(field, value)| {
            if field.starts_with('!') {
                return Err(EntryError::Critical(field.chars().take(64).collect()));
            }
            check_open_fields(value, depth + 1)
        }),
        Ipld::List(list) => list.iter().try_for_each(|value| check_open_fields(value, depth + 1)),
        _ => Ok(()),
    }
}
