//! A node's configuration: its data directory, listen addresses, peers and limits.
//!
//! Owns the [`Config`] that a node starts from; [`Settings`] are its form in a file and on the
//! command line. Reads neither the environment nor the clock: the caller passes their values.

mod byte_count;
mod home;
mod http_setting;
mod setting;
mod settings;

pub use byte_count::{ByteCount, ByteCountError};
pub use home::Home;
pub use http_setting::{Http, HttpSetting, HttpSettingError};
pub use setting::{FromFile, Setting};
pub use settings::Settings;

use std::path::PathBuf;
use std::time::Duration;

use perennial_manifest::PublisherError;
use perennial_store::{DEFAULT_GRACE, OpenOptions, Quota};
use perennial_swarm::{AddressError, PeerAddress, PeerAddressError};

use crate::frontends::http::HostNameError;

/// The default listen addresses.
pub const DEFAULT_LISTEN: [&str; 2] = ["/ip4/0.0.0.0/tcp/4407", "/ip4/0.0.0.0/udp/4407/quic-v1"];
/// Default for the peers a node stays connected to, at most.
pub const DEFAULT_MAX_PEERS: u32 = 128;
/// Default for the blob streams a node serves concurrently, at most.
pub const DEFAULT_SERVE_STREAMS: u32 = 32;
/// Default for the longest silence of the remote end of a transfer.
pub const DEFAULT_STALL: Duration = Duration::from_secs(15);
/// Default for the time a request waits for the first configured peer.
pub const DEFAULT_PEER_WAIT: Duration = Duration::from_secs(20);

/// The complete configuration of a node. Built by [`Config::new`] or [`Config::embedded`], or from
/// [`Settings`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    /// Make an archive in the data directory if there is none.
    pub create: bool,
    /// The user's directory for state, outside the data directory.
    pub state: Option<PathBuf>,
    /// The folder of the control socket, where the data directory cannot hold one.
    pub runtime: Option<PathBuf>,
    /// The folder of the keys, if it is not the data directory's own.
    pub keys: Option<PathBuf>,
    /// Accept key files to which their group has access.
    pub group_keys: bool,
    /// The node runs until it is stopped, not for one command: other processes need its socket.
    pub daemon: bool,
    /// Releases of followed publishers are fetched unasked.
    pub keeps: bool,
    /// Multiaddresses to listen on. Empty for a node that only dials others.
    pub listen: Vec<String>,
    /// Multiaddresses at which other nodes reach this node, where they differ from `listen`.
    pub external: Vec<String>,
    /// Addresses of peers (a multiaddress, or `HOST:PORT`), dialled at the start and whenever they
    /// are not connected.
    pub peers: Vec<String>,
    /// Publishers to follow (`did:key:…`), or `all`. Recorded in the store, as `perennial follow`
    /// does.
    pub follow: Vec<String>,
    /// Discover peers on the local network by mDNS.
    pub mdns: bool,
    /// The HTTP server; `None` disables it.
    pub http: Option<Http>,
    /// Bytes of blobs sent per second, at most; `None` for no limit.
    pub upload: Option<ByteCount>,
    /// Peers to stay connected to, at most.
    pub max_peers: u32,
    /// Blob streams served concurrently, at most.
    pub serve_streams: u32,
    /// Longest silence of the remote end of a transfer.
    pub stall: Duration,
    /// Bytes that the data directory may have on disk; `None` for as many as the disk has. The node
    /// of a single command then keeps to what the last daemon was given.
    pub quota: Option<ByteCount>,
    /// How long `gc` spares unreferenced blobs after their last use.
    pub grace: Duration,
    /// How long a request waits for the first configured peer before it continues without peers.
    pub peer_wait: Duration,
}

impl Config {
    /// The options with which the store is opened.
    pub(crate) fn store(&self) -> OpenOptions {
        let quota = match self.quota {
            Some(quota) => Quota::Bytes(quota.get()),
            None if self.daemon => Quota::Unlimited,
            None => Quota::Noted,
        };
        OpenOptions { quota, ..OpenOptions::default() }
    }

    /// A node on `data` that listens on the default addresses.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Config {
            listen: DEFAULT_LISTEN.map(str::to_owned).to_vec(),
            mdns: true,
            daemon: true,
            keeps: true,
            ..Config::embedded(data)
        }
    }

    /// A node on `data` that runs one command: it dials `peers` and does not listen.
    #[must_use]
    pub fn embedded(data: impl Into<PathBuf>) -> Self {
        Config {
            data: data.into(),
            create: true,
            state: None,
            runtime: None,
            keys: None,
            group_keys: false,
            daemon: false,
            keeps: false,
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
            quota: None,
            grace: DEFAULT_GRACE,
            peer_wait: DEFAULT_PEER_WAIT,
        }
    }
}

/// Why a configuration was rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The configuration file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not TOML, or has an unknown field.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The configuration file.
        path: PathBuf,
        /// The position and the reason.
        source: Box<toml::de::Error>,
    },
    /// Neither a flag, the file nor the environment names a data directory.
    #[error("no data directory: give --data, or set HOME")]
    NoData,
    /// A peer is given that has no such address.
    #[error("{setting}: {source}")]
    Peer {
        /// The setting.
        setting: Setting,
        /// What is wrong with the address.
        source: PeerAddressError,
    },
    /// An address of this node is not a multiaddress.
    #[error("{setting}: {source}")]
    Address {
        /// The setting.
        setting: Setting,
        /// What is wrong with the address.
        source: AddressError,
    },
    /// A publisher to follow is neither a publisher nor `all`.
    #[error("{setting}: {text}: {source}")]
    Follow {
        /// The setting.
        setting: Setting,
        /// The value, as given.
        text: String,
        /// Why it is not a publisher.
        source: PublisherError,
    },
    /// A path begins with `~` where no home directory is known, or names another user's.
    #[error("{}: ~ is not known here; write the path in full", .0.display())]
    Tilde(PathBuf),
    /// A value with which a node cannot work, or a setting without effect.
    #[error("{setting}: {reason}")]
    Nonsense {
        /// The setting.
        setting: Setting,
        /// Why it is refused.
        reason: String,
    },
    /// A name of this node is not a host name.
    #[error("{setting}: {source}")]
    HttpHost {
        /// The setting.
        setting: Setting,
        /// What is wrong with the name.
        source: HostNameError,
    },
}

/// Checks a peer as a user gives it with `--peer`: a multiaddress, or `HOST:PORT`.
///
/// # Errors
/// When no peer can be dialled at it.
pub fn check_peer(address: &str) -> Result<(), ConfigError> {
    let checked = PeerAddress::all_of(address).map(drop);
    checked.map_err(|source| ConfigError::Peer { setting: Setting::option("peer"), source })
}
