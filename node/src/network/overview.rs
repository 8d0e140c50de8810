//! The event loop's published state: for `status`, `peers`, and tasks that wait for a peer.

use std::collections::BTreeMap;

use perennial_protocol::PeerId;
use perennial_swarm::DialError;

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

/// The outcome of dialling an address that the user gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dial {
    /// It is being dialled for the first time.
    Trying,
    /// This peer answered.
    Reached(PeerId),
    /// No connection: the last reason.
    Failed(DialError),
}

/// An address at which no peer was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    /// The address, as the user gave it.
    pub address: String,
    /// Why no peer was reached.
    pub reason: String,
}

impl std::fmt::Display for Unreached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.address, self.reason)
    }
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
    /// The addresses that the user gave, each with the outcome of dialling it.
    pub(crate) dials: BTreeMap<String, Dial>,
    /// The address of another node that uses this node's keys, while it runs.
    pub(crate) twin: Option<String>,
    /// Set while it is unknown whether a refused call came from a twin.
    pub(crate) may_have_twin: bool,
    /// Bytes of reconciliation requests sent.
    pub(crate) sync_sent: u64,
    /// Bytes of reconciliation responses received.
    pub(crate) sync_received: u64,
    /// Completed reconciliations.
    pub(crate) synced: u64,
}

impl Overview {
    /// Addresses given by the user whose peer is not connected, with the reasons.
    pub(crate) fn unreached(&self) -> Vec<Unreached> {
        let unreached = |(address, dial): (&String, &Dial)| {
            let reason = match dial {
                Dial::Trying => return None,
                Dial::Reached(peer) if self.peers.contains_key(peer) => return None,
                Dial::Reached(_) => "the connection was lost".to_owned(),
                Dial::Failed(error) => error.to_string(),
            };
            Some(Unreached { address: address.clone(), reason })
        };
        self.dials.iter().filter_map(unreached).collect()
    }

    /// Whether the user gave addresses and none of them leads anywhere.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.peers.is_empty()
            && !self.dials.is_empty()
            && self.dials.values().all(|dial| matches!(dial, Dial::Failed(_)))
    }

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
