//! Every network decision, without a network: same inputs, same effects.
//!
//! One [`node::Node`] takes [`input::Input`] and the time and gives [`effect::Effect`]. It owns no socket, no
//! disk, no clock and no randomness: the caller carries effects out and says what happened. What it may know
//! about this node's entries and blobs it asks through [`catalog::Catalog`]. `PROTOCOL.md` draws the messages.

mod answer;
pub mod catalog;
pub mod conduct;
#[cfg(test)]
mod double;
pub mod effect;
pub mod fetch;
pub mod find;
pub mod gossip;
pub mod input;
pub mod keep;
pub mod limits;
pub mod message;
pub mod node;
pub mod peer;
pub mod placement;
pub mod requests;
pub mod sync;
pub mod time;
pub mod transfer;
