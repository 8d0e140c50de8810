//! What the world may tell the transfer machine.

use perennial_manifest::BlobId;

use super::AssignmentId;
use crate::{message::BlobRange, peer::PeerId};

/// The caller's name for blobs that are wanted together, a fetch or a release. Unique only within
/// one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId(pub u64);

/// What a [`Command::Holder`] speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Every blob of a set. Remembered until the set is cancelled, also for blobs wanted later.
    Set(SetId),
    /// One wanted blob. Overrides what is known through sets; forgotten with the blob.
    Blob(BlobId),
}

/// What a peer said it has of a [`Subject`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Has {
    /// All of it.
    Held,
    /// These byte ranges of a blob. For a set it means the same as [`Has::Unknown`].
    Partial(Vec<(u64, u64)>),
    /// It did not say, or has some blobs of the set. Asked only where nobody says to hold it.
    Unknown,
    /// Nothing.
    Missing,
}

/// What an assignment brought since the last report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Ranges that were verified and written. Only whole groups, or up to the blob's end.
    pub verified: Vec<BlobRange>,
    /// Blobs that the peer answered it does not hold.
    pub not_held: Vec<BlobId>,
}

/// How an assignment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The stream ended properly; what is neither verified nor named not held is owed.
    Finished,
    /// A group of this blob did not verify.
    Lied(BlobId),
    /// The answer named another size than the signed one: the signer's fault or the peer's.
    WrongSize(BlobId),
    /// The driver gave up waiting.
    Stalled,
    /// The stream broke, or could not be opened.
    Closed,
    /// The peer asked to be left alone for a while.
    Overload,
    /// This side failed (disk full, shutting down). The peer is not to blame; the blobs of the
    /// assignment rest until they are wanted again.
    Local,
}

/// A command to [`Transfer::handle`](super::Transfer::handle).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Fetch a blob. Said again for a blob that is wanted already, it adds the set, raises the
    /// priority and forgives failed attempts (not lies); `missing` is then ignored.
    Want {
        /// What it is wanted for.
        set: SetId,
        /// Its name.
        blob: BlobId,
        /// Its signed size.
        size: u64,
        /// The byte ranges not verified yet, from the bitmap of an earlier attempt. `None`: all.
        missing: Option<Vec<(u64, u64)>>,
        /// Lower is fetched first.
        priority: u8,
    },
    /// A set is not wanted any more: its blobs, unless another set has them, and all that peers
    /// said about it are forgotten.
    Cancel(SetId),
    /// A peer said what it has.
    Holder {
        /// Who.
        peer: PeerId,
        /// Of what.
        subject: Subject,
        /// How much.
        has: Has,
    },
    /// A peer is not connected any more. Its assignments end; that it lied is remembered.
    Gone(PeerId),
    /// An assignment moved on. May be late: an unknown assignment's bytes still count.
    Progress(AssignmentId, Report),
    /// An assignment ended; the report holds what was not reported before.
    Ended(AssignmentId, Report, End),
    /// Time passed; due at the latest [`Effect::WakeAt`](super::Effect::WakeAt).
    Tick,
}
