//! What the caller tells the transfer machine.

use perennial_manifest::BlobId;

use super::AssignmentId;
use crate::input::FetchId;
use crate::message::BlobRange;
use crate::peer::PeerId;

/// What a [`Command::Holder`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Every blob of a fetch. Remembered until the fetch is cancelled, and applies to blobs wanted
    /// later.
    Fetch(FetchId),
    /// One wanted blob. Overrides what is known through fetches; forgotten with the blob.
    Blob(BlobId),
}

/// How much of a [`Subject`] a peer says it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Has {
    /// All of it.
    Held,
    /// Perhaps some blobs of the fetch. Such a peer is asked only where no other claims to hold the
    /// blob.
    Unknown,
}

/// Progress of an assignment since its last report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Ranges that were verified and written: whole groups, or up to the blob's end.
    pub verified: Vec<BlobRange>,
    /// Blobs that the peer answered it does not hold.
    pub not_held: Vec<BlobId>,
}

/// How an assignment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The stream ended properly. Ranges neither verified nor reported as not held stay owed.
    Finished,
    /// A group of this blob did not verify.
    Lied(BlobId),
    /// The answer named a size other than the signed one: the signer's fault or the peer's.
    WrongSize(BlobId),
    /// The caller gave up waiting.
    Stalled,
    /// The stream broke, or could not be opened.
    Closed,
    /// The peer refused for now.
    Overload,
    /// This node failed (disk full, shutting down). The peer is not to blame; the blobs of the
    /// assignment rest until they are wanted again.
    Local,
}

/// A command to [`Transfer::handle`](super::Transfer::handle).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Download a blob for a fetch. Repeated for a blob that is wanted already, it adds the fetch
    /// and forgives failed attempts (not lies); `missing` is then ignored.
    Want {
        fetch: FetchId,
        blob: BlobId,
        /// The blob's signed size in bytes.
        size: u64,
        /// The byte ranges that are not here yet, as the caller found them by verifying its
        /// partial copy. `None`: the whole blob.
        missing: Option<Vec<(u64, u64)>>,
    },
    /// A fetch is over: forgets its blobs, unless another fetch wants them, and everything that
    /// peers said about it.
    Cancel(FetchId),
    /// A peer said what it has.
    Holder { peer: PeerId, subject: Subject, has: Has },
    /// A peer disconnected. Its assignments end; its lies are remembered.
    Gone(PeerId),
    /// An assignment progressed. May come late: bytes of an unknown assignment still count.
    Progress(AssignmentId, Report),
    /// An assignment ended; the report covers what was not reported before.
    Ended(AssignmentId, Report, End),
    /// Time passed. Due at the latest [`Decision::WakeAt`](super::Decision::WakeAt).
    Tick,
}
