//! What a node is told: its data directory, whom to listen to and whom to call, its bounds.
//!
//! Owns the [`Config`] a node starts from; the [`Settings`] that make one are in `config/settings`. Reads no environment and
//! no clock; whoever calls passes them.

mod byte_count;
mod error;
mod http_face;
mod settings;

pub use byte_count::ByteCount;
pub use error::ConfigError;
pub use http_face::{Http, HttpFace};
pub use settings::Settings;

use std::path::PathBuf;
use std::time::Duration;

use perennial_store::DEFAULT_GRACE;

/// Where a node listens when nobody says otherwise.
pub const DEFAULT_LISTEN: [&str; 2] = ["/ip4/0.0.0.0/tcp/4407", "/ip4/0.0.0.0/udp/4407/quic-v1"];
/// Peers a node keeps connections to, at most.
pub const DEFAULT_MAX_PEERS: u32 = 128;
/// Blob streams a node serves at once, at most.
pub const DEFAULT_SERVE_STREAMS: u32 = 32;
/// How long the other end of a transfer may stay silent.
pub const DEFAULT_STALL: Duration = Duration::from_secs(15);
/// How long an embedded command waits for its peers to answer before it calls them unreachable.
pub const DEFAULT_PEER_WAIT: Duration = Duration::from_secs(20);

/// Everything a node is started from. Built by [`Config::new`] or [`Config::embedded`], or from [`Settings`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory; created when it is missing.
    pub data: PathBuf,
    /// Multiaddresses to listen on; empty: this node only calls others.
    pub listen: Vec<String>,
    /// Multiaddresses that other nodes reach us at, when they differ from what we listen on.
    pub external: Vec<String>,
    /// Multiaddresses of peers to call at the start and whenever they are lost.
    pub peers: Vec<String>,
    /// Publishers to follow (`did:key:…`), or `all`; recorded as `perennial follow` would.
    pub follow: Vec<String>,
    /// Whether peers on the local network are looked for by mDNS.
    pub mdns: bool,
    /// How the faces are served over HTTP; none: they are not.
    pub http: Option<Http>,
    /// Bytes a second that leave in blobs, at most; none: as fast as it goes.
    pub upload: Option<ByteCount>,
    /// Peers to keep connections to, at most.
    pub max_peers: u32,
    /// Blob streams served at once, at most.
    pub serve_streams: u32,
    /// How long the other end of a transfer may stay silent.
    pub stall: Duration,
    /// How long `gc` spares what nothing refers to any more.
    pub grace: Duration,
    /// How long a request waits for configured peers to be reached before it says that nobody is.
    pub peer_wait: Duration,
}

impl Config {
    /// A node on `data` that listens where Perennial nodes listen.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Config {
            listen: DEFAULT_LISTEN.map(str::to_owned).to_vec(),
            mdns: true,
            ..Config::embedded(data)
        }
    }

    /// A node on `data` for the length of one command: it calls its `peers` and listens nowhere.
    pub fn embedded(data: impl Into<PathBuf>) -> Self {
        Config {
            data: data.into(),
            listen: Vec::new(),
            external: Vec::new(),
            peers: Vec::new(),
            follow: Vec::new(),
            mdns: false,
            http: None,
            upload: None,
            max_peers: DEFAULT_MAX_PEERS,
            serve_streams: DEFAULT_SERVE_STREAMS,
            stall: DEFAULT_STALL,
            grace: DEFAULT_GRACE,
            peer_wait: DEFAULT_PEER_WAIT,
        }
    }
}

/// The data directory for a user without one in mind: `$XDG_DATA_HOME/perennial`, or below the home directory.
pub fn default_data(xdg_data_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    xdg_data_home
        .filter(|path| path.is_absolute())
        .or_else(|| home.filter(|path| path.is_absolute()).map(|home| home.join(".local/share")))
        .map(|base| base.join("perennial"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_homes_are_no_homes() {
        assert_eq!(
            default_data(Some("x".into()), Some("/h".into())),
            Some("/h/.local/share/perennial".into())
        );
        assert_eq!(default_data(Some("/x".into()), Some("/h".into())), Some("/x/perennial".into()));
        assert_eq!(default_data(None, None), None);
    }
}
