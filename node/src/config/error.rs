//! Why a configuration is refused.

use std::path::PathBuf;

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
    /// Something in `http-host` is no name.
    #[error("--http-host: {0}")]
    HttpHost(String),
    /// Something in `follow` is neither a publisher nor `all`.
    #[error("cannot follow `{text}`: {reason}")]
    Follow {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}
