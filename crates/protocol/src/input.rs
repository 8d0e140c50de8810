//! All inputs of a node, as one enum. The caller reports each event and its time, and the node
//! answers with a list of effects. Nothing else reaches the machines.

use std::collections::BTreeSet;

use perennial_manifest::{BlobId, EntryId, PublisherId, ReleaseId, Selector, SignedEntry};

use crate::message::{Bounded, MAX_SCOPE, Request, Response, Scope};
use crate::peer::PeerId;
use crate::prefix::Prefix;
use crate::sync::set::Sealed;
use crate::transfer::{AssignmentId, End, Report};

/// Identifies a request that this node sent. Assigned by the protocol, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Identifies a request, or a blob stream, that a peer sent. Assigned by the caller, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Identifies a fetch. Assigned by the caller in [`Input::Fetch`], never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// Identifies a look-up. Assigned by the caller in [`Input::Lookup`], never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(pub u64);

/// Identifies a census. Assigned by the caller in [`Input::Census`], never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CensusId(pub u64);

/// Identifies a gossip message to the network layer, which assigns the id. Opaque.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub Vec<u8>);

/// The publishers whose releases this node fetches and keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follows {
    /// Every publisher: an archive node.
    All,
    /// These publishers.
    Publishers(BTreeSet<PublisherId>),
}

impl Default for Follows {
    fn default() -> Self {
        Self::Publishers(BTreeSet::new())
    }
}

impl Follows {
    /// Returns whether a publisher is followed.
    #[must_use]
    pub fn covers(&self, publisher: &PublisherId) -> bool {
        match self {
            Self::All => true,
            Self::Publishers(some) => some.contains(publisher),
        }
    }

    /// Returns whether a publisher is followed by name. Where all are followed, strangers are, too.
    #[must_use]
    pub fn names(&self, publisher: &PublisherId) -> bool {
        matches!(self, Self::Publishers(some) if some.contains(publisher))
    }

    /// The scopes that together cover all follows: one per [`MAX_SCOPE`] publishers.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        match self {
            Self::All => vec![Scope::All],
            Self::Publishers(some) => {
                let all: Vec<PublisherId> = some.iter().copied().collect();
                all.chunks(MAX_SCOPE)
                    .map(|chunk| Scope::Publishers(Bounded::first_of(chunk.iter().copied())))
                    .collect()
            }
        }
    }
}

/// A blob that a fetch needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedBlob {
    /// The digest that verifies its bytes.
    pub blob: BlobId,
    /// Its size in bytes, from a signed list or from a peer's claim, which the verified bytes
    /// confirm or refute.
    pub size: u64,
    /// The byte ranges `[start, end)` that are missing: ascending, disjoint, each start a multiple
    /// of [`GROUP`](crate::GROUP). The whole blob is `[(0, size)]`; an empty blob is `[]` and is
    /// done at once.
    pub missing: Vec<(u64, u64)>,
}

/// The store's verdict on an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Stored.
    New,
    /// Already stored.
    Known,
    /// Stored, and it proves a fork of its feed.
    Fork,
    /// Kept aside or dropped, because its feed lacks these earlier entries.
    Orphan {
        /// The earlier entries, all of the same feed.
        missing: Vec<EntryId>,
    },
    /// Violates the feed's rules; not stored.
    Rejected,
    /// Not stored, because its publisher, who is not followed, has had its share.
    Full,
}

/// Why a request had no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestFailure {
    /// The response did not arrive in time.
    Timeout,
    /// There is no connection, or it ended.
    Disconnected,
    /// The peer does not speak the protocol.
    Unsupported,
    /// The response did not decode.
    Malformed,
}

/// The outcome of an attempt to keep a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepOutcome {
    /// Every byte is held and verified.
    Held,
    /// Failed; the protocol retries later.
    Failed,
    /// Denied, or its artifact list is malformed: not retried soon.
    Refused,
}

/// Something that happened.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the variants document their fields")]
pub enum Input {
    /// The first connection to a peer is up.
    Connected { peer: PeerId, prefix: Prefix },
    /// The last connection to a peer ended.
    Disconnected { peer: PeerId },
    /// A gossip message with payload `bytes` arrived through `from`. Answered at once with one
    /// [`Effect::ReportGossip`](crate::Effect::ReportGossip).
    Gossip { from: PeerId, message: MessageId, bytes: Vec<u8> },
    /// A peer sent a request. Answered with one [`Effect::Respond`](crate::Effect::Respond) at
    /// once, or with one [`Effect::Answer`](crate::Effect::Answer) when it has its turn.
    Request { from: PeerId, token: Token, request: Request },
    /// A question of an [`Effect::Answer`](crate::Effect::Answer) was answered, with this
    /// [`Answer::sealed`](crate::Answer::sealed).
    Answered { token: Token, sealed: Option<Sealed> },
    /// The entries of an [`Effect::Seal`](crate::Effect::Seal); `None` if they could not be read.
    Sealed { scope: Scope, sealed: Option<Sealed> },
    /// A peer responded to the request `id`, or it failed.
    Response { from: PeerId, id: RequestId, result: Result<Response, RequestFailure> },
    /// A peer opened a blob stream and requested `bytes` in all
    /// ([`BlobRequest::bytes`](crate::BlobRequest::bytes)). Answered at once with
    /// [`Effect::Serve`](crate::Effect::Serve) or
    /// [`Effect::RefuseServe`](crate::Effect::RefuseServe).
    BlobStream { from: PeerId, token: Token, bytes: u64 },
    /// A served blob stream ended, successfully or not, after `bytes` had been written to it.
    Served { token: Token, bytes: u64 },
    /// This node's user chose this peer, which was reached by dialling: places are kept for it.
    Chosen { peer: PeerId },
    /// Replaces the user's follows. Also given once at start.
    Follows(Follows),
    /// This node signed and stored an entry: gossip it.
    Publish(Box<SignedEntry>),
    /// The store has finished the batch of an [`Effect::Store`](crate::Effect::Store).
    Stored {
        batch: u64,
        /// One verdict per entry, in the order given; fewer if the store failed.
        verdicts: Vec<(EntryId, Verdict)>,
    },
    /// Ask peers for entries and blobs that match a name, of one publisher or of any. Ends with one
    /// [`Effect::LookupDone`](crate::Effect::LookupDone).
    Lookup { lookup: LookupId, selector: Selector, publisher: Option<PublisherId> },
    /// Ask peers for releases by words, as [`Request::Search`] does. Ends with one
    /// [`Effect::LookupDone`](crate::Effect::LookupDone), whose entries are not stored.
    Search { lookup: LookupId, text: String },
    /// Ask which peers hold a release. Ends with one
    /// [`Effect::CensusDone`](crate::Effect::CensusDone).
    Census {
        census: CensusId,
        release: ReleaseId,
        /// The release's blobs with their sizes, as far as known. Peers are asked only about the
        /// first [`MAX_HAVE_BLOBS`](crate::MAX_HAVE_BLOBS).
        blobs: Vec<(BlobId, u64)>,
    },
    /// Start a fetch, or add blobs to one (same id). Ends with one
    /// [`Effect::FetchDone`](crate::Effect::FetchDone) or
    /// [`Effect::FetchFailed`](crate::Effect::FetchFailed).
    Fetch {
        fetch: FetchId,
        /// The release that the blobs belong to: peers that hold the release hold the blobs.
        release: Option<ReleaseId>,
        /// Blobs not yet named in this fetch.
        blobs: Vec<WantedBlob>,
        /// True when no more blobs follow: the fetch is done once all are held. False keeps it
        /// open, as between the artifact list and the artifacts.
        last: bool,
    },
    /// Stop a fetch. Neither `FetchDone` nor `FetchFailed` follows.
    Cancel { fetch: FetchId },
    /// An assignment progressed: verified bytes were written, or the peer answered "not held" for
    /// some blobs. Reported at least once a second while bytes flow.
    Received { assignment: AssignmentId, report: Report },
    /// An assignment's stream ended; the report covers the bytes not reported before.
    Transferred { assignment: AssignmentId, report: Report, end: End },
    /// Providers of a release that the DHT named, in parts; `done` with the last part.
    Providers { release: ReleaseId, peers: Vec<PeerId>, done: bool },
    /// An [`Effect::Keep`](crate::Effect::Keep) ended. Announces nothing: [`Input::Held`] does.
    Kept { release: ReleaseId, outcome: KeepOutcome },
    /// This release is held: announce it if this node ranks among its announcers. Given for each
    /// release that becomes held, by any route, and for each held release at start.
    Held { release: ReleaseId },
    /// This release is no longer held.
    Dropped { release: ReleaseId },
    /// The disk has room again: what could not be kept is tried again soon.
    Room,
    /// Time passed: the moment of the last [`Effect::WakeAt`](crate::Effect::WakeAt) has been
    /// reached. Harmless at any other time.
    Tick,
}
