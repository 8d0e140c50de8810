//! A limit on the bytes per hour that anonymous requests make the node fetch from its peers.
//!
//! What came is charged, once for all requests that wait for it, and not what a list claims: a
//! request that is given up costs what it brought. While a blob is on its way, the rest of it is
//! reserved, so that those under way cannot exceed the limit together. Clients of one address
//! prefix have half of the budget, or one blob of any size. Only decides; the caller fetches.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use perennial_manifest::BlobId;
use perennial_protocol::Prefix;

/// The period over which a budget is counted.
const WINDOW: Duration = Duration::from_secs(3600);
/// When to ask again while others' blobs are on their way, of which much may never come.
const SOON: Duration = Duration::from_secs(60);
/// Prefixes whose spending is counted, at most; the others of an hour share one count.
const PREFIXES: usize = 4096;
/// Blobs of which a part came that are remembered, at most.
const PARTS: usize = 4096;

/// The budget, and the blobs currently fetched for requests.
#[derive(Debug)]
pub(crate) struct FetchBudget {
    limit: Option<u64>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    since: Instant,
    /// Bytes that came, by the prefix of the client that asked first.
    spent: HashMap<Prefix, u64>,
    waiting: HashMap<BlobId, Waiting>,
    /// What has been charged for blobs of which a part came, and stays.
    parts: HashMap<BlobId, u64>,
}

/// A blob on its way.
#[derive(Debug)]
struct Waiting {
    requests: usize,
    /// Who is charged for it; nobody if the owner asked for it.
    client: Option<Prefix>,
    /// Bytes that were missing at the start, as far as is known.
    reserved: u64,
    size: u64,
    /// Bytes that were here at the start.
    before: u64,
    /// Set once all of it came: no progress is told of small ones.
    brought: Arc<AtomicBool>,
}

impl State {
    fn count(&self, of: impl Fn(Prefix) -> bool) -> (u64, u64) {
        let spent = self.spent.iter().filter(|(prefix, _)| of(**prefix));
        let spent = spent.fold(0, |sum: u64, (_, bytes)| sum.saturating_add(*bytes));
        let waiting = self.waiting.values().filter(|one| one.client.is_some_and(&of));
        let reserved = waiting.fold(0, |sum: u64, one| sum.saturating_add(one.reserved));
        (spent, reserved)
    }
}

/// Tells how many bytes of a blob are here.
pub(crate) type Here = Box<dyn Fn() -> u64 + Send + Sync>;

/// One request's share in waiting for a blob, released on drop.
pub(crate) struct Charge {
    budget: Arc<FetchBudget>,
    blob: BlobId,
    here: Here,
    brought: Arc<AtomicBool>,
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Charge for {}", self.blob)
    }
}

impl Charge {
    /// The flag that all of the blob came, for whoever learns of it.
    pub(crate) fn brought(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.brought)
    }
}

/// A blob that a client asks for, and that is not held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) blob: BlobId,
    /// Its length in bytes, as far as is known.
    pub(crate) size: u64,
    /// The client; `None` for the owner, whom nothing is charged.
    pub(crate) client: Option<Prefix>,
}

impl FetchBudget {
    pub(crate) fn new(limit: Option<u64>) -> Arc<Self> {
        let state = State {
            since: Instant::now(),
            spent: HashMap::new(),
            waiting: HashMap::new(),
            parts: HashMap::new(),
        };
        Arc::new(Self { limit, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to charge for a blob, unless it is already being fetched or the owner requests it.
    ///
    /// # Errors
    ///
    /// The time until the budget may allow the fetch.
    pub(crate) fn begin(
        self: &Arc<Self>,
        wanted: Wanted,
        here: Here,
        now: Instant,
    ) -> Result<Charge, Duration> {
        let Wanted { blob, size, client } = wanted;
        let mut state = self.state();
        if now.duration_since(state.since) >= WINDOW {
            state.since = now;
            state.spent.clear();
            state.parts.clear();
        }
        let brought = if let Some(waiting) = state.waiting.get_mut(&blob) {
            waiting.requests += 1;
            Arc::clone(&waiting.brought)
        } else {
            let charged = state.parts.get(&blob).copied().unwrap_or_default();
            let before = here().max(charged);
            let missing = size.saturating_sub(before);
            if let (Some(client), Some(limit)) = (client, self.limit) {
                self.allow(&state, client, missing, limit, now)?;
            }
            let reserved = if client.is_some() { missing } else { 0 };
            let brought = Arc::<AtomicBool>::default();
            let flag = Arc::clone(&brought);
            let waiting = Waiting { requests: 1, client, reserved, size, before, brought: flag };
            state.waiting.insert(blob, waiting);
            brought
        };
        drop(state);
        Ok(Charge { budget: Arc::clone(self), blob, here, brought })
    }

    /// Whether so many bytes fit the budget, and the client's part of it.
    fn allow(
        &self,
        state: &State,
        client: Prefix,
        bytes: u64,
        limit: u64,
        now: Instant,
    ) -> Result<(), Duration> {
        let later = WINDOW.saturating_sub(now.duration_since(state.since));
        let fits = |(spent, reserved): (u64, u64), limit: u64| {
            if spent.saturating_add(bytes) > limit {
                Err(later)
            } else if spent.saturating_add(reserved).saturating_add(bytes) > limit {
                Err(SOON)
            } else {
                Ok(())
            }
        };
        fits(state.count(|_| true), limit)?;
        let mine = state.count(|prefix| prefix == client);
        match client.is_shared() && mine != (0, 0) {
            true => fits(mine, limit / 2),
            false => Ok(()),
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        let Some(waiting) = state.waiting.get_mut(&self.blob) else { return };
        waiting.requests -= 1;
        if waiting.requests > 0 {
            return;
        }
        // A client that has all bytes may leave before it learns that nothing more comes.
        let here = match self.brought.load(Ordering::Relaxed) {
            true => waiting.size,
            false => (self.here)().min(waiting.size),
        };
        let is_whole = here >= waiting.size;
        let (came, client) = (here.saturating_sub(waiting.before), waiting.client);
        state.waiting.remove(&self.blob);
        if is_whole {
            state.parts.remove(&self.blob);
        } else if came > 0 && state.parts.len() < PARTS {
            state.parts.insert(self.blob, here);
        }
        if let Some(client) = client.filter(|_| came > 0) {
            let is_counted = state.spent.len() < PREFIXES || state.spent.contains_key(&client);
            let client = if is_counted { client } else { Prefix::NONE };
            let spent = state.spent.entry(client).or_default();
            *spent = spent.saturating_add(came);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    struct Scene {
        budget: Arc<FetchBudget>,
        now: Instant,
        came: Arc<AtomicU64>,
    }

    impl Scene {
        fn new(limit: u64) -> Self {
            let budget = FetchBudget::new(Some(limit));
            Self { budget, now: Instant::now(), came: Arc::default() }
        }

        /// Begins to fetch a blob of which as many bytes are here as came.
        fn ask(&self, name: &[u8], size: u64, client: Option<Prefix>) -> Result<Charge, Duration> {
            let (blob, came) = (BlobId::of(name), Arc::clone(&self.came));
            let here: Here = Box::new(move || came.load(Ordering::SeqCst));
            self.budget.begin(Wanted { blob, size, client }, here, self.now)
        }

        fn come(&self, bytes: u64) {
            self.came.store(bytes, Ordering::SeqCst);
        }
    }

    const ANYBODY: Option<Prefix> = Some(Prefix::NONE);

    #[test]
    fn a_blob_counts_once_for_all_its_readers_and_anew_after_the_last() {
        let mut scene = Scene::new(100);
        let first = scene.ask(b"1", 60, ANYBODY).expect("there is budget");
        let brought = first.brought();
        let second = scene.ask(b"1", 60, ANYBODY).expect("it is counted already");
        assert_eq!(scene.ask(b"2", 60, ANYBODY).expect_err("too much for now"), SOON);
        drop(scene.ask(b"2", 60, None).expect("the owner may"));
        brought.store(true, Ordering::Relaxed);
        drop((first, second));
        let refused = scene.ask(b"1", 60, ANYBODY).expect_err("it is fetched anew");
        assert!(refused > SOON && refused <= WINDOW, "{refused:?}");
        drop(scene.ask(b"2", 40, ANYBODY).expect("there is room"));
        scene.now += WINDOW;
        assert!(scene.ask(b"1", 60, ANYBODY).is_ok(), "an hour later");
    }

    #[test]
    fn what_does_not_come_costs_nothing() {
        let scene = Scene::new(100);
        for n in 1..=50 {
            // What came before is seen when the next part comes.
            scene.come(0);
            let charge = scene.ask(b"1", 90, ANYBODY).expect("little came of it");
            scene.come(n);
            drop(charge);
        }
        // Fifty bytes came, one at a time.
        scene.come(0);
        assert!(scene.ask(b"2", 51, ANYBODY).is_err());
        assert!(scene.ask(b"2", 50, ANYBODY).is_ok());
        scene.come(30);
        assert!(scene.ask(b"3", 80, ANYBODY).is_ok(), "thirty are here");
    }

    #[test]
    fn a_network_has_half_or_one_blob() {
        let scene = Scene::new(100);
        let (near, far) = (Some(Prefix(7)), Some(Prefix(8)));
        let large = scene.ask(b"1", 90, near).expect("its first");
        assert!(scene.ask(b"2", 1, near).is_err());
        drop(large);
        let held = scene.ask(b"1", 50, near).expect("its half");
        assert!(scene.ask(b"2", 1, near).is_err());
        assert!(scene.ask(b"2", 50, far).is_ok());
        held.brought().store(true, Ordering::Relaxed);
        drop(held);
        assert!(scene.ask(b"3", 1, near).is_err(), "its half came");
        assert!(scene.ask(b"3", 50, far).is_ok() && scene.ask(b"3", 50, ANYBODY).is_ok());
    }

    #[test]
    fn sizes_that_overflow_exceed_the_budget() {
        let scene = Scene::new(u64::MAX - 1);
        let _one = scene.ask(b"1", 10, ANYBODY).expect("there is budget");
        assert!(scene.ask(b"2", u64::MAX, ANYBODY).is_err());
    }
}
