//! Addresses of peers: a multiaddress that may name its peer.

use std::fmt;
use std::str::FromStr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use perennial_protocol::PeerId;

use crate::events::peer_id;

/// Where a peer can be reached, such as `/ip4/192.0.2.1/tcp/4407/p2p/12D3Koo…`. The last part,
/// which is optional, names the peer: a connection to any other is refused.
///
/// ```
/// use perennial_swarm::PeerAddress;
///
/// let id = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
/// let address: PeerAddress = format!("/ip4/192.0.2.1/tcp/4407/p2p/{id}").parse()?;
/// assert_eq!(address.peer_id().map(|peer| peer.to_string()).as_deref(), Some(id));
///
/// let nameless: PeerAddress = "/dns4/archive.example/tcp/4407".parse()?;
/// assert_eq!(nameless.peer_id(), None);
/// assert!("archive.example:4407".parse::<PeerAddress>().is_err());
/// # Ok::<(), perennial_swarm::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress(Multiaddr);

/// The text is not a multiaddress.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not an address such as /ip4/0.0.0.0/tcp/4407: {source}")]
pub struct AddressError {
    text: String,
    source: libp2p::multiaddr::Error,
}

impl PeerAddress {
    pub(crate) const fn new(address: Multiaddr) -> Self {
        Self(address)
    }

    pub(crate) const fn multiaddr(&self) -> &Multiaddr {
        &self.0
    }

    /// The peer that the address names.
    #[must_use]
    pub fn peer_id(&self) -> Option<PeerId> {
        self.0.iter().find_map(|part| match part {
            Protocol::P2p(peer) => Some(peer_id(&peer)),
            _ => None,
        })
    }
}

impl FromStr for PeerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parsed = text.parse().map_err(|source| AddressError { text: text.to_owned(), source });
        parsed.map(Self)
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerAddress({})", self.0)
    }
}
