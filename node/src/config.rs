//! What a node is told: its data directory, whom to listen to and whom to call, its bounds.
//!
//! Owns the [`Config`] a node starts from, the [`Settings`] that a TOML file and the command line share (one
//! struct, so that every field is also a flag), and how the two are merged: flags win. Reads no environment
//! and no clock; whoever calls passes them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// Where a node listens when nobody says otherwise.
pub const DEFAULT_LISTEN: [&str; 2] = ["/ip4/0.0.0.0/tcp/4407", "/ip4/0.0.0.0/udp/4407/quic-v1"];
/// Peers a node keeps connections to, at most.
pub const DEFAULT_MAX_PEERS: u32 = 128;
/// Blob streams a node serves at once, at most.
pub const DEFAULT_SERVE_STREAMS: u32 = 32;
/// Bytes a second below which a peer that sends us blobs counts as stalled.
pub const DEFAULT_MIN_RATE: u64 = 4 * 1024;
/// How long a transfer may stay below the minimum rate.
pub const DEFAULT_STALL: Duration = Duration::from_secs(15);
/// How long a collected blob stays after the last thing touched it.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(24 * 60 * 60);
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
    /// Where the HTTP face listens, once there is one.
    pub http: Option<SocketAddr>,
    /// Bytes a second that leave in blobs, at most; none: as fast as it goes.
    pub upload: Option<ByteCount>,
    /// Bytes a second that arrive in blobs, at most; none: as fast as it goes.
    pub download: Option<ByteCount>,
    /// Peers to keep connections to, at most.
    pub max_peers: u32,
    /// Blob streams served at once, at most.
    pub serve_streams: u32,
    /// Bytes a second below which a peer that sends blobs counts as stalled.
    pub min_rate: u64,
    /// How long a transfer may stay below `min_rate`.
    pub stall: Duration,
    /// How long `gc` spares what nothing refers to any more.
    pub grace: Duration,
    /// How long a request waits for configured peers to be reached before it says that nobody is.
    pub peer_wait: Duration,
}

impl Config {
    /// A node on `data` that listens where Perennial nodes listen.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Config { listen: DEFAULT_LISTEN.map(str::to_owned).to_vec(), mdns: true, ..Config::embedded(data) }
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
            download: None,
            max_peers: DEFAULT_MAX_PEERS,
            serve_streams: DEFAULT_SERVE_STREAMS,
            min_rate: DEFAULT_MIN_RATE,
            stall: DEFAULT_STALL,
            grace: DEFAULT_GRACE,
            peer_wait: DEFAULT_PEER_WAIT,
        }
    }

    /// The socket that the node on `data` answers its user on.
    pub fn control_path(&self) -> PathBuf {
        self.data.join("control.sock")
    }
}

/// What a TOML file or the command line may say; whatever is missing keeps its default.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Data directory
    #[arg(long, value_name = "DIR", env = "PERENNIAL_DATA")]
    pub data: Option<PathBuf>,
    /// Listen here (repeatable) [default: /ip4/0.0.0.0/tcp/4407 and the same port over QUIC]
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Vec<String>,
    /// Tell others to reach this node here (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    pub external: Vec<String>,
    /// Call this peer, and again whenever it is lost (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    pub peer: Vec<String>,
    /// Fetch and keep what this publisher releases; `all` makes a full archive node (repeatable)
    #[arg(long, value_name = "DID|all")]
    pub follow: Vec<String>,
    /// Do not look for peers on the local network
    #[arg(long)]
    pub no_mdns: bool,
    /// Address of the HTTP face, or `off` (this version has no faces yet)
    #[arg(long, value_name = "ADDR|off")]
    pub http: Option<HttpFace>,
    /// What to log, as in `info,perennial_node=debug`
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Send at most so many bytes of blobs a second, as in `10MiB`
    #[arg(long, value_name = "BYTES")]
    pub upload: Option<ByteCount>,
    /// Receive at most so many bytes of blobs a second
    #[arg(long, value_name = "BYTES")]
    pub download: Option<ByteCount>,
    /// Keep connections to at most so many peers [default: 128]
    #[arg(long, value_name = "N")]
    pub max_peers: Option<u32>,
    /// Serve at most so many blob streams at once [default: 32]
    #[arg(long, value_name = "N")]
    pub serve_streams: Option<u32>,
    /// Drop a peer that sends us blobs slower than this a second [default: 4KiB]
    #[arg(long, value_name = "BYTES")]
    pub min_rate: Option<ByteCount>,
    /// Seconds that a transfer may stay slower than that [default: 15]
    #[arg(long, value_name = "SECONDS")]
    pub stall_seconds: Option<u32>,
    /// Seconds that gc spares what nothing refers to any more [default: 86400]
    #[arg(long, value_name = "SECONDS")]
    pub grace_seconds: Option<u32>,
}

impl Settings {
    /// Reads a TOML file. A field that it does not know is an error, not a surprise later.
    pub fn read(path: &Path) -> Result<Settings, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text)
            .map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })
    }

    /// These settings, with what they leave open taken from `file`. A list that is given replaces the file's.
    pub fn over(self, file: Settings) -> Settings {
        let list = |flags: Vec<String>, file: Vec<String>| if flags.is_empty() { file } else { flags };
        Settings {
            data: self.data.or(file.data),
            listen: list(self.listen, file.listen),
            external: list(self.external, file.external),
            peer: list(self.peer, file.peer),
            follow: list(self.follow, file.follow),
            no_mdns: self.no_mdns || file.no_mdns,
            http: self.http.or(file.http),
            log: self.log.or(file.log),
            upload: self.upload.or(file.upload),
            download: self.download.or(file.download),
            max_peers: self.max_peers.or(file.max_peers),
            serve_streams: self.serve_streams.or(file.serve_streams),
            min_rate: self.min_rate.or(file.min_rate),
            stall_seconds: self.stall_seconds.or(file.stall_seconds),
            grace_seconds: self.grace_seconds.or(file.grace_seconds),
        }
    }

    /// The node these settings describe; `data` is where it lives when they do not say.
    pub fn into_config(self, data: Option<PathBuf>) -> Result<Config, ConfigError> {
        let mut config = Config::new(self.data.or(data).ok_or(ConfigError::NoData)?);
        if !self.listen.is_empty() {
            config.listen = self.listen;
        }
        config.external = self.external;
        config.peers = self.peer;
        config.follow = self.follow;
        config.mdns = !self.no_mdns;
        config.http = self.http.and_then(HttpFace::address);
        config.upload = self.upload;
        config.download = self.download;
        config.max_peers = self.max_peers.unwrap_or(config.max_peers);
        config.serve_streams = self.serve_streams.unwrap_or(config.serve_streams).max(1);
        config.min_rate = self.min_rate.map_or(config.min_rate, ByteCount::get);
        let seconds = |given: Option<u32>, default| given.map_or(default, |s| Duration::from_secs(s.into()));
        config.stall = seconds(self.stall_seconds, config.stall);
        config.grace = seconds(self.grace_seconds, config.grace);
        Ok(config)
    }
}

/// The data directory for a user without one in mind: `$XDG_DATA_HOME/perennial`, or below the home directory.
pub fn default_data(xdg_data_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    xdg_data_home
        .filter(|path| path.is_absolute())
        .or_else(|| home.filter(|path| path.is_absolute()).map(|home| home.join(".local/share")))
        .map(|base| base.join("perennial"))
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

/// A number of bytes that is not zero, written `65536`, `64KiB`, `10MiB` or `1GiB` (`k`, `M`, `G` mean the same).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct ByteCount(u64);

impl ByteCount {
    /// The number of bytes.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kib" => 10,
            "m" | "mib" => 20,
            "g" | "gib" => 30,
            other => return Err(format!("`{other}` is no unit of bytes; write KiB, MiB or GiB")),
        };
        let number: u64 = number.parse().map_err(|_| format!("`{text}` is no number of bytes"))?;
        number
            .checked_mul(1 << shift)
            .filter(|bytes| *bytes > 0)
            .map(ByteCount)
            .ok_or_else(|| format!("`{text}` is out of range"))
    }
}

impl TryFrom<toml::Value> for ByteCount {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::String(text) => text.parse(),
            toml::Value::Integer(number) => number.to_string().parse(),
            other => Err(format!("{other} is no number of bytes")),
        }
    }
}

/// Why a node's configuration is no good.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no TOML, or says something that this version does not know.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// Nothing names a data directory.
    #[error("no data directory: give --data, or set HOME")]
    NoData,
    /// Something in `follow` is neither a publisher nor `all`.
    #[error("cannot follow `{text}`: {reason}")]
    Follow {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file() {
        let file: Settings = toml::from_str(
            "data = '/f'\npeer = ['/ip4/127.0.0.1/tcp/1']\nlisten = ['/ip4/127.0.0.1/tcp/2']\nupload = '2MiB'\nmin-rate = 7\nhttp = 'off'",
        )
        .unwrap();
        let flags = Settings {
            peer: vec!["/ip4/127.0.0.1/tcp/9".to_owned()],
            upload: Some(ByteCount(5)),
            ..Settings::default()
        };
        let config = flags.over(file).into_config(None).unwrap();
        assert_eq!(config.data, Path::new("/f"));
        assert_eq!(config.peers, ["/ip4/127.0.0.1/tcp/9"]);
        assert_eq!(config.listen, ["/ip4/127.0.0.1/tcp/2"]);
        assert_eq!((config.upload, config.min_rate, config.http), (Some(ByteCount(5)), 7, None));
    }

    #[test]
    fn a_field_that_nobody_knows_is_refused() {
        assert!(toml::from_str::<Settings>("lissten = ['x']").is_err());
        assert!(toml::from_str::<Settings>("upload = 0").is_err());
        assert!(toml::from_str::<Settings>("upload = 'many'").is_err());
        assert!("99999999999GiB".parse::<ByteCount>().is_err());
        assert!(toml::from_str::<Settings>("http = 'localhost'").is_err());
    }

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
