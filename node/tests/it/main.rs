//! Nodes in one process that talk over loopback, and receive requests over their control sockets as
//! from any client.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

mod counters;
mod damage;
mod digests;
mod holders;
mod machine;
mod own_key;
mod peers;
mod upstream;
