//! Decisions of the transfer machine.

use perennial_manifest::BlobId;

use super::AssignmentId;
use crate::effect::{DownloadItem, Offence};
use crate::input::FetchId;
use crate::peer::PeerId;
use crate::time::Time;

/// Why some blobs make no progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// No known peer claims to hold the blobs, and none is presumed to hold them.
    NoHolder,
    /// Every peer that could have held the blobs failed, lied or is resting after failures.
    AllFailed,
    /// This node could not store the blobs; the caller may want them again when it can.
    Local,
    /// More blobs are wanted than [`limits::WANTS`](super::limits::WANTS); these were rejected.
    TooMany,
}

/// A decision for the caller to carry out, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Request `items` from `peer` on one stream, verify and store the answer, and report it under
    /// `assignment`.
    StartDownload {
        assignment: AssignmentId,
        peer: PeerId,
        /// At most [`limits::ITEMS`](super::limits::ITEMS); every range starts at a multiple of
        /// 16 KiB and ends at one or at the blob's size.
        items: Vec<DownloadItem>,
    },
    /// Stop an assignment: its bytes arrived from another peer, or its peer stalled. Needs no
    /// report.
    StopDownload(AssignmentId),
    /// Every byte of a blob was reported as verified; these fetches wanted it.
    Complete { blob: BlobId, fetches: Vec<FetchId> },
    /// No peer known now can supply these blobs of a fetch. Reported once until something changes
    /// for them; they stay wanted, and a new holder resumes them.
    Stuck { fetch: FetchId, blobs: Vec<BlobId>, reason: Reason },
    /// A peer misbehaved.
    Penalise { peer: PeerId, offence: Offence },
    /// Send [`Command::Tick`](super::Command::Tick) at this time; replaces an earlier one.
    WakeAt(Time),
}
