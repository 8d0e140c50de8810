//! The `perennial` program as users and scripts run it, on one data directory and without a
//! network.
//!
//! `help` help texts · `codes` exit codes · `offline` one user's round with a release · `network`
//! machines without one · `place` where archives are made · `readme` the README's tour · `terminal`
//! other publishers' text on a screen · `upstream` imports in the caller's environment · `program`
//! runs the program. Tests with several nodes:
//! `tests/cluster`.

mod codes;
mod help;
mod network;
mod offline;
mod place;
mod program;
mod readme;
mod terminal;
mod upstream;
