//! Tests across crates, in one binary: it links once, and slow tests overlap.
//!
//! `layers` checks the architecture, `map` its description, `sim` the protocol in virtual time,
//! `cli` the `perennial` program on one data directory, `cluster` whole nodes as processes,
//! `hostile` attacks on them, `images` imports against pushes, `errors` lists all error texts, and
//! `fuzz` replays the corpus of the fuzz targets. Run a single test by its path, for example
//! `cargo test --release -p perennial-tests cluster::kill`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

mod cli;
mod cluster;
mod errors;
mod fuzz;
mod hostile;
mod images;
mod layers;
mod map;
mod sim;
