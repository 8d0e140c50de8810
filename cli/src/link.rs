//! The way to a node: the one that runs on the data directory, or one embedded for the length of the command.
//!
//! Both answer on the same socket, so what is asked and how it is answered does not depend on which it is.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use perennial_control::{CallError, Client, ConnectError, Done, ErrorCode, Event, Item, Request};
use perennial_node::{Config, Node, StartError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::args::Global;
use crate::failure::CommandError;
use crate::progress::Painter;
use crate::screen::Screen;

/// How long a data directory may be locked while nobody answers in it: a node that starts or stops.
const BUSY: Duration = Duration::from_secs(3);
/// How often to look again meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long commands that ask around wait for the first of the peers they were given.
const PEER_WAIT_MS: u32 = 5_000;

/// What is needed to reach a node.
#[derive(Debug)]
pub(crate) struct Link<'a> {
    data: PathBuf,
    peers: Vec<String>,
    screen: &'a Screen,
}

/// A reachable node.
struct Reached {
    client: Client,
    embedded: Option<Node>,
}

impl<'a> Link<'a> {
    pub(crate) fn new(global: &Global, screen: &'a Screen) -> Result<Link<'a>, CommandError> {
        Ok(Link {
            data: data_directory(global)?,
            peers: global.peers.iter().filter(|peer| !peer.is_empty()).cloned().collect(),
            screen,
        })
    }

    /// Asks for what has no rows.
    pub(crate) async fn ask(&self, request: Request) -> Result<Done, CommandError> {
        self.ask_rows(request, |_| Ok(())).await
    }

    /// Asks; rows go to `on_item` as they come. The request ends when `on_item` fails.
    pub(crate) async fn ask_rows(
        &self,
        request: Request,
        on_item: impl FnMut(Item) -> io::Result<()>,
    ) -> Result<Done, CommandError> {
        let around = asks_around(&request);
        let peers = if around.is_some() { self.peers.clone() } else { Vec::new() };
        let Reached { mut client, embedded } = self.reach(&peers).await?;
        let answer = async {
            if let Some(wait_ms) = around.filter(|_| !peers.is_empty()) {
                client.call(&Request::Connect { peers: peers.clone(), wait_ms }, |_| ()).await?;
                client = Client::connect(&self.data).await?;
            }
            call(client, &request, self.screen, on_item).await
        };
        let answer = tokio::select! {
            answer = answer => answer,
            () = interrupted() => Err(CommandError::Interrupted),
        };
        let alone = embedded.is_some() && peers.is_empty();
        if embedded.is_some() && answer.is_ok() && matches!(request, Request::Add(_)) {
            self.screen.status(format_args!(
                "note: no node runs on this data directory, so nobody can fetch this yet: start `perennial-node --data {}`",
                self.data.display()
            ));
        }
        if let Some(node) = embedded {
            node.shutdown().await;
        }
        match answer {
            Err(CommandError::Refused(mut failure))
                if alone && failure.code == ErrorCode::NotFound =>
            {
                failure.hint = Some(
                    "no node runs on this data directory and no peer was named: try --peer MULTIADDR \
                     (or PERENNIAL_PEERS)"
                        .into(),
                );
                Err(CommandError::Refused(failure))
            }
            other => other,
        }
    }

    /// Connects to the running node, or starts one.
    async fn reach(&self, peers: &[String]) -> Result<Reached, CommandError> {
        let give_up = Instant::now() + BUSY;
        loop {
            match Client::connect(&self.data).await {
                Ok(client) => return Ok(Reached { client, embedded: None }),
                Err(ConnectError::NotRunning { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let config = Config { peers: peers.to_vec(), ..Config::embedded(&self.data) };
            match Node::start(config).await {
                Ok(node) => {
                    let client = Client::connect(&self.data).await?;
                    return Ok(Reached { client, embedded: Some(node) });
                }
                Err(StartError::InUse { data, pid }) if Instant::now() >= give_up => {
                    return Err(CommandError::InUse { data, pid });
                }
                Err(StartError::InUse { .. }) => tokio::time::sleep(LOOK_AGAIN).await,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// One request on one connection, with its progress shown.
pub(crate) async fn call(
    client: Client,
    request: &Request,
    screen: &Screen,
    mut on_item: impl FnMut(Item) -> io::Result<()>,
) -> Result<Done, CommandError> {
    let mut painter = Painter::new(*screen);
    let enough = Notify::new();
    let mut failed = None;
    let conversation = client.call(request, |event| match event {
        Event::Progress(progress) => painter.paint(&progress),
        Event::Item(item) if failed.is_none() => {
            painter.clear();
            if let Err(error) = on_item(item) {
                failed = Some(error);
                enough.notify_one();
            }
        }
        Event::Item(_) => {}
    });
    let done: Result<Done, CallError> = tokio::select! {
        biased;
        done = conversation => done,
        () = enough.notified() => Err(CallError::Lost),
    };
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(done?),
    }
}

/// The data directory to use.
pub(crate) fn data_directory(global: &Global) -> Result<PathBuf, CommandError> {
    let given = global.data.clone().filter(|path| !path.as_os_str().is_empty());
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let data = given
        .or_else(|| {
            perennial_node::config::default_data(variable("XDG_DATA_HOME"), variable("HOME"))
        })
        .ok_or_else(|| {
            CommandError::usage(
                "there is no home directory to keep data in",
                "say where with --data DIR",
            )
        })?;
    absolute(&data)
}

/// `path` as the node needs it, which runs in a directory of its own.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path)
        .map_err(|source| CommandError::Io { what: path.display().to_string(), source })
}

/// Whether a request wants peers, and how long it wants to wait for the first one.
fn asks_around(request: &Request) -> Option<u32> {
    match request {
        // looks here first, and waits for peers itself
        Request::Get(_) => Some(0),
        Request::Show { .. } | Request::Search { .. } | Request::Peers => Some(PEER_WAIT_MS),
        _ => None,
    }
}

/// Ready once the user wants it to stop.
pub(crate) async fn interrupted() {
    let mut signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    match (&mut signals.0, &mut signals.1) {
        (Ok(interrupt), Ok(terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // nothing to listen to: the default of the signal applies
        _ => std::future::pending().await,
    }
}
