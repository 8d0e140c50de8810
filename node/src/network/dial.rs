//! The addresses that this node keeps connections to.
//!
//! Decides which addresses are due; the event loop dials. Addresses added at run time are bounded.

use perennial_protocol::PeerId;
use perennial_swarm::PeerAddress;

/// Most addresses kept: each is dialled repeatedly.
const MOST: usize = 64;

/// Addresses of peers, from the configuration and from `connect` calls.
#[derive(Debug, Default)]
pub(super) struct DialList(Vec<PeerAddress>);

impl DialList {
    /// Takes all configured multiaddresses, without a limit. Malformed ones are logged and skipped.
    pub(super) fn new(configured: &[String]) -> Self {
        Self(configured.iter().filter_map(|address| parsed(address)).collect())
    }

    /// Adds a multiaddress, unless it is known or the list is full, and returns it parsed; `None`
    /// if it is malformed, which is logged.
    pub(super) fn add(&mut self, address: &str) -> Option<PeerAddress> {
        let address = parsed(address)?;
        if self.0.len() < MOST && !self.0.contains(&address) {
            self.0.push(address.clone());
        }
        Some(address)
    }

    /// The addresses to dial, given the connected peers. An address without a peer id is due while
    /// fewer peers are connected than addresses are listed: the swarm closes a second connection to
    /// the same peer.
    pub(super) fn due(&self, connected: &[PeerId]) -> Vec<&PeerAddress> {
        let is_due = |address: &&PeerAddress| match address.peer_id() {
            Some(peer) => !connected.contains(&peer),
            None => connected.len() < self.0.len(),
        };
        self.0.iter().filter(is_due).collect()
    }
}

fn parsed(address: &str) -> Option<PeerAddress> {
    let parsed = address.parse::<PeerAddress>();
    parsed.inspect_err(|error| tracing::warn!(%error, "could not dial a peer")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    const NAMELESS: &str = "/ip4/192.0.2.2/tcp/4407";

    fn peers(ids: &[&str]) -> Vec<PeerId> {
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }

    fn texts(due: &[&PeerAddress]) -> Vec<String> {
        due.iter().map(|address| address.to_string()).collect()
    }

    #[test]
    fn a_peer_that_is_connected_is_not_dialled() {
        let named = format!("/ip4/192.0.2.1/tcp/4407/p2p/{PEER}");
        let list = DialList::new(&[named.clone(), NAMELESS.into(), "nonsense".into()]);
        assert_eq!(texts(&list.due(&[])), [named.as_str(), NAMELESS]);
        assert_eq!(texts(&list.due(&peers(&[PEER]))), [NAMELESS]);
        assert_eq!(texts(&list.due(&peers(&[PEER, "p2"]))), [""; 0]);
    }

    #[test]
    fn addresses_are_listed_once_and_bounded() {
        let mut list = DialList::default();
        for port in 0..2 * MOST {
            list.add(&format!("/ip4/192.0.2.1/tcp/{port}"));
            list.add(&format!("/ip4/192.0.2.1/tcp/{port}"));
        }
        assert_eq!(list.due(&[]).len(), MOST);
        assert_eq!(list.add("nonsense"), None);
    }
}
