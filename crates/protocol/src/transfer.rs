//! Which bytes to ask of whom: the transfer machine.
//!
//! It owns what is wanted (blobs, their missing ranges), who may have it, what has been asked of
//! whom, and how each peer has behaved. Commands go in with the time, decisions come out; there is
//! no socket, no clock and no randomness in it, so a run is repeated by repeating its commands.
//!
//! It promises: never to ask for a byte twice of one peer at one time, never for a byte beyond the
//! signed size, never for a verified byte; at most [`limits::SLOTS_PER_PEER`] assignments in flight
//! per peer and two peers asked for any byte; never again a blob from a peer that lied about it. If
//! one peer holds a blob and answers honestly, the blob arrives, whatever the others do.
//!
//! It does not verify bytes (the driver does, group by group, and reports what was good), does not
//! look for providers (it says [`Decision::Stuck`]) and does not know releases: blobs wanted together
//! belong to a [`FetchId`] that the caller chose.
//!
//! ```text
//!  Want, Holder, Gone, Cancel ──►  wants ── free ranges ──►  schedule  ──► Fetch, CancelFetch
//!  Progress, Ended, Tick      ──►  assignments, sources ◄──  (fill, steal) ──► Complete, Stuck, Penalise
//! ```

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

pub use assignment::AssignmentId;
pub(crate) use command::{Command, Has, Subject};
pub use command::{End, Report};
pub(crate) use decision::{Decision, Reason};
pub(crate) use state::Transfer;
