//! The ways into a node: the control socket and HTTP. Translation only.

pub(crate) mod control;
pub(crate) mod http;
