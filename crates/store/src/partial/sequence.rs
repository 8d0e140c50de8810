//! The SHA-256 of a fetch, computed while its groups arrive.
//!
//! SHA-256 needs the bytes in their order, and peers send them in another. Bytes that come next are
//! hashed as they pass; those that came early are read back once the gap before them is closed,
//! mostly from the page cache, and verified again. What that may cost at one time is bounded: the
//! rest of a fetch that an earlier process began is hashed when somebody asks for it.

use std::sync::{MutexGuard, PoisonError, TryLockError};

use perennial_manifest::Sha256Digest;
use sha2::{Digest, Sha256};

use super::Partial;
use crate::error::StoreError;

/// Bytes read back at a time.
const PIECE: u64 = 1 << 20;
/// Bytes read back at most each time that groups were counted. More than have arrived meanwhile, so
/// that the hash catches up; few enough not to keep the stream waiting.
const STEP: u64 = 16 << 20;
/// Bytes read back at most once all have arrived: half a second's work.
const REST: u64 = 512 << 20;

/// The hash of the bytes before `at`.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    hasher: Sha256,
    at: u64,
}

impl Partial {
    /// Hashes verified bytes if they are the next ones.
    pub(super) fn hash_next(&self, offset: u64, bytes: &[u8]) {
        if let Some(mut sequence) = self.try_sequence()
            && sequence.at == offset
        {
            sequence.hasher.update(bytes);
            sequence.at += bytes.len() as u64;
        }
    }

    /// Hashes bytes that arrived before it was their turn, unless another stream does.
    pub(super) fn hash_arrived(&self) -> Result<(), StoreError> {
        self.try_sequence().map_or(Ok(()), |mut sequence| self.catch_up(&mut sequence, STEP))
    }

    /// The SHA-256 of a complete fetch; `None` if too much of it is left to be hashed.
    pub(crate) fn hash_rest(&self) -> Result<Option<Sha256Digest>, StoreError> {
        let mut sequence = self.sha256.lock().unwrap_or_else(PoisonError::into_inner);
        if self.size() - sequence.at <= REST {
            self.catch_up(&mut sequence, REST)?;
        }
        let whole = sequence.at == self.size();
        let digest = || Sha256Digest::from_bytes(sequence.hasher.clone().finalize().into());
        Ok(whole.then(digest))
    }

    fn try_sequence(&self) -> Option<MutexGuard<'_, Sequence>> {
        match self.sha256.try_lock() {
            Ok(sequence) => Some(sequence),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn catch_up(&self, sequence: &mut Sequence, mut most: u64) -> Result<(), StoreError> {
        while most > 0 {
            let ready = self.readable(sequence.at..sequence.at.saturating_add(PIECE));
            let range = sequence.at..sequence.at + ready;
            let Some(bytes) = (ready > 0).then(|| self.read(range)).transpose()?.flatten() else {
                return Ok(());
            };
            sequence.hasher.update(&bytes);
            sequence.at += ready;
            most = most.saturating_sub(ready);
        }
        Ok(())
    }
}
