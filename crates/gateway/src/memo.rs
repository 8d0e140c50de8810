//! Memos of values derived from the catalog; recomputed when the catalog's generation or the
//! follows change. What is derived from the entries of some publishers stands as long as only those
//! of others change, so that strangers outdate nothing that is said of trusted publishers.
//!
//! One computation runs at a time, however many requests wait and whichever of them are dropped;
//! waiting requests occupy no thread; and a value is never older than the request for it, so that a
//! client that pushed and then pulls sees its push.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use perennial_manifest::PublisherId;
use perennial_store::{Follows, Store};
use tokio::sync::Mutex;
use tokio::task::JoinError;

use crate::blocking::blocking;

/// A value that also depends on which blobs are held is kept this many times as long as its
/// computation took.
const REST: u32 = 9;
/// Values kept per memo.
const KEPT: usize = 16;

/// Values derived from the catalog, by key. `S` is state that one computation passes to the next.
#[derive(Debug)]
pub(crate) struct Memo<K, T, S = ()> {
    kept: Arc<RwLock<Kept<K, T>>>,
    /// Locked while a value is computed.
    turn: Arc<Mutex<S>>,
    /// Set if the values also depend on which blobs are held, which changes without a new
    /// generation.
    of_blobs: bool,
    /// The publishers whose entries a value depends on; all of them if there is none.
    concerns: Option<Concerns<K>>,
}

/// Whether the value of a key depends on the entries of a publisher.
type Concerns<K> = fn(&K, &Follows, &PublisherId) -> bool;

/// Whether a publisher is trusted by a node: this is its own, or it is followed by name.
pub(crate) fn trusted(own: &PublisherId, follows: &Follows, publisher: &PublisherId) -> bool {
    own == publisher || follows.names(publisher)
}

/// The values that are kept, newest first.
type Kept<K, T> = Vec<Arc<Computed<K, T>>>;

#[derive(Debug)]
struct Computed<K, T> {
    key: K,
    /// The last generation for which it is known to be right.
    generation: AtomicU64,
    follows: Follows,
    begun: Instant,
    ended: Instant,
    value: T,
}

/// How old the value of a [`Memo`] may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// As old as the catalog's generation.
    Generation,
    /// No older than the request: for a change without a new generation, such as the arrival of a
    /// blob.
    Request,
}

/// The requirements on a value for one request.
struct Wanted<K> {
    key: K,
    generation: u64,
    /// The earliest acceptable start of the computation, if any.
    begun: Option<Instant>,
}

impl<K, T, S> Memo<K, T, S>
where
    K: PartialEq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
    S: Default + Send + 'static,
{
    /// A memo of values that depend only on entries and follows.
    pub(crate) fn of_entries() -> Self {
        Self { kept: Arc::default(), turn: Arc::default(), of_blobs: false, concerns: None }
    }

    /// A memo of values that also depend on which blobs are held.
    pub(crate) fn of_blobs() -> Self {
        Self { of_blobs: true, ..Self::of_entries() }
    }

    /// Of values that depend on the entries of these publishers alone.
    pub(crate) fn concerning(self, concerns: Concerns<K>) -> Self {
        Self { concerns: Some(concerns), ..self }
    }

    /// The value for a key, kept or computed now; [`Age`] says which kept ones are good enough.
    ///
    /// # Errors
    ///
    /// The errors of `compute`; the next request computes again.
    pub(crate) async fn get<E>(
        &self,
        key: K,
        age: Age,
        store: &Store,
        compute: impl FnOnce(&mut S, &Store, &Follows) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        E: From<JoinError> + Send + 'static,
    {
        let begun = match age {
            Age::Generation => None,
            Age::Request => Some(Instant::now()),
        };
        let wanted = Wanted { key, generation: store.generation(), begun };

        if let Some(value) = self.kept(&wanted, store) {
            return Ok(value);
        }
        let mut turn = Arc::clone(&self.turn).lock_owned().await;
        if let Some(value) = self.kept(&wanted, store) {
            return Ok(value);
        }
        let (kept, store, of_all) =
            (Arc::clone(&self.kept), store.clone(), self.concerns.is_none());
        // The lock moves to the computing thread: a dropped request does not let a second
        // computation start alongside the first.
        let computed = blocking(move || {
            let begun = Instant::now();
            // Read before the entries: whatever arrives meanwhile belongs to the next generation.
            let (generation, follows) = (store.generation(), store.follows());
            let value = compute(&mut turn, &store, &follows)?;
            let (key, ended) = (wanted.key, Instant::now());
            let is_of = |old: &Computed<K, T>| old.generation.load(Ordering::SeqCst) == generation;
            let computed =
                Computed { key, generation: generation.into(), follows, begun, ended, value };
            let value = computed.value.clone();
            let mut kept = kept.write().unwrap_or_else(PoisonError::into_inner);
            kept.retain(|old| {
                old.key != computed.key
                    && (!of_all || is_of(old))
                    && old.follows == computed.follows
            });
            kept.truncate(KEPT - 1);
            kept.insert(0, Arc::new(computed));
            Ok(value)
        });
        computed.await
    }

    fn kept(&self, wanted: &Wanted<K>, store: &Store) -> Option<T> {
        let computed = {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            kept.iter().find(|computed| computed.key == wanted.key).map(Arc::clone)?
        };
        let cost = computed.ended.saturating_duration_since(computed.begun);
        let rests = !self.of_blobs || computed.ended.elapsed() < cost * REST;
        let fresh = self.stands(&computed, wanted.generation, store)
            && wanted.begun.is_none_or(|begun| computed.begun >= begun)
            && computed.follows == store.follows();
        (rests && fresh).then(|| computed.value.clone())
    }

    /// Whether a value is right for a generation: its own, or one up to which nothing changed that
    /// it depends on.
    fn stands(&self, computed: &Computed<K, T>, generation: u64, store: &Store) -> bool {
        let known = computed.generation.load(Ordering::SeqCst);
        if known >= generation {
            return true;
        }
        let (Some(concerns), Some(changed)) = (self.concerns, store.changed_since(known)) else {
            return false;
        };
        let concerned = |publisher| concerns(&computed.key, &computed.follows, publisher);
        if changed.decided || changed.cut.iter().chain(&changed.grown).any(concerned) {
            return false;
        }
        // What changed until then need not be looked at again.
        computed.generation.fetch_max(generation, Ordering::SeqCst);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as SyncMutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use perennial_manifest::{DenyTarget, Entry, Keypair, Profile, PublisherKind, SignedEntry};
    use perennial_store::{OpenOptions, StoreError};

    use super::*;
    use crate::http_error::HttpError;

    #[tokio::test]
    async fn many_callers_that_leave_cost_one_computation() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path(), OpenOptions::default()).expect("a store");
        let (begin, told) = mpsc::channel::<()>();
        let (count, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(SyncMutex::new(told)));
        let memo = Memo::<(), usize>::of_blobs();
        let ask = || {
            let (count, told) = (Arc::clone(&count), Arc::clone(&told));
            memo.get((), Age::Generation, &store, move |(), _, _| {
                let _ = told.lock().expect("not poisoned").recv();
                Ok::<_, HttpError>(count.fetch_add(1, Ordering::SeqCst))
            })
        };
        for _ in 0..20 {
            let left = tokio::time::timeout(Duration::from_millis(5), ask()).await;
            assert!(left.is_err(), "it is not told to begin yet");
        }
        drop(begin);
        assert_eq!(futures::future::try_join(ask(), ask()).await.expect("computed"), (0, 0));
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    /// The first entry of a publisher.
    fn first_entry(seed: u8) -> SignedEntry {
        let key = Keypair::from_seed([seed; 32]);
        let body = perennial_manifest::Body::Profile(Profile {
            name: "somebody".into(),
            publisher_kind: PublisherKind::Archivist,
            contact: None,
            claims: Vec::new(),
        });
        let entry = Entry { publisher: key.id(), seq: 0, prevs: Vec::new(), issued_at: 0, body };
        entry.sign(&key).expect("a sound entry")
    }

    #[tokio::test]
    async fn strangers_outdate_nothing_that_does_not_concern_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path(), OpenOptions::default()).expect("a store");
        let memo = Memo::<PublisherId, usize, usize>::of_entries().concerning(trusted);
        let whole = Memo::<(), usize, usize>::of_entries();
        let own = first_entry(1).entry().publisher;
        let count = |state: &mut usize, _: &Store, _: &Follows| {
            *state += 1;
            Ok::<_, HttpError>(*state)
        };
        let told = async || {
            let ours = memo.get(own, Age::Generation, &store, count).await.expect("computed");
            (ours, whole.get((), Age::Generation, &store, count).await.expect("computed"))
        };
        assert_eq!(told().await, (1, 1));
        store.put_entries(&[first_entry(2)]).expect("taken");
        assert_eq!(told().await, (1, 2), "a stranger");
        assert_eq!(told().await, (1, 2));
        store.put_entries(&[first_entry(1)]).expect("taken");
        assert_eq!(told().await, (2, 3), "its own publisher");
        store.deny(DenyTarget::Publisher(own), "no".into()).expect("denied");
        assert_eq!(told().await, (3, 4), "something is denied");
        let mut follows = store.follows();
        follows.publishers.insert(first_entry(2).entry().publisher, None);
        store.set_follows(&follows).expect("followed");
        assert_eq!(told().await, (4, 5), "another one is trusted");
    }

    #[tokio::test]
    async fn a_renewed_value_is_computed_again_from_its_old_state() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path(), OpenOptions::default()).expect("a store");
        let memo = Memo::<(), usize, usize>::of_entries();
        let count = |state: &mut usize, _: &Store, _: &Follows| {
            *state += 1;
            Ok::<_, HttpError>(*state)
        };
        for expected in [1, 1] {
            assert_eq!(
                memo.get((), Age::Generation, &store, count).await.expect("computed"),
                expected
            );
        }
        assert_eq!(memo.get((), Age::Request, &store, count).await.expect("computed"), 2);
        assert_eq!(memo.get((), Age::Generation, &store, count).await.expect("computed"), 2);
        store.put_entries(&[]).expect("taken");
        assert_eq!(
            memo.get((), Age::Generation, &store, count).await.expect("computed"),
            3,
            "a new generation"
        );
        let failed = |_: &mut usize, _: &Store, _: &Follows| {
            Err::<usize, _>(HttpError::from(StoreError::NotHeld(perennial_manifest::BlobId::of(
                b"",
            ))))
        };
        assert!(memo.get((), Age::Request, &store, failed).await.is_err());
        assert_eq!(
            memo.get((), Age::Generation, &store, count).await.expect("computed"),
            3,
            "the last one stays"
        );
    }
}
