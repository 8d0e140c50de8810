//! Everything a node can decide to do, as one enum. The caller carries effects out in the order
//! given and decides nothing.

use perennial_manifest::{BlobId, Holding, PublisherId, ReleaseId, SignedEntry};

use crate::input::{CensusId, FetchId, LookupId, MessageId, RequestId, Token};
use crate::message::{BlobClaim, BlobRange, Request, Response};
use crate::peer::PeerId;
use crate::time::Time;
use crate::transfer::AssignmentId;

/// What to do with a gossip message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Acceptance {
    /// Relay it.
    Accept,
    /// Drop it; the peer is not to blame.
    Ignore,
    /// Drop it and hold it against the peer.
    Reject,
}

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// Gossip that is not a signed entry.
    BadGossip,
    /// A response that does not fit its request, or is malformed.
    BadResponse,
    /// Bytes that do not match the hash they were requested by.
    BadBytes,
    /// A claim to hold something that the peer then does not give.
    FalseClaim,
    /// Below the minimum rate, or silent or gone in the middle of a transfer.
    Stalled,
    /// Requests beyond the peer's share, again and again.
    Flood,
}

/// Why a fetch ended without all its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchFailure {
    /// No reachable peer holds them. Says nothing about the rest of the world.
    NoHolder,
    /// Peers claimed to hold them, and none delivered.
    Stalled,
    /// This node could not write.
    Local,
    /// Too many fetches at once.
    Busy,
}

/// How far a fetch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes received and verified by this fetch.
    pub received: u64,
    /// Bytes that were missing, over all blobs named so far.
    pub total: u64,
    /// Peers that have delivered some of them.
    pub holders: usize,
}

/// A peer that claims to hold a release, or part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The peer that answered.
    pub peer: PeerId,
    /// The peer's claim: [`Holding::Partial`] or [`Holding::Held`].
    pub holding: Holding,
    /// The blobs of the census that the peer claims to hold, with the right sizes.
    pub blobs: Vec<BlobId>,
}

/// Part of a download from one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadItem {
    /// The ranges to request.
    pub range: BlobRange,
    /// The size of the blob in bytes, as given in [`Input::Fetch`](crate::Input::Fetch).
    pub size: u64,
}

/// A decision of the node, for the caller to carry out.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the variants document their fields")]
pub enum Effect {
    /// Gossip an encoded entry on [`TOPIC`](crate::TOPIC).
    Publish { bytes: Vec<u8> },
    /// Answer the network layer about a gossip message that `from` passed on.
    ReportGossip { message: MessageId, from: PeerId, acceptance: Acceptance },
    /// Send a request to a peer. [`Input::Response`](crate::Input::Response) with the same `id`
    /// ends it.
    Send { peer: PeerId, id: RequestId, request: Request },
    /// Answer the [`Input::Request`](crate::Input::Request) with this token.
    Respond { token: Token, response: Response },
    /// Serve a blob stream, sending its first byte no earlier than `start`.
    Serve { token: Token, start: Time },
    /// Answer every item of a blob stream with [`BLOB_REFUSED`](crate::BLOB_REFUSED), or reset it.
    RefuseServe { token: Token },
    /// Store verified entries, which `from` sent, and report
    /// [`Input::Stored`](crate::Input::Stored).
    ///
    /// Order matters: within a batch each feed's entries are ascending, and a later batch may build
    /// on an earlier one. The caller stores batches one after the other, in the order of these
    /// effects; were two batches of one feed stored side by side, the later entry could be judged
    /// an orphan. Several waiting batches may share one commit.
    Store { batch: u64, entries: Vec<SignedEntry>, from: PeerId },
    /// A look-up ended.
    LookupDone {
        lookup: LookupId,
        /// The number of peers that answered.
        answered: usize,
        /// Matching release entries. Their signatures are valid; whom to trust is the caller's
        /// choice. Their feeds are in the store by now as far as peers supplied them.
        entries: Vec<SignedEntry>,
        /// For a blob or a SHA-256: each claim with the peer that made it. Hash the bytes before
        /// believing a SHA-256.
        claims: Vec<(PeerId, BlobClaim)>,
    },
    /// A census ended. `holders` are the peers that claim to hold some of the release.
    CensusDone { census: CensusId, holders: Vec<Holder> },
    /// Request `items`, perhaps of several fetches, from one peer on one blob stream. Report
    /// progress as [`Input::Received`](crate::Input::Received) and the end as
    /// [`Input::Transferred`](crate::Input::Transferred).
    StartDownload { assignment: AssignmentId, peer: PeerId, items: Vec<DownloadItem> },
    /// Reset an assignment's stream. What it has written stays, and a late `Received` or
    /// `Transferred` is harmless.
    StopDownload { assignment: AssignmentId },
    /// Every byte of a blob of a fetch is here.
    BlobDone { fetch: FetchId, blob: BlobId },
    /// How far a fetch is; at most twice a second.
    FetchProgress { fetch: FetchId, progress: Progress },
    /// Every blob of a fetch is here. `from` lists the verified bytes by peer.
    FetchDone { fetch: FetchId, from: Vec<(PeerId, u64)> },
    /// A fetch ended without all its bytes; what has arrived stays.
    FetchFailed { fetch: FetchId, failure: FetchFailure },
    /// Fetch and keep a release of a followed publisher:
    /// [`Input::Fetch`](crate::Input::Fetch) its list, then its artifacts, and end with
    /// [`Input::Kept`](crate::Input::Kept).
    Keep { release: ReleaseId, publisher: PublisherId },
    /// Search the DHT for providers of a release and report
    /// [`Input::Providers`](crate::Input::Providers).
    FindProviders { release: ReleaseId },
    /// Announce in the DHT that this node holds a release.
    Provide { release: ReleaseId },
    /// Stop announcing a release.
    StopProviding { release: ReleaseId },
    /// Try to connect to a peer by its id, at whatever addresses are known. Success shows as
    /// [`Input::Connected`](crate::Input::Connected); failure is not reported.
    Dial { peer: PeerId },
    /// Log an offence, and count it in the network layer's own score.
    Penalise { peer: PeerId, offence: Offence },
    /// Close every connection to a peer and accept none before `until`.
    Ban { peer: PeerId, until: Time },
    /// A reconciliation ended: for the log and for status.
    Synced {
        peer: PeerId,
        /// The number of entries that were new here.
        new: u64,
        /// Bytes of requests sent.
        sent: u64,
        /// Bytes of responses received.
        received: u64,
        /// False when a bound or a failure ended it early.
        complete: bool,
    },
    /// Give [`Input::Tick`](crate::Input::Tick) at this moment. Replaces the previous one.
    WakeAt(Time),
}
