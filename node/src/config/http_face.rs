//! Where the HTTP face of a node listens.

use std::net::SocketAddr;
use std::str::FromStr;

use serde::Deserialize;

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
