//! The tuning constants of the transfer machine. Sizes are in bytes.

use std::time::Duration;

use crate::message;

/// The size of a verification group: requested ranges start at multiples of it.
pub(crate) const GROUP: u64 = message::GROUP;

/// Assignments in flight per peer, at most: while one waits for the disk or a hash, others keep the
/// connection busy.
pub(crate) const SLOTS_PER_PEER: usize = 4;

/// Assignments in flight, at most.
pub(crate) const SLOTS: usize = 64;

/// Items of one assignment, at most: as many as a blob request may carry.
pub(crate) const ITEMS: usize = message::MAX_BLOB_ITEMS;

/// Ranges of one item, at most. A badly fragmented blob takes several assignments.
pub(crate) const RANGES_PER_ITEM: usize = 64;

/// Ranges of one assignment, at most, so that the request stays under
/// [`message::MAX_BLOB_REQUEST`].
pub(crate) const RANGES: usize = 6 * 1024;

/// Bytes requested from a peer whose rate is not known yet.
pub(crate) const PIECE: u64 = 16 * MIB;

/// Smallest size that an assignment aims at.
pub(crate) const PIECE_MIN: u64 = MIB;
/// Largest size that an assignment aims at.
pub(crate) const PIECE_MAX: u64 = 64 * MIB;

/// How long an assignment should keep its peer busy.
pub(crate) const PIECE_TIME: Duration = Duration::from_secs(2);

/// Blobs up to this size are requested whole, many at a time.
pub(crate) const SMALL: u64 = MIB;

/// Bytes of small blobs in one assignment, at most.
pub(crate) const BATCH: u64 = 8 * MIB;

/// An assignment must deliver [`MIN_RATE`] over this window, or the peer counts as stalled.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// Verified bytes per second below which a peer counts as stalled.
pub(crate) const MIN_RATE: u64 = 8 * 1024;

/// The rate assumed for a peer until it is measured.
pub(crate) const RATE_GUESS: u64 = 4 * MIB;

/// Shortest period over which a rate is measured.
pub(crate) const RATE_PERIOD: Duration = Duration::from_millis(500);

/// Time without progress after which other peers may take over everything that an assignment owes.
pub(crate) const STALL_HINT: Duration = Duration::from_secs(3);

/// How often idle peers look for work to take over.
pub(crate) const STEAL_PERIOD: Duration = Duration::from_millis(500);

/// How long a blob has to be without a peer to ask before
/// [`Decision::Stuck`](super::Decision::Stuck) is reported, so that holders can be named after the
/// wants.
pub(crate) const DOUBT: Duration = Duration::from_millis(100);

/// Wait after the first failure; it doubles with each failure.
pub(crate) const BACKOFF: Duration = Duration::from_millis(500);
/// Longest wait after a failure.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// Fruitless attempts at one blob after which a peer is not asked for it again.
pub(crate) const TRIES: u8 = 4;

/// Fruitless assignments in a row after which a peer is benched for [`BENCH`].
pub(crate) const BENCH_AFTER: u32 = 6;
/// How long a benched peer is not asked for anything.
pub(crate) const BENCH: Duration = Duration::from_secs(300);

/// Lies after which a peer is not asked for anything again.
pub(crate) const LIES: u32 = 3;

/// Blobs wanted at a time, at most; further ones are answered with
/// [`Reason::TooMany`](super::Reason::TooMany).
pub(crate) const WANTS: usize = 1_000_000;

/// Peers whose holdings are remembered, at most.
pub(crate) const SOURCES: usize = 1024;

/// Fetches remembered per peer, at most.
pub(crate) const FETCHES_PER_SOURCE: usize = 4096;

/// Missing ranges accepted per blob; beyond that, the last gaps are filled.
pub(crate) const MISSING_RANGES: usize = 16 * 1024;

const MIB: u64 = 1024 * 1024;
