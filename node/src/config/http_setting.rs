//! The configuration of the HTTP server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

use crate::frontends::http::HostName;

/// The default address of the HTTP server.
pub(super) const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4480);
/// Default for the bytes per hour that anonymous requests may make a node fetch from its peers.
pub(super) const DEFAULT_FETCH_BUDGET: u64 = 20 << 30;

/// The configuration of the HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// The socket address to listen on.
    pub address: SocketAddr,
    /// Run without HTTP if the address is in use, for example by another node with the same
    /// default.
    pub if_free: bool,
    /// Host names by which clients address this node, besides IP addresses and `localhost`.
    pub names: Vec<HostName>,
    /// Paths of the certificate chain and its key, both PEM; `None` serves plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The path of a file with the token that allows pushes and deletions; `None` disables both.
    pub token_file: Option<PathBuf>,
    /// Bytes per hour that anonymous requests may make the node fetch from its peers.
    pub fetch_budget: u64,
    /// Fetch for anonymous requests also what only publishers signed that are not followed.
    pub fetch_untrusted: bool,
}

/// The value of `http`: an address, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum HttpSetting {
    /// HTTP is not served.
    Off,
    /// HTTP is served on this address.
    At(SocketAddr),
}

impl HttpSetting {
    /// The address to serve on, unless HTTP is off.
    #[must_use]
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            HttpSetting::Off => None,
            HttpSetting::At(address) => Some(address),
        }
    }
}

/// The text is neither an address nor `off`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither ADDRESS:PORT nor `off`; write 127.0.0.1:4480 to serve this machine, or \
     0.0.0.0:4480 to serve others too"
)]
pub struct HttpSettingError(String);

impl FromStr for HttpSetting {
    type Err = HttpSettingError;

    fn from_str(text: &str) -> Result<Self, HttpSettingError> {
        let localhost = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
        match (text, localhost) {
            ("off", _) => Ok(HttpSetting::Off),
            (_, Some(port)) => Ok(HttpSetting::At((Ipv4Addr::LOCALHOST, port).into())),
            _ => text.parse().map(HttpSetting::At).map_err(|_| HttpSettingError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for HttpSetting {
    type Error = HttpSettingError;

    fn try_from(text: String) -> Result<Self, HttpSettingError> {
        text.parse()
    }
}
