//! The loop that owns the libp2p swarm: commands in, events out.
//!
//! One task. The network is polled only while no event waits to go out, so that a slow user slows the network down rather
//! than filling memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::{self, MessageAcceptance};
use libp2p::identity::Keypair;
use libp2p::kad::{self, QueryId, RecordKey};
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{self, InboundRequestId, OutboundFailure, OutboundRequestId, ResponseChannel};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, identify, mdns};
use perennial_protocol::effect::Acceptance;
use perennial_protocol::input::{MessageId, Prefix, RequestFailure, RequestId, Token};
use perennial_protocol::message::{BLOB_PROTOCOL, Response, TOPIC};
use perennial_protocol::peer::PeerId;
use tokio::sync::{Semaphore, mpsc};

use crate::behaviour::{Behaviour, BehaviourEvent};
use crate::config::{Config, StartError};
use crate::event::Event;
use crate::handle::{Command, Handle};
use crate::stream::BlobStream;
use crate::transport;

/// Commands and events that may wait; then their senders do.
const QUEUE: usize = 256;
/// Inbound requests that may wait for an answer; further ones fail at once.
const MAX_UNANSWERED: usize = 1024;

pub(crate) fn keypair(identity: [u8; 32]) -> Result<Keypair, StartError> {
    Keypair::ed25519_from_bytes(identity).map_err(|e| StartError::Setup(e.to_string()))
}

/// A peer id as the rest of Perennial writes it.
fn name(peer: &libp2p::PeerId) -> PeerId {
    // base58 of at most 42 bytes: always printable ASCII and short
    peer.to_string().parse().unwrap_or_else(|_| unreachable!("a libp2p peer id is printable"))
}

/// Starts a swarm on the current tokio runtime. The addresses it listens on come as events.
pub fn start(config: &Config) -> Result<(Handle, mpsc::Receiver<Event>), StartError> {
    let key = keypair(config.identity)?;
    let mut swarm = transport::build(key, config)?;
    for address in &config.listen {
        let bad = |reason: String| StartError::Address { address: address.clone(), reason };
        let parsed: Multiaddr = address.parse().map_err(|e: libp2p::multiaddr::Error| bad(e.to_string()))?;
        swarm
            .listen_on(parsed)
            .map_err(|e| StartError::Listen { address: address.clone(), reason: e.to_string() })?;
    }
    let streams = swarm.behaviour().streams.new_control();
    let incoming = streams
        .clone()
        .accept(libp2p::StreamProtocol::new(BLOB_PROTOCOL))
        .map_err(|_| StartError::Setup("the blob protocol is taken".into()))?;
    let (commands, inbox) = mpsc::channel(QUEUE);
    let (outbox, events) = mpsc::channel(QUEUE);
    let handle = Handle { peer: name(swarm.local_peer_id()), commands, streams };
    tokio::spawn(accept_streams(incoming, outbox.clone(), config.max_blob_streams));
    let driver = Driver {
        swarm,
        outbox,
        answers: HashMap::new(),
        asked: HashMap::new(),
        searches: HashMap::new(),
        next: 0,
    };
    tokio::spawn(driver.run(inbox));
    Ok((handle, events))
}

/// Hands inbound blob streams on; those over the limit are dropped, which resets them.
async fn accept_streams(
    mut incoming: libp2p_stream::IncomingStreams,
    outbox: mpsc::Sender<Event>,
    limit: usize,
) {
    let permits = Arc::new(Semaphore::new(limit));
    while let Some((peer, stream)) = incoming.next().await {
        let Ok(permit) = permits.clone().try_acquire_owned() else { continue };
        let event = Event::BlobStream { from: name(&peer), stream: BlobStream::new(stream, Some(permit)) };
        if outbox.send(event).await.is_err() {
            return;
        }
    }
}

struct Driver {
    swarm: Swarm<Behaviour>,
    outbox: mpsc::Sender<Event>,
    answers: HashMap<Token, (InboundRequestId, ResponseChannel<Response>)>,
    asked: HashMap<OutboundRequestId, RequestId>,
    searches: HashMap<QueryId, [u8; 32]>,
    next: u64,
}

impl Driver {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        // commands are taken while events wait for their reader: whoever reads the one and writes the other never locks up
        let mut waiting: VecDeque<Event> = VecDeque::new();
        let outbox = self.outbox.clone();
        loop {
            let command = if waiting.is_empty() {
                tokio::select! {
                    event = self.swarm.select_next_some() => {
                        waiting.extend(self.on_swarm(event));
                        continue;
                    }
                    command = inbox.recv() => command,
                }
            } else {
                tokio::select! {
                    permit = outbox.reserve() => {
                        // nobody listens any more: the node is going down
                        let Ok(permit) = permit else { return };
                        if let Some(event) = waiting.pop_front() {
                            permit.send(event);
                        }
                        continue;
                    }
                    command = inbox.recv() => command,
                }
            };
            match command {
                None | Some(Command::Shutdown) => return,
                Some(command) => waiting.extend(self.on_command(command)),
            }
        }
    }

    fn on_command(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Dial { address, outcome } => {
                let _ = outcome.send(self.dial(&address));
            }
            Command::DialPeer(peer) => {
                if let Ok(peer) = peer.as_str().parse::<libp2p::PeerId>() {
                    // a peer that can't be reached is not an event: whoever waits has a deadline
                    let _ = self.swarm.dial(peer);
                }
            }
            Command::Disconnect(peer) | Command::Ban { peer, banned: true } => {
                if let Ok(peer) = peer.as_str().parse() {
                    let _ = self.swarm.disconnect_peer_id(peer);
                    self.swarm.behaviour_mut().gossip.blacklist_peer(&peer);
                }
            }
            Command::Ban { peer, banned: false } => {
                if let Ok(peer) = peer.as_str().parse() {
                    self.swarm.behaviour_mut().gossip.remove_blacklisted_peer(&peer);
                }
            }
            Command::Publish(bytes) => {
                // no peers yet, or published before: reconciliation carries it
                let _ = self.swarm.behaviour_mut().gossip.publish(gossipsub::IdentTopic::new(TOPIC), bytes);
            }
            Command::Report { message, from, acceptance } => self.report(&message, &from, acceptance),
            Command::Request { peer, id, request } => match peer.as_str().parse() {
                Ok(to) => {
                    let asked = self.swarm.behaviour_mut().requests.send_request(&to, request);
                    self.asked.insert(asked, id);
                }
                Err(_) => {
                    return Some(Event::Response {
                        from: peer,
                        id,
                        result: Err(RequestFailure::Disconnected),
                    });
                }
            },
            Command::Respond { token, response } => {
                if let Some((_, channel)) = self.answers.remove(&token) {
                    // gone by now: the asker sees it
                    let _ = self.swarm.behaviour_mut().requests.send_response(channel, response);
                }
            }
            Command::Provide(key) => {
                let _ = self.swarm.behaviour_mut().kad.start_providing(RecordKey::new(&key));
            }
            Command::StopProviding(key) => {
                self.swarm.behaviour_mut().kad.stop_providing(&RecordKey::new(&key))
            }
            Command::FindProviders(key) => {
                let query = self.swarm.behaviour_mut().kad.get_providers(RecordKey::new(&key));
                self.searches.insert(query, key);
            }
            Command::Shutdown => {}
        }
        None
    }

    fn dial(&mut self, address: &str) -> Result<(), String> {
        let address: Multiaddr =
            address.parse().map_err(|e| format!("{address:?} is not an address: {e}"))?;
        self.swarm.dial(address.clone()).map_err(|e| format!("cannot dial {address}: {e}"))
    }

    fn report(&mut self, message: &MessageId, from: &PeerId, acceptance: Acceptance) {
        let Ok(from) = from.as_str().parse() else { return };
        let acceptance = match acceptance {
            Acceptance::Accept => MessageAcceptance::Accept,
            Acceptance::Ignore => MessageAcceptance::Ignore,
            Acceptance::Reject => MessageAcceptance::Reject,
        };
        let id = gossipsub::MessageId::from(message.0.clone());
        self.swarm.behaviour_mut().gossip.report_message_validation_result(&id, &from, acceptance);
    }

    fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) -> Vec<Event> {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => {
                let me = *self.swarm.local_peer_id();
                vec![Event::Listening(address.with(Protocol::P2p(me)).to_string())]
            }
            SwarmEvent::ConnectionEstablished { peer_id, num_established, endpoint, .. }
                if num_established.get() == 1 =>
            {
                let address = endpoint.get_remote_address();
                if let ConnectedPoint::Dialer { .. } = endpoint {
                    self.swarm.behaviour_mut().kad.add_address(&peer_id, address.clone());
                }
                vec![Event::Connected {
                    peer: name(&peer_id),
                    prefix: prefix(address),
                    address: address.to_string(),
                }]
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                vec![Event::Disconnected { peer: name(&peer_id) }]
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                tracing::debug!(?peer_id, %error, "could not connect");
                Vec::new()
            }
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            _ => Vec::new(),
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) -> Vec<Event> {
        match event {
            BehaviourEvent::Gossip(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                let from = name(&propagation_source);
                vec![Event::Gossip { from, message: MessageId(message_id.0), bytes: message.data }]
            }
            BehaviourEvent::Requests(event) => self.on_request(event).into_iter().collect(),
            BehaviourEvent::Kad(event) => self.on_kad(event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                for address in info.listen_addrs.into_iter().take(16) {
                    self.swarm.behaviour_mut().kad.add_address(&peer_id, address);
                }
                Vec::new()
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, address) in found {
                    self.swarm.behaviour_mut().kad.add_address(&peer, address.clone());
                    let _ = self.swarm.dial(address);
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn on_request(
        &mut self,
        event: request_response::Event<perennial_protocol::message::Request, Response>,
    ) -> Option<Event> {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request { request_id, request, channel } => {
                    if self.answers.len() >= MAX_UNANSWERED {
                        return None;
                    }
                    self.next += 1;
                    let token = Token(self.next);
                    self.answers.insert(token, (request_id, channel));
                    Some(Event::Request { from: name(&peer), token, request })
                }
                request_response::Message::Response { request_id, response } => {
                    let id = self.asked.remove(&request_id)?;
                    Some(Event::Response { from: name(&peer), id, result: Ok(response) })
                }
            },
            request_response::Event::OutboundFailure { peer, request_id, error, .. } => {
                let id = self.asked.remove(&request_id)?;
                let failure = match error {
                    OutboundFailure::Timeout => RequestFailure::Timeout,
                    OutboundFailure::UnsupportedProtocols => RequestFailure::Unsupported,
                    OutboundFailure::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => {
                        RequestFailure::Malformed
                    }
                    _ => RequestFailure::Disconnected,
                };
                Some(Event::Response { from: name(&peer), id, result: Err(failure) })
            }
            request_response::Event::InboundFailure { request_id, .. } => {
                self.answers.retain(|_, (id, _)| *id != request_id);
                None
            }
            request_response::Event::ResponseSent { .. } => None,
        }
    }

    fn on_kad(&mut self, event: kad::Event) -> Vec<Event> {
        match event {
            kad::Event::InboundRequest {
                request: kad::InboundRequest::AddProvider { record: Some(record) },
            } => {
                // the store bounds how many keys and providers it takes
                let store = self.swarm.behaviour_mut().kad.store_mut();
                if record.key.as_ref().len() == 32 {
                    let _ = libp2p::kad::store::RecordStore::add_provider(store, record);
                }
                Vec::new()
            }
            kad::Event::OutboundQueryProgressed {
                id,
                result: kad::QueryResult::GetProviders(result),
                step,
                ..
            } => {
                let Some(key) = self.searches.get(&id).copied() else { return Vec::new() };
                let peers = match result {
                    Ok(kad::GetProvidersOk::FoundProviders { providers, .. }) => {
                        providers.iter().map(name).collect()
                    }
                    _ => Vec::new(),
                };
                if step.last {
                    self.searches.remove(&id);
                }
                vec![Event::Providers { key, peers, done: step.last }]
            }
            _ => Vec::new(),
        }
    }
}

/// The network an address lies in: an IPv4 /24 or an IPv6 /48; 0 for this machine and for names.
fn prefix(address: &Multiaddr) -> Prefix {
    let found = address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) if !ip.is_loopback() => Some(u64::from(u32::from(ip) >> 8) | 1 << 32),
        Protocol::Ip6(ip) if !ip.is_loopback() => u64::try_from(u128::from(ip) >> 80).ok(),
        _ => None,
    });
    Prefix(found.unwrap_or(0))
}
