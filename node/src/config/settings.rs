//! The settings of a TOML file and of the command line.
//!
//! Owns the one struct that both share, so that every field is also a flag, and how the two are
//! merged: flags win.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::http_face::{DEFAULT_ADDRESS, DEFAULT_FETCH_BUDGET};
use super::{ByteCount, Config, ConfigError, Http, HttpFace, check_peer};

/// What a TOML file or the command line may say; whatever is missing keeps its default.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Data directory
    #[arg(long, value_name = "DIR", env = "PERENNIAL_DATA")]
    pub data: Option<PathBuf>,
    /// Listen on this address (repeatable) [default: /ip4/0.0.0.0/tcp/4407 and the same port over
    /// QUIC]
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Vec<String>,
    /// Address to announce to peers, when it differs from --listen (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    pub external: Vec<String>,
    /// Connect to this peer, given as HOST:PORT or as a multiaddress, and again whenever the
    /// connection is lost (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    pub peer: Vec<String>,
    /// Fetch and keep what this publisher releases; `all` makes a full archive node (repeatable)
    #[arg(long, value_name = "DID|all")]
    pub follow: Vec<String>,
    /// Do not look for peers on the local network
    #[arg(long)]
    pub no_mdns: bool,
    /// Serve docker, containerd, Helm and curl on this address, or `off` [default: 127.0.0.1:4480,
    /// if it is free]
    #[arg(long, value_name = "ADDR|off")]
    pub http: Option<HttpFace>,
    /// Host name by which clients reach this node, prefixed with https:// if a proxy in front
    /// terminates TLS (repeatable)
    #[arg(long, value_name = "NAME")]
    pub http_host: Vec<String>,
    /// Certificate chain for HTTPS, as PEM; with --tls-key
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key for HTTPS, as PEM; with --tls-cert
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// File with the secret that lets clients push and delete; they send it as token or password
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Bytes per hour to fetch from peers for anonymous HTTP requests, at most [default: 20GiB]
    #[arg(long, value_name = "BYTES")]
    pub fetch_budget: Option<ByteCount>,
    /// Log filter, such as `info,perennial_node=debug` [default: info]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Bytes of blobs to send per second, at most, such as `10MiB` [default: unlimited]
    #[arg(long, value_name = "BYTES")]
    pub upload: Option<ByteCount>,
    /// Peers to stay connected to, at most [default: 128]
    #[arg(long, value_name = "N")]
    pub max_peers: Option<u32>,
    /// Blob streams to serve at once, at most [default: 32]
    #[arg(long, value_name = "N")]
    pub serve_streams: Option<u32>,
    /// Seconds of silence after which a transfer is given up [default: 15]
    #[arg(long, value_name = "SECONDS")]
    pub stall_seconds: Option<u32>,
    /// Seconds for which gc spares unneeded blobs after their last use [default: 86400]
    #[arg(long, value_name = "SECONDS")]
    pub grace_seconds: Option<u32>,
}

impl Settings {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or has an unknown field.
    pub fn read(path: &Path) -> Result<Settings, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Fills settings that are not set from those of `file`. A list that is set replaces the file's
    /// list.
    #[must_use]
    pub fn over(self, file: Settings) -> Settings {
        let list =
            |flags: Vec<String>, file: Vec<String>| if flags.is_empty() { file } else { flags };
        Settings {
            data: self.data.or(file.data),
            listen: list(self.listen, file.listen),
            external: list(self.external, file.external),
            peer: list(self.peer, file.peer),
            follow: list(self.follow, file.follow),
            no_mdns: self.no_mdns || file.no_mdns,
            http: self.http.or(file.http),
            http_host: list(self.http_host, file.http_host),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            token_file: self.token_file.or(file.token_file),
            fetch_budget: self.fetch_budget.or(file.fetch_budget),
            log: self.log.or(file.log),
            upload: self.upload.or(file.upload),
            max_peers: self.max_peers.or(file.max_peers),
            serve_streams: self.serve_streams.or(file.serve_streams),
            stall_seconds: self.stall_seconds.or(file.stall_seconds),
            grace_seconds: self.grace_seconds.or(file.grace_seconds),
        }
    }

    /// Builds the node's configuration, with `data` as the data directory unless the settings name
    /// one.
    ///
    /// # Errors
    /// When there is no data directory, or a host name is malformed.
    pub fn into_config(self, data: Option<PathBuf>) -> Result<Config, ConfigError> {
        let mut config = Config::new(self.data.or(data).ok_or(ConfigError::NoData)?);
        if !self.listen.is_empty() {
            config.listen = self.listen;
        }
        config.external = self.external;
        self.peer.iter().try_for_each(|peer| check_peer(peer))?;
        config.peers = self.peer;
        config.follow = self.follow;
        config.mdns = !self.no_mdns;
        let names = self.http_host.iter().map(|name| name.parse().map_err(ConfigError::HttpHost));
        let names = names.collect::<Result<_, _>>()?;
        config.http =
            self.http.unwrap_or(HttpFace::At(DEFAULT_ADDRESS)).address().map(|address| Http {
                address,
                names,
                if_free: self.http.is_none(),
                tls: self.tls_cert.zip(self.tls_key),
                token_file: self.token_file,
                fetch_budget: self.fetch_budget.map_or(DEFAULT_FETCH_BUDGET, ByteCount::get),
            });
        config.upload = self.upload;
        config.max_peers = self.max_peers.unwrap_or(config.max_peers);
        config.serve_streams = self.serve_streams.unwrap_or(config.serve_streams).max(1);
        let seconds =
            |given: Option<u32>, default| given.map_or(default, |s| Duration::from_secs(s.into()));
        config.stall = seconds(self.stall_seconds, config.stall);
        config.grace = seconds(self.grace_seconds, config.grace);
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file() {
        let file: Settings = toml::from_str(
            "data = '/f'\npeer = ['/ip4/127.0.0.1/tcp/1']\nlisten = ['/ip4/127.0.0.1/tcp/2']\nupload = '2MiB'\nhttp = 'off'",
        )
        .unwrap();
        let flags = Settings {
            peer: vec!["/ip4/127.0.0.1/tcp/9".to_owned()],
            upload: Some("5".parse().unwrap()),
            ..Settings::default()
        };
        let config = flags.over(file).into_config(None).unwrap();
        assert_eq!(config.data, Path::new("/f"));
        assert_eq!(config.peers, ["/ip4/127.0.0.1/tcp/9"]);
        assert_eq!(config.listen, ["/ip4/127.0.0.1/tcp/2"]);
        assert_eq!((config.upload, config.http), (Some("5".parse().unwrap()), None));
    }

    #[test]
    fn the_faces_are_served_unless_they_are_off() {
        let http = |http| {
            Settings { http, ..Settings::default() }.into_config(Some("/f".into())).unwrap().http
        };
        let default = http(None).unwrap();
        assert_eq!((default.address, default.if_free), (DEFAULT_ADDRESS, true));
        assert!(!http(Some("127.0.0.1:0".parse().unwrap())).unwrap().if_free);
        assert_eq!(http(Some(HttpFace::Off)), None);
    }

    #[test]
    fn names_of_the_faces_are_read_and_those_that_are_none_are_refused() {
        let file: Settings =
            toml::from_str("http-host = ['archive.example', 'https://b.example']").unwrap();
        let config = Settings::default().over(file.clone()).into_config(Some("/f".into())).unwrap();
        assert_eq!(
            config.http.unwrap().names,
            ["archive.example", "https://b.example"].map(|n| n.parse().unwrap())
        );
        let flags =
            Settings { http_host: vec!["archive.example:4480".into()], ..Settings::default() };
        let refused = flags.over(file).into_config(Some("/f".into())).unwrap_err().to_string();
        assert!(
            refused.contains("archive.example:4480") && refused.contains("without a port"),
            "{refused}"
        );
    }

    #[test]
    fn addresses_of_peers_are_checked_wherever_they_stand() {
        for wrong in ["nonsense", "http://archive.example:4407", "/ip4/127.0.0.1"] {
            let file: Settings = toml::from_str(&format!("peer = ['{wrong}']")).unwrap();
            let flags = Settings { peer: vec![wrong.into()], ..Settings::default() };
            for settings in [file, flags] {
                let refused = settings.into_config(Some("/f".into())).unwrap_err().to_string();
                assert!(refused.contains("--peer") && refused.contains(wrong), "{refused}");
            }
        }
        let right = Settings { peer: vec!["archive.example:4407".into()], ..Settings::default() };
        assert_eq!(right.into_config(Some("/f".into())).unwrap().peers, ["archive.example:4407"]);
    }

    #[test]
    fn a_field_that_nobody_knows_is_refused() {
        assert!(toml::from_str::<Settings>("lissten = ['x']").is_err());
        assert!(toml::from_str::<Settings>("upload = 0").is_err());
        assert!(toml::from_str::<Settings>("upload = 'many'").is_err());
        assert!("99999999999GiB".parse::<ByteCount>().is_err());
        assert!(toml::from_str::<Settings>("http = 'localhost'").is_err());
    }
}
