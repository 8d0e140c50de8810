//! The `perennial` program as a user and a script meet it, on one data directory and without a network.
//!
//! `help` what it says about itself · `codes` exit codes · `offline` the round of one user with a release ·
//! `terminal` foreign text on a screen · `program` runs it. What needs several nodes is in `tests/cluster`.

mod codes;
mod help;
mod offline;
mod program;
mod terminal;
