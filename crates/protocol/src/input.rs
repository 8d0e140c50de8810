//! Everything that can happen to a node, as one enum. The caller reports what happened and when,
//! and the node answers with a list of effects. Nothing else reaches the machines.

use std::collections::BTreeSet;

use perennial_manifest::{BlobId, EntryId, PublisherId, ReleaseId, Selector, SignedEntry};

use crate::message::{Bounded, MAX_SCOPE, Request, Response, Scope};
use crate::peer::PeerId;
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

/// Identifies a gossip message towards the network layer, which assigns it. Opaque.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub Vec<u8>);

/// The network that a peer's address belongs to (an IPv4 /24, an IPv6 /48, …). Peers with one
/// prefix share a budget. Opaque; `0` means unknown or this machine, and shares nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Prefix(pub u64);

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
    /// Is this publisher followed?
    #[must_use]
    pub fn covers(&self, publisher: &PublisherId) -> bool {
        match self {
            Self::All => true,
            Self::Publishers(some) => some.contains(publisher),
        }
    }

    /// The scopes that together reconcile all of them: one for every [`MAX_SCOPE`] publishers.
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
    /// The digest by which its bytes are verified.
    pub blob: BlobId,
    /// Its size in bytes, from a signed list (or from a peer's claim, which the verified bytes
    /// prove or refute).
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
    /// Against the feed's rules; not stored.
    Rejected,
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

/// How the attempt to keep a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepOutcome {
    /// Every byte is here and was verified.
    Held,
    /// Not this time; the protocol tries again later.
    Failed,
    /// Denied, or its artifact list is malformed: not tried again soon.
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
    /// A peer sent a request. Answered at once with one
    /// [`Effect::Respond`](crate::Effect::Respond).
    Request { from: PeerId, token: Token, request: Request },
    /// A peer responded to the request `id`, or it failed.
    Response { from: PeerId, id: RequestId, result: Result<Response, RequestFailure> },
    /// A peer opened a blob stream and requested `bytes` in all
    /// ([`BlobRequest::bytes`](crate::BlobRequest::bytes)). Answered at once with
    /// [`Effect::Serve`](crate::Effect::Serve) or
    /// [`Effect::RefuseServe`](crate::Effect::RefuseServe).
    BlobStream { from: PeerId, token: Token, bytes: u64 },
    /// A served blob stream ended, well or badly, after `bytes` had been written to it.
    Served { token: Token, bytes: u64 },
    /// The user's follows from now on. Given once at start, too.
    Follows(Follows),
    /// This node signed and stored an entry: gossip it.
    Publish(Box<SignedEntry>),
    /// The store is done with the batch of an [`Effect::Store`](crate::Effect::Store).
    Stored {
        batch: u64,
        /// One verdict for each entry, in the order given; fewer when the store failed.
        verdicts: Vec<(EntryId, Verdict)>,
    },
    /// Ask peers for entries and blobs that a name may mean, of one publisher or of any. Ends with
    /// one [`Effect::LookupDone`](crate::Effect::LookupDone).
    Lookup { lookup: LookupId, selector: Selector, publisher: Option<PublisherId> },
    /// Ask which peers hold a release. Ends with one
    /// [`Effect::CensusDone`](crate::Effect::CensusDone).
    Census {
        census: CensusId,
        release: ReleaseId,
        /// The release's blobs with their sizes, as far as they are known. Of more than
        /// [`MAX_HAVE_BLOBS`](crate::MAX_HAVE_BLOBS), peers are asked about the first.
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
        /// True when no more blobs follow: the fetch is done once all are here. False keeps it
        /// open, as between the artifact list and the artifacts.
        last: bool,
    },
    /// Stop a fetch. Neither `FetchDone` nor `FetchFailed` follows.
    Cancel { fetch: FetchId },
    /// An assignment progressed: verified bytes were written, or the peer answered "not held" for
    /// some blobs. Reported at least once a second while bytes flow.
    Received { assignment: AssignmentId, report: Report },
    /// An assignment's stream ended; the report covers what was not reported before.
    Transferred { assignment: AssignmentId, report: Report, end: End },
    /// Providers of a release that the DHT named, in parts; `done` with the last part.
    Providers { release: ReleaseId, peers: Vec<PeerId>, done: bool },
    /// An [`Effect::Keep`](crate::Effect::Keep) ended. Announces nothing: [`Input::Held`] does.
    Kept { release: ReleaseId, outcome: KeepOutcome },
    /// This release is held: announce it if it is this node's turn. Given for each release that
    /// comes to be held, by whichever way, and for each held release at start.
    Held { release: ReleaseId },
    /// This release is no longer held.
    Dropped { release: ReleaseId },
    /// Time passed: the moment of the last [`Effect::WakeAt`](crate::Effect::WakeAt) has come.
    /// Harmless at any other time.
    Tick,
}
