//! The node daemon: configuration from a file and flags, addresses on standard output, logs on
//! standard error.
//!
//! Part of the library, so that one executable can be both programs where size matters (the
//! container image).

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, Settings, default_data};
use crate::{Node, StartError};

/// The default log filter. Kademlia warns at each start that it knows no peer yet, also where one is
/// being dialled; this program says itself when it has no peers.
const DEFAULT_LOG: &str = "info,libp2p_kad::behaviour=error";

/// Runs a node of the archive: keeps what it follows, and gives it to others.
///
/// Prints a line `listening <multiaddr>` for each address others can reach it at, then `ready`.
/// Ends in order on SIGTERM, SIGINT, or `perennial`'s request.
#[derive(Debug, Parser)]
#[command(
    name = "perennial-node",
    version,
    after_help = "Examples:\n  perennial-node --peer archive.example:4407 --follow did:key:z6Mk…   keep what one publisher releases\n  perennial-node --peer archive.example:4407 --follow all             a full archive node\n  perennial-node --data /srv/perennial --listen /ip4/0.0.0.0/tcp/4407 --peer /dns4/archive.example/tcp/4407\n  perennial-node --config /etc/perennial.toml                         the same fields in a file; flags win"
)]
struct Arguments {
    /// TOML file with the same fields as the flags
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// The `perennial-node` program, from its arguments to its exit code: 0 for a clean stop, 1 for a
/// failure, 2 for wrong usage, 5 when the data directory is in use.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = match arguments.config.as_deref().map(Settings::read).transpose() {
        Ok(file) => arguments.settings.over(file.unwrap_or_default()),
        Err(error) => return fail(&error, 2),
    };
    let filter = settings.log.clone().unwrap_or_else(|| DEFAULT_LOG.to_owned());
    let filter =
        tracing_subscriber::EnvFilter::try_new(&filter).unwrap_or_else(|_| DEFAULT_LOG.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let config = match settings.into_config(default_data(path("XDG_DATA_HOME"), path("HOME"))) {
        Ok(config) => config,
        Err(error) => return fail(&error, 2),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, 1),
    };
    let code = runtime.block_on(run(config));
    // Blocking work that is still running was not acknowledged to any client.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

async fn run(config: Config) -> ExitCode {
    let signals = signal(SignalKind::terminate())
        .and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    let (mut term, mut interrupt) = match signals {
        Ok(signals) => signals,
        Err(error) => return fail(&error, 1),
    };
    if config.peers.is_empty() {
        let found = if config.mdns {
            "only nodes on this local network are found"
        } else {
            "this node connects to nobody"
        };
        tracing::warn!(
            "no peers: give --peer ADDRESS, or name one in the settings file; {found}, unless others call it"
        );
    }
    let node = match Node::start(config).await {
        Ok(node) => node,
        Err(error) => {
            let code = match error {
                StartError::InUse { .. } => 5,
                StartError::Peer(_) => 2,
                _ => 1,
            };
            return fail(&error, code);
        }
    };
    let mut out = std::io::stdout().lock();
    for address in node.addresses() {
        let _ = writeln!(out, "listening {address}");
    }
    if let Some(address) = node.http_address() {
        let _ = writeln!(out, "http {address}");
    }
    let _ = writeln!(out, "ready").and_then(|()| out.flush());
    drop(out);
    tokio::select! {
        _ = term.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        () = node.stop_requested() => tracing::info!("asked to stop"),
    }
    node.shutdown().await;
    ExitCode::SUCCESS
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("perennial-node: {error}");
    ExitCode::from(code)
}
