//! Bytes on disk by BLAKE3, the catalog of entries, pins, garbage collection and verification. Blocking, no network.
//!
//! Open a [`Store`]; everything hangs off it. FORMAT.md draws the files. Promises: a byte that did not verify against its
//! name is never handed out; after a crash every acknowledged blob, entry, pin and follow is there and nothing
//! half-written is listed; the index may be deleted at any time.

mod batch;
mod blobs;
mod durable;
mod error;
mod hashing;
mod large;
mod layout;
mod lease;
mod pack;
mod partial;

pub use batch::{Added, Batch, Placement};
pub use error::StoreError;
pub use large::SMALL;
pub use layout::{FORMAT, OpenError};
pub use lease::Lease;
pub use partial::{MAX_BLOB, Partial};
