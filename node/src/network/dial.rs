//! The addresses that this node keeps itself connected to.
//!
//! Owns which of them are due; the event loop dials. Addresses added at run time are bounded.

use perennial_protocol::PeerId;

/// Addresses, at most: each is dialled again and again.
const MOST: usize = 64;

/// Multiaddresses of peers, from the configuration and from `connect`.
#[derive(Debug, Default)]
pub(super) struct DialList(Vec<String>);

impl DialList {
    /// The configured addresses, however many.
    pub(super) fn new(configured: Vec<String>) -> Self {
        Self(configured)
    }

    /// Adds an address, unless it is known or the list is full.
    pub(super) fn add(&mut self, address: String) {
        if self.0.len() < MOST && !self.0.contains(&address) {
            self.0.push(address);
        }
    }

    /// The addresses to dial, given which peers are connected. An address without a peer id is due while fewer peers are
    /// connected than are listed: the swarm closes a second connection to the same peer.
    pub(super) fn due<'a>(&'a self, connected: &[PeerId]) -> Vec<&'a str> {
        let is_connected = |id: &str| connected.iter().any(|peer| peer.to_string() == id);
        let is_due = |address: &&str| match address.rsplit_once("/p2p/") {
            Some((_, id)) => !is_connected(id),
            None => connected.len() < self.0.len(),
        };
        self.0.iter().map(String::as_str).filter(is_due).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: &str = "/ip4/192.0.2.1/tcp/4407/p2p/p1";
    const NAMELESS: &str = "/ip4/192.0.2.2/tcp/4407";

    fn peers(ids: &[&str]) -> Vec<PeerId> {
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }

    #[test]
    fn a_peer_that_is_connected_is_not_dialled() {
        let list = DialList::new(vec![NAMED.into(), NAMELESS.into()]);
        assert_eq!(list.due(&[]), [NAMED, NAMELESS]);
        assert_eq!(list.due(&peers(&["p1"])), [NAMELESS]);
        assert_eq!(list.due(&peers(&["p1", "p2"])), [""; 0]);
    }

    #[test]
    fn addresses_are_listed_once_and_bounded() {
        let mut list = DialList::default();
        for port in 0..2 * MOST {
            list.add(format!("/ip4/192.0.2.1/tcp/{port}"));
            list.add(format!("/ip4/192.0.2.1/tcp/{port}"));
        }
        assert_eq!(list.due(&[]).len(), MOST);
    }
}
