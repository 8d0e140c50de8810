//! The disk below the data directory: whether it is there and answers.
//!
//! A disk that was unplugged, unmounted or has failed keeps its names in the kernel's caches, so a
//! node would go on listing what it can no longer read. It asks the disk instead: with each
//! question about what is held, and every few seconds. Questions that come together share one
//! answer, and a disk that does not answer has one thread waiting for it, however many ask.

use std::sync::Arc;
use std::time::Duration;

use perennial_store::{Store, StoreError};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// How long the disk has to answer. One that sleeps takes some seconds to start.
const WAIT: Duration = Duration::from_secs(10);
/// How long an answer counts: short for people and scripts, and a bound for those who ask all the
/// time.
const FRESH: Duration = Duration::from_millis(200);
/// How often a node asks by itself.
const EVERY: Duration = Duration::from_secs(3);
/// Failures in a row after which the disk counts as lost.
const LOST_AFTER: u32 = 2;

/// Why the disk is of no use.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// It is not there, or it fails.
    #[error("the data directory cannot be used: {0}")]
    Lost(Arc<StoreError>),
    /// It does not answer.
    #[error("the disk of the data directory has not answered for {} s", WAIT.as_secs())]
    Silent,
}

/// The last answer, and the question under way.
#[derive(Debug, Default)]
struct Asked {
    last: Option<(Instant, Result<(), DiskError>)>,
    asking: Option<JoinHandle<Result<(), StoreError>>>,
}

/// The disk of a store.
#[derive(Debug, Default)]
pub(crate) struct Disk(Mutex<Asked>);

impl Disk {
    /// Asks whether the data directory is there and its disk answers.
    pub(crate) async fn ask(&self, store: &Store) -> Result<(), DiskError> {
        let mut asked = self.0.lock().await;
        if let Some((at, answer)) = &asked.last
            && at.elapsed() < FRESH
        {
            return answer.clone();
        }
        let asking = asked.asking.get_or_insert_with(|| {
            let store = store.clone();
            tokio::task::spawn_blocking(move || store.probe())
        });
        let answer = match timeout(WAIT, &mut *asking).await {
            Err(_) => Err(DiskError::Silent),
            Ok(answered) => {
                asked.asking = None;
                match answered {
                    Ok(answer) => answer.map_err(|error| DiskError::Lost(Arc::new(error))),
                    // The runtime is stopping.
                    Err(_) => Ok(()),
                }
            }
        };
        asked.last = Some((Instant::now(), answer.clone()));
        answer
    }

    /// Resolves once the disk is lost. One that is only silent may come back by itself, as a
    /// network file system does.
    pub(crate) async fn lost(&self, store: &Store) -> DiskError {
        let mut failures = 0;
        loop {
            sleep(EVERY).await;
            match self.ask(store).await {
                Err(error @ DiskError::Lost(_)) => {
                    failures += 1;
                    if failures >= LOST_AFTER {
                        return error;
                    }
                }
                Err(DiskError::Silent) => tracing::warn!("the disk does not answer"),
                Ok(()) => failures = 0,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use perennial_store::OpenOptions;

    use super::*;

    #[tokio::test]
    async fn a_directory_that_is_gone_or_replaced_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (data, aside) = (dir.path().join("d"), dir.path().join("aside"));
        let store = Store::open(&data, OpenOptions::default()).unwrap();
        Disk::default().ask(&store).await.unwrap();
        std::fs::rename(&data, &aside).unwrap();
        let gone = Disk::default().ask(&store).await.unwrap_err();
        assert!(gone.to_string().contains("not there any more"), "{gone}");
        std::fs::create_dir(&data).unwrap();
        let other = Disk::default().ask(&store).await.unwrap_err();
        assert!(other.to_string().contains("another directory"), "{other}");
    }

    #[tokio::test]
    async fn concurrent_queries_share_one_answer() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("d");
        let store = Store::open(&data, OpenOptions::default()).unwrap();
        let disk = Disk::default();
        disk.ask(&store).await.unwrap();
        std::fs::rename(&data, dir.path().join("aside")).unwrap();
        assert!(disk.ask(&store).await.is_ok(), "the answer of a moment ago");
        let last = disk.0.lock().await.last.as_mut().map(|last| last.0 -= FRESH);
        assert!(last.is_some() && disk.ask(&store).await.is_err());
    }
}
