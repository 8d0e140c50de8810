//! The event loop's published state: for `status`, `peers`, and tasks that wait for a peer.

use std::collections::BTreeMap;

use perennial_protocol::PeerId;

/// A connected peer's address and counters.
#[derive(Debug, Clone, Default)]
pub(crate) struct PeerInfo {
    /// The address that it connected from or was dialled at.
    pub(crate) address: String,
    /// Verified bytes of blobs received from it since it connected.
    pub(crate) received: u64,
    /// Bytes of blobs sent to it since it connected.
    pub(crate) sent: u64,
    /// Offences counted since it connected.
    pub(crate) faults: u64,
}

/// The state of the network at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overview {
    /// Multiaddresses this node listens on, each ending in `/p2p/<peer id>`.
    pub(crate) addresses: Vec<String>,
    /// Connected peers.
    pub(crate) peers: BTreeMap<PeerId, PeerInfo>,
    /// Bytes of reconciliation requests sent.
    pub(crate) sync_sent: u64,
    /// Bytes of reconciliation responses received.
    pub(crate) sync_received: u64,
    /// Completed reconciliations.
    pub(crate) synced: u64,
}

impl Overview {
    /// Updates the counters of a peer, if it is connected.
    pub(crate) fn count(&mut self, peer: &PeerId, change: impl FnOnce(&mut PeerInfo)) {
        if let Some(info) = self.peers.get_mut(peer) {
            change(info);
        }
    }
}
