//! The simulator: the real protocol machines of many nodes on one thread, in virtual time, from a printed seed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]
#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

mod content;
mod faults;
mod host;
mod memory;
mod swarm;
mod world;
