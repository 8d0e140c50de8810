//! What a swarm is started with. Every limit has a default that suits a node on a small machine.

/// The parameters of a swarm.
#[derive(Clone)]
pub struct Config {
    /// The Ed25519 seed of the node's key: who it is to its peers.
    pub identity: [u8; 32],
    /// Multiaddrs to listen on.
    pub listen: Vec<String>,
    /// Multiaddrs that others can reach this node at, when they differ from those it listens on.
    pub external: Vec<String>,
    /// Whether to look for nodes on the local network.
    pub mdns: bool,
    /// Most connections that others may hold open to us.
    pub max_inbound: u32,
    /// Most connections that we hold open to others.
    pub max_outbound: u32,
    /// Resident memory above which no connection is taken, in bytes.
    pub max_memory: usize,
    /// Most blob streams that are served at once; more are dropped, not queued.
    pub max_blob_streams: usize,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // all but the identity
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("mdns", &self.mdns)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// The defaults for a node with this key.
    #[must_use]
    pub fn new(identity: [u8; 32]) -> Self {
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
}

/// A swarm that could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Not a multiaddr.
    #[error("{address:?} is not an address such as /ip4/0.0.0.0/tcp/4407: {reason}")]
    Address {
        /// What was given.
        address: String,
        /// What the parser says.
        reason: String,
    },
    /// The system refused to listen there.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// A transport or protocol could not be set up.
    #[error("the network could not be set up: {0}")]
    Setup(String),
}
