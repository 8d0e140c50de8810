//! The simulator: the real protocol machines of many nodes on one thread, in virtual time, from a
//! printed seed.

#![expect(clippy::cast_possible_truncation, reason = "the numbers of a test are small")]

mod content;
mod faults;
mod host;
mod memory;
mod swarm;
mod world;
