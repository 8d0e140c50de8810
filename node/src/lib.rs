//! A Perennial node: config, keys, the event loop, shutdown.
//!
//! The only place where effects happen: one task owns `protocol::Node`, feeds it what the swarm and the user
//! say, and carries out what it answers. [`Node::start`] may be called many times in one process; each node has
//! its own data directory. Everything a user asks goes over the control socket in that directory, also when the
//! node runs inside the command that asks.

mod archive;
mod blocking;
pub mod config;
pub mod daemon;
mod failure;
mod frontends;
pub mod keys;
mod network;
mod node;

pub use config::Config;
pub use node::{Node, StartError};
