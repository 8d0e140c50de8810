//! The interfaces of a node: the control socket and HTTP. They only translate, and are the only
//! modules that name `perennial_control` and `perennial_gateway`.

pub(crate) mod control;
pub(crate) mod http;
