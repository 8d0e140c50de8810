//! How the faces of a node are served over HTTP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use perennial_gateway::HostName;
use serde::Deserialize;

/// Where the faces are served when nobody says where.
pub(super) const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4480);
/// Bytes an hour that anonymous requests may make a node fetch from its peers.
pub(super) const DEFAULT_FETCH_BUDGET: u64 = 20 << 30;

/// How the faces are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where.
    pub address: SocketAddr,
    /// Whether the node runs without faces where the address is taken, as by another node with the same default.
    pub if_free: bool,
    /// Names it is asked by, besides addresses and `localhost`.
    pub names: Vec<HostName>,
    /// Certificate chain and key, both as PEM; none: plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The file whose content lets its bearer push and delete; none: nobody may.
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
    /// The address, when there is one.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            HttpFace::Off => None,
            HttpFace::At(address) => Some(address),
        }
    }
}

impl FromStr for HttpFace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(HttpFace::Off),
            _ => text
                .parse()
                .map(HttpFace::At)
                .map_err(|_| format!("`{text}` is neither ADDRESS:PORT nor `off`")),
        }
    }
}

impl TryFrom<String> for HttpFace {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
