//! The way to the event loop from every other task of a node: requests in, answers back.
//!
//! Owns the messages and the handle. The loop owns the state; nobody else touches it.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_manifest::{BlobId, EntryId, PublisherId, ReleaseId, Selector, SignedEntry};
use perennial_protocol::effect::{FetchFailure, Holder, Progress};
use perennial_protocol::input::{Follows, KeepOutcome, Token, Verdict, WantedBlob};
use perennial_protocol::message::BlobClaim;
use perennial_protocol::peer::PeerId;
use perennial_protocol::time::Time;
use perennial_protocol::transfer::{AssignmentId, End, Report};
use tokio::sync::{mpsc, oneshot, watch};

use crate::archive::repair::Damage;

/// Messages that may wait for the loop; then their senders do.
pub(crate) const QUEUE: usize = 1024;

/// What peers said about a name.
#[derive(Debug, Default)]
pub(crate) struct LookupAnswer {
    pub(crate) answered: usize,
    pub(crate) entries: Vec<SignedEntry>,
    pub(crate) claims: Vec<(PeerId, BlobClaim)>,
}

/// What a fetch tells the task that waits for it.
#[derive(Debug)]
pub(crate) enum FetchNews {
    BlobDone(BlobId),
    Done(Vec<(PeerId, u64)>),
    Failed(FetchFailure),
}

/// A peer that is connected.
#[derive(Debug, Clone, Default)]
pub(crate) struct PeerInfo {
    pub(crate) address: String,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) faults: u64,
}

/// What the loop shows of itself, at any moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overview {
    pub(crate) addresses: Vec<String>,
    pub(crate) peers: BTreeMap<PeerId, PeerInfo>,
    pub(crate) sync_sent: u64,
    pub(crate) sync_received: u64,
    /// Reconciliations that came to their end.
    pub(crate) synced: u64,
}

/// A message to the loop.
#[derive(Debug)]
pub(crate) enum Message {
    Lookup {
        selector: Selector,
        publisher: Option<PublisherId>,
        answer: oneshot::Sender<LookupAnswer>,
    },
    Census {
        release: ReleaseId,
        blobs: Vec<(BlobId, u64)>,
        answer: oneshot::Sender<Vec<Holder>>,
    },
    Fetch {
        release: Option<ReleaseId>,
        news: mpsc::Sender<FetchNews>,
        progress: watch::Sender<Option<Progress>>,
        id: oneshot::Sender<u64>,
    },
    FetchBlobs {
        fetch: u64,
        blobs: Vec<WantedBlob>,
        last: bool,
    },
    CancelFetch {
        fetch: u64,
    },
    Publish(Box<SignedEntry>),
    Follows(Follows),
    Held(ReleaseId),
    Dropped(ReleaseId),
    Kept {
        release: ReleaseId,
        outcome: KeepOutcome,
    },
    Stored {
        batch: u64,
        verdicts: Vec<(EntryId, Verdict)>,
    },
    Received {
        assignment: AssignmentId,
        report: Report,
    },
    Transferred {
        assignment: AssignmentId,
        peer: PeerId,
        report: Report,
        end: End,
    },
    Serve {
        from: PeerId,
        bytes: u64,
        decision: oneshot::Sender<Option<(Token, Time)>>,
    },
    Served {
        from: PeerId,
        token: Token,
        bytes: u64,
    },
    Dial(String),
}

/// Sends to the loop of a node.
#[derive(Debug, Clone)]
pub(crate) struct Core {
    pub(crate) messages: mpsc::Sender<Message>,
    pub(crate) overview: watch::Receiver<Overview>,
    /// Where readers say what they found damaged.
    pub(crate) damage: Arc<Damage>,
}

impl Core {
    /// Sends; a loop that has ended takes nothing, and whoever waits for an answer sees its channel closed.
    pub(crate) async fn send(&self, message: Message) {
        let _ = self.messages.send(message).await;
    }

    /// The same from blocking code.
    pub(crate) fn send_blocking(&self, message: Message) {
        let _ = self.messages.blocking_send(message);
    }

    /// Asks peers what a name or digest may mean.
    pub(crate) async fn lookup(
        &self,
        selector: Selector,
        publisher: Option<PublisherId>,
    ) -> LookupAnswer {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Lookup { selector, publisher, answer }).await;
        answered.await.unwrap_or_default()
    }

    /// Asks peers which of them hold a release.
    pub(crate) async fn census(
        &self,
        release: ReleaseId,
        blobs: Vec<(BlobId, u64)>,
    ) -> Vec<Holder> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Census { release, blobs, answer }).await;
        answered.await.unwrap_or_default()
    }

    /// Starts a fetch; blobs are named afterwards. Dropping the ticket cancels it.
    pub(crate) async fn fetch(&self, release: Option<ReleaseId>) -> Option<Ticket> {
        let (news, inbox) = mpsc::channel(64);
        let (progress, watched) = watch::channel(None);
        let (id, given) = oneshot::channel();
        self.send(Message::Fetch { release, news, progress, id }).await;
        Some(Ticket {
            id: given.await.ok()?,
            core: self.clone(),
            news: inbox,
            progress: watched,
            over: false,
        })
    }
}

/// A fetch under way.
#[derive(Debug)]
pub(crate) struct Ticket {
    id: u64,
    core: Core,
    news: mpsc::Receiver<FetchNews>,
    pub(crate) progress: watch::Receiver<Option<Progress>>,
    over: bool,
}

impl Ticket {
    /// Names blobs to fetch; `last`: no more will be named.
    pub(crate) async fn add(&self, blobs: Vec<WantedBlob>, last: bool) {
        self.core.send(Message::FetchBlobs { fetch: self.id, blobs, last }).await;
    }

    /// Waits until one blob is here.
    pub(crate) async fn blob(&mut self, wanted: BlobId) -> Result<(), FetchFailure> {
        loop {
            match self.news.recv().await {
                Some(FetchNews::BlobDone(blob)) if blob == wanted => return Ok(()),
                Some(FetchNews::BlobDone(_)) => {}
                Some(FetchNews::Done(_)) => {
                    self.over = true;
                    return Ok(());
                }
                Some(FetchNews::Failed(failure)) => {
                    self.over = true;
                    return Err(failure);
                }
                None => return Err(FetchFailure::Local),
            }
        }
    }

    /// Waits for the end, and says how many bytes came from whom.
    pub(crate) async fn done(&mut self) -> Result<Vec<(PeerId, u64)>, FetchFailure> {
        loop {
            match self.news.recv().await {
                Some(FetchNews::BlobDone(_)) => {}
                Some(FetchNews::Done(from)) => {
                    self.over = true;
                    return Ok(from);
                }
                Some(FetchNews::Failed(failure)) => {
                    self.over = true;
                    return Err(failure);
                }
                None => return Err(FetchFailure::Local),
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.over {
            // the loop is asked without waiting: a drop cannot wait, and a full queue means that it is asked later
            let (core, fetch) = (self.core.clone(), self.id);
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { core.send(Message::CancelFetch { fetch }).await });
            }
        }
    }
}
