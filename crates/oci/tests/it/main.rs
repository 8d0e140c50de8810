//! The rules of images, as pushes, pulls and imports share them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

mod digests;
mod layouts;
mod manifests;
mod names;
mod trees;
