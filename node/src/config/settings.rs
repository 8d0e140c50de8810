//! The settings of a TOML file and of the command line.
//!
//! Owns the one struct that both share, so that every field is also a flag, and how the two are
//! merged: flags win.

use std::path::{Path, PathBuf};
use std::time::Duration;

use perennial_manifest::PublisherId;
use perennial_swarm::PeerAddress;
use serde::Deserialize;

use super::http_setting::{DEFAULT_ADDRESS, DEFAULT_FETCH_BUDGET};
use super::{ByteCount, Config, ConfigError, FromFile, Home, Http, HttpSetting};

/// The slowest upload accepted, in bytes per second: one verified group of a blob.
const MIN_UPLOAD: u64 = 16 << 10;

/// The smallest quota accepted, in bytes: the index and the reserve take a part of it.
const MIN_QUOTA: u64 = 32 << 20;

/// The settings of a TOML file or the command line; missing ones keep their defaults.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Data directory [default: $XDG_DATA_HOME/perennial or ~/.local/share/perennial]
    #[arg(long, value_name = "DIR", env = "PERENNIAL_DATA", hide_env_values = true)]
    pub data: Option<PathBuf>,
    /// Use the archive in the data directory, and never make one, so that a disk that is not
    /// mounted is noticed
    #[arg(long, env = "PERENNIAL_EXISTING", hide_env_values = true)]
    pub existing: bool,
    /// Folder of the keys [default: keys in the data directory]
    #[arg(long, value_name = "DIR", env = "PERENNIAL_KEYS", hide_env_values = true)]
    pub keys: Option<PathBuf>,
    /// Accept keys that their group can read, as Kubernetes' fsGroup makes them
    #[arg(long, env = "PERENNIAL_GROUP_KEYS", hide_env_values = true)]
    pub group_keys: bool,
    /// Listen on this address (repeatable) [default: /ip4/0.0.0.0/tcp/4407 and the same port over
    /// QUIC]
    #[arg(long, value_name = "MULTIADDRESS")]
    pub listen: Vec<String>,
    /// Address to announce to peers, when it differs from --listen (repeatable)
    #[arg(long, value_name = "MULTIADDRESS")]
    pub external: Vec<String>,
    /// Connect to this peer, given as HOST:PORT or as a multiaddress, and again whenever the
    /// connection is lost (repeatable; the variable holds a comma-separated list)
    #[arg(
        long,
        value_name = "HOST:PORT",
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
    /// For anonymous HTTP requests, also fetch what no publisher that this node trusts has signed;
    /// the last 10 GiB of it stay
    #[arg(long)]
    pub fetch_untrusted: bool,
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
    /// Bytes that the data directory may have on disk, such as `500GiB`, all files counted
    /// [default: what the disk has]
    #[arg(long, value_name = "BYTES", env = "PERENNIAL_QUOTA", hide_env_values = true)]
    pub quota: Option<ByteCount>,
    /// Seconds for which gc spares unneeded blobs after their last use [default: 86400]
    #[arg(long, value_name = "SECONDS")]
    pub grace_seconds: Option<u32>,
    /// Which of these a file has given, and which file.
    #[arg(skip)]
    #[serde(skip)]
    pub from_file: FromFile,
}

impl Settings {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or has an unknown field.
    pub fn read(path: &Path) -> Result<Settings, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let mut settings: Settings = toml::from_str(&text).map_err(|source| {
            ConfigError::Parse { path: path.to_owned(), source: Box::new(source) }
        })?;
        settings.from_file.path = Some(path.to_owned());
        Ok(settings)
    }

    /// Fills settings that are not set from those of `file`. A list that is set replaces the file's
    /// list.
    #[must_use]
    pub fn over(self, file: Settings) -> Settings {
        let mut from = FromFile { path: file.from_file.path, ..FromFile::default() };
        Settings {
            data: from.or("data", self.data, file.data),
            existing: from.or("existing", self.existing, file.existing),
            keys: from.or("keys", self.keys, file.keys),
            group_keys: from.or("group-keys", self.group_keys, file.group_keys),
            listen: from.or("listen", self.listen, file.listen),
            external: from.or("external", self.external, file.external),
            peer: from.or("peer", self.peer, file.peer),
            follow: from.or("follow", self.follow, file.follow),
            no_mdns: from.or("no-mdns", self.no_mdns, file.no_mdns),
            http: from.or("http", self.http, file.http),
            http_host: from.or("http-host", self.http_host, file.http_host),
            tls_cert: from.or("tls-cert", self.tls_cert, file.tls_cert),
            tls_key: from.or("tls-key", self.tls_key, file.tls_key),
            token_file: from.or("token-file", self.token_file, file.token_file),
            fetch_budget: from.or("fetch-budget", self.fetch_budget, file.fetch_budget),
            fetch_untrusted: from.or("fetch-untrusted", self.fetch_untrusted, file.fetch_untrusted),
            log: from.or("log", self.log, file.log),
            upload: from.or("upload", self.upload, file.upload),
            max_peers: from.or("max-peers", self.max_peers, file.max_peers),
            serve_streams: from.or("serve-streams", self.serve_streams, file.serve_streams),
            stall_seconds: from.or("stall-seconds", self.stall_seconds, file.stall_seconds),
            quota: from.or("quota", self.quota, file.quota),
            grace_seconds: from.or("grace-seconds", self.grace_seconds, file.grace_seconds),
            from_file: from,
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
        config.follow = self.follow;
        config.mdns = !self.no_mdns;
        let http_host =
            |source| ConfigError::HttpHost { setting: self.from_file.setting("http-host"), source };
        let names = self.http_host.iter().map(|name| name.parse().map_err(http_host));
        let names = names.collect::<Result<_, _>>()?;
        config.http =
            self.http.unwrap_or(HttpSetting::At(DEFAULT_ADDRESS)).address().map(|address| Http {
                address,
                names,
                if_free: self.http.is_none(),
                tls: self.tls_cert.zip(self.tls_key),
                token_file: self.token_file,
                fetch_budget: self.fetch_budget.map_or(DEFAULT_FETCH_BUDGET, ByteCount::get),
                fetch_untrusted: self.fetch_untrusted,
            });
        config.upload = self.upload;
        config.quota = self.quota;
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
        let setting = |key| self.from_file.setting(key);
        let refuse =
            |key, reason: String| Err(ConfigError::Nonsense { setting: setting(key), reason });
        for (key, number) in [
            ("max-peers", self.max_peers),
            ("serve-streams", self.serve_streams),
            ("stall-seconds", self.stall_seconds),
        ] {
            if number == Some(0) {
                return refuse(key, "0 leaves the node nothing to do; give 1 or more".into());
            }
        }
        if let Some(upload) = self.upload.filter(|upload| upload.get() < MIN_UPLOAD) {
            return refuse(
                "upload",
                format!(
                    "{} bytes per second is too slow for any transfer to end; give 16KiB or more",
                    upload.get()
                ),
            );
        }
        if let Some(quota) = self.quota.filter(|quota| quota.get() < MIN_QUOTA) {
            return refuse(
                "quota",
                format!(
                    "{} bytes have no room for an archive and its index; give 32MiB or more",
                    quota.get()
                ),
            );
        }
        if let Some(reason) = self.log.as_deref().and_then(obstacle_of_filter) {
            return refuse("log", reason);
        }
        for peer in self.peer.iter().filter(|peer| !peer.is_empty()) {
            PeerAddress::all_of(peer)
                .map_err(|source| ConfigError::Peer { setting: setting("peer"), source })?;
        }
        for (key, addresses) in [("listen", &self.listen), ("external", &self.external)] {
            for address in addresses {
                address
                    .parse::<PeerAddress>()
                    .map_err(|source| ConfigError::Address { setting: setting(key), source })?;
            }
        }
        for publisher in self.follow.iter().filter(|follow| *follow != "all") {
            publisher.parse::<PublisherId>().map_err(|source| ConfigError::Follow {
                setting: setting("follow"),
                text: publisher.clone(),
                source,
            })?;
        }
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => return refuse("tls-cert", "it needs tls-key, too".into()),
            (None, Some(_)) => return refuse("tls-key", "it needs tls-cert, too".into()),
            _ => {}
        }
        if self.http == Some(HttpSetting::Off) {
            let given = [
                ("token-file", self.token_file.is_some()),
                ("http-host", !self.http_host.is_empty()),
                ("tls-cert", self.tls_cert.is_some()),
                ("fetch-budget", self.fetch_budget.is_some()),
                ("fetch-untrusted", self.fetch_untrusted),
            ];
            if let Some((key, _)) = given.into_iter().find(|(_, given)| *given) {
                let off = setting("http");
                return refuse(
                    key,
                    format!("it has no effect while HTTP is off ({off}); leave one of them out"),
                );
            }
        }
        Ok(())
    }
}

/// What is wrong with a log filter, which has levels, and targets with their levels.
fn obstacle_of_filter(filter: &str) -> Option<String> {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let malformed = filter.split(',').find(|part| {
        let level = part.rsplit_once('=').map_or(*part, |(_, level)| level).trim();
        !levels.iter().any(|known| level.eq_ignore_ascii_case(known))
    })?;
    Some(format!(
        "{malformed:?} has no level; write one of {}, or TARGET=LEVEL, separated by commas",
        levels.join(", ")
    ))
}

#[cfg(test)]
mod tests;
