//! The messages of this node's other tasks to the event loop: inputs for the protocol, and queries
//! that the loop answers.

use perennial_manifest::{BlobId, PublisherId, ReleaseId, Selector, SignedEntry};
use perennial_protocol::{
    BlobClaim, CensusId, FetchId, Holder, Input, LookupId, PeerId, Time, Token,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::EventLoop;
use super::dial::Dialled;
use super::fetch_handle::FetchReport;
use super::overview::Dial;
use super::twin::End;

/// The bit that marks tokens of blob streams, which the loop assigns. Tokens of requests are
/// assigned by the swarm, which counts from 1.
const STREAM_TOKENS: u64 = 1 << 63;

/// The responses of peers to a look-up.
#[derive(Debug, Default)]
pub(crate) struct LookupAnswer {
    /// Number of peers that answered.
    pub(crate) answered: usize,
    /// Matching release entries with valid signatures.
    pub(crate) entries: Vec<SignedEntry>,
    /// For digests: each claim with the peer that made it.
    pub(crate) claims: Vec<(PeerId, BlobClaim)>,
}

/// A message to the loop: an input for the protocol, or a query that the loop answers.
#[derive(Debug)]
pub(crate) enum Message {
    /// Passed to the protocol unchanged. `Input::Fetch` follows a `Message::Fetch` of the same id.
    Input(Input),
    Lookup {
        selector: Selector,
        publisher: Option<PublisherId>,
        answer: oneshot::Sender<LookupAnswer>,
    },
    Search {
        text: String,
        answer: oneshot::Sender<LookupAnswer>,
    },
    Census {
        release: ReleaseId,
        blobs: Vec<(BlobId, u64)>,
        answer: oneshot::Sender<Vec<Holder>>,
    },
    /// Registers the channels for reports on this fetch.
    Fetch {
        fetch: FetchId,
        report: FetchReport,
    },
    /// Asks whether, and from when on, this many bytes may be sent to a peer.
    Serve {
        from: PeerId,
        bytes: u64,
        decision: oneshot::Sender<Option<(Token, Time)>>,
    },
    /// Reports the end of a stream that was allowed.
    Served {
        from: PeerId,
        token: Token,
        bytes: u64,
    },
    /// Dials this address now, and again whenever its peer is not connected.
    Dial {
        given: String,
        outcome: oneshot::Sender<Dialled>,
    },
    /// A node with this node's key answers at this address.
    OwnKeyAnswered(String),
    /// Time to judge refused calls of nodes with this node's key.
    SettleTwin,
    /// Reports the outcome of dialling an address.
    Dialled {
        given: String,
        outcome: Dialled,
    },
}

impl EventLoop {
    /// Handles one message.
    pub(super) async fn on_message(&mut self, message: Message) {
        match message {
            Message::Input(input) => self.input(input).await,
            Message::Lookup { selector, publisher, answer } => {
                let lookup = LookupId(self.id());
                self.lookups.insert(lookup, answer);
                self.input(Input::Lookup { lookup, selector, publisher }).await;
            }
            Message::Search { text, answer } => {
                let lookup = LookupId(self.id());
                self.lookups.insert(lookup, answer);
                self.input(Input::Search { lookup, text }).await;
            }
            Message::Census { release, blobs, answer } => {
                let census = CensusId(self.id());
                self.censuses.insert(census, answer);
                self.input(Input::Census { census, release, blobs }).await;
            }
            Message::Fetch { fetch, report } => {
                self.fetches.insert(fetch, report);
            }
            Message::Serve { from, bytes, decision } => {
                let token = Token(STREAM_TOKENS | self.id());
                self.serving.insert(token, decision);
                self.input(Input::BlobStream { from, token, bytes }).await;
            }
            Message::Served { from, token, bytes } => {
                self.overview.send_modify(|overview| overview.sent_to(&from, bytes));
                self.input(Input::Served { token, bytes }).await;
            }
            Message::Dial { given, outcome } => {
                if let Some(due) = self.dial.add(&given, &self.connected(), outcome) {
                    self.overview.send_modify(|overview| {
                        overview.dials.entry(given).or_insert(Dial::Trying);
                    });
                    self.dial(due);
                }
            }
            Message::Dialled { given, outcome } => {
                let peer = outcome.clone().ok();
                self.dialled(given, outcome);
                if let Some(peer) = peer {
                    self.input(Input::Chosen { peer }).await;
                }
            }
            Message::OwnKeyAnswered(address) => self.refused_call(End::Dialled, &address),
            Message::SettleTwin => {
                self.mirror.settle(Instant::now());
                self.tell_twin();
            }
        }
    }
}
