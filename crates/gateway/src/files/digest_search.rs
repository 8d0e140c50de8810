//! Selection release lists a digest that is not here: the one question that reads many lists.
//!
//! Promises that it takes a share of one core at most, whoever asks and however often: all who wait are answered by one
//! looking through, which goes on though they leave, and rests after it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use perennial_manifest::{Artifact, BlobId, Sha256Digest};
use perennial_store::{ReleaseFilter, ReleaseRow, Store, StoreError};
use tokio::sync::oneshot;

use super::naming::Digest;
use crate::content::run;

/// How many lists are looked through.
const LISTS: usize = 5_000;
/// How long it rests: so many times as long as it took.
const REST: u32 = 3;
/// Questions of those who left are forgotten once there are so many.
const LEFT: usize = 4_096;

/// What was found; the error is for all who asked.
type Found = Result<Option<(ReleaseRow, Artifact)>, Arc<StoreError>>;

/// Somebody waits for an artifact that has a digest and is none of these blobs.
#[derive(Debug)]
struct Question {
    digest: Digest,
    wrong: Vec<BlobId>,
    answer: oneshot::Sender<Found>,
}

/// Those who wait, and whose turn it is to look.
#[derive(Debug, Default)]
pub(super) struct DigestSearch {
    questions: Mutex<Vec<Question>>,
    /// Not before when the next may look.
    turn: Arc<tokio::sync::Mutex<Option<tokio::time::Instant>>>,
}

impl DigestSearch {
    fn questions(&self) -> MutexGuard<'_, Vec<Question>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks through the lists that are here.
    pub(super) async fn find(&self, store: &Store, digest: Digest, wrong: Vec<BlobId>) -> Found {
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
                let looked = run(move || {
                    let begun = Instant::now();
                    look(&store, questions);
                    // the turn goes with the work: who leaves does not let the next one begin beside it
                    *turn = Some(tokio::time::Instant::now() + begun.elapsed() * REST);
                    Ok(())
                });
                looked.await.map_err(Arc::new)?;
                answered.await.unwrap_or_else(|_| stopped())
            }
        }
    }
}

fn stopped() -> Found {
    Err(Arc::new(StoreError::Index("looking through the lists ended early".into())))
}

/// Answers all questions; whoever asked for what no list has is told so.
fn look(store: &Store, questions: Vec<Question>) {
    let mut open = Open::default();
    for question in questions.into_iter().filter(|question| !question.answer.is_closed()) {
        match question.digest {
            Digest::Blake3(blob) => open.blake3.entry(blob).or_default().push(question),
            Digest::Sha256(sha256) => open.sha256.entry(sha256).or_default().push(question),
        }
    }
    let outcome = open.look(store).map_err(Arc::new);
    let unanswered = open.blake3.into_values().chain(open.sha256.into_values()).flatten();
    for Question { answer, .. } in unanswered {
        // who left needs no answer
        let _ = answer.send(outcome.clone().map(|()| None));
    }
}

/// Questions that nothing answered yet.
#[derive(Default)]
struct Open {
    blake3: HashMap<BlobId, Vec<Question>>,
    sha256: HashMap<Sha256Digest, Vec<Question>>,
}

impl Open {
    fn look(&mut self, store: &Store) -> Result<(), StoreError> {
        if self.blake3.is_empty() && self.sha256.is_empty() {
            return Ok(());
        }
        for row in store.releases(&ReleaseFilter { limit: LISTS, ..ReleaseFilter::default() })? {
            let list = match store.read_list(&row.artifacts) {
                Ok(Some(list)) => list,
                // a list that is not here or damaged names nothing; the others may
                Ok(None) | Err(StoreError::Corrupt { .. } | StoreError::Format { .. }) => continue,
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

fn answer<K: Eq + std::hash::Hash>(
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
