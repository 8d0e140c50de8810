//! Bytes on disk by BLAKE3, the catalog of entries, pins, garbage collection and verification. Blocking, no network.
//!
//! Open a [`Store`]; everything hangs off it. FORMAT.md draws the files. Promises: a byte that did not verify against its
//! name is never handed out; after a crash every acknowledged blob, entry, pin and follow is there and nothing
//! half-written is listed; the index may be deleted at any time.

#[cfg(test)]
extern crate self as perennial_store;

mod batch;
mod blobs;
#[cfg(test)]
mod bytes_tests;
mod catalog;
mod durable;
mod error;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod faults;
mod gc;
mod hashing;
mod index;
mod keys;
mod large;
mod layout;
mod lease;
mod meta;
mod pack;
mod pairs;
mod partial;
#[cfg(test)]
mod race_tests;
mod rebuild;
mod state;
mod store;
mod verify;
#[cfg(test)]
#[path = "../tests/world/mod.rs"]
mod world;
mod write_back;

pub use batch::{Added, Batch, Placement};
pub use catalog::{Put, ReleaseFilter, ReleaseRow};
pub use error::StoreError;
pub use gc::{DEFAULT_GRACE, GcOptions, GcReport};
pub use large::SMALL;
pub use layout::{FORMAT, OpenError};
pub use lease::Lease;
pub use partial::{FetchProgress, MAX_BLOB, Partial};
pub use state::{Follows, Pin};
pub use store::{Arriving, BlobState, Damaged, IndexKind, OpenBlob, OpenOptions, Stats, Store};
pub use verify::VerifyReport;
