//! The libp2p driver: what happens on the network comes out as [`Event`]s, what should happen goes
//! in through a [`Handle`].
//!
//! The only crate that names libp2p. Decides nothing: whom to connect to, what to believe and what
//! to relay is decided by `perennial_protocol`. Pushes back or sheds when its reader falls behind;
//! every queue has a bound.

mod address;
mod behaviour;
mod codec;
mod config;
mod driver;
mod event;
mod events;
mod handle;
mod muxer;
mod providers;
mod stream;
mod streams;
mod transport;

pub use address::{AddressError, PeerAddress};
pub use config::{Config, StartError};
pub use driver::start;
pub use event::Event;
pub use handle::{Closed, DialError, Handle, OpenError, OpenFailure};
pub use stream::BlobStream;
