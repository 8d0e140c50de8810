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
    /// Verified bytes of blobs received from all peers since the start, connected or gone.
    pub(crate) received: u64,
    /// Bytes of blobs sent to all peers since the start, connected or gone.
    pub(crate) sent: u64,
    /// Bytes of reconciliation requests sent.
    pub(crate) sync_sent: u64,
    /// Bytes of reconciliation responses received.
    pub(crate) sync_received: u64,
    /// Completed reconciliations.
    pub(crate) synced: u64,
}

impl Overview {
    /// Counts bytes of blobs that arrived from a peer and verified.
    pub(crate) fn received_from(&mut self, peer: &PeerId, bytes: u64) {
        self.received += bytes;
        if let Some(info) = self.peers.get_mut(peer) {
            info.received += bytes;
        }
    }

    /// Counts bytes of blobs sent to a peer.
    pub(crate) fn sent_to(&mut self, peer: &PeerId, bytes: u64) {
        self.sent += bytes;
        if let Some(info) = self.peers.get_mut(peer) {
            info.sent += bytes;
        }
    }

    /// Counts an offence of a peer, if it is connected.
    pub(crate) fn offence_of(&mut self, peer: &PeerId) {
        if let Some(info) = self.peers.get_mut(peer) {
            info.faults += 1;
        }
    }
}
