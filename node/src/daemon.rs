//! The node daemon: configuration from a file and flags, addresses on standard output, logs on
//! standard error.
//!
//! Part of the library, so that one executable is enough on a machine: `perennial serve` and
//! `perennial-node` both run it.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

use crate::config::{Config, Home, Settings};
use crate::frontends::control::is_served;
use crate::frontends::http::TRUSTS_NONE;
use crate::{Node, StartError, waiting};

/// The default log filter. Kademlia warns at each start that it knows no peer yet, also where one
/// is being dialled; this program reports by itself that it has no peers.
const DEFAULT_LOG: &str = "info,libp2p_kad::behaviour=error";
/// How long a starting node waits for a command that uses the data directory.
const COMMAND_WAIT: Duration = Duration::from_secs(30);
/// How often it tries again.
const RETRY_EVERY: Duration = Duration::from_millis(100);

/// Run a node: keep what it follows, and serve it to peers and to ordinary tools
///
/// Prints `listening MULTIADDRESS` for each address that peers can reach, `http ADDRESS`, then
/// `ready`. Stops cleanly on SIGTERM and SIGINT. If the disk of the data directory goes, it waits
/// until the disk is back, answers HTTP with 503 meanwhile, and goes on. `perennial serve` and
/// `perennial-node` are the same.
#[derive(Debug, Parser)]
#[command(
    name = "perennial-node",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  perennial serve --peer archive.example:4407 --follow did:key:z6Mk…
  perennial serve --peer archive.example:4407 --follow all        a full archive node
  perennial serve --data /srv/perennial --existing --http 0.0.0.0:4480
  perennial serve --config /etc/perennial.toml        the same fields in a file; flags win"
)]
pub struct Arguments {
    /// TOML file with the same fields as the flags
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// The `perennial-node` program, from its arguments to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(arguments) => run(arguments, "perennial-node"),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
    }
}

/// Runs a node as `program` until it is asked to stop. Exits with 0 after a clean stop, and else
/// with the code of [`StartError::exit_code`].
#[must_use]
pub fn run(arguments: Arguments, program: &str) -> ExitCode {
    let fail = |error: &dyn std::error::Error, hint: Option<String>, code: u8| {
        eprintln!("{program}: {error}");
        if let Some(hint) = hint {
            eprintln!("hint: {hint}");
        }
        ExitCode::from(code)
    };
    let settings = match arguments.config.as_deref().map(Settings::read).transpose() {
        Ok(file) => arguments.settings.over(file.unwrap_or_default()),
        Err(error) => return fail(&error, None, 2),
    };
    let filter = settings.log.clone().unwrap_or_else(|| DEFAULT_LOG.to_owned());
    let config = match settings.into_config(&Home::from(|name| std::env::var_os(name))) {
        Ok(config) => config,
        Err(error) => return fail(&error, None, 2),
    };
    // The settings have checked the filter.
    let filter =
        tracing_subscriber::EnvFilter::try_new(&filter).unwrap_or_else(|_| DEFAULT_LOG.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(coloured())
        .with_writer(std::io::stderr)
        // A log on a full disk must not end a task: it would be told where nothing can be written.
        .log_internal_errors(false)
        .init();
    perennial_store::log_index_panics();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, None, 1),
    };
    let code = match runtime.block_on(serve(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, error.hint(), error.exit_code()),
    };
    // Blocking work that is still running was not acknowledged to any client.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

/// Whether the log may have colours: only a terminal shows them, and only if the user likes them.
#[must_use]
pub fn coloured() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !unwanted
}

async fn serve(mut config: Config) -> Result<(), StartError> {
    let mut signals = Signals::new().map_err(StartError::Signals)?;
    // The working directory may go with the disk.
    config.data = std::path::absolute(&config.data).unwrap_or(config.data);
    let mut told = false;
    let mut lost: Option<String> = None;
    loop {
        if let Some(reason) = &lost {
            tokio::select! {
                () = waiting::until_back(&config, reason) => {}
                () = signals.stop() => return Ok(()),
            }
        }
        let started = tokio::select! {
            started = start(config.clone()) => started,
            () = signals.stop() => return Ok(()),
        };
        let node = match started {
            Ok(node) => node,
            Err(error) if lost.is_none() => return Err(error),
            Err(error) => {
                lost = Some(error.to_string());
                continue;
            }
        };
        if !std::mem::replace(&mut told, true) {
            tell_state(&config, &node);
        }
        // From now on the archive is the one that was opened: none is made in its place.
        config.create = false;
        print_addresses(&node);
        if let (Some(frontend), Some(address)) = (&mut config.http, node.http_address()) {
            frontend.address = address;
        }
        lost = tokio::select! {
            () = signals.stop() => None,
            () = node.stop_requested() => {
                tracing::info!("asked to stop");
                None
            }
            error = node.disk_lost() => Some(error.to_string()),
        };
        node.shutdown().await;
        if lost.is_none() {
            return Ok(());
        }
    }
}

/// The signals that stop a node.
struct Signals {
    term: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let (term, interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { term, interrupt })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.term.recv() => tracing::info!("SIGTERM: stopping"),
            _ = self.interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
    }
}

/// Says what the owner of a node that has started should know about it.
fn tell_state(config: &Config, node: &Node) {
    if config.peers.is_empty() {
        let found = if config.mdns {
            "only nodes on this local network are found"
        } else {
            "this node connects to no other"
        };
        tracing::warn!(
            "no peers: give --peer HOST:PORT, or name one in the settings file; {found}, unless \
             others call it"
        );
    }
    if node.http_address().is_some() && node.archive().store().follows().trusts_none() {
        tracing::info!("{TRUSTS_NONE}");
    }
}

fn print_addresses(node: &Node) {
    let mut out = std::io::stdout().lock();
    for address in node.addresses() {
        let _ = writeln!(out, "listening {address}");
    }
    if let Some(address) = node.http_address() {
        let _ = writeln!(out, "http {address}");
    }
    let _ = writeln!(out, "ready").and_then(|()| out.flush());
}

/// Starts the node. A command that uses the data directory for a moment delays it; another node
/// that runs there is an error at once.
async fn start(config: Config) -> Result<Node, StartError> {
    let give_up = Instant::now() + COMMAND_WAIT;
    let mut waited = false;
    loop {
        match Node::start(config.clone()).await {
            Err(StartError::InUse { data, pid }) => {
                if Instant::now() >= give_up || is_served(&data).await {
                    return Err(StartError::InUse { data, pid });
                }
                if !waited {
                    tracing::info!(pid, "waiting for a command that uses the data directory");
                }
                waited = true;
                sleep(RETRY_EVERY).await;
            }
            other => return other,
        }
    }
}
