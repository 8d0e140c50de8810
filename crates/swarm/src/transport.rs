//! The transports: TCP with TLS 1.3 (or noise, for peers without TLS) and yamux, and QUIC. Names in
//! addresses are looked up by `names`.

use std::time::Duration;

use libp2p::core::Transport;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::{PeerId, Swarm, SwarmBuilder, identity, quic, tcp};

use crate::behaviour::Behaviour;
use crate::config::{Config, StartError};
use crate::door::{Handshakes, Registry};
use crate::muxer;
use crate::names::Names;
use crate::ports::Ports;
use crate::security::Security;

/// Idle time after which a connection without streams is closed. Gossip keeps useful ones open.
const IDLE: Duration = Duration::from_secs(120);

/// Builds the libp2p swarm of a node.
pub(crate) fn build(
    key: identity::Keypair,
    config: &Config,
) -> Result<Swarm<Behaviour>, StartError> {
    let registry = Registry::default();
    let behaviour = Behaviour::new(&key, config, &registry)?;
    let transport = Handshakes::of(Names::over(direct(&key)?), registry, config.max_inbound);
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_other_transport(|_| transport)
        .map_err(StartError::setup)?
        .with_behaviour(|_| behaviour)
        .map_err(StartError::setup)?
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(IDLE))
        .build();
    Ok(swarm)
}

/// TCP and QUIC, for addresses without names. Opens no socket before it dials or listens.
fn direct(key: &identity::Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, StartError> {
    let tcp = Ports::of(tcp::tokio::Transport::new(tcp::Config::default().nodelay(true)))
        .upgrade(Version::V1Lazy)
        .authenticate(Security::new(key)?)
        .multiplex(muxer::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let quic = quic::tokio::Transport::new(quic::Config::new(key))
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    Ok(tcp.or_transport(quic).map(|either, _| either.into_inner()).boxed())
}
