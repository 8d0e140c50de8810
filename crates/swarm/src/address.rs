//! Addresses of peers: a multiaddress that may name its peer.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
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

/// A text that names no place at which a peer can be dialled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not the address of a peer: {reason}. Write it as /ip4/192.0.2.7/tcp/4407 or \
     archive.example:4407"
)]
pub struct PeerAddressError {
    text: String,
    reason: String,
}

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

    /// The addresses that a text given by the user stands for, in the order in which to try them:
    /// one for a multiaddress over TCP or QUIC, and both transports for `HOST:PORT`, which
    /// `/p2p/<peer id>` may follow.
    ///
    /// ```
    /// use perennial_swarm::PeerAddress;
    ///
    /// let both = PeerAddress::all_of("archive.example:4407")?;
    /// let texts: Vec<_> = both.iter().map(ToString::to_string).collect();
    /// assert_eq!(texts[0], "/dns/archive.example/tcp/4407");
    /// assert_eq!(texts[1], "/dns/archive.example/udp/4407/quic-v1");
    /// assert!(PeerAddress::all_of("http://archive.example").is_err());
    /// # Ok::<(), perennial_swarm::PeerAddressError>(())
    /// ```
    ///
    /// # Errors
    /// When no peer can be dialled at it: it names no host, no port, or no transport spoken here.
    pub fn all_of(text: &str) -> Result<Vec<Self>, PeerAddressError> {
        let fail = |reason: String| PeerAddressError { text: text.to_owned(), reason };
        if text.starts_with('/') {
            let address: Multiaddr =
                text.parse().map_err(|e: libp2p::multiaddr::Error| fail(e.to_string()))?;
            return match is_dialled(&address) {
                true => Ok(vec![Self(address)]),
                false => Err(fail("it names no host and port over TCP or QUIC".to_owned())),
            };
        }
        let both = host_and_port(text).map_err(|reason| fail(reason.to_owned()))?;
        Ok(both.into_iter().map(Self).collect())
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

/// Whether a transport of this node dials the address.
fn is_dialled(address: &Multiaddr) -> bool {
    let mut parts: Vec<_> = address.iter().collect();
    if let Some(Protocol::P2p(_)) = parts.last() {
        parts.pop();
    }
    let Some((host, transport)) = parts.split_first() else { return false };
    let is_host = matches!(
        host,
        Protocol::Ip4(_)
            | Protocol::Ip6(_)
            | Protocol::Dns(_)
            | Protocol::Dns4(_)
            | Protocol::Dns6(_)
    );
    match transport {
        [Protocol::Tcp(1..)] | [Protocol::Udp(1..), Protocol::QuicV1] => is_host,
        // Its TXT records are whole addresses.
        [] => matches!(host, Protocol::Dnsaddr(_)),
        _ => false,
    }
}

/// Reads `HOST:PORT` or `HOST:PORT/p2p/<peer id>`.
fn host_and_port(text: &str) -> Result<[Multiaddr; 2], &'static str> {
    if text.contains("://") {
        return Err("it is a URL");
    }
    let (place, peer) = match text.split_once("/p2p/") {
        Some((place, id)) => {
            let id = id.parse::<libp2p::PeerId>().map_err(|_| "its last part is not a peer id")?;
            (place, Some(id))
        }
        None => (text, None),
    };
    let (host, port) = place.rsplit_once(':').ok_or("it names no port")?;
    let port: u16 = port.parse().map_err(|_| "its port is not a number up to 65535")?;
    if port == 0 {
        return Err("no peer has port 0");
    }
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => {
            Protocol::Ip6(inner.parse::<Ipv6Addr>().map_err(|_| "it is not an IPv6 address")?)
        }
        None => match host.parse::<Ipv4Addr>() {
            Ok(ip) => Protocol::Ip4(ip),
            Err(_) if is_name(host) => Protocol::Dns(host.to_owned().into()),
            Err(_) if host.contains(':') => return Err("an IPv6 address stands in brackets"),
            Err(_) => return Err("it names no host"),
        },
    };
    let with = |transport: &[Protocol<'static>]| {
        let parts = std::iter::once(host.clone()).chain(transport.iter().cloned());
        parts.chain(peer.map(Protocol::P2p)).collect()
    };
    Ok([with(&[Protocol::Tcp(port)]), with(&[Protocol::Udp(port), Protocol::QuicV1])])
}

/// Whether a text can be a host name: labels of letters, digits and hyphens. A last label of digits
/// is a mistyped address.
fn is_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253
        && host.split('.').all(is_label)
        && host.rsplit('.').next().is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

    fn texts(text: &str) -> Vec<String> {
        PeerAddress::all_of(text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_host_and_a_port_stand_for_both_transports() {
        assert_eq!(
            texts("192.0.2.7:4407"),
            ["/ip4/192.0.2.7/tcp/4407", "/ip4/192.0.2.7/udp/4407/quic-v1"]
        );
        assert_eq!(
            texts("[2001:db8::1]:4407"),
            ["/ip6/2001:db8::1/tcp/4407", "/ip6/2001:db8::1/udp/4407/quic-v1"]
        );
        let named = PeerAddress::all_of(&format!("localhost:4407/p2p/{ID}")).unwrap();
        assert_eq!(named.len(), 2);
        assert!(named.iter().all(|address| address.peer_id().unwrap().as_str() == ID));
    }

    #[test]
    fn a_multiaddress_stands_for_itself() {
        for one in [
            "/ip4/192.0.2.7/tcp/4407",
            "/dns4/archive.example/udp/4407/quic-v1",
            "/dnsaddr/archive.example",
        ] {
            assert_eq!(texts(one), [one]);
            let named = format!("{one}/p2p/{ID}");
            assert_eq!(texts(&named).concat(), named);
        }
    }

    #[test]
    fn malformed_addresses_are_refused_with_the_right_spelling() {
        for wrong in [
            "",
            "nonsense",
            "friend.example",
            "friend.example:",
            "friend.example:0",
            "friend.example:99999",
            "friend.example:http",
            "http://friend.example:4407",
            "127.0.0.256:4407",
            "1:2:3::4:4407",
            "two words:4407",
            ":4407",
            "-x:4407",
            "friend.example:4407/p2p/nonsense",
            "/ip4/127.0.0.1",
            "/ip4/127.0.0.1/tcp/0",
            "/ip4/127.0.0.1/udp/4407",
            "/ip4/127.0.0.1/tcp/4407/ws",
            "/tcp/4407",
            "/nonsense",
        ] {
            let refused = PeerAddress::all_of(wrong).unwrap_err().to_string();
            assert!(refused.contains(&format!("{wrong:?}")), "{refused}");
            assert!(refused.contains("/ip4/192.0.2.7/tcp/4407"), "{refused}");
        }
    }
}
