//! What is made of all that the store knows, kept until it would be another thing.
//!
//! Promises that one is made at a time, whoever goes away meanwhile, and that those who wait for it hold no thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use perennial_store::{Follows, Store, StoreError};
use tokio::sync::Mutex;

use crate::content::run;

/// How long a thing is kept that changes with what is held as well: so many times as long as it took to make.
const REST: u32 = 9;
/// How many things of one kind are kept.
const KEPT: usize = 16;

/// Things that cost to make, by what they are of.
#[derive(Debug)]
pub(crate) struct Memo<K, T> {
    kept: Arc<Mutex<VecDeque<Kept<K, T>>>>,
    /// Whether it also depends on which blobs are held: that changes unseen.
    on_held: bool,
}

#[derive(Debug)]
struct Kept<K, T> {
    of: K,
    generation: u64,
    follows: Follows,
    made: Instant,
    cost: Duration,
    thing: T,
}

impl<K: PartialEq + Send + 'static, T: Clone + Send + 'static> Memo<K, T> {
    /// One that depends on entries and follows alone.
    pub(crate) fn of_entries() -> Self {
        Self { kept: Arc::default(), on_held: false }
    }

    /// One that depends on which blobs are held as well.
    pub(crate) fn of_blobs() -> Self {
        Self { on_held: true, ..Self::of_entries() }
    }

    /// The thing as it was made last, or made now.
    pub(crate) async fn get(
        &self,
        of: K,
        store: &Store,
        make: impl FnOnce(&Store, &Follows) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // goes to the thread that makes it: a client that leaves does not let the next one begin beside it
        let mut kept = Arc::clone(&self.kept).lock_owned().await;
        let (generation, follows) = (store.generation(), store.follows());
        kept.retain(|kept| {
            let rests = !self.on_held || kept.made.elapsed() < kept.cost * REST;
            rests && kept.generation == generation && kept.follows == follows
        });
        if let Some(kept) = kept.iter().find(|kept| kept.of == of) {
            return Ok(kept.thing.clone());
        }
        let store = store.clone();
        let made = run(move || {
            let begun = Instant::now();
            let thing = make(&store, &follows)?;
            let (made, cost) = (Instant::now(), begun.elapsed());
            kept.truncate(KEPT - 1);
            kept.push_front(Kept { of, generation, follows, made, cost, thing: thing.clone() });
            Ok(thing)
        });
        made.await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use perennial_store::OpenOptions;

    #[tokio::test]
    async fn many_who_ask_and_leave_cost_one_making() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path(), OpenOptions::default()).expect("a store");
        let (begin, told) = std::sync::mpsc::channel::<()>();
        let (made, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Mutex::new(told)));
        let thing = Memo::<(), usize>::of_blobs();
        let ask = || {
            let (made, told) = (Arc::clone(&made), Arc::clone(&told));
            thing.get((), &store, move |_, _| {
                let _ = told.lock().expect("not poisoned").recv();
                Ok(made.fetch_add(1, Ordering::SeqCst))
            })
        };
        for _ in 0..20 {
            let left = tokio::time::timeout(Duration::from_millis(5), ask()).await;
            assert!(left.is_err(), "it is not told to begin yet");
        }
        drop(begin);
        assert_eq!(futures::future::try_join(ask(), ask()).await.expect("made"), (0, 0));
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }
}
