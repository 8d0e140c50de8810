//! Every network decision, without a network: same inputs, same effects.
//!
//! One [`node::Node`] takes [`input::Input`] and the time and gives [`effect::Effect`]. It owns no socket, no
//! disk, no clock and no randomness: the caller carries effects out and says what happened. What it may know
//! about this node's entries and blobs it asks through [`catalog::Catalog`].

pub mod catalog;
pub mod effect;
pub mod input;
pub mod message;
pub mod peer;
pub mod time;
pub mod transfer;
