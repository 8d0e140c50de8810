//! What the transfer machine wants done.

use perennial_manifest::BlobId;

use super::{AssignmentId, SetId};
use crate::{message::BlobRange, peer::PeerId, time::Time};

/// Why nothing is being done for some blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No known peer says, or may be assumed, to hold them.
    NobodyHolds,
    /// Every peer that could have held them failed, lied or is resting after failures.
    AllFailed,
    /// This side could not store them; want them again when it can.
    Local,
    /// More blobs are wanted than [`limits::WANTS`](super::limits::WANTS); these were not taken.
    TooMany,
}

/// What a peer did wrong. The caller decides what else it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// It sent bytes that are not those of this blob.
    Lied(BlobId),
    /// It answered with another size for this blob than was signed.
    WrongSize(BlobId),
    /// It delivered less than the minimum rate.
    Stalled,
    /// It broke off, or ended with something owed.
    Closed,
    /// It said it holds blobs and then held none of those asked for.
    NotHeld,
}

/// An effect for the caller to carry out, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask `peer` for `items`, in this order, verify and store what comes, and report it under this id.
    Fetch {
        /// Under which id to report.
        assignment: AssignmentId,
        /// Whom to ask.
        peer: PeerId,
        /// At most [`limits::ITEMS`](super::limits::ITEMS); every range starts at a multiple of
        /// 16 KiB and ends at one or at the blob's size.
        items: Vec<BlobRange>,
    },
    /// Stop an assignment: its bytes came from elsewhere, or its peer stalled. Needs no report.
    CancelFetch(AssignmentId),
    /// Every byte of a blob was reported verified; it is not wanted any more.
    Complete {
        /// Which.
        blob: BlobId,
        /// The sets it was wanted for.
        sets: Vec<SetId>,
    },
    /// Nothing can be done for these blobs of a set with the peers known now. Said once until
    /// something changes for them; they stay wanted, and a new holder sets them going again.
    Stuck {
        /// For what they are wanted.
        set: SetId,
        /// Which.
        blobs: Vec<BlobId>,
        /// Why.
        reason: Reason,
    },
    /// A peer misbehaved.
    Penalise {
        /// Who.
        peer: PeerId,
        /// How.
        offence: Offence,
    },
    /// Send [`Command::Tick`](super::Command::Tick) at this time; replaces an earlier one.
    WakeAt(Time),
}
