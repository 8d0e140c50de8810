//! The faces: what ordinary tools read from the archive over HTTP. One module per face.
//!
//! Owns the HTTP server and the meaning of each path. Promises that no unverified byte leaves, that
//! nothing here ever calls an upstream, that anonymous requests change nothing and cost bounded
//! work, and that archived pages never run in the node's origin. Stores nothing itself: everything
//! comes from the store, or through the node around it ([`Backend`]).
//!
//! [`router`] puts the faces over a [`Backend`], and [`serve`] serves them on bounded connections:
//! a slow client occupies at most one slot, and an idle or stalled one loses it when a new client
//! is waiting. `examples/serve.rs` does both over a store directory.

mod access;
mod backend;
mod blocking;
mod bounded;
mod budget;
mod content;
mod document;
mod feed;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod helm;
mod host;
mod http_error;
mod lists;
mod memo;
mod oci;
mod range;
mod rows;
mod server;

pub use backend::{Backend, BlobRequest, FetchError, SignError};
pub use gateway::{Options, router};
pub use host::HostName;
pub use rows::{ReleaseRows, artifact_row};
pub use server::{Limits, Tls, TlsError, serve};
