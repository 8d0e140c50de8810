//! The settings of a TOML file and of the command line.
//!
//! Owns the one struct that both share, so that every field is also a flag, and how the two are
//! merged: flags win.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::http_setting::{DEFAULT_ADDRESS, DEFAULT_FETCH_BUDGET};
use super::{ByteCount, Config, ConfigError, Home, Http, HttpSetting, check_peer};

/// The slowest upload accepted, in bytes per second: one verified group of a blob.
const MIN_UPLOAD: u64 = 16 << 10;

/// The settings of a TOML file or the command line; missing ones keep their defaults.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Data directory [default: $XDG_DATA_HOME/perennial or ~/.local/share/perennial]
    #[arg(long, value_name = "DIR", env = "PERENNIAL_DATA", hide_env_values = true)]
    pub data: Option<PathBuf>,
    /// Use the archive in the data directory, and never make one, so that a disk that is not
    /// mounted is noticed
    #[arg(long)]
    pub existing: bool,
    /// Folder of the keys [default: keys in the data directory]
    #[arg(long, value_name = "DIR", env = "PERENNIAL_KEYS", hide_env_values = true)]
    pub keys: Option<PathBuf>,
    /// Accept keys that their group can read, as Kubernetes' fsGroup makes them
    #[arg(long, env = "PERENNIAL_GROUP_KEYS", hide_env_values = true)]
    pub group_keys: bool,
    /// Listen on this address (repeatable) [default: /ip4/0.0.0.0/tcp/4407 and the same port over
    /// QUIC]
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Vec<String>,
    /// Address to announce to peers, when it differs from --listen (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    pub external: Vec<String>,
    /// Connect to this peer, given as HOST:PORT or as a multiaddress, and again whenever the
    /// connection is lost (repeatable; the variable holds a comma-separated list)
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "PERENNIAL_PEERS",
        value_delimiter = ',',
        hide_env_values = true
    )]
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
    pub http: Option<HttpSetting>,
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
            existing: self.existing || file.existing,
            keys: self.keys.or(file.keys),
            group_keys: self.group_keys || file.group_keys,
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

    /// Builds the node's configuration; `home` has the directories that are not set.
    ///
    /// # Errors
    /// When there is no data directory, a value makes no sense, or a setting has no effect.
    pub fn into_config(mut self, home: &Home) -> Result<Config, ConfigError> {
        self.check()?;
        let paths = [
            &mut self.data,
            &mut self.keys,
            &mut self.tls_cert,
            &mut self.tls_key,
            &mut self.token_file,
        ];
        for path in paths.into_iter().flatten() {
            home.expand(path)?;
        }
        let data = self.data.filter(|data| !data.as_os_str().is_empty());
        let mut config = Config::new(data.or(home.data()).ok_or(ConfigError::NoData)?);
        config.create = !self.existing;
        config.state = home.state();
        config.runtime = home.runtime();
        config.keys = self.keys;
        config.group_keys = self.group_keys;
        if !self.listen.is_empty() {
            config.listen = self.listen;
        }
        config.external = self.external;
        config.peers = self.peer.into_iter().filter(|peer| !peer.is_empty()).collect();
        config.peers.iter().try_for_each(|peer| check_peer(peer))?;
        config.follow = self.follow;
        config.mdns = !self.no_mdns;
        let names = self.http_host.iter().map(|name| name.parse().map_err(ConfigError::HttpHost));
        let names = names.collect::<Result<_, _>>()?;
        config.http =
            self.http.unwrap_or(HttpSetting::At(DEFAULT_ADDRESS)).address().map(|address| Http {
                address,
                names,
                if_free: self.http.is_none(),
                tls: self.tls_cert.zip(self.tls_key),
                token_file: self.token_file,
                fetch_budget: self.fetch_budget.map_or(DEFAULT_FETCH_BUDGET, ByteCount::get),
            });
        config.upload = self.upload;
        config.max_peers = self.max_peers.unwrap_or(config.max_peers);
        config.serve_streams = self.serve_streams.unwrap_or(config.serve_streams);
        let seconds =
            |given: Option<u32>, default| given.map_or(default, |s| Duration::from_secs(s.into()));
        config.stall = seconds(self.stall_seconds, config.stall);
        config.grace = seconds(self.grace_seconds, config.grace);
        Ok(config)
    }

    /// Refuses values with which a node could not work, and settings that would have no effect.
    fn check(&self) -> Result<(), ConfigError> {
        let refuse =
            |setting: &'static str, reason: String| Err(ConfigError::Nonsense { setting, reason });
        for (setting, number) in [
            ("--max-peers", self.max_peers),
            ("--serve-streams", self.serve_streams),
            ("--stall-seconds", self.stall_seconds),
        ] {
            if number == Some(0) {
                return refuse(setting, "0 leaves the node nothing to do; give 1 or more".into());
            }
        }
        if let Some(upload) = self.upload.filter(|upload| upload.get() < MIN_UPLOAD) {
            return refuse(
                "--upload",
                format!(
                    "{} bytes per second is too slow for any transfer to end; give 16KiB or more",
                    upload.get()
                ),
            );
        }
        if let Some(log) = &self.log {
            check_filter(log)?;
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return refuse("--tls-cert", "--tls-cert and --tls-key go together".into());
        }
        if self.http == Some(HttpSetting::Off) {
            let given = [
                ("--token-file", self.token_file.is_some()),
                ("--http-host", !self.http_host.is_empty()),
                ("--tls-cert", self.tls_cert.is_some()),
                ("--fetch-budget", self.fetch_budget.is_some()),
            ];
            if let Some((setting, _)) = given.into_iter().find(|(_, given)| *given) {
                return refuse(
                    setting,
                    "it has no effect with --http off; leave one of them out".into(),
                );
            }
        }
        Ok(())
    }
}

/// Checks a log filter: levels, and targets with their levels.
fn check_filter(filter: &str) -> Result<(), ConfigError> {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    for part in filter.split(',') {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level).trim();
        if !levels.iter().any(|known| level.eq_ignore_ascii_case(known)) {
            let reason = format!(
                "{part:?} has no level; write one of {}, or TARGET=LEVEL, separated by commas",
                levels.join(", ")
            );
            return Err(ConfigError::Nonsense { setting: "--log", reason });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
