//! The parameters of a swarm. Every limit has a default that suits a node on a small machine.

use std::error::Error;
use std::fmt;

use crate::address::{AddressError, PeerAddress};

/// The parameters of a swarm.
#[derive(Clone)]
pub struct Config {
    /// The seed of the node's Ed25519 key, which determines its peer id.
    pub identity: [u8; 32],
    /// Multiaddresses to listen on.
    pub listen: Vec<String>,
    /// Multiaddresses at which peers can reach this node, if they differ from those it listens on.
    pub external: Vec<String>,
    /// Look for nodes on the local network.
    pub mdns: bool,
    /// Concurrent connections opened by peers, at most, of which a quarter is for peers that have
    /// earned a place.
    pub max_inbound: u32,
    /// Concurrent connections opened by this node, at most.
    pub max_outbound: u32,
    /// Resident memory in bytes above which connections of strangers are refused.
    pub max_memory: usize,
    /// Blob streams served concurrently, at most, of which a quarter is for peers that have earned
    /// a place; further ones are reset, not queued.
    pub max_blob_streams: usize,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The identity is secret.
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("mdns", &self.mdns)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// The defaults for a node with this identity, without listen addresses.
    #[must_use]
    pub const fn new(identity: [u8; 32]) -> Self {
        Self {
            identity,
            listen: Vec::new(),
            external: Vec::new(),
            mdns: false,
            max_inbound: 128,
            max_outbound: 64,
            max_memory: 1 << 30,
            max_blob_streams: 64,
        }
    }

    /// Whether peers may come without being dialled.
    pub(crate) fn waits_for_peers(&self) -> bool {
        self.mdns || !self.listen.is_empty() || !self.external.is_empty()
    }
}

/// Why a swarm could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A configured address is not a multiaddress.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The system refused to listen on an address, or no transport serves it.
    #[error("cannot listen on {address}: {source}")]
    #[expect(missing_docs, reason = "the variant documents them")]
    Listen { address: PeerAddress, source: Box<dyn Error + Send + Sync> },
    /// A transport or protocol could not be set up.
    #[error("the network could not be set up: {0}")]
    Setup(#[source] Box<dyn Error + Send + Sync>),
}

impl StartError {
    pub(crate) fn setup(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Setup(error.into())
    }
}
