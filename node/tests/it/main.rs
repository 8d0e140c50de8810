//! Nodes of one process that talk over loopback, asked over their control sockets as any user
//! would.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

mod damage;
mod digests;
mod holders;
mod machine;
mod upstream;
