//! The operations of an archive as data: requests, progress, results and kinds of failure.
//!
//! Owns the types that an archive, its importers and its clients share, so that each has one
//! definition. The archive (`perennial-node`) carries the operations out; the control socket sends
//! these types as JSON, and `perennial --json` prints them, so their fields are stable. Pure: no
//! I/O, no clock, no threads.

mod add;
mod environment;
mod error_kind;
mod import;
mod notes;
mod progress;

pub use add::{Add, Published};
pub use environment::Environment;
pub use error_kind::ErrorKind;
pub use import::{
    Completeness, Failed, Import, ImportEvent, ImportSource, ImportSummary, Retrying,
};
pub use notes::Notes;
pub use progress::{Progress, Stage};
