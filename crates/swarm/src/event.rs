//! The output of a swarm.

use perennial_protocol::{Input, PeerId, Prefix};

use crate::address::PeerAddress;
use crate::stream::BlobStream;

/// Something that happened on the network.
#[derive(Debug)]
#[expect(missing_docs, reason = "the variants document their fields")]
pub enum Event {
    /// An event for the protocol to decide about: pass it to [`Node::handle`]. One of
    /// [`Input::Disconnected`], [`Input::Gossip`], [`Input::Request`], [`Input::Response`] and
    /// [`Input::Providers`].
    ///
    /// A gossip message is relayed only once [`Handle::report_gossip`] accepted it.
    ///
    /// [`Node::handle`]: perennial_protocol::Node::handle
    /// [`Handle::report_gossip`]: crate::Handle::report_gossip
    Input(Input),
    /// This node listens on an address, which ends in `/p2p/<peer id>`.
    Listening(PeerAddress),
    /// This node no longer listens on an address: it has left this machine.
    NotListening(PeerAddress),
    /// A call from an address failed before it was a connection. `myself`: the caller has this
    /// node's own key, which is not always known: a caller that finds its own key here hangs up.
    CallFailed { address: PeerAddress, myself: bool },
    /// The first connection to a peer is up. `prefix` and `address` say where the peer is. Unless
    /// the peer is unwanted, this becomes an [`Input::Connected`].
    Connected { peer: PeerId, prefix: Prefix, address: PeerAddress },
    /// A peer opened a stream to request blobs. Once its request is read, this becomes an
    /// [`Input::BlobStream`].
    BlobStream { from: PeerId, stream: BlobStream },
}
