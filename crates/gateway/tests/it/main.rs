//! The gateway as clients see it: every frontend over HTTP, with real stores and without a network;
//! the server over loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on ends"
)]

mod asking;
mod denied;
mod feed;
mod files;
mod files_by_digest;
mod fixtures;
mod helm;
mod oci;
mod server;
mod test_gateway;
