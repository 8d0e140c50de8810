//! Helpers shared by the tests with real processes, the differential test and the benchmarks.
//!
//! Owns the processes it starts: they are killed by pid when their owner is dropped. Every wait
//! polls a condition with a deadline. The user's environment is never read: HOME and every
//! PERENNIAL_ variable are replaced.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

mod command;
mod daemon;
mod feeds;
mod fixture;
pub mod fuzzing;
mod http;
mod image;
mod reconciliation;
mod stranger;

pub use command::{COMMAND_LIMIT, Outcome, command, nested_cargo, perennial, program};
pub use daemon::{Daemon, READY_LIMIT, wait_until};
pub use feeds::{feed_key, many_releases, tool};
pub use fixture::{MIB, add, assert_same, count, field, files, mixed, publisher, text, write_tree};
pub use http::http_get;
pub use image::{Image, write_image};
pub use reconciliation::all_ids;
pub use stranger::{Answer, Busy, Conduct, Stranger, connect_from, socket_address};
