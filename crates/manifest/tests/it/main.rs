//! The manifest crate through its public interface.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

mod ed25519;
mod entry;
mod feed;
mod hostile_names;
mod vectors;
