//! The `perennial` program as users and scripts run it, on one data directory and without a
//! network.
//!
//! `again` the same add twice · `help` help texts · `codes` exit codes · `descriptors` too few open
//! files · `json` rows for scripts · `offline` one user's round with a release · `network` machines
//! without one · `place` where archives are made · `readme` the README's tour · `read_only` media
//! that cannot be written to · `secrets` credentials in URLs · `sources` faults of upstreams, and
//! `web` is one · `terminal` other publishers' text on a screen, and its width · `trees` trees and
//! files in place · `upstream` imports in the caller's environment · `program` runs the program.
//! Tests with several nodes: `tests/cluster`.

mod again;
mod codes;
mod descriptors;
mod help;
mod json;
mod network;
mod offline;
mod place;
mod program;
mod read_only;
mod readme;
mod secrets;
mod sources;
mod terminal;
mod trees;
mod upstream;
mod web;
