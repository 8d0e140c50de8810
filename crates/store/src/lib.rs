//! A node's bytes and knowledge on one disk: blobs by BLAKE3, signed entries, pins, garbage
//! collection and verification. Blocking; knows no network.
//!
//! # Design
//!
//! A [`Store`] is a data directory that one process has locked. It keeps three kinds of data, in
//! order of how much a loss of each would hurt:
//!
//! ```text
//! state/    decisions of the user: pins, follows, the deny list, the highest entries seen
//! packs/    signed entries and small blobs, appended to logs; immutable once sealed
//! blobs/    large blobs, a plain file and a hash tree each
//! partial/  fetches in progress            incoming/  downloads and uploads in progress
//! index/    the catalog: rows derived from the entries, in sled
//! reserve   given up when the disk is full, so that what makes room works
//! ```
//!
//! FORMAT.md draws every file. Three decisions shape the rest.
//!
//! **The name of a blob is its checksum.** Every read verifies: small blobs as a whole, large ones
//! by 16 KiB groups against a BLAKE3 tree. Bytes that do not match never leave the store. They are
//! set aside, every release that names them stops being held, and subscribers of [`Store::damage`]
//! are told. Nothing is repaired here; the next add or fetch of the same bytes replaces them.
//!
//! **The index is disposable.** Each row can be derived from packs, blobs and `state/`, so the
//! index may be deleted, truncated or replaced by an older copy at any time: [`Store::open`]
//! compares it with the packs and rebuilds it if in doubt. That allows an embedded database with
//! known faults (sled), and is why pins and follows are never kept in the index alone.
//!
//! **Small things share files.** A release brings one entry and one list, and many artifacts are
//! small; one fsync per file would dominate an add. Blobs of up to [`SMALL`] bytes and all entries
//! are appended to packs, so that a [`Batch`] of any size costs a handful of fsyncs. The price is
//! that deleting a small blob means rewriting its pack, which only garbage collection does.
//!
//! # Order of writes
//!
//! An acknowledged write survives a power cut. The order is always: bytes → fsync → rename → fsync
//! of the directory → index → flush and fsync of the index → generation number → return. Deletions
//! run in the opposite direction. A crash therefore leaves one of three things, all harmless: a
//! temporary file that the next start removes, bytes that the index does not mention (the next
//! rebuild or add finds them), or an index that is behind and gets rebuilt. A release is never
//! listed as held before its bytes are durable.
//!
//! A failed fsync is final. The kernel may have dropped the dirty pages and reports the failure
//! only once, so the store neither retries nor acknowledges what was in flight, and truncates it
//! where others could find it.
//!
//! # Concurrency
//!
//! All methods block, and [`Store`] is cheap to clone. One lock serialises changes of the index,
//! which makes the judgement of a feed and its update one step; reads do not take it. A read-write
//! gate separates garbage collection from adds and fetches: they find either the old bytes or none,
//! never bytes about to be deleted. Callers that put entries of one feed from several threads must
//! keep their order themselves: an entry whose predecessor is missing is an orphan.
//!
//! Two channels report events, so that no caller polls: [`Store::damage`], and [`Store::arriving`]
//! for the progress of a fetch. They come from tokio's `sync` feature, which brings neither a
//! runtime nor I/O; a condition variable could not wake an async task.
//!
//! # Limits
//!
//! All that is below the data directory has the room that a quota leaves ([`OpenOptions::quota`]),
//! to the byte; room is taken before bytes are written. What does not fit is refused with
//! [`StoreError::OverQuota`] or [`StoreError::DiskFull`], and nothing goes for it: unpinning,
//! forgetting and [`Store::gc`] make room, on a full disk too. [`Store::usage`] says how much is
//! left.
//!
//! Nothing here is encrypted or compressed. Two processes cannot share a data directory. A blob has
//! at most [`MAX_BLOB`] bytes; the number of entries and blobs is bounded by the disk, and memory
//! grows with entries only in the index's cache and with publishers (one counter each).

// Unit tests include the fixtures of `tests/it`, which name the crate.
#[cfg(test)]
extern crate self as perennial_store;

mod batch;
mod blobs;
mod catalog;
mod deny;
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
mod space;
mod sparse;
mod state;
mod store;
mod verified;
mod verify;
mod write_back;

pub use batch::{Added, Batch, Placement};
pub use catalog::{PutOutcome, ReleaseCounts, ReleaseFilter, ReleaseRow, Stats};
pub use deny::Denial;
pub use durable::sync_directory;
pub use error::StoreError;
pub use gc::{DEFAULT_GRACE, GcOptions, GcReport};
pub use index::log_index_panics;
pub use index_trait::IndexKind;
pub use large::{Missed, SMALL};
pub use layout::{FORMAT, OpenError, is_on_read_only_media};
pub use lease::Lease;
pub use partial::{FetchProgress, MAX_BLOB, Partial};
pub use space::{Promise, Usage};
pub use state::{Follows, OwnFeed, Pin, Succession};
pub use store::{
    Arriving, BlobState, ChangedFeeds, Changes, Damaged, Forgotten, Loss, OpenBlob, OpenOptions,
    Quota, Reading, Relocated, Room, Scratch, Share, Store, Tidied, Unmoved,
};
pub use verify::{Unread, Unreadable, VerifyReport};
