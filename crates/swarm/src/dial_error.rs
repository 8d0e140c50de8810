//! The reasons for which an address leads to no connection, as users read them.

use std::error::Error;
use std::io;

use libp2p::TransportError;
use perennial_protocol::PeerId;

use crate::events::peer_id;
use crate::handle::Closed;

/// Why dialling an address gave no connection. Says the reason only: the caller knows the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The swarm has ended.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The machine is there, and nothing listens on the port.
    #[error("connection refused: nothing listens there")]
    Refused,
    /// Nothing came back in time.
    #[error("timed out: no answer")]
    TimedOut,
    /// No route leads there.
    #[error("no route to that network")]
    NoRoute,
    /// The name service knows no such host.
    #[error("the name does not exist")]
    NoSuchName,
    /// A peer with another id answers.
    #[error("wrong peer id: {0} answers there")]
    WrongPeer(PeerId),
    /// A node with this node's own key answers.
    #[error("this node's own peer id answers there")]
    Myself,
    /// This node listens on the address.
    #[error("this node itself listens there")]
    OwnAddress,
    /// A limit of this node, or a ban, forbids the connection.
    #[error("this node has too many connections, or has banned that peer")]
    Denied,
    /// The machine answers in another protocol, or the connection failed in another way.
    #[error("no peer answers there: {0}")]
    Other(String),
}

impl From<&libp2p::swarm::DialError> for DialError {
    fn from(error: &libp2p::swarm::DialError) -> Self {
        use libp2p::swarm::DialError as Dial;
        match error {
            Dial::LocalPeerId { .. } => Self::Myself,
            // libp2p leaves out the addresses that this node listens on.
            Dial::NoAddresses => Self::OwnAddress,
            Dial::WrongPeerId { obtained, .. } => Self::WrongPeer(peer_id(obtained)),
            Dial::Denied { .. } => Self::Denied,
            Dial::Transport(errors) => {
                errors.first().map_or(Self::NoRoute, |(_, error)| of_transport(error))
            }
            other => Self::Other(other.to_string()),
        }
    }
}

/// libp2p nests the system's error in wrappers, some of which keep only its text.
fn of_transport(error: &TransportError<io::Error>) -> DialError {
    let mut text = String::new();
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<io::Error>().and_then(|io| of_kind(io.kind())) {
            return found;
        }
        text = error.to_string();
        // An `io::Error` hides the error it wraps from `source`.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    let lower = text.to_lowercase();
    if lower.contains("timeout") || lower.contains("timed out") {
        DialError::TimedOut
    } else if lower.contains("refused") {
        DialError::Refused
    } else if lower.contains("unreachable") {
        DialError::NoRoute
    } else if lower.contains("no record") || lower.contains("nxdomain") {
        DialError::NoSuchName
    } else {
        DialError::Other(text)
    }
}

fn of_kind(kind: io::ErrorKind) -> Option<DialError> {
    Some(match kind {
        io::ErrorKind::ConnectionRefused => DialError::Refused,
        io::ErrorKind::TimedOut => DialError::TimedOut,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => DialError::NoRoute,
        _ => return None,
    })
}
