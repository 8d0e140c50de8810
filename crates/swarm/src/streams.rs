//! The blob protocol as a libp2p behaviour: raw streams, opened on demand and handed out as they
//! arrive.
//!
//! An inbound stream that gets a slot is never lost, however many arrive at once (`libp2p-stream`
//! does not guarantee that: its accept queue has one slot for all peers), and a stream that gets
//! none is reset immediately rather than queued. The bytes on a stream are opaque to this module.

use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll};

use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, SubstreamProtocol, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, Stream, StreamProtocol};
use perennial_protocol::{BLOB_PROTOCOL, Prefix};
use tokio::sync::oneshot;

use crate::door::{Slot, Slots, prefix};
use crate::events::peer_id;
use crate::handle::OpenFailure;

/// Streams being opened on one connection, at most; further ones fail at once.
const MAX_OPENING: usize = 64;

/// Receives the opened stream, or the reason why there is none.
pub(crate) type Opened = oneshot::Sender<Result<Stream, OpenFailure>>;

/// An inbound stream, its peer and its slot.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) from: PeerId,
    pub(crate) stream: Stream,
    pub(crate) slot: Slot,
}

/// The behaviour: each peer's connections, and the streams being opened or accepted.
pub(crate) struct Behaviour {
    slots: Slots,
    connections: HashMap<PeerId, Vec<ConnectionId>>,
    /// Bounded by the commands under way and, inbound, by `slots`.
    out: VecDeque<ToSwarm<Inbound, Opened>>,
}

impl Behaviour {
    pub(crate) fn new(slots: Slots) -> Self {
        Self { slots, connections: HashMap::new(), out: VecDeque::new() }
    }

    /// Opens a stream to a connected peer.
    pub(crate) fn open(&mut self, peer: PeerId, opened: Opened) {
        match self.connections.get(&peer).and_then(|all| all.first()) {
            Some(&connection) => {
                let handler = NotifyHandler::One(connection);
                self.out.push_back(ToSwarm::NotifyHandler {
                    peer_id: peer,
                    handler,
                    event: opened,
                });
            }
            // The requesting task may have been dropped.
            None => drop(opened.send(Err(OpenFailure::NotConnected))),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Inbound;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.slots.clone(), peer, remote))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.slots.clone(), peer, remote))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                ..
            }) => {
                self.connections.entry(peer_id).or_default().push(connection_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                if let Some(all) = self.connections.get_mut(&peer_id) {
                    all.retain(|one| *one != connection_id);
                    if all.is_empty() {
                        self.connections.remove(&peer_id);
                    }
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        from: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let (stream, slot) = event;
        self.out.push_back(ToSwarm::GenerateEvent(Inbound { from, stream, slot }));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // `open` and handler events run within the polling task, which polls this queue afterwards.
        self.out.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// The blob protocol on one connection.
pub(crate) struct Handler {
    slots: Slots,
    peer: perennial_protocol::PeerId,
    prefix: Prefix,
    inbound: VecDeque<(Stream, Slot)>,
    to_open: VecDeque<Opened>,
    opening: usize,
}

impl Handler {
    fn new(slots: Slots, peer: PeerId, remote: &Multiaddr) -> Self {
        Self {
            slots,
            peer: peer_id(&peer),
            prefix: prefix(remote),
            inbound: VecDeque::new(),
            to_open: VecDeque::new(),
            opening: 0,
        }
    }
}

fn protocol<T>(info: T) -> SubstreamProtocol<ReadyUpgrade<StreamProtocol>, T> {
    SubstreamProtocol::new(ReadyUpgrade::new(StreamProtocol::new(BLOB_PROTOCOL)), info)
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Opened;
    type ToBehaviour = (Stream, Slot);
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Opened;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        protocol(())
    }

    fn on_behaviour_event(&mut self, opened: Opened) {
        if self.opening + self.to_open.len() < MAX_OPENING {
            self.to_open.push_back(opened);
        } else {
            drop(opened.send(Err(OpenFailure::Busy)));
        }
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Opened, Self::ToBehaviour>> {
        if let Some(inbound) = self.inbound.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(inbound));
        }
        if let Some(opened) = self.to_open.pop_front() {
            self.opening += 1;
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: protocol(opened),
            });
        }
        // Events come from the connection's own task, which polls again after each.
        Poll::Pending
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), Opened>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) => match self.slots.take(&self.peer, self.prefix) {
                Some(slot) => self.inbound.push_back((stream, slot)),
                None => tracing::debug!("blob stream reset: too many"),
            },
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info,
            }) => {
                self.opening = self.opening.saturating_sub(1);
                drop(info.send(Ok(stream)));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.opening = self.opening.saturating_sub(1);
                drop(info.send(Err(OpenFailure::Negotiation(error.into()))));
            }
            _ => {}
        }
    }
}
