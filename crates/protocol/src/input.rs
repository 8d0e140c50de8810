//! Everything that can happen to a node, as one enum. The caller says what happened and when; the answer is a
//! list of effects. Nothing else reaches the machines.

use std::collections::BTreeSet;

use perennial_manifest::{BlobId, EntryId, PublisherId, ReleaseId, Selector, SignedEntry};

pub use crate::transfer::{AssignmentId, End, Report};
use crate::{
    message::{Request, Response, Scope},
    peer::PeerId,
};

/// Names a request that this node sent. Given by the protocol, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names a request (or blob stream) that a peer sent. Given by the caller, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Names a fetch. Given by the caller in [`Input::Fetch`], never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// Names a look-up. Given by the caller in [`Input::Lookup`], never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(pub u64);

/// Names a census. Given by the caller in [`Input::Census`], never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CensusId(pub u64);

/// Names a gossip message towards the network layer (its opaque id).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub Vec<u8>);

/// Where a peer's address lies, coarsely (an IPv4 /24, an IPv6 /48, …): peers that share one share a budget.
/// Opaque; `0` is "unknown, or this machine" and shares nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Prefix(pub u64);

/// Whose releases this node fetches and keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follows {
    /// Everybody's: an archive node.
    All,
    /// These publishers'.
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

    /// The scopes that a reconciliation of all of these takes: several when there are many publishers.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        match self {
            Self::All => vec![Scope::All],
            Self::Publishers(some) => {
                let all: Vec<PublisherId> = some.iter().copied().collect();
                all.chunks(crate::message::MAX_SCOPE)
                    .map(|chunk| {
                        Scope::Publishers(crate::message::Bounded::first_of(chunk.iter().copied()))
                    })
                    .collect()
            }
        }
    }
}

/// A blob that a fetch needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedBlob {
    /// The blob.
    pub blob: BlobId,
    /// Its size, from a signed list (or a peer's claim, which the verified bytes prove or refute).
    pub size: u64,
    /// What is missing, `[start, end)`, ascending, disjoint, starts at multiples of
    /// [`GROUP`](crate::message::GROUP). The whole blob is `[(0, size)]`; an empty blob is `[]` and is done at once.
    pub missing: Vec<(u64, u64)>,
}

/// What became of an entry that was given to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Stored.
    New,
    /// Was there.
    Known,
    /// Stored, and it proves a fork of its feed.
    Fork,
    /// Kept aside (or dropped): these earlier entries of its feed are not here.
    Orphan {
        /// The earlier entries.
        missing: Vec<EntryId>,
    },
    /// Against the feed's rules; not stored.
    Rejected,
}

/// Why a request had no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestFailure {
    /// No answer in time.
    Timeout,
    /// No connection, or it ended.
    Disconnected,
    /// The peer does not speak the protocol.
    Unsupported,
    /// The answer did not decode.
    Malformed,
}

/// How the attempt to keep a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepOutcome {
    /// Every byte is here and was verified.
    Held,
    /// Not now; the protocol tries again later.
    Failed,
    /// Never again (denied, or its artifact list is malformed).
    Refused,
}

/// Something happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// A connection to a peer is up (the first one to it).
    Connected {
        /// The peer.
        peer: PeerId,
        /// Where it is.
        prefix: Prefix,
    },
    /// The last connection to a peer ended.
    Disconnected {
        /// The peer.
        peer: PeerId,
    },
    /// A gossip message came. Answered at once with one `ReportGossip`.
    Gossip {
        /// Who passed it on.
        from: PeerId,
        /// Its name.
        message: MessageId,
        /// Its payload.
        bytes: Vec<u8>,
    },
    /// A peer asks. Answered at once with one `Respond`.
    Request {
        /// Who.
        from: PeerId,
        /// For the answer.
        token: Token,
        /// What.
        request: Request,
    },
    /// A peer answered, or will not.
    Response {
        /// Who.
        from: PeerId,
        /// To which request.
        id: RequestId,
        /// What.
        result: Result<Response, RequestFailure>,
    },
    /// A peer opened a blob stream and asks for so many bytes. Answered at once with `Serve` or `RefuseServe`.
    BlobStream {
        /// Who.
        from: PeerId,
        /// For the answer.
        token: Token,
        /// [`BlobRequest::bytes`](crate::message::BlobRequest::bytes).
        bytes: u64,
    },
    /// A served blob stream ended, well or not.
    Served {
        /// Which.
        token: Token,
        /// Bytes written to it.
        bytes: u64,
    },
    /// The user follows these, from now on. Given once at start too.
    Follows(Follows),
    /// This node signed and stored an entry: tell everybody.
    Publish(Box<SignedEntry>),
    /// The store is done with an `Effect::Store`.
    Stored {
        /// From [`Effect::Store`](crate::effect::Effect::Store).
        batch: u64,
        /// What became of each entry, in the order given. Shorter when the store failed.
        verdicts: Vec<(EntryId, Verdict)>,
    },
    /// Ask peers for entries and blobs that a name may mean. Ends with one `LookupDone`.
    Lookup {
        /// Its name.
        lookup: LookupId,
        /// What to look for.
        selector: Selector,
        /// Only this publisher's.
        publisher: Option<PublisherId>,
    },
    /// Ask who holds a release. Ends with one `CensusDone`.
    Census {
        /// Its name.
        census: CensusId,
        /// Which release.
        release: ReleaseId,
        /// Its blobs with their sizes, as far as they are known; of more than
        /// [`MAX_HAVE_BLOBS`](crate::message::MAX_HAVE_BLOBS), the first are asked about.
        blobs: Vec<(BlobId, u64)>,
    },
    /// Start a fetch, or give one more blobs (same id). Ends with one `FetchDone` or `FetchFailed`.
    Fetch {
        /// Its name.
        fetch: FetchId,
        /// The release it is for: peers that hold the release hold the blobs.
        release: Option<ReleaseId>,
        /// Blobs, not yet named in this fetch.
        blobs: Vec<WantedBlob>,
        /// No more blobs will be named: the fetch is done when all are here. `false` keeps it open, as between
        /// the artifact list and the artifacts.
        last: bool,
    },
    /// Stop a fetch. No `FetchDone` or `FetchFailed` follows.
    Cancel {
        /// Which.
        fetch: FetchId,
    },
    /// An assignment moved on: verified bytes were written, or the peer answered "not held" for some blobs. Any
    /// granularity; at least one a second while bytes flow.
    Received {
        /// Which.
        assignment: AssignmentId,
        /// What came since the last report.
        report: Report,
    },
    /// An assignment's stream ended.
    Transferred {
        /// Which.
        assignment: AssignmentId,
        /// What came since the last report.
        report: Report,
        /// How it ended.
        end: End,
    },
    /// Answer to `FindProviders`, in parts or at once.
    Providers {
        /// The release.
        release: ReleaseId,
        /// Peers that announced it.
        peers: Vec<PeerId>,
        /// No more follow.
        done: bool,
    },
    /// How an `Effect::Keep` ended. Where it ended well, [`Input::Held`] came before.
    Kept {
        /// Which.
        release: ReleaseId,
        /// How.
        outcome: KeepOutcome,
    },
    /// This release is held (after `add` and after a fetch, and for each held release at start): announce it if it is our turn.
    Held {
        /// Which.
        release: ReleaseId,
    },
    /// This release is no longer held.
    Dropped {
        /// Which.
        release: ReleaseId,
    },
    /// Time passed: the moment of the last `WakeAt` came. Harmless at any other time.
    Tick,
}
