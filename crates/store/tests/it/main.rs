//! The store through its public interface.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

mod add_steps;
mod arriving;
mod collection;
mod damage;
mod damaged_entries;
mod denied;
mod feeds;
mod fixtures;
mod follows;
mod forget;
mod full_disk;
mod gc_race;
mod in_place;
mod incoming;
mod invalid;
mod leftovers;
mod modes;
mod naming;
mod pages;
mod quota;
mod reopen;
mod replaced;
mod rotation;
mod search;
mod sha256;
mod tmpfs;
