//! The SHA-256 of a fetch, computed beside the streams while groups arrive.
//!
//! SHA-256 needs the bytes in their order, and peers send them in another; on a processor without
//! instructions for it, it also takes longer than all the rest. So no stream computes it: while one
//! runs, a thread beside it reads the next bytes back, mostly from the page cache, and verifies
//! them again. The rest of a fetch that an earlier process began is hashed when somebody asks for
//! it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

use perennial_manifest::{Sha256, Sha256Digest};

use super::Partial;
use crate::error::StoreError;

/// Bytes read back at a time. A stream that ends waits for one piece.
const PIECE: u64 = 256 << 10;
/// Bytes hashed at most once all have arrived: a second's work or two. A thread that keeps up
/// leaves far less.
const REST: u64 = 512 << 20;

/// The hash of the first bytes of a fetch.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    state: Mutex<State>,
    /// Whether a thread hashes.
    is_running: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    hasher: Sha256,
    /// Bytes hashed.
    at: u64,
}

impl Sequence {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Partial {
    /// Hashes the bytes that come next on a thread in `scope`, until `ended` or until none is
    /// left, unless another stream's thread does so already.
    pub(super) fn hash_arrived<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        ended: &'scope AtomicBool,
    ) {
        let is_running = &self.sha256.is_running;
        if is_running.swap(true, Ordering::AcqRel) {
            return;
        }
        let hash = move || {
            // The call that completes the fetch reads the same bytes, and reports a failure.
            while !ended.load(Ordering::Acquire) && self.hash_piece().unwrap_or_default() > 0 {}
            is_running.store(false, Ordering::Release);
        };
        // If no thread can be started, the end has more to do.
        if thread::Builder::new().name("sha256".into()).spawn_scoped(scope, hash).is_err() {
            is_running.store(false, Ordering::Release);
        }
    }

    /// The SHA-256 of a complete fetch; `None` if too much of it is left to be hashed.
    pub(crate) fn hash_rest(&self) -> Result<Option<Sha256Digest>, StoreError> {
        if self.size() - self.sha256.state().at > REST {
            return Ok(None);
        }
        while self.hash_piece()? > 0 {}
        let state = self.sha256.state();
        Ok((state.at == self.size()).then(|| state.hasher.clone().finish()))
    }

    /// Hashes the next piece if it has arrived, and returns its length.
    fn hash_piece(&self) -> Result<u64, StoreError> {
        let mut state = self.sha256.state();
        let ready = self.readable(state.at..state.at.saturating_add(PIECE));
        let range = state.at..state.at + ready;
        let Some(bytes) = (ready > 0).then(|| self.read(range)).transpose()?.flatten() else {
            return Ok(0);
        };
        state.hasher.update(&bytes);
        state.at += ready;
        Ok(ready)
    }
}
