//! Finds the release that lists a digest that is not held, the only query that reads many lists.
//!
//! The search takes a bounded share of one core, however many clients ask and how often: one pass
//! over the lists answers all waiting queries, is completed even if clients disconnect, and is
//! followed by a pause.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use perennial_manifest::{Artifact, BlobId, Sha256Digest};
use perennial_store::{ReleaseFilter, ReleaseRow, Store, StoreError};
use tokio::sync::oneshot;

use super::digest::BlobDigest;
use crate::blocking::blocking;
use crate::http_error::HttpError;

/// Releases looked at in one pass, at most, and lists read of those that had one.
const LISTS: usize = 5_000;
/// The pause after a pass, as a multiple of the pass's duration.
const REST: u32 = 3;
/// Queue length above which the queries of disconnected clients are dropped.
const LEFT: usize = 4_096;

/// The release and the artifact found, if any.
type Found = Result<Option<(ReleaseRow, Artifact)>, HttpError>;

/// A client's query for an artifact with a digest, excluding the blobs in `wrong`.
#[derive(Debug)]
struct Question {
    digest: BlobDigest,
    wrong: Vec<BlobId>,
    answer: oneshot::Sender<Found>,
}

/// The waiting queries, and the lock that lets one pass run at a time.
#[derive(Debug, Default)]
pub(super) struct DigestSearch {
    questions: Mutex<Vec<Question>>,
    /// Locked during a pass; holds the earliest start of the next pass.
    turn: Arc<tokio::sync::Mutex<Option<tokio::time::Instant>>>,
}

impl DigestSearch {
    fn questions(&self) -> MutexGuard<'_, Vec<Question>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Searches the lists held in the store.
    pub(super) async fn find(
        &self,
        store: &Store,
        digest: BlobDigest,
        wrong: Vec<BlobId>,
    ) -> Found {
        let (answer, mut answered) = oneshot::channel();
        {
            let mut questions = self.questions();
            if questions.len() >= LEFT {
                questions.retain(|question| !question.answer.is_closed());
            }
            questions.push(Question { digest, wrong, answer });
        }
        tokio::select! {
            biased;
            found = &mut answered => found.unwrap_or_else(|_| stopped()),
            mut turn = Arc::clone(&self.turn).lock_owned() => {
                if let Some(begin) = *turn {
                    tokio::time::sleep_until(begin).await;
                }
                let questions = std::mem::take(&mut *self.questions());
                let store = store.clone();
                let searched = blocking(move || {
                    let begun = Instant::now();
                    search(&store, questions);
                    // The lock moves into the task: a client that disconnects does not let the next
                    // pass begin alongside this one.
                    *turn = Some(tokio::time::Instant::now() + begun.elapsed() * REST);
                    Ok::<_, HttpError>(())
                });
                searched.await?;
                answered.await.unwrap_or_else(|_| stopped())
            }
        }
    }
}

fn stopped() -> Found {
    Err(HttpError::internal(&"the search for a digest ended early; ask again"))
}

/// Answers all waiting queries in one pass.
fn search(store: &Store, questions: Vec<Question>) {
    let mut open = Open::default();
    for question in questions.into_iter().filter(|question| !question.answer.is_closed()) {
        match question.digest {
            BlobDigest::Blake3(blob) => open.blake3.entry(blob).or_default().push(question),
            BlobDigest::Sha256(sha256) => open.sha256.entry(sha256).or_default().push(question),
        }
    }
    let outcome = open.search(store).map_err(HttpError::from);
    let unanswered = open.blake3.into_values().chain(open.sha256.into_values()).flatten();
    for Question { answer, .. } in unanswered {
        // A disconnected client needs no answer.
        let _ = answer.send(outcome.clone().map(|()| None));
    }
}

/// Queries without an answer so far.
#[derive(Default)]
struct Open {
    blake3: HashMap<BlobId, Vec<Question>>,
    sha256: HashMap<Sha256Digest, Vec<Question>>,
}

impl Open {
    fn search(&mut self, store: &Store) -> Result<(), StoreError> {
        if self.blake3.is_empty() && self.sha256.is_empty() {
            return Ok(());
        }
        let rows = store.releases(&ReleaseFilter { limit: LISTS, ..ReleaseFilter::default() })?;
        for row in rows {
            let list = match store.read_list(&row.artifacts) {
                Ok(Some(list)) => list,
                // A missing or damaged list yields nothing; other lists still may.
                Ok(None) | Err(StoreError::Corrupt { .. } | StoreError::InvalidList { .. }) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            for artifact in &list {
                answer(&mut self.blake3, &artifact.blake3, &row, artifact);
                answer(&mut self.sha256, &artifact.sha256, &row, artifact);
            }
            if self.blake3.is_empty() && self.sha256.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

fn answer<K: Eq + Hash>(
    open: &mut HashMap<K, Vec<Question>>,
    key: &K,
    row: &ReleaseRow,
    artifact: &Artifact,
) {
    let Some(questions) = open.get_mut(key) else { return };
    for Question { answer, .. } in questions.extract_if(.., |q| !q.wrong.contains(&artifact.blake3))
    {
        let _ = answer.send(Ok(Some((row.clone(), artifact.clone()))));
    }
    if questions.is_empty() {
        open.remove(key);
    }
}
