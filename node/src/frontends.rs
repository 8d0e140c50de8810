//! The ways into a node: the control socket and HTTP. Translation only; the only files that name
//! `perennial_control` and `perennial_gateway`.

pub(crate) mod control;
pub(crate) mod http;
