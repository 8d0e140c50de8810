//! A running fetch, as the task that waits for it sees it: naming its blobs, its news, its end.

use perennial_manifest::{BlobId, ReleaseId};
use perennial_protocol::{FetchFailure, FetchId, Input, PeerId, Progress, WantedBlob};
use tokio::sync::{mpsc, watch};

use crate::network::handle::Network;

/// News of one fetch waiting for its task, at most.
const FETCH_NEWS: usize = 64;

/// A report of a fetch to the task that waits for it.
#[derive(Debug)]
pub(crate) enum FetchNews {
    BlobDone(BlobId),
    Done(Vec<(PeerId, u64)>),
    Failed(FetchFailure),
}

/// The progress of a fetch; `None` before the first report.
pub(crate) type FetchProgress = Option<Progress>;

/// The channels through which the loop reports on a fetch.
#[derive(Debug)]
pub(crate) struct FetchReport {
    pub(crate) news: mpsc::Sender<FetchNews>,
    pub(crate) progress: watch::Sender<FetchProgress>,
}

impl FetchReport {
    /// The channels, and the end at which the fetch's task waits for news.
    pub(super) fn new(progress: watch::Sender<FetchProgress>) -> (Self, mpsc::Receiver<FetchNews>) {
        let (news, inbox) = mpsc::channel(FETCH_NEWS);
        (Self { news, progress }, inbox)
    }
}

/// A handle to a running fetch.
#[derive(Debug)]
pub(crate) struct FetchHandle {
    fetch: FetchId,
    release: Option<ReleaseId>,
    network: Network,
    news: mpsc::Receiver<FetchNews>,
    ended: bool,
}

impl FetchHandle {
    pub(super) fn new(
        fetch: FetchId,
        release: Option<ReleaseId>,
        network: Network,
        news: mpsc::Receiver<FetchNews>,
    ) -> Self {
        Self { fetch, release, network, news, ended: false }
    }

    /// Names blobs to fetch; after `last`, no more can be named.
    pub(crate) async fn add(&self, blobs: Vec<WantedBlob>, last: bool) {
        let (fetch, release) = (self.fetch, self.release);
        self.network.input(Input::Fetch { fetch, release, blobs, last }).await;
    }

    /// Waits until one blob is stored.
    pub(crate) async fn blob(&mut self, wanted: BlobId) -> Result<(), FetchFailure> {
        loop {
            match self.news.recv().await {
                Some(FetchNews::BlobDone(blob)) if blob == wanted => return Ok(()),
                Some(FetchNews::BlobDone(_)) => {}
                Some(FetchNews::Done(_)) => {
                    self.ended = true;
                    return Ok(());
                }
                Some(FetchNews::Failed(failure)) => {
                    self.ended = true;
                    return Err(failure);
                }
                None => return Err(FetchFailure::Local),
            }
        }
    }

    /// Waits until all blobs are stored. Returns the verified bytes by peer.
    pub(crate) async fn done(&mut self) -> Result<Vec<(PeerId, u64)>, FetchFailure> {
        loop {
            match self.news.recv().await {
                Some(FetchNews::BlobDone(_)) => {}
                Some(FetchNews::Done(from)) => {
                    self.ended = true;
                    return Ok(from);
                }
                Some(FetchNews::Failed(failure)) => {
                    self.ended = true;
                    return Err(failure);
                }
                None => return Err(FetchFailure::Local),
            }
        }
    }
}

impl Drop for FetchHandle {
    fn drop(&mut self) {
        if !self.ended {
            // `drop` cannot wait for room in the queue, so a task of its own does.
            let (network, fetch) = (self.network.clone(), self.fetch);
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { network.input(Input::Cancel { fetch }).await });
            }
        }
    }
}
