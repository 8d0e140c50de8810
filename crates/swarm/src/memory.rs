//! The last resort against too much memory: strangers are turned away.
//!
//! Above the limit no peer that this node does not know gets in. What this node dials itself is
//! never refused, nor are the peers that it has reached by dialling: else a node that once used
//! much memory would stay alone until its next start.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::task::{Context, Poll};

use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::memory_connection_limits as limits;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};

/// Peers remembered that were reached by dialling.
const KNOWN: usize = 1024;

/// Refuses connections of strangers above a limit.
pub(crate) struct Behaviour {
    limit: limits::Behaviour,
    /// Reached by dialling, the latest last.
    known: VecDeque<PeerId>,
}

impl Behaviour {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { limit: limits::Behaviour::with_max_bytes(max_bytes), known: VecDeque::new() }
    }

    fn know(&mut self, peer: PeerId) {
        self.known.retain(|known| *known != peer);
        if self.known.len() >= KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(peer);
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    // Only now it is known who called.
    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.known.contains(&peer) {
            self.limit.handle_pending_inbound_connection(connection, local, remote)?;
        }
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.know(peer);
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_in(memory: &mut Behaviour, peer: PeerId) -> bool {
        let (id, any) = (ConnectionId::new_unchecked(1), Multiaddr::empty());
        memory.handle_established_inbound_connection(id, peer, &any, &any).is_ok()
    }

    fn dialled(memory: &mut Behaviour, peer: PeerId) -> bool {
        let (id, any) = (ConnectionId::new_unchecked(1), Multiaddr::empty());
        let began =
            memory.handle_pending_outbound_connection(id, Some(peer), &[], Endpoint::Dialer);
        let (role, port) = (Endpoint::Dialer, PortUse::Reuse);
        let came = memory.handle_established_outbound_connection(id, peer, &any, role, port);
        began.is_ok() && came.is_ok()
    }

    #[test]
    fn above_the_limit_only_strangers_are_refused() {
        let (friend, stranger) = (PeerId::random(), PeerId::random());
        let mut above = Behaviour::new(1);
        assert!(!comes_in(&mut above, friend) && !comes_in(&mut above, stranger));
        assert!(dialled(&mut above, friend));
        assert!(comes_in(&mut above, friend) && !comes_in(&mut above, stranger));
        assert!(comes_in(&mut Behaviour::new(usize::MAX), stranger));
        for _ in 0..2 * KNOWN {
            above.know(PeerId::random());
        }
        assert_eq!(above.known.len(), KNOWN);
    }
}
