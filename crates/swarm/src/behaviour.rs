//! The libp2p protocols that a node speaks, and their settings. Decides nothing.

use std::time::Duration;

use libp2p::gossipsub::{self, MessageAuthenticity, ValidationMode, WhitelistSubscriptionFilter};
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    StreamProtocol, allow_block_list, connection_limits, identify, identity, kad, mdns, ping,
};
use perennial_protocol::{REQUEST_PROTOCOL, REQUEST_TIMEOUT, TOPIC};

use crate::codec::Codec;
use crate::config::{Config, StartError};
use crate::door::{PER_PEER, Registry, Slots};
use crate::providers::Providers;
use crate::{door, memory, streams};

/// Longest gossip message in bytes: an entry with its envelope, and gossipsub's framing.
const MAX_GOSSIP: usize = 10 << 10;
/// How long libp2p lets a request take. The protocol's own deadline is earlier; this one only frees
/// requests that the protocol has abandoned.
const TRANSPORT_TIMEOUT: Duration = REQUEST_TIMEOUT.saturating_add(Duration::from_secs(10));
/// Requests in flight on one connection, at most.
const MAX_REQUESTS: usize = 64;
/// How long a provider record lives.
const PROVIDER_TTL: Duration = Duration::from_secs(24 * 3600);
/// How often this node's own records are announced again.
const PROVIDER_INTERVAL: Duration = Duration::from_secs(6 * 3600);

pub(crate) type Gossip =
    gossipsub::Behaviour<gossipsub::IdentityTransform, WhitelistSubscriptionFilter>;

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    // The limits come first: they refuse a connection before the other behaviours spend anything on
    // it.
    limits: connection_limits::Behaviour,
    memory: memory::Behaviour,
    pub(crate) banned: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    // Nobody leaves for a peer that is refused anyway.
    pub(crate) door: door::Behaviour,
    pub(crate) gossip: Gossip,
    pub(crate) requests: request_response::Behaviour<Codec>,
    pub(crate) streams: streams::Behaviour,
    pub(crate) kad: kad::Behaviour<Providers>,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
}

impl Behaviour {
    pub(crate) fn new(
        key: &identity::Keypair,
        config: &Config,
        registry: &Registry,
    ) -> Result<Self, StartError> {
        let peer = key.public().to_peer_id();
        let limits = connection_limits::ConnectionLimits::default()
            .with_max_pending_outgoing(Some(32))
            .with_max_established_outgoing(Some(config.max_outbound))
            .with_max_established_per_peer(Some(PER_PEER));
        let mdns = if config.mdns {
            Some(
                mdns::tokio::Behaviour::new(mdns::Config::default(), peer)
                    .map_err(StartError::setup)?,
            )
        } else {
            None
        };
        let requests = request_response::Config::default()
            .with_request_timeout(TRANSPORT_TIMEOUT)
            .with_max_concurrent_streams(MAX_REQUESTS);
        let identify = identify::Config::new("/perennial/1".to_owned(), key.public())
            .with_agent_version(concat!("perennial/", env!("CARGO_PKG_VERSION")).to_owned());
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits),
            memory: memory::Behaviour::new(config.max_memory),
            banned: allow_block_list::Behaviour::default(),
            door: door::Behaviour::new(registry.clone(), config.max_inbound),
            gossip: gossip()?,
            requests: request_response::Behaviour::with_codec(
                Codec,
                [(REQUEST_PROTOCOL, ProtocolSupport::Full)],
                requests,
            ),
            streams: streams::Behaviour::new(Slots::new(registry.clone(), config.max_blob_streams)),
            kad: kademlia(peer),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping::Config::default()),
            mdns: mdns.into(),
        })
    }
}

/// Entries carry their own signatures, so messages have no author. A message's id is the hash of
/// its bytes, so that an entry is one message whichever peer sends it. No message is relayed before
/// the node accepts it.
fn gossip() -> Result<Gossip, StartError> {
    let config = gossipsub::ConfigBuilder::default()
        .validate_messages()
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(|message| {
            gossipsub::MessageId::from(
                perennial_manifest::BlobId::of(&message.data).as_bytes().to_vec(),
            )
        })
        .max_transmit_size(MAX_GOSSIP)
        .build()
        .map_err(StartError::setup)?;
    let topic = gossipsub::IdentTopic::new(TOPIC);
    let filter = WhitelistSubscriptionFilter(std::iter::once(topic.hash()).collect());
    let mut gossip =
        Gossip::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)
            .map_err(StartError::setup)?;
    // Mesh deliveries (P3, P3b) are not scored: on a quiet topic they punish honest peers. Loopback
    // does not count as a crowd (P6).
    let mut peers = gossipsub::PeerScoreParams::default();
    peers.ip_colocation_factor_whitelist.insert(std::net::Ipv4Addr::LOCALHOST.into());
    peers.ip_colocation_factor_whitelist.insert(std::net::Ipv6Addr::LOCALHOST.into());
    // Presence and first deliveries earn little compared to the cost of one malformed message, so
    // that no peer can save up good standing and spend it on garbage. After six malformed messages
    // within about a minute, a peer's messages are ignored.
    let scored = gossipsub::TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_weight: 0.01,
        time_in_mesh_cap: 300.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_cap: 50.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -4.0,
        invalid_message_deliveries_decay: 0.98,
        ..gossipsub::TopicScoreParams::default()
    };
    peers.topics.insert(topic.hash(), scored);
    gossip
        .with_peer_score(peers, gossipsub::PeerScoreThresholds::default())
        .map_err(StartError::setup)?;
    gossip.subscribe(&topic).map_err(StartError::setup)?;
    Ok(gossip)
}

/// Provider records only. Values are refused (`FilterBoth`, and they are never taken out of the
/// filter), and the store bounds what peers may add.
fn kademlia(peer: libp2p::PeerId) -> kad::Behaviour<Providers> {
    let mut config = kad::Config::new(StreamProtocol::new("/perennial/kad/1"));
    config
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_provider_record_ttl(Some(PROVIDER_TTL))
        .set_provider_publication_interval(Some(PROVIDER_INTERVAL));
    let mut kad = kad::Behaviour::with_config(peer, Providers::new(peer), config);
    kad.set_mode(Some(kad::Mode::Server));
    kad
}
