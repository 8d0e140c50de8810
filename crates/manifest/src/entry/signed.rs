//! A verified entry, and the envelope in which it travels.
//!
//! Promises that every [`SignedEntry`] was verified over the bytes received.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Entry, EntryError, MAX_ENCODED};
use crate::{Body, EntryId, Release, ReleaseId, canonical};

/// Prefix of everything that is signed, so that a signature cannot mean anything else.
const CONTEXT: &[u8] = b"perennial/entry/1";

#[derive(Serialize, Deserialize)]
struct Envelope {
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
    sigs: Vec<serde_bytes::ByteArray<64>>,
}

/// A verified entry. Cheap to clone.
#[derive(Clone)]
pub struct SignedEntry(Arc<Inner>);

struct Inner {
    id: EntryId,
    payload: Vec<u8>,
    sigs: Vec<[u8; 64]>,
    entry: Entry,
}

impl SignedEntry {
    /// Reads and verifies an entry from untrusted bytes.
    ///
    /// # Errors
    /// [`EntryError`]: too long, not canonical, a field out of bounds, or a signature that does not
    /// verify.
    pub fn decode(encoded: &[u8]) -> Result<Self, EntryError> {
        if encoded.len() > MAX_ENCODED {
            return Err(EntryError::TooLong { found: encoded.len(), limit: MAX_ENCODED });
        }
        let envelope: Envelope = canonical::from_slice(encoded)?;
        Self::verify(
            envelope.payload,
            envelope.sigs.into_iter().map(serde_bytes::ByteArray::into_array).collect(),
        )
    }

    /// Reads what an entry states that was verified before under this id: bytes of one hash have
    /// one signer, so that the signature need not be verified again. `None` if these are other
    /// bytes.
    ///
    /// # Errors
    /// [`EntryError`]: too long, not canonical, or a field out of bounds.
    pub fn statement(encoded: &[u8], id: &EntryId) -> Result<Option<Entry>, EntryError> {
        if encoded.len() > MAX_ENCODED {
            return Err(EntryError::TooLong { found: encoded.len(), limit: MAX_ENCODED });
        }
        let envelope: Envelope = canonical::from_slice(encoded)?;
        if EntryId::of(&envelope.payload) != *id {
            return Ok(None);
        }
        Entry::read(&envelope.payload).map(Some)
    }

    pub(super) fn verify(payload: Vec<u8>, sigs: Vec<[u8; 64]>) -> Result<Self, EntryError> {
        let entry = Entry::read(&payload)?;
        let mut signers = vec![entry.publisher];
        if let Body::Rotate(rotate) = &entry.body {
            signers.push(rotate.next);
        }
        let signed = signed_bytes(&payload);
        for (at, signer) in signers.iter().enumerate() {
            if !sigs.get(at).is_some_and(|sig| signer.verifies(&signed, sig)) {
                return Err(EntryError::Signature(*signer));
            }
        }
        if sigs.len() != signers.len() {
            return Err(EntryError::Signature(entry.publisher));
        }
        Ok(Self(Arc::new(Inner { id: EntryId::of(&payload), payload, sigs, entry })))
    }

    /// The bytes that travel and are stored; at most [`MAX_ENCODED`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let sigs = self.0.sigs.iter().map(|sig| serde_bytes::ByteArray::new(*sig)).collect();
        canonical::to_vec(&Envelope { payload: self.0.payload.clone(), sigs }).unwrap_or_default()
    }

    /// BLAKE3 of the payload.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.0.id
    }

    /// The statement and its place.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.0.entry
    }

    /// The signed bytes without their frame.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.0.payload
    }

    /// The release it states, if it states one.
    #[must_use]
    pub fn release(&self) -> Option<(ReleaseId, &Release)> {
        match &self.0.entry.body {
            Body::Release(release) => Some((self.0.id.into(), release)),
            _ => None,
        }
    }
}

impl PartialEq for SignedEntry {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id && self.0.sigs == other.0.sigs
    }
}

impl Eq for SignedEntry {}

impl std::fmt::Debug for SignedEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.0.id, self.0.entry)
    }
}

/// The input of a signature: context, length (u64, little endian), payload.
pub(super) fn signed_bytes(payload: &[u8]) -> Vec<u8> {
    [CONTEXT, &(payload.len() as u64).to_le_bytes(), payload].concat()
}
