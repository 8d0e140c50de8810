//! The transfer machine: assigns the byte ranges of wanted blobs to peers.
//!
//! Owns the wanted blobs with their missing ranges, what each peer claims to hold, the assignments
//! in flight, and how each peer has behaved. Commands go in with the time, decisions come out; it
//! has no socket, clock or randomness, so repeating the commands repeats the run.
//!
//! ```text
//!  Want, Holder, Gone, Cancel ──► wants ── free ranges ──► schedule ─► StartDownload, StopDownload
//!  Progress, Ended, Tick      ──► assignments, sources ──► judge    ─► Complete, Stuck, Penalise
//! ```
//!
//! A byte is never requested twice from one peer at one time, nor beyond the signed size, nor once
//! verified. At most [`limits::SLOTS_PER_PEER`] assignments are in flight per peer, and any byte is
//! requested from at most two peers. A peer that lied about a blob is never asked for it again. If
//! one peer holds a blob and answers honestly, the blob arrives in spite of the others.
//!
//! It does not verify bytes (the caller does, group by group, and reports those that are good),
//! does not look for holders (it reports [`Decision::Stuck`]) and knows nothing of releases: blobs
//! wanted together belong to one fetch.
//!
//! # How ranges are assigned
//!
//! A want is the set of ranges still missing. Its *free* ranges are those that no assignment owes.
//! Whenever a slot may have become free, peers are offered work, idle ones first, and among equally
//! busy ones the fastest; ties are broken by a shuffle fixed by the seed, so that different nodes
//! begin with different holders. A peer takes free ranges in the order in which the blobs were
//! wanted: small blobs whole, many at a time (up to [`limits::BATCH`]); of a large blob, a piece
//! that keeps the peer busy for [`limits::PIECE_TIME`] at its measured rate, but at most half of
//! its share of the remainder, so that pieces shrink towards the end. A peer that only may hold a
//! blob is asked only where no other peer claims to.
//!
//! Four slots rather than one hide the round trip and the disk: while one response is being
//! written, the next is in transit. More slots would only put bytes out of reach of other peers.
//!
//! # How ranges are stolen
//!
//! An idle peer looks for the assignment that will end last. If it could finish its part in less
//! than half the remaining time, it takes the tail of what is owed, sized so that both finish
//! together at their rates. The first peer keeps its request, so some bytes may arrive twice (a
//! test bounds them at 15 %), but without stealing, the slowest peer would determine the duration
//! of the whole fetch. Bytes count whichever peer delivers them; an assignment with nothing left to
//! deliver is stopped.
//!
//! # Slow peers
//!
//! A peer's oldest assignment has to deliver [`limits::MIN_RATE`] over each [`limits::WINDOW`].
//! Only the oldest is timed, because a peer may serve its streams one by one. After
//! [`limits::STALL_HINT`] without progress, everything it owes may be taken over; at the end of the
//! window the assignment is stopped and the peer penalised. A fruitless assignment makes the peer
//! rest, twice as long each time, and [`limits::BENCH_AFTER`] in a row bench it for
//! [`limits::BENCH`]. A slow peer that is the only holder is tolerated as long as it meets the
//! minimum.
//!
//! # Lying peers
//!
//! A group that fails verification ends the assignment, and all others of that peer, since their
//! bytes are no more credible. The peer is never asked for that blob again, and after
//! [`limits::LIES`] lies it is not asked for anything. Bytes verified before are kept, so a lie
//! costs at most one group. A peer that claims a fetch and then holds none of it is believed less
//! each time.
//!
//! Sizes are claims: of a peer, or of a publisher whose entry names another's blob. A want is
//! therefore a blob under one size, and the same blob under another size is another want, which
//! neither waits for the first nor suffers from it. A peer that states another size than the wanted
//! one is not asked for it again, and is not blamed: as a rule it holds the blob, and the claim is
//! wrong.
//!
//! # When it is stuck
//!
//! A blob without a peer to ask is in doubt. After [`limits::DOUBT`], so that holders can be named
//! after the wants, [`Decision::Stuck`] reports the reason once per fetch; the blob stays wanted.
//! The caller finds holders or cancels. This node's own failures ([`End::Local`]) halt the blobs
//! until they are wanted again, and blame no peer.

mod assignment;
mod command;
mod decision;
mod judge;
mod ledger;
pub(crate) mod limits;
mod ranges;
mod schedule;
mod source;
mod split;
mod state;
mod want;

#[cfg(test)]
mod tests;

use perennial_manifest::BlobId;

pub use assignment::AssignmentId;
pub(crate) use command::{Command, Has, Subject};
pub use command::{End, Report};
pub(crate) use decision::{Decision, Reason};
pub(crate) use state::Transfer;

/// A wanted blob, and the size that it is said to have.
pub(crate) type Key = (BlobId, u64);
