//! The one writer of entries that come from peers.
//!
//! Takes batches in the order in which the protocol decided them and stores them in that order, so a later entry of a feed
//! never overtakes an earlier one and is never taken for an orphan. While the disk is busy, batches queue up; the next
//! commit takes all that wait, so many small batches share one set of `fsync`s. The queue is bounded. The event loop never
//! waits for it: a batch that finds it full is reported as not stored, and its peer is asked again later.

use perennial_manifest::{Admit, EntryId, SignedEntry};
use perennial_protocol::{Input, Verdict};
use perennial_store::{PutOutcome, Store};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use crate::network::handle::Network;

/// Batches that wait for the disk, at most. The protocol has up to 512 of gossip under way, and one of each
/// reconciliation.
const QUEUE: usize = 1024;
/// Entries of one commit, beyond which no further batch joins it.
const COMMIT: usize = 4096;

/// Entries to store together, and the protocol's number for them.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) id: u64,
    pub(super) entries: Vec<SignedEntry>,
}

/// Hands batches to the writer.
#[derive(Debug)]
pub(super) struct Writer(mpsc::Sender<Batch>);

impl Writer {
    /// A writer, and the work to run as a task of its own. The work ends once the writer is dropped and its queue is empty.
    pub(super) fn new(
        store: Store,
        network: Network,
        stored: watch::Sender<u64>,
    ) -> (Writer, impl Future<Output = ()> + Send + 'static) {
        let (sender, queue) = mpsc::channel(QUEUE);
        (Writer(sender), write(store, network, stored, queue))
    }

    /// Takes a batch in, without waiting. `None` if it was taken; else what to tell the protocol at once.
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
        // A panic in the store is logged by its hook; the batches are lost, as after a crash.
        for input in written.unwrap_or_default() {
            network.input(input).await;
        }
    }
}

/// Stores batches with one commit. If that fails, stores them one by one, so that one bad batch spoils no other.
fn put_all(store: &Store, batches: Vec<Batch>) -> Vec<Input> {
    let all: Vec<SignedEntry> =
        batches.iter().flat_map(|batch| batch.entries.iter().cloned()).collect();
    let mut puts = match store.put_entries(&all) {
        Ok(puts) => puts.into_iter(),
        Err(error) if batches.len() == 1 => {
            tracing::error!(%error, "entries could not be stored");
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
    let verdict = match put.admit {
        Admit::New => Verdict::New,
        Admit::Known => Verdict::Known,
        Admit::Fork(proof) => {
            tracing::warn!(?proof, "a publisher signed two histories");
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
