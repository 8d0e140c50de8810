//! Where and how a node serves HTTP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

use crate::frontends::http::HostName;

/// The address HTTP is served on by default.
pub(super) const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4480);
/// Bytes an hour that anonymous requests may make a node fetch from its peers.
pub(super) const DEFAULT_FETCH_BUDGET: u64 = 20 << 30;

/// How HTTP is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// The address to serve on.
    pub address: SocketAddr,
    /// Whether the node runs without HTTP where the address is in use, for example by another node
    /// with the same default.
    pub if_free: bool,
    /// Host names that clients use for this node, besides addresses and `localhost`.
    pub names: Vec<HostName>,
    /// Files with the certificate chain and its key, both PEM; `None` serves plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// A file with the token that allows pushes and deletions; `None` allows neither.
    pub token_file: Option<PathBuf>,
    /// Bytes an hour that anonymous requests may make the node fetch from its peers.
    pub fetch_budget: u64,
}

/// Where the HTTP face listens, or that it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum HttpFace {
    /// No HTTP face.
    Off,
    /// An HTTP face here.
    At(SocketAddr),
}

impl HttpFace {
    /// The address to serve on, if HTTP is served.
    #[must_use]
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            HttpFace::Off => None,
            HttpFace::At(address) => Some(address),
        }
    }
}

/// A text is neither an address nor `off`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither ADDRESS:PORT nor `off`")]
pub struct HttpFaceError(String);

impl FromStr for HttpFace {
    type Err = HttpFaceError;

    fn from_str(text: &str) -> Result<Self, HttpFaceError> {
        match text {
            "off" => Ok(HttpFace::Off),
            _ => text.parse().map(HttpFace::At).map_err(|_| HttpFaceError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for HttpFace {
    type Error = HttpFaceError;

    fn try_from(text: String) -> Result<Self, HttpFaceError> {
        text.parse()
    }
}
