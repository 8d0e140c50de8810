//! A Perennial node: config, keys, the event loop, shutdown.
//!
//! The only place where effects happen: one task owns `protocol::Node`, feeds it what the swarm and the user
//! say, and carries out what it answers. [`Node::start`] may be called many times in one process; each node has
//! its own data directory. Everything a user asks goes over the control socket in that directory, also when the
//! node runs inside the command that asks.

mod adding;
mod blocking;
mod catalog_view;
pub mod config;
mod core;
pub mod daemon;
mod event_loop;
mod exporting;
mod faces;
mod failure;
mod getting;
mod handler;
mod importing;
mod keep;
pub mod keys;
mod media;
mod mending;
mod node;
mod receive;
mod releasing;
mod serve;
mod signing;
mod transfer;

pub use config::Config;
pub use node::{Node, StartError};
