//! A node's configuration: its data directory, the addresses it listens on and dials, its bounds.
//!
//! Owns the [`Config`] a node starts from; [`Settings`] are what a file and the command line say of
//! it. Reads no environment and no clock: the caller passes them.

mod byte_count;
mod http_face;
mod settings;

pub use byte_count::{ByteCount, ByteCountError};
pub use http_face::{Http, HttpFace, HttpFaceError};
pub use settings::Settings;

use std::path::PathBuf;
use std::time::Duration;

use perennial_store::DEFAULT_GRACE;

/// Where a node listens by default.
pub const DEFAULT_LISTEN: [&str; 2] = ["/ip4/0.0.0.0/tcp/4407", "/ip4/0.0.0.0/udp/4407/quic-v1"];
/// Peers a node keeps connections to, at most.
pub const DEFAULT_MAX_PEERS: u32 = 128;
/// Blob streams a node serves at once, at most.
pub const DEFAULT_SERVE_STREAMS: u32 = 32;
/// How long the other end of a transfer may stay silent.
pub const DEFAULT_STALL: Duration = Duration::from_secs(15);
/// How long a request waits for the first configured peer by default.
pub const DEFAULT_PEER_WAIT: Duration = Duration::from_secs(20);

/// Everything a node is started from. Built by [`Config::new`] or [`Config::embedded`], or from
/// [`Settings`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory; created when it is missing.
    pub data: PathBuf,
    /// Multiaddresses to listen on. Empty: this node only dials others.
    pub listen: Vec<String>,
    /// Multiaddresses at which other nodes reach this one, where they differ from `listen`.
    pub external: Vec<String>,
    /// Multiaddresses of peers to dial at the start and whenever they are not connected.
    pub peers: Vec<String>,
    /// Publishers to follow (`did:key:…`), or `all`. Recorded, as by `perennial follow`.
    pub follow: Vec<String>,
    /// Whether mDNS finds peers on the local network.
    pub mdns: bool,
    /// How HTTP is served; `None`: not at all.
    pub http: Option<Http>,
    /// Bytes of blobs sent per second, at most; `None`: without a limit.
    pub upload: Option<ByteCount>,
    /// Peers to keep connections to, at most.
    pub max_peers: u32,
    /// Blob streams served at once, at most.
    pub serve_streams: u32,
    /// How long the other end of a transfer may stay silent.
    pub stall: Duration,
    /// How long `gc` spares what nothing refers to any more.
    pub grace: Duration,
    /// How long a request waits for the first of the configured peers before it goes on without.
    pub peer_wait: Duration,
}

impl Config {
    /// A node on `data` that listens on the default addresses.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Config {
            listen: DEFAULT_LISTEN.map(str::to_owned).to_vec(),
            mdns: true,
            ..Config::embedded(data)
        }
    }

    /// A node on `data` for one command: it dials its `peers` and listens nowhere.
    #[must_use]
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

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a field that this version does not know.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, and what is wrong with it.
        source: Box<toml::de::Error>,
    },
    /// Neither a flag, the file nor the environment names a data directory.
    #[error("no data directory: give --data, or set HOME")]
    NoData,
    /// A value of `http-host` is not a host name.
    #[error("--http-host: {0}")]
    HttpHost(String),
}

/// The default data directory: `$XDG_DATA_HOME/perennial`, or `~/.local/share/perennial`. Relative
/// paths are ignored.
#[must_use]
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
