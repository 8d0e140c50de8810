//! Translates libp2p's events to [`Event`]s.
//!
//! Bounds the state that peers create here: unanswered requests and addresses. The protocol that
//! carried a message bounds everything else.

use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::kad::store::RecordStore;
use libp2p::kad::{self};
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{self, OutboundFailure};
use libp2p::swarm::{ConnectionId, ListenError, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, gossipsub, identify, mdns};
use perennial_protocol::{Input, MessageId, PeerId, Request, RequestFailure, Response, Token};

use crate::address::PeerAddress;
use crate::behaviour::BehaviourEvent;
use crate::door::prefix;
use crate::driver::Driver;
use crate::event::Event;
use crate::security::is_own_key;
use crate::stream::BlobStream;
use crate::streams::Inbound;

/// Unanswered requests of peers, at most; further ones fail at once.
const MAX_UNANSWERED: usize = 1024;
/// Addresses remembered per provider, at most.
const MAX_ADDRESSES: usize = 4;
/// Addresses remembered per identified peer, at most, however often it identifies itself.
const MAX_LISTEN_ADDRESSES: usize = 16;

impl Driver {
    /// Translates an event of libp2p.
    pub(crate) fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) -> Option<Event> {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => {
                let me = *self.swarm.local_peer_id();
                Some(Event::Listening(PeerAddress::new(address.with(Protocol::P2p(me)))))
            }
            SwarmEvent::ConnectionEstablished {
                peer_id: id,
                num_established,
                endpoint,
                connection_id,
                ..
            } => {
                if let Some(outcome) = self.dialling.remove(&connection_id) {
                    // The caller may have left.
                    let _ = outcome.send(Ok(peer_id(&id)));
                }
                if num_established.get() > 1 {
                    return None;
                }
                let address = endpoint.get_remote_address();
                if let ConnectedPoint::Dialer { .. } = endpoint {
                    self.swarm.behaviour_mut().kad.add_address(&id, address.clone());
                }
                Some(Event::Connected {
                    peer: peer_id(&id),
                    prefix: prefix(address),
                    address: PeerAddress::new(address.clone()),
                })
            }
            SwarmEvent::ConnectionClosed { peer_id: id, num_established: 0, .. } => {
                Some(Event::Input(Input::Disconnected { peer: peer_id(&id) }))
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, connection_id, .. } => {
                tracing::debug!(?peer_id, %error, "could not connect");
                if let Some(outcome) = self.dialling.remove(&connection_id) {
                    let _ = outcome.send(Err((&error).into()));
                }
                None
            }
            SwarmEvent::IncomingConnectionError { error, send_back_addr, .. } => {
                let myself = matches!(error, ListenError::LocalPeerId { .. }) || is_own_key(&error);
                Some(Event::CallFailed { address: PeerAddress::new(send_back_addr), myself })
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                let me = *self.swarm.local_peer_id();
                Some(Event::NotListening(PeerAddress::new(address.with(Protocol::P2p(me)))))
            }
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            _ => None,
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) -> Option<Event> {
        match event {
            BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            }) => Some(Event::Input(Input::Gossip {
                from: peer_id(&propagation_source),
                message: MessageId(message_id.0),
                bytes: message.data,
            })),
            BehaviourEvent::Streams(Inbound { from, stream, slot }) => Some(Event::BlobStream {
                from: peer_id(&from),
                stream: BlobStream::new(stream, Some(slot)),
            }),
            BehaviourEvent::Requests(event) => self.on_request(event).map(Event::Input),
            BehaviourEvent::Kad(event) => self.on_kad(event).map(Event::Input),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                for address in info.listen_addrs.into_iter().take(MAX_LISTEN_ADDRESSES) {
                    self.learn(&peer_id, address);
                }
                None
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, address) in found {
                    self.learn(&peer, address);
                    // An error means that the peer is connected or being dialled already.
                    let _ = self.swarm.dial(peer);
                }
                None
            }
            _ => None,
        }
    }

    fn on_request(&mut self, event: request_response::Event<Request, Response>) -> Option<Input> {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request { request_id, request, channel } => {
                    if self.answers.len() >= MAX_UNANSWERED {
                        return None;
                    }
                    self.next += 1;
                    let (token, from) = (Token(self.next), peer_id(&peer));
                    self.answers.insert(token, (request_id, channel));
                    self.swarm.behaviour_mut().door.asked(&from);
                    Some(Input::Request { from, token, request })
                }
                request_response::Message::Response { request_id, response } => {
                    let id = self.asked.remove(&request_id)?;
                    Some(Input::Response { from: peer_id(&peer), id, result: Ok(response) })
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
                Some(Input::Response { from: peer_id(&peer), id, result: Err(failure) })
            }
            request_response::Event::InboundFailure { request_id, .. } => {
                self.answers.retain(|_, (id, _)| *id != request_id);
                None
            }
            request_response::Event::ResponseSent { .. } => None,
        }
    }

    fn on_kad(&mut self, event: kad::Event) -> Option<Input> {
        match event {
            kad::Event::InboundRequest {
                request: kad::InboundRequest::AddProvider { record: Some(record) },
            } => {
                // The store bounds how many keys and providers it takes.
                let store = self.swarm.behaviour_mut().kad.store_mut();
                if let Err(error) = RecordStore::add_provider(store, record) {
                    tracing::debug!(%error, "provider record refused");
                }
                None
            }
            kad::Event::OutboundQueryProgressed {
                id,
                result: kad::QueryResult::GetProviders(result),
                step,
                ..
            } => {
                let release = *self.searches.get(&id)?;
                let peers = match result {
                    Ok(kad::GetProvidersOk::FoundProviders { providers, .. }) => {
                        providers.iter().map(|peer| self.remember(peer)).collect()
                    }
                    _ => Vec::new(),
                };
                if step.last {
                    self.searches.remove(&id);
                }
                Some(Input::Providers { release, peers, done: step.last })
            }
            kad::Event::OutboundQueryProgressed {
                id,
                result: kad::QueryResult::StartProviding(_),
                step,
                ..
            } if step.last => {
                self.announcing.remove(&id);
                self.announce();
                None
            }
            _ => None,
        }
    }

    /// Records an address that a peer stated for itself. Kademlia itself does not bound the
    /// addresses of a peer.
    fn learn(&mut self, peer: &libp2p::PeerId, address: Multiaddr) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        let known = kad.kbucket(*peer).and_then(|bucket| {
            let mut entries = bucket.iter();
            entries
                .find(|entry| entry.node.key.preimage() == peer)
                .map(|entry| entry.node.value.len())
        });
        if known.unwrap_or(0) < MAX_LISTEN_ADDRESSES {
            kad.add_address(peer, address);
        }
    }

    /// Keeps the addresses of a provider: Kademlia drops them when the search ends, but the
    /// provider may be dialled later.
    fn remember(&mut self, peer: &libp2p::PeerId) -> PeerId {
        let kad = &mut self.swarm.behaviour_mut().kad;
        // Not a real connection: Kademlia does not look at it.
        let connection = ConnectionId::new_unchecked(0);
        let found =
            kad.handle_pending_outbound_connection(connection, Some(*peer), &[], Endpoint::Dialer);
        for address in found.unwrap_or_default().into_iter().take(MAX_ADDRESSES) {
            self.swarm.add_peer_address(*peer, address);
        }
        peer_id(peer)
    }
}

/// A peer id as the protocol writes it.
pub(crate) fn peer_id(id: &libp2p::PeerId) -> PeerId {
    // Base58 of at most 42 bytes: printable ASCII, and shorter than the bound.
    id.to_string().parse().unwrap_or_else(|_| unreachable!("a libp2p peer id is printable"))
}
