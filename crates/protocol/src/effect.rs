//! All decisions of a node, as one enum. The caller carries effects out in the order given and
//! makes no decisions of its own.

use std::fmt;

use perennial_manifest::{BlobId, Holding, PublisherId, ReleaseId, SignedEntry};

use crate::answer::Question;
use crate::input::{CensusId, FetchId, LookupId, MessageId, RequestId, Token};
use crate::message::{BlobClaim, BlobRange, Request, Response, Scope};
use crate::peer::PeerId;
use crate::places::Standing;
use crate::time::Time;
use crate::transfer::AssignmentId;

/// The verdict on a gossip message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Acceptance {
    /// Relay the message.
    Accept,
    /// Drop the message without blaming the peer.
    Ignore,
    /// Drop the message and lower the peer's score.
    Reject,
}

/// A peer's misbehaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// Gossip that is not a signed entry.
    BadGossip,
    /// A response that does not fit its request, or is malformed.
    BadResponse,
    /// Bytes that do not match the hash they were requested by.
    BadBytes,
    /// A claim to hold content that the peer then does not deliver.
    FalseClaim,
    /// Below the minimum rate, or silent or gone in the middle of a transfer.
    Stalled,
    /// Repeated requests beyond the peer's share.
    Flood,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadGossip => "gossip that is not a signed entry",
            Self::BadResponse => "a response that does not fit its request",
            Self::BadBytes => "bytes that do not match their digest",
            Self::FalseClaim => "a claim to hold content that was not delivered",
            Self::Stalled => "a transfer that stalled",
            Self::Flood => "more requests than its share",
        })
    }
}

/// Why a fetch ended incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchFailure {
    /// No reachable peer holds the missing bytes. Unreachable peers may.
    NoHolder,
    /// Peers claimed to hold the missing bytes, but none delivered.
    Stalled,
    /// This node could not write the bytes.
    Local,
    /// There are too many fetches.
    Busy,
}

/// The progress of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes received and verified by this fetch.
    pub received: u64,
    /// Bytes that were missing, over all blobs named so far.
    pub total: u64,
    /// Peers that have delivered some of the bytes.
    pub holders: usize,
}

/// A peer that claims to hold all or part of a release.
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
    /// Report the verdict on a gossip message that `from` forwarded.
    ReportGossip { message: MessageId, from: PeerId, acceptance: Acceptance },
    /// Send a request to a peer. Completed by an [`Input::Response`](crate::Input::Response) with
    /// the same `id`.
    Send { peer: PeerId, id: RequestId, request: Request },
    /// Answer the [`Input::Request`](crate::Input::Request) with this token.
    Respond { token: Token, response: Response },
    /// Answer the [`Input::Request`](crate::Input::Request) with this token by
    /// [`Question::answer`], on a thread that may take its time, and report
    /// [`Input::Answered`](crate::Input::Answered). A few are under way at one time.
    Answer { token: Token, question: Question },
    /// Read the entries of a scope by [`Sealed::new`](crate::Sealed::new), on a thread that may
    /// take its time, and report [`Input::Sealed`](crate::Input::Sealed). A few are under way at
    /// one time.
    Seal { scope: Scope },
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
        /// Matching release entries with valid signatures; the caller decides which publishers to
        /// trust. Their feeds are already in the store as far as peers supplied them.
        entries: Vec<SignedEntry>,
        /// For a blob or a SHA-256: each claim with the peer that made it. A SHA-256 claim has to
        /// be checked against the bytes.
        claims: Vec<(PeerId, BlobClaim)>,
    },
    /// A census ended. `holders` are the peers that claim to hold some of the release.
    CensusDone { census: CensusId, holders: Vec<Holder> },
    /// Request `items`, possibly of several fetches, from one peer on one blob stream. Report
    /// progress as [`Input::Received`](crate::Input::Received) and the end as
    /// [`Input::Transferred`](crate::Input::Transferred).
    StartDownload { assignment: AssignmentId, peer: PeerId, items: Vec<DownloadItem> },
    /// Reset an assignment's stream. What it has written stays, and a late `Received` or
    /// `Transferred` is harmless.
    StopDownload { assignment: AssignmentId },
    /// Every byte of a blob of a fetch is held.
    BlobDone { fetch: FetchId, blob: BlobId },
    /// The progress of a fetch; at most twice a second.
    FetchProgress { fetch: FetchId, progress: Progress },
    /// Every blob of a fetch is held. `from` lists the verified bytes by peer.
    FetchDone { fetch: FetchId, from: Vec<(PeerId, u64)> },
    /// A fetch ended incomplete; the bytes that arrived are kept.
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
    /// Try to connect to a peer by its id, at any known address. Success is reported as
    /// [`Input::Connected`](crate::Input::Connected); failure is not reported.
    Dial { peer: PeerId },
    /// Log an offence, and count it in the network layer's own score.
    Penalise { peer: PeerId, offence: Offence },
    /// A peer has earned a higher standing, by which it keeps the places that it has.
    Earned { peer: PeerId, standing: Standing },
    /// Close every connection to a peer and accept none until `until`.
    Ban { peer: PeerId, until: Time },
    /// A reconciliation ended, for the log and for status.
    Synced {
        peer: PeerId,
        /// The number of entries that were new to this node.
        new: u64,
        /// Bytes of requests sent.
        sent: u64,
        /// Bytes of responses received.
        received: u64,
        /// False when a bound or a failure ended it early.
        complete: bool,
    },
    /// Send [`Input::Tick`](crate::Input::Tick) at this moment. Replaces the previous one.
    WakeAt(Time),
}
