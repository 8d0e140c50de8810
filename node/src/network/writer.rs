//! The single writer of entries that come from peers.
//!
//! Takes batches in the order in which the protocol decided them and stores them in that order, so
//! that a later entry of a feed never overtakes an earlier one and is never taken for an orphan.
//! While the disk is busy, batches queue up; the next commit takes all waiting batches, so that
//! many small ones share one set of `fsync`s. The queue is bounded, and the event loop never waits
//! for it: a batch that finds it full is reported as not stored, and its peer is asked again later.

use perennial_manifest::{Admit, EntryId, SignedEntry};
use perennial_protocol::{Input, Verdict};
use perennial_store::{PutOutcome, Store};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use crate::network::handle::Network;

/// Batches waiting for the disk, at most. The protocol has up to 512 of gossip under way, and one
/// of each reconciliation.
const QUEUE: usize = 1024;
/// Entries in one commit at which no further batch joins it.
const COMMIT: usize = 4096;

/// Entries to store together, and the protocol's number for the batch.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) id: u64,
    pub(super) entries: Vec<SignedEntry>,
}

/// The sending end of the writer's queue.
#[derive(Debug)]
pub(super) struct Writer(mpsc::Sender<Batch>);

impl Writer {
    /// Creates a writer, and the future to run as its task. The future ends once the writer is
    /// dropped and its queue is empty.
    pub(super) fn new(
        store: Store,
        network: Network,
        stored: watch::Sender<u64>,
    ) -> (Writer, impl Future<Output = ()> + Send + 'static) {
        let (sender, queue) = mpsc::channel(QUEUE);
        (Writer(sender), write(store, network, stored, queue))
    }

    /// Queues a batch without waiting. Returns `None` if it was queued, else the input for the
    /// protocol.
    pub(super) fn store(&self, batch: Batch) -> Option<Input> {
        match self.0.try_send(batch) {
            Ok(()) => None,
            Err(TrySendError::Full(batch) | TrySendError::Closed(batch)) => {
                tracing::warn!(
                    entries = batch.entries.len(),
                    "entries refused: the disk is too slow"
                );
                Some(Input::Stored { batch: batch.id, verdicts: Vec::new() })
            }
        }
    }
}

async fn write(
    store: Store,
    network: Network,
    stored: watch::Sender<u64>,
    mut queue: mpsc::Receiver<Batch>,
) {
    while let Some(first) = queue.recv().await {
        let mut entries = first.entries.len();
        let mut commit = vec![first];
        while entries < COMMIT
            && let Ok(next) = queue.try_recv()
        {
            entries += next.entries.len();
            commit.push(next);
        }
        let store = store.clone();
        let written = tokio::task::spawn_blocking(move || put_all(&store, commit)).await;
        stored.send_modify(|batches| *batches += 1);
        // The panic hook logs a panic in the store; the batches are lost, as in a crash.
        for input in written.unwrap_or_default() {
            network.input(input).await;
        }
    }
}

/// Stores batches with one commit. If that fails, stores them one by one, so that one bad batch
/// does not affect the others.
fn put_all(store: &Store, batches: Vec<Batch>) -> Vec<Input> {
    let all: Vec<SignedEntry> =
        batches.iter().flat_map(|batch| batch.entries.iter().cloned()).collect();
    let mut puts = match store.put_from_peers(&all) {
        Ok(puts) => puts.into_iter(),
        Err(error) if batches.len() == 1 => {
            if error.is_full() {
                tracing::debug!(%error, "entries do not fit");
            } else {
                tracing::error!(%error, "entries could not be stored");
            }
            Vec::new().into_iter()
        }
        Err(_) => {
            return batches.into_iter().flat_map(|batch| put_all(store, vec![batch])).collect();
        }
    };
    let stored = |batch: Batch| Input::Stored {
        batch: batch.id,
        verdicts: puts.by_ref().take(batch.entries.len()).map(verdict).collect(),
    };
    batches.into_iter().map(stored).collect()
}

fn verdict(put: PutOutcome) -> (EntryId, Verdict) {
    let Some(admit) = put.admit else { return (put.id, Verdict::Full) };
    let verdict = match admit {
        Admit::New => Verdict::New,
        Admit::Known => Verdict::Known,
        Admit::Fork(proof) => {
            tracing::warn!(
                number = proof.seq,
                one = %proof.one,
                other = %proof.other,
                "a publisher signed two histories"
            );
            Verdict::Fork
        }
        Admit::Orphan(missing) => Verdict::Orphan { missing },
        Admit::Reject(error) => {
            tracing::info!(%error, id = %put.id, "entry rejected: it does not fit its feed");
            Verdict::Rejected
        }
    };
    (put.id, verdict)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use perennial_manifest::{Body, Entry, EntryId, Keypair, Profile, PublisherKind};
    use perennial_store::OpenOptions;
    use tempfile::TempDir;

    use super::*;
    use crate::network::handle::NetworkEnds;
    use crate::network::message::Message;

    /// A feed of profiles, each entry following the one before.
    fn feed(seed: u8, entries: u64) -> Vec<SignedEntry> {
        let key = Keypair::from_seed([seed; 32]);
        let mut feed: Vec<SignedEntry> = Vec::new();
        for seq in 0..entries {
            let profile = Profile {
                name: format!("publisher {seq}"),
                publisher_kind: PublisherKind::Archivist,
                contact: None,
                claims: Vec::new(),
            };
            let prevs: Vec<EntryId> = feed.last().map(SignedEntry::id).into_iter().collect();
            let entry = Entry {
                publisher: key.id(),
                seq,
                prevs,
                issued_at: 1,
                body: Body::Profile(profile),
            };
            feed.push(entry.sign(&key).unwrap());
        }
        feed
    }

    struct Bench {
        _dir: TempDir,
        store: Store,
        writer: Writer,
        messages: mpsc::Receiver<Message>,
        stored: watch::Receiver<u64>,
    }

    /// A writer whose future is returned without being started.
    fn bench() -> (Bench, impl Future<Output = ()> + Send + 'static) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), OpenOptions::default()).unwrap();
        let (network, NetworkEnds { messages, stored: counted, .. }) =
            Network::new(false, Duration::ZERO);
        let stored = network.stored();
        let (writer, writing) = Writer::new(store.clone(), network, counted);
        (Bench { _dir: dir, store, writer, messages, stored }, writing)
    }

    async fn verdicts(bench: &mut Bench, batches: u64) -> BTreeMap<u64, Vec<Verdict>> {
        let mut all = BTreeMap::new();
        while (all.len() as u64) < batches {
            let Some(Message::Input(Input::Stored { batch, verdicts })) =
                bench.messages.recv().await
            else {
                panic!("not a verdict");
            };
            all.insert(batch, verdicts.into_iter().map(|(_, verdict)| verdict).collect());
        }
        all
    }

    /// Batches of one feed never overtake each other: no entry is judged an orphan.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn batches_of_one_feed_are_stored_in_order() {
        const ENTRIES: u64 = 200;
        let (mut bench, writing) = bench();
        tokio::spawn(writing);
        for (id, entry) in (0..).zip(feed(1, ENTRIES)) {
            assert!(bench.writer.store(Batch { id, entries: vec![entry] }).is_none());
            if id % 7 == 0 {
                // Keeps the disk busy with some of them meanwhile.
                tokio::task::yield_now().await;
            }
        }
        let verdicts = verdicts(&mut bench, ENTRIES).await;
        assert!(verdicts.values().all(|batch| *batch == [Verdict::New]), "{verdicts:?}");
        assert_eq!(bench.store.entry_count().unwrap(), ENTRIES);
    }

    /// The one blocking thread is busy, so the first commit cannot end, and the batches that follow
    /// stay in the queue: two commits side by side could overtake each other.
    #[test]
    fn a_commit_begins_only_after_the_one_before_has_ended() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let (release, busy) = std::sync::mpsc::channel::<()>();
            let blocker = tokio::task::spawn_blocking(move || busy.recv().is_err());
            let (mut bench, writing) = bench();
            tokio::spawn(writing);
            let feed = feed(1, 3);
            let batch = |id: usize| Batch { id: id as u64, entries: vec![feed[id].clone()] };
            assert!(bench.writer.store(batch(0)).is_none());
            while bench.writer.0.capacity() < QUEUE {
                tokio::task::yield_now().await;
            }
            for id in [1, 2] {
                assert!(bench.writer.store(batch(id)).is_none());
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            }
            assert_eq!(bench.writer.0.capacity(), QUEUE - 2, "taken while a commit runs");
            drop(release);
            assert!(blocker.await.unwrap());
            let verdicts = verdicts(&mut bench, 3).await;
            assert!(verdicts.values().all(|batch| *batch == [Verdict::New]), "{verdicts:?}");
        });
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn batches_that_wait_share_a_commit_and_keep_their_own_verdicts() {
        let (mut bench, writing) = bench();
        let (one, two) = (feed(1, 3), feed(2, 3));
        let batches = [one[..2].to_vec(), two[1..].to_vec(), one[2..].to_vec(), one[..1].to_vec()];
        for (id, entries) in (0..).zip(batches) {
            assert!(bench.writer.store(Batch { id, entries }).is_none());
        }
        tokio::spawn(writing);
        let verdicts = verdicts(&mut bench, 4).await;
        assert_eq!(verdicts[&0], [Verdict::New, Verdict::New]);
        assert!(matches!(verdicts[&1][..], [Verdict::Orphan { .. }, Verdict::Orphan { .. }]));
        assert_eq!(verdicts[&2], [Verdict::New]);
        assert_eq!(verdicts[&3], [Verdict::Known]);
        assert_eq!(*bench.stored.borrow_and_update(), 1, "one commit for all");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_queue_refuses_and_never_waits() {
        let (bench, _not_begun) = bench();
        let entry = feed(1, 1).remove(0);
        let batch = |id| Batch { id, entries: vec![entry.clone()] };
        for id in 0..QUEUE as u64 {
            assert!(bench.writer.store(batch(id)).is_none());
        }
        let refused = bench.writer.store(batch(9999));
        assert!(
            matches!(refused, Some(Input::Stored { batch: 9999, verdicts }) if verdicts.is_empty())
        );
    }
}
