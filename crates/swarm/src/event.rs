//! What the network tells: the only things that come out of a swarm.

use perennial_protocol::{
    MessageId, PeerId, Prefix, Request, RequestFailure, RequestId, Response, Token,
};

use crate::stream::BlobStream;

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// An address that others can reach this node at; ends in `/p2p/<peer id>`.
    Listening(String),
    /// The first connection to a peer is up.
    Connected {
        /// Who.
        peer: PeerId,
        /// Where it is, coarsely.
        prefix: Prefix,
        /// The address, for people.
        address: String,
    },
    /// The last connection to a peer is gone.
    Disconnected {
        /// Who.
        peer: PeerId,
    },
    /// A gossip message. It is passed on only once it was reported as accepted.
    Gossip {
        /// Who passed it on to us.
        from: PeerId,
        /// For the report.
        message: MessageId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A peer asks.
    Request {
        /// Who.
        from: PeerId,
        /// For the answer.
        token: Token,
        /// What.
        request: Request,
    },
    /// An answer, or why there is none.
    Response {
        /// From whom.
        from: PeerId,
        /// To which request.
        id: RequestId,
        /// The answer.
        result: Result<Response, RequestFailure>,
    },
    /// A peer opened a stream to fetch blobs.
    BlobStream {
        /// Who.
        from: PeerId,
        /// The stream.
        stream: BlobStream,
    },
    /// Peers that say they provide a key.
    Providers {
        /// The key that was looked for.
        key: [u8; 32],
        /// Those found now.
        peers: Vec<PeerId>,
        /// Whether the search is over.
        done: bool,
    },
}
