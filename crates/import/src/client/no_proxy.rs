//! `NO_PROXY`: the hosts that are called past the proxies, in every form that curl or Go takes.
//!
//! `reqwest` reads this list as well, but takes neither ports nor brackets, and passes over what it
//! cannot read: a host that was meant to stay inside would be asked for at the proxy.

use std::net::IpAddr;

use reqwest::Url;

/// The hosts that are called without a proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct NoProxy(Vec<Exception>);

/// An entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    /// Of these hosts, only this port.
    port: Option<u16>,
}

/// The hosts of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    All,
    /// Addresses that have this many bits in common with this one.
    Block(IpAddr, u32),
    /// A name, and all below it.
    Name(String),
}

impl NoProxy {
    /// Reads a list of entries, between commas or white space.
    pub(super) fn parse(text: &str) -> Self {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        Self(entries.filter_map(Exception::parse).collect())
    }

    /// Whether a URL is asked for without a proxy.
    pub(super) fn has(&self, url: &Url) -> bool {
        let host = plain(url.host_str().unwrap_or_default());
        self.0.iter().any(|entry| {
            entry.hosts.have(&host)
                && entry.port.is_none_or(|port| url.port_or_known_default() == Some(port))
        })
    }
}

/// A host in lower case, without brackets and without the dot at the end of a full name.
fn plain(host: &str) -> String {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.trim_end_matches('.').to_ascii_lowercase()
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        let whole = |hosts| Some(Self { hosts, port: None });
        // An address with a port has brackets if it has colons; a block has no port.
        if let Some(block) = block(entry).or_else(|| address(entry)) {
            return whole(block);
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        if let Some(block) = address(host) {
            return Some(Self { hosts: block, port });
        }
        if host == "*" {
            return Some(Self { hosts: Hosts::All, port });
        }
        // For curl, a leading dot is nothing; for Go, it leaves out the name itself.
        let name = plain(host.trim_start_matches("*.").trim_start_matches('.'));
        (!name.is_empty()).then_some(Self { hosts: Hosts::Name(name), port })
    }
}

fn address(text: &str) -> Option<Hosts> {
    let address: IpAddr = plain(text).parse().ok()?;
    Some(Hosts::Block(address, width(address)))
}

/// `192.168.0.0/16`, `[fd00::]/8`.
fn block(text: &str) -> Option<Hosts> {
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = plain(address).parse().ok()?;
    let bits = bits.parse().ok().filter(|bits| *bits <= width(address))?;
    Some(Hosts::Block(address, bits))
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The bits of an address, from the highest of 128.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl Hosts {
    fn have(&self, host: &str) -> bool {
        match self {
            Self::All => true,
            Self::Block(block, common) => host.parse::<IpAddr>().is_ok_and(|address| {
                let differ = bits(address.to_canonical()) ^ bits(block.to_canonical());
                address.to_canonical().is_ipv4() == block.to_canonical().is_ipv4()
                    && differ.leading_zeros() >= *common
            }),
            Self::Name(name) => {
                let above = host.strip_suffix(name.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_curl_and_go_read_them() {
        for (list, url, expected) in [
            ("a.test", "http://a.test/", true),
            ("a.test", "https://x.A.test/", true),
            ("a.test", "http://ba.test/", false),
            (".a.test", "http://x.a.test/", true),
            (".a.test", "http://a.test/", true),
            ("*.a.test", "http://x.a.test/", true),
            ("A.Test.", "http://a.test./", true),
            ("*", "http://anything/", true),
            ("b.test , a.test", "http://a.test/", true),
            ("b.test a.test", "http://a.test/", true),
            ("a.test:8080", "http://a.test:8080/", true),
            ("a.test:8080", "http://a.test/", false),
            ("a.test:443", "https://a.test/", true),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/", true),
            ("127.0.0.1:5000", "http://127.0.0.1:5001/", false),
            ("192.168.0.0/16", "http://192.168.7.7/", true),
            ("192.168.0.0/16", "http://192.169.0.1/", false),
            ("0.0.0.0/0", "http://8.8.8.8/", true),
            ("0.0.0.0/0", "http://[::1]/", false),
            ("10.0.0.1", "http://10.0.0.1/", true),
            ("::1", "http://[::1]:5000/", true),
            ("[::1]", "http://[::1]/", true),
            ("[::1]:5000", "http://[::1]:5000/", true),
            ("[::1]:5000", "http://[::1]/", false),
            ("fd00::/8", "http://[fdab::1]/", true),
            ("[fd00::]/8", "http://[fe00::1]/", false),
            ("10.0.0.0/33, a.test:x, :80, ,,.", "http://a.test/", false),
            ("", "http://a.test/", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(NoProxy::parse(list).has(&url), expected, "{list:?} {url}");
        }
    }
}
