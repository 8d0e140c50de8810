//! The door: who gets in when connections, handshakes and streams are few. Carries out what
//! `perennial_protocol::Places` decides.
//!
//! A caller that gets a place at another's expense comes in while the other's connection is being
//! closed, so that for a moment there is one more than the limit says.

mod handshakes;
mod slots;

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::{ConnectionClosed, ListenFailure};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use perennial_protocol::{Entry, Guest, PeerId, Places, Prefix, Shares, Standing, Standings, Time};

use crate::events::peer_id;
pub(crate) use handshakes::Handshakes;
pub(crate) use slots::{Slot, Slots};

/// Connections that one peer may open.
pub(crate) const PER_PEER: u32 = 2;

/// The prefix of an address; none for names.
pub(crate) fn prefix(address: &Multiaddr) -> Prefix {
    let found = address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(Prefix::of(ip.into())),
        Protocol::Ip6(ip) => Some(Prefix::of(ip.into())),
        _ => None,
    });
    found.unwrap_or_default()
}

/// The time, and the standing of peers, as all places know them.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    started: Instant,
    standings: Arc<Mutex<Standings>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { started: Instant::now(), standings: Arc::default() }
    }
}

impl Registry {
    fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn standings(&self) -> MutexGuard<'_, Standings> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn guest(&self, peer: &PeerId, prefix: Prefix) -> Guest {
        Guest { peer: Some(peer.clone()), prefix, standing: self.standings().of(peer) }
    }
}

/// Every place is taken, by peers that this one does not replace.
#[derive(Debug, thiserror::Error)]
#[error("no place is free for a peer of this network that has brought nothing so far")]
struct Full;

/// The places for connections that peers open.
pub(crate) struct Behaviour {
    registry: Registry,
    places: Places<ConnectionId>,
    /// The peers that have a place.
    inside: HashMap<ConnectionId, libp2p::PeerId>,
    /// Bounded by the connections that are open.
    closing: VecDeque<(libp2p::PeerId, ConnectionId)>,
}

impl Behaviour {
    pub(crate) fn new(registry: Registry, most: u32) -> Self {
        let shares = Shares::of(most as usize, PER_PEER as usize);
        Self {
            registry,
            places: Places::new(shares),
            inside: HashMap::new(),
            closing: VecDeque::new(),
        }
    }

    /// Notes what a peer has earned.
    pub(crate) fn earned(&mut self, peer: &PeerId, standing: Standing) {
        let mut standings = self.registry.standings();
        standings.earn(peer, standing);
        let standing = standings.of(peer);
        drop(standings);
        self.places.saw(self.registry.now(), peer, standing);
    }

    /// Notes that a peer asked for something.
    pub(crate) fn asked(&mut self, peer: &PeerId) {
        self.earned(peer, Standing::Active);
    }

    fn left(&mut self, connection: ConnectionId) {
        self.places.leave(&connection);
        self.inside.remove(&connection);
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: libp2p::PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let guest = self.registry.guest(&peer_id(&peer), prefix(remote));
        match self.places.enter(self.registry.now(), connection, guest) {
            Entry::Free => {}
            Entry::InsteadOf(other) => {
                if let Some(leaving) = self.inside.remove(&other) {
                    tracing::debug!(%leaving, for_ = %peer, "a connection lost its place");
                    self.closing.push_back((leaving, other));
                }
            }
            Entry::Full => return Err(ConnectionDenied::new(Full)),
        }
        self.inside.insert(connection, peer);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: libp2p::PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            // Another behaviour refused it.
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.left(connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: libp2p::PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // Connections come in within the polling task, which polls this queue afterwards.
        match self.closing.pop_front() {
            Some((peer_id, connection)) => Poll::Ready(ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::One(connection),
            }),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_in(door: &mut Behaviour, n: usize, peer: libp2p::PeerId, from: &str) -> bool {
        let (id, any) = (ConnectionId::new_unchecked(n), Multiaddr::empty());
        let remote: Multiaddr = format!("/ip4/{from}/tcp/9").parse().unwrap();
        door.handle_established_inbound_connection(id, peer, &any, &remote).is_ok()
    }

    fn strangers(door: &mut Behaviour, numbers: std::ops::Range<usize>, from: &str) -> usize {
        let come = |n| comes_in(door, n, libp2p::PeerId::random(), from);
        numbers.map(come).filter(|came| *came).count()
    }

    #[test]
    fn a_crowd_makes_room_for_others_and_for_itself_within_its_share() {
        let mut door = Behaviour::new(Registry::default(), 16);
        assert_eq!(strangers(&mut door, 0..40, "192.0.2.7"), 40);
        // Twelve are for strangers, half of them for one network.
        assert_eq!((door.places.len(), door.inside.len(), door.closing.len()), (6, 6, 34));
        assert_eq!(strangers(&mut door, 40..46, "198.51.100.1"), 6);
        assert_eq!((door.places.len(), door.closing.len()), (12, 34));
        // A third network is let in by those that are many.
        assert_eq!(strangers(&mut door, 46..47, "203.0.113.1"), 1);
        assert_eq!((door.places.len(), door.closing.len()), (12, 35));
        let useful = libp2p::PeerId::random();
        door.earned(&peer_id(&useful), Standing::Useful);
        assert!(comes_in(&mut door, 50, useful, "203.0.113.2"));
        assert_eq!((door.places.len(), door.closing.len()), (13, 35), "its place was kept");
    }

    #[test]
    fn whoever_leaves_or_is_refused_elsewhere_frees_the_place() {
        let mut door = Behaviour::new(Registry::default(), 1);
        assert_eq!(strangers(&mut door, 0..1, "127.0.0.1"), 1);
        door.left(ConnectionId::new_unchecked(0));
        assert_eq!((door.places.len(), door.inside.len()), (0, 0));
        let mine = libp2p::PeerId::random();
        door.earned(&peer_id(&mine), Standing::Chosen);
        assert!(comes_in(&mut door, 1, mine, "127.0.0.1"));
        assert_eq!(strangers(&mut door, 2..9, "127.0.0.1"), 0, "none replaces a chosen peer");
        assert!(door.closing.is_empty());
    }
}
