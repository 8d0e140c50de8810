//! What the archive can do, once: add, publish, fetch, resolve, import, export, repair.
//!
//! The frontends call it and translate; nothing here knows HTTP or the control socket.

pub(crate) mod add;
pub(crate) mod export;
pub(crate) mod fetch;
pub(crate) mod import;
pub(crate) mod media;
pub(crate) mod publish;
pub(crate) mod repair;
pub(crate) mod resolve;
pub(crate) mod signer;
