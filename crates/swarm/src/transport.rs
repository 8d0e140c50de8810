//! The transports: TCP with TLS 1.3 (or noise, for peers without TLS) and yamux, and QUIC.

use std::time::Duration;

use libp2p::{Swarm, SwarmBuilder, identity, noise, tcp, tls};

use crate::behaviour::Behaviour;
use crate::config::{Config, StartError};
use crate::muxer;

/// Idle time after which a connection without streams is closed. Gossip keeps useful ones open.
const IDLE: Duration = Duration::from_secs(120);

/// Builds the libp2p swarm of a node.
pub(crate) fn build(
    key: identity::Keypair,
    config: &Config,
) -> Result<Swarm<Behaviour>, StartError> {
    let behaviour = Behaviour::new(&key, config)?;
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        // TLS before noise: it costs less (AES in hardware).
        .with_tcp(
            tcp::Config::default().nodelay(true),
            (tls::Config::new, noise::Config::new),
            muxer::Config::default,
        )
        .map_err(StartError::setup)?
        .with_quic()
        .with_dns()
        .map_err(StartError::setup)?
        .with_behaviour(|_| behaviour)
        .map_err(StartError::setup)?
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(IDLE))
        .build();
    Ok(swarm)
}
