//! Bytes on disk by BLAKE3, the catalog of entries, pins, garbage collection and verification. Blocking, no network.
//!
//! Open a [`Store`]; everything hangs off it. FORMAT.md draws the files. Promises: a byte that did not verify against its
//! name is never handed out; after a crash every acknowledged blob, entry, pin and follow is there and nothing
//! half-written is listed; the index may be deleted at any time.

mod batch;
mod blobs;
mod catalog;
mod durable;
mod error;
mod gc;
mod hashing;
mod index;
mod index_trait;
mod large;
mod layout;
mod lease;
mod outboard_io;
mod pack;
mod partial;
mod rebuild;
mod rows;
mod state;
mod store;
mod verify;
mod write_back;

pub use batch::{Added, Batch, Placement};
pub use catalog::{PutOutcome, ReleaseFilter, ReleaseRow};
pub use error::StoreError;
pub use gc::{DEFAULT_GRACE, GcOptions, GcReport};
pub use large::SMALL;
pub use layout::{FORMAT, OpenError};
pub use lease::Lease;
pub use partial::{FetchProgress, MAX_BLOB, Partial};
pub use state::{Follows, Pin};
pub use store::{Arriving, BlobState, Damaged, IndexKind, OpenBlob, OpenOptions, Stats, Store};
pub use verify::VerifyReport;
