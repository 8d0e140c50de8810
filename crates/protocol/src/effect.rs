//! Everything a node can decide to do, as one enum. The caller carries effects out in the order given and
//! decides nothing.

use perennial_manifest::{BlobId, Holding, PublisherId, ReleaseId, SignedEntry};

use crate::{
    input::{AssignmentId, CensusId, FetchId, LookupId, MessageId, RequestId, Token},
    message::{BlobClaim, BlobRange, Request, Response},
    peer::PeerId,
    time::Time,
};

/// What to do with a gossip message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Acceptance {
    /// Pass it on.
    Accept,
    /// Drop it; nobody is to blame.
    Ignore,
    /// Drop it and hold it against the peer.
    Reject,
}

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// Gossip that is no signed entry.
    BadGossip,
    /// An answer that does not fit the question, or is malformed.
    BadResponse,
    /// Bytes that do not fit their name.
    BadBytes,
    /// Says it holds what it does not give.
    FalseClaim,
    /// Too slow, or went silent in the middle.
    Stalled,
    /// Asks more than its share, again and again.
    Flood,
}

/// Why a fetch ended without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchFailure {
    /// Nobody reachable holds it. Says nothing about the rest of the world.
    NoHolder,
    /// Holders were found, none gave the bytes.
    Stalled,
    /// This node could not write.
    Local,
    /// More fetches at once than there is room for.
    Busy,
}

/// How a release was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Verified bytes here.
    pub received: u64,
    /// Bytes wanted in all, as far as named.
    pub total: u64,
    /// Peers that hold some of it.
    pub holders: usize,
}

/// A peer that says it holds a release, or some of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub peer: PeerId,
    /// How much, by its own words: `Partial` or `Held`.
    pub holding: Holding,
    /// Which of the blobs that were asked about it says it holds, with their true sizes.
    pub blobs: Vec<BlobId>,
}

/// Do this.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Gossip these bytes on [`TOPIC`](crate::message::TOPIC).
    Publish {
        /// An encoded entry.
        bytes: Vec<u8>,
    },
    /// Answer the network layer about a gossip message.
    ReportGossip {
        /// Which.
        message: MessageId,
        /// Who passed it on.
        from: PeerId,
        /// The verdict.
        acceptance: Acceptance,
    },
    /// Ask a peer.
    Send {
        /// Whom.
        peer: PeerId,
        /// For the answer.
        id: RequestId,
        /// What.
        request: Request,
    },
    /// Answer a peer.
    Respond {
        /// Which question.
        token: Token,
        /// The answer.
        response: Response,
    },
    /// Serve a blob stream, its first byte not before `start`.
    Serve {
        /// Which.
        token: Token,
        /// Not before.
        start: Time,
    },
    /// Answer every item of a blob stream with [`BLOB_REFUSED`](crate::message::BLOB_REFUSED), or reset it.
    RefuseServe {
        /// Which.
        token: Token,
    },
    /// Put entries into the store, in this order, then say `Input::Stored`.
    Store {
        /// For the answer.
        batch: u64,
        /// Verified entries, each feed in order.
        entries: Vec<SignedEntry>,
        /// Who sent them.
        from: PeerId,
    },
    /// A look-up ended.
    LookupDone {
        /// Which.
        lookup: LookupId,
        /// Peers that answered.
        answered: usize,
        /// Release entries that match: genuine, but whom to trust is the caller's to say. Their feeds are in the
        /// store by now as far as peers gave them.
        entries: Vec<SignedEntry>,
        /// For a blob or SHA-256: what peers claim, and who. Prove a SHA-256 by hashing the bytes.
        claims: Vec<(PeerId, BlobClaim)>,
    },
    /// A census ended.
    CensusDone {
        /// Which.
        census: CensusId,
        /// Who answered that it holds some.
        holders: Vec<Holder>,
    },
    /// Fetch these ranges from this peer on one blob stream; say `Received` and `Transferred`.
    Fetch {
        /// Its name.
        assignment: AssignmentId,
        /// From whom.
        peer: PeerId,
        /// What, perhaps of several fetches; the node knows each blob's size from `Input::Fetch`.
        items: Vec<BlobRange>,
    },
    /// Reset an assignment's stream. What it wrote so far stays. A late `Received` or `Transferred` is harmless.
    CancelFetch {
        /// Which.
        assignment: AssignmentId,
    },
    /// Every byte of a blob of a fetch was received.
    BlobDone {
        /// The fetch.
        fetch: FetchId,
        /// The blob.
        blob: BlobId,
    },
    /// How a fetch goes; now and then.
    FetchProgress {
        /// Which.
        fetch: FetchId,
        /// How.
        progress: Progress,
    },
    /// Every blob of a fetch is here.
    FetchDone {
        /// Which.
        fetch: FetchId,
        /// Verified bytes by peer.
        from: Vec<(PeerId, u64)>,
    },
    /// A fetch ended without all its bytes; what came stays.
    FetchFailed {
        /// Which.
        fetch: FetchId,
        /// Why.
        failure: FetchFailure,
    },
    /// Fetch and keep this followed release: `Input::Fetch` its list, then its artifacts, and end with
    /// `Input::Kept`.
    Keep {
        /// Which.
        release: ReleaseId,
        /// Who signed it.
        publisher: PublisherId,
    },
    /// Ask the DHT who provides a release; say `Input::Providers`.
    FindProviders {
        /// Which.
        release: ReleaseId,
    },
    /// Announce in the DHT that this node holds a release.
    Provide {
        /// Which.
        release: ReleaseId,
    },
    /// Stop announcing.
    StopProviding {
        /// Which.
        release: ReleaseId,
    },
    /// Try to connect to a peer by its id, from whatever addresses are known. No answer but `Connected`.
    Dial {
        /// Whom.
        peer: PeerId,
    },
    /// Note an offence (one line in the log), for the network layer's own score.
    Penalise {
        /// Who.
        peer: PeerId,
        /// What.
        offence: Offence,
    },
    /// Close every connection to a peer and accept none before a moment.
    Ban {
        /// Who.
        peer: PeerId,
        /// Until when.
        until: Time,
    },
    /// A reconciliation ended: for the log and for status.
    Synced {
        /// With whom.
        peer: PeerId,
        /// Entries that were new here.
        new: u64,
        /// Bytes of requests sent.
        sent: u64,
        /// Bytes of responses received.
        received: u64,
        /// Whether it got to the end.
        complete: bool,
    },
    /// Give `Input::Tick` at this moment. Replaces the last one.
    WakeAt(Time),
}
