//! Whether an address is free to listen on.
//!
//! libp2p lets sockets share a TCP port (`SO_REUSEPORT`), so that a second node would listen beside
//! the first and take half of its calls; and its own errors of UDP have no text. A plain socket is
//! bound first, and closed again: the system's answer is the reason.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// Checks an address with a fixed port.
///
/// # Errors
/// Why the system refuses the address.
pub(crate) fn check(address: &Multiaddr) -> io::Result<()> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    let bound = match parts.next() {
        Some(Protocol::Tcp(port @ 1..)) => TcpListener::bind(SocketAddr::new(ip, port)).map(drop),
        Some(Protocol::Udp(port @ 1..)) => UdpSocket::bind(SocketAddr::new(ip, port)).map(drop),
        _ => Ok(()),
    };
    bound.map_err(|error| {
        let text = match error.kind() {
            ErrorKind::AddrInUse => {
                "address already in use; stop the program that listens there, or choose another \
                 port with --listen"
            }
            ErrorKind::AddrNotAvailable => {
                "this machine has no such address now; choose one that it has with --listen"
            }
            ErrorKind::PermissionDenied => {
                "this user may not listen on that port; choose one from 1024 with --listen"
            }
            _ => return error,
        };
        io::Error::new(error.kind(), text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: &str) -> String {
        check(&address.parse().unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn a_taken_port_is_refused() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        assert!(refused(&format!("/ip4/127.0.0.1/tcp/{port}")).contains("already in use"));
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = udp.local_addr().unwrap().port();
        assert!(refused(&format!("/ip4/127.0.0.1/udp/{port}/quic-v1")).contains("already in use"));
    }

    #[test]
    fn an_address_of_another_machine_is_refused_with_a_reason() {
        for address in ["/ip4/192.0.2.7/tcp/4407", "/ip4/192.0.2.7/udp/4407/quic-v1"] {
            assert!(refused(address).contains("no such address"), "{address}");
        }
    }

    #[test]
    fn a_free_port_stays_free() {
        let free: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
        check(&free).unwrap();
    }
}
