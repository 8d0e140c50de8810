//! The libp2p driver: what happens on the network comes out as [`Event`]s, what is to happen goes in through a [`Handle`].
//!
//! The only crate that names libp2p. Decides nothing: whom to connect to, what to believe and what to pass on are
//! `perennial_protocol`'s. Pushes back or sheds when its user falls behind; queues nothing without a bound.

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

pub use config::{Config, StartError};
pub use driver::start;
pub use event::Event;
pub use handle::{Closed, Handle, OpenError, peer_id};
pub use stream::BlobStream;
