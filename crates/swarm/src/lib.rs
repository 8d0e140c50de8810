//! The libp2p driver: network activity comes out as [`Event`]s, commands go in through a
//! [`Handle`].
//!
//! The only crate that names libp2p. Makes no decisions: `perennial_protocol` decides which peers
//! to connect to, and what to believe and relay. Every queue is bounded: the swarm pushes back or
//! sheds load when its reader falls behind.

mod address;
mod asleep;
mod behaviour;
mod codec;
mod config;
mod dial_error;
mod door;
mod driver;
mod event;
mod events;
mod handle;
mod listen;
mod memory;
mod muxer;
mod names;
mod ports;
mod providers;
mod security;
mod stream;
mod streams;
mod transport;

pub use address::{AddressError, PeerAddress, PeerAddressError};
pub use config::{Config, StartError};
pub use dial_error::DialError;
pub use driver::start;
pub use event::Event;
pub use handle::{Closed, Handle, OpenError, OpenFailure};
pub use stream::BlobStream;
