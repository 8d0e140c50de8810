//! Imports from scripted upstreams into real stores.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

mod helm;
mod http;
mod http_names;
mod http_odd;
mod http_sums;
mod layout;
mod made;
mod registry;
mod upstream;
mod web;
