//! The libp2p driver: network activity comes out as [`Event`]s, commands go in through a
//! [`Handle`].
//!
//! The only crate that names libp2p. Makes no decisions: `perennial_protocol` decides which peers
//! to connect to, and what to believe and relay. Every queue is bounded: the swarm pushes back or
//! sheds load when its reader falls behind.

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
