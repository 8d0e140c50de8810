//! The frontends: the HTTP endpoints through which ordinary tools read the archive, one module per
//! frontend.
//!
//! Owns the HTTP server and the meaning of each path. No unverified byte leaves, nothing here ever
//! calls an upstream, anonymous requests change nothing and cost bounded work, and archived pages
//! never run in the node's origin. Stores nothing itself: all content comes from the store, or
//! through the surrounding node ([`Backend`]).
//!
//! [`router`] puts the frontends over a [`Backend`], and [`serve`] serves them on bounded
//! connections: a slow client occupies at most one slot, and an idle or stalled one loses it when
//! a new client is waiting. `examples/serve.rs` does both over a store directory.

mod access;
mod asking;
mod backend;
mod blocking;
mod bounded;
mod budget;
mod client;
mod content;
mod document;
mod feed;
mod file_stamp;
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
mod secret_file;
mod server;
mod token;
mod waits;

pub use axum::Router;
pub use backend::{Backend, BlobRequest, FetchError, HealthError, SignError, Told};
pub use gateway::{Options, TRUSTS_NONE, router, unavailable};
pub use host::{HostName, HostNameError};
pub use rows::{ReleaseRows, artifact_row};
pub use server::{Limits, Tls, TlsError, serve};
pub use token::{Token, TokenError};
