//! The host names of this node, and its own address in responses that contain it.
//!
//! The address in a response is the address that the client used, with `https` where the connection
//! is encrypted. `Host` is the only header trusted: the owner configures whether a proxy in front
//! of the node encrypts.

use std::net::IpAddr;
use std::str::FromStr;

use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, StatusCode, header, request::Parts};

use crate::http_error::HttpError;

/// A host name of this node: `archive.example`, or `https://archive.example` if a proxy in front of
/// the node encrypts and the node does not.
///
/// ```
/// use perennial_gateway::HostName;
///
/// assert!("archive.example".parse::<HostName>().is_ok());
/// assert!("https://archive.example".parse::<HostName>().is_ok());
/// // A name has no port and no path.
/// assert!("archive.example:4480".parse::<HostName>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName {
    name: String,
    encrypted_in_front: bool,
}

/// A text that is not a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a host name: write archive.example, without a port, or https://archive.example \
     if a proxy in front of the node encrypts"
)]
pub struct HostNameError(String);

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        let (encrypted_in_front, name) = match text.strip_prefix("https://") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let letters = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name.len() > 253 || !name.split('.').all(letters) {
            return Err(HostNameError(text.to_owned()));
        }
        Ok(Self { name, encrypted_in_front })
    }
}

/// Rejects a request for a host name that is not this node's. A page of another origin makes such
/// requests after its name was pointed at this node (DNS rebinding). Addresses, `localhost` and the
/// configured names belong to this node.
pub(crate) fn check(
    names: &[HostName],
    headers: &HeaderMap,
    authority: Option<&Authority>,
) -> Result<(), HttpError> {
    let asked = asked(headers, authority);
    let ours = asked.as_ref().is_some_and(|asked| {
        let host = asked.host.as_str();
        asked.is_address() || host == "localhost" || names.iter().any(|ours| ours.name == host)
    });
    if ours {
        return Ok(());
    }
    let named = named(headers, authority).unwrap_or_default();
    Err(HttpError::new(
        StatusCode::MISDIRECTED_REQUEST,
        format!(
            "{named:?} is not a name of this node: use its address or localhost, or start it with \
             --http-host NAME"
        ),
    ))
}

/// The scheme, host and port of a request, as in `http://127.0.0.1:4480`; `None` if it names no
/// host.
pub(crate) fn origin(names: &[HostName], request: &Parts) -> Option<String> {
    let asked = asked(&request.headers, request.uri.authority())?;
    let encrypted = request.extensions.get::<Scheme>() == Some(&Scheme::HTTPS)
        || names.iter().any(|ours| ours.encrypted_in_front && ours.name == asked.host);
    let scheme = if encrypted { Scheme::HTTPS } else { Scheme::HTTP };
    let host = if asked.host.contains(':') { format!("[{}]", asked.host) } else { asked.host };
    let port = asked.port.map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{scheme}://{host}{port}"))
}

/// The host and port by which a request addresses this node.
struct HostHeader {
    /// Lower case, without brackets. Safe to write into a header or a file.
    host: String,
    port: Option<u16>,
}

impl HostHeader {
    fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }
}

/// The host that a request names. Its target takes precedence over the header (RFC 9112, section
/// 3.2.2), and HTTP/2 has only the target. Two headers invalidate each other: a proxy in front of
/// the node may have decided by the other one.
fn named(headers: &HeaderMap, authority: Option<&Authority>) -> Option<String> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let only = hosts.next().filter(|_| hosts.next().is_none());
    let named = || only.and_then(|value| value.to_str().ok()).map(str::to_owned);
    authority.map(ToString::to_string).or_else(named)
}

fn asked(headers: &HeaderMap, authority: Option<&Authority>) -> Option<HostHeader> {
    let authority: Authority = named(headers, authority)?.parse().ok()?;
    let bare = authority.host().trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().ok().map(|address| address.to_string());
    let host = address.or_else(|| bare.parse::<HostName>().ok().map(|name| name.name))?;
    let rest = authority.as_str().strip_prefix(authority.host())?;
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        None => return None,
        Some(port) => Some(port.parse().ok()?),
    };
    Some(HostHeader { host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<HostName> {
        ["archive.example", "https://Front.Example."]
            .map(|name| name.parse().expect("a name"))
            .to_vec()
    }

    fn request(host: &str, scheme: Option<Scheme>) -> Parts {
        let mut request =
            axum::http::Request::builder().header(header::HOST, host).body(()).expect("a request");
        request.extensions_mut().extend(scheme.into_iter().fold(
            axum::http::Extensions::new(),
            |mut all, scheme| {
                all.insert(scheme);
                all
            },
        ));
        request.into_parts().0
    }

    #[test]
    fn only_this_nodes_names_are_answered() {
        let check_host = |host: &str| check(&names(), &request(host, None).headers, None).is_ok();
        for ours in [
            "127.0.0.1:4480",
            "127.0.0.1",
            "[::1]:4480",
            "localhost:4480",
            "LocalHost",
            "archive.example",
            "Archive.Example.:1",
            "front.example",
        ] {
            assert!(check_host(ours), "{ours}");
        }
        for other in [
            "evil.example:4480",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "a@localhost",
            "b c",
            "https://front.example",
        ] {
            assert!(!check_host(other), "{other}");
        }
        let authority: Authority = "evil.example".parse().expect("an authority");
        assert!(check(&names(), &HeaderMap::new(), Some(&authority)).is_err());
        let mut headers = request("localhost", None).headers;
        assert!(
            check(&names(), &headers, Some(&authority)).is_err(),
            "the target of a request comes first"
        );
        for second in ["evil.example", "localhost"] {
            headers.append(header::HOST, second.parse().expect("a value"));
            assert!(check(&names(), &headers, None).is_err(), "two names are none");
        }
        assert!(check(&names(), &HeaderMap::new(), None).is_err());
    }

    #[test]
    fn a_client_is_told_the_address_it_used() {
        let (http, https) = (Some(Scheme::HTTP), Some(Scheme::HTTPS));
        for (host, scheme, expected) in [
            ("127.0.0.1:4480", None, "http://127.0.0.1:4480"),
            ("archive.example", http.clone(), "http://archive.example"),
            ("Archive.Example.:4480", https.clone(), "https://archive.example:4480"),
            ("[::1]:4480", https, "https://[::1]:4480"),
            ("front.example", http, "https://front.example"),
            ("unconfigured.example:1", None, "http://unconfigured.example:1"),
        ] {
            assert_eq!(origin(&names(), &request(host, scheme)).as_deref(), Some(expected));
        }
        for none in ["", "a\"]x", "a@localhost", "a:b", "a:99999", "a\"", "(a)"] {
            assert_eq!(origin(&names(), &request(none, None)), None, "{none}");
        }
    }

    #[test]
    fn a_host_name_is_nothing_but_a_name() {
        for no in ["", "https://", "http://a", "a:1", "a/b", "a b", "a..b", "*", &"a".repeat(254)] {
            assert!(no.parse::<HostName>().is_err(), "{no}");
        }
    }
}
