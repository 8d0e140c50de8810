//! Commands to the transfer machine.

use perennial_manifest::BlobId;

use super::AssignmentId;
use crate::input::FetchId;
use crate::message::BlobRange;
use crate::peer::PeerId;

/// The subject of a [`Command::Holder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Every blob of a fetch. Remembered until the fetch is cancelled, and applies to blobs wanted
    /// later.
    Fetch(FetchId),
    /// One wanted blob of this size. Overrides claims about its fetches; forgotten with the blob.
    Blob(BlobId, u64),
}

/// The part of a [`Subject`] that a peer claims to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Has {
    /// All of the subject.
    Held,
    /// Possibly some blobs of the fetch. Such a peer is asked only where no other peer claims to
    /// hold the blob.
    Unknown,
}

/// Progress of an assignment since its last report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Ranges that were verified and written: whole groups, or up to the blob's end.
    pub verified: Vec<BlobRange>,
    /// Blobs that the peer reported as not held.
    pub not_held: Vec<BlobId>,
}

/// How an assignment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The stream ended normally. Ranges neither verified nor reported as not held stay owed.
    Finished,
    /// A group of this blob failed verification.
    Lied(BlobId),
    /// The response states a size other than the wanted one: the fault of the peer or of the size's
    /// source.
    WrongSize(BlobId),
    /// The caller gave up waiting.
    Stalled,
    /// The stream broke, or could not be opened.
    Closed,
    /// The peer refused for now.
    Overload,
    /// This node failed (disk full, shutting down). The peer is not blamed; the blobs of the
    /// assignment are suspended until they are wanted again.
    Local,
}

/// A command to [`Transfer::handle`](super::Transfer::handle).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Download a blob for a fetch. The same blob under another size is another want: one of the
    /// two will find no peer. Repeating it for a wanted blob adds the fetch and forgives
    /// failed attempts (not lies); `missing` is then ignored.
    Want {
        fetch: FetchId,
        blob: BlobId,
        /// The blob's signed size in bytes.
        size: u64,
        /// The missing byte ranges, as the caller found them by verifying its partial copy. `None`
        /// means the whole blob.
        missing: Option<Vec<(u64, u64)>>,
    },
    /// A fetch is over: forgets its blobs, unless another fetch wants them, and all of the peers'
    /// claims about it.
    Cancel(FetchId),
    /// A peer claimed to hold something.
    Holder { peer: PeerId, subject: Subject, has: Has },
    /// A peer disconnected. Its assignments end; its lies are remembered.
    Gone(PeerId),
    /// An assignment progressed. May arrive late: bytes of an unknown assignment still count.
    Progress(AssignmentId, Report),
    /// An assignment ended; the report covers the bytes not reported before.
    Ended(AssignmentId, Report, End),
    /// Time passed. Due at the latest at [`Decision::WakeAt`](super::Decision::WakeAt).
    Tick,
}
