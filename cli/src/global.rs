//! The options that every command takes.

use std::path::PathBuf;

use clap::Args;

/// Where the node is, whom it asks, and how results are printed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Data directory [default: $XDG_DATA_HOME/perennial or ~/.local/share/perennial]
    #[arg(long, global = true, value_name = "DIR", env = "PERENNIAL_DATA", hide_env_values = true)]
    pub(crate) data: Option<PathBuf>,
    /// Folder of the keys [default: keys in the data directory]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PERENNIAL_KEYS",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) keys: Option<PathBuf>,
    /// Accept keys that their group can read, as Kubernetes' fsGroup makes them
    #[arg(
        long,
        global = true,
        env = "PERENNIAL_GROUP_KEYS",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) group_keys: bool,
    /// Connect to this peer first: HOST:PORT, or a multiaddress (repeatable; the variable holds a
    /// comma-separated list)
    #[arg(
        id = "peer",
        long = "peer",
        global = true,
        value_name = "HOST:PORT",
        env = "PERENNIAL_PEERS",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub(crate) peers: Vec<String>,
    /// Print JSON, one object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and errors only
    #[arg(long, short, global = true, hide_short_help = true)]
    pub(crate) quiet: bool,
    /// Log what an embedded node does (repeat for more detail)
    #[arg(long, short, global = true, action = clap::ArgAction::Count, hide_short_help = true)]
    pub(crate) verbose: u8,
}
