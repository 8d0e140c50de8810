//! A limit on the bytes per hour that anonymous requests make the node fetch from its peers. A blob
//! is charged once for all requests that wait for it.
//!
//! Only decides; the caller fetches.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use perennial_manifest::BlobId;

/// The period over which a budget is counted.
const WINDOW: Duration = Duration::from_secs(3600);

/// The budget, and the blobs currently fetched for requests.
#[derive(Debug)]
pub(crate) struct FetchBudget {
    limit: Option<u64>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    since: Instant,
    spent: u64,
    /// The number of requests that wait for each blob.
    waiting: HashMap<BlobId, usize>,
}

/// One request's share in waiting for a blob, released on drop.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<FetchBudget>,
    blob: BlobId,
}

impl FetchBudget {
    pub(crate) fn new(limit: Option<u64>) -> Arc<Self> {
        let state = State { since: Instant::now(), spent: 0, waiting: HashMap::new() };
        Arc::new(Self { limit, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Charges a blob of `size` bytes, unless it is already being fetched or the owner requests it.
    ///
    /// # Errors
    ///
    /// The time until the budget allows the fetch.
    pub(crate) fn begin(
        self: &Arc<Self>,
        blob: BlobId,
        size: u64,
        owner: bool,
        now: Instant,
    ) -> Result<Charge, Duration> {
        let mut state = self.state();
        if now.duration_since(state.since) >= WINDOW {
            (state.since, state.spent) = (now, 0);
        }
        if !owner && !state.waiting.contains_key(&blob) {
            let spent = state.spent.saturating_add(size);
            if self.limit.is_some_and(|limit| spent > limit) {
                return Err(WINDOW.saturating_sub(now.duration_since(state.since)));
            }
            state.spent = spent;
        }
        *state.waiting.entry(blob).or_default() += 1;
        Ok(Charge { budget: Arc::clone(self), blob })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        if let Some(count) = state.waiting.get_mut(&self.blob) {
            *count -= 1;
            if *count == 0 {
                state.waiting.remove(&self.blob);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_counts_once_for_all_its_readers_and_anew_after_the_last() {
        let (budget, now) = (FetchBudget::new(Some(100)), Instant::now());
        let (one, other) = (BlobId::of(b"1"), BlobId::of(b"2"));
        let first = budget.begin(one, 60, false, now).expect("there is budget");
        let second = budget.begin(one, 60, false, now).expect("it is counted already");
        assert!(budget.begin(other, 60, false, now).expect_err("too much") <= WINDOW);
        drop(budget.begin(other, 60, true, now).expect("the owner may"));
        drop((first, second));
        assert!(budget.begin(one, 60, false, now).is_err(), "it is fetched anew");
        assert!(budget.begin(other, 40, false, now).is_ok());
        assert!(budget.begin(one, 60, false, now + WINDOW).is_ok(), "an hour later");
    }

    #[test]
    fn sizes_that_overflow_exceed_the_budget() {
        let (budget, now) = (FetchBudget::new(Some(u64::MAX - 1)), Instant::now());
        let _one = budget.begin(BlobId::of(b"1"), 10, false, now).expect("there is budget");
        assert!(budget.begin(BlobId::of(b"2"), u64::MAX, false, now).is_err());
    }
}
