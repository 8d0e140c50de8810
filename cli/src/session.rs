//! The connection to a node: the one that runs on the data directory, or one embedded for the
//! duration of the command.
//!
//! Both take the same requests and give the same answers. A command that reads makes no archive.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use perennial_control::{
    Ask, CallError, Client, Connect, ConnectDone, ConnectError, ErrorKind, Event, Failure,
    UnreachedRow,
};
use perennial_node::config::Home;
use perennial_node::place::PlaceError;
use perennial_node::{Config, Node, StartError};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::failure::CommandError;
use crate::global::Global;
use crate::paths::{absolute, data_directory};
use crate::progress::Painter;
use crate::screen::{Screen, safe};

/// How long a locked data directory may stay silent while its node starts or stops.
const BUSY: Duration = Duration::from_secs(3);
/// How long an interrupted command waits for its node to stop.
const GOODBYE: Duration = Duration::from_millis(300);
/// How often a silent data directory is retried.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// How long a request waits for the peers it depends on, in milliseconds: longer than a dial that
/// nothing answers.
const PEER_WAIT_MS: u32 = 12_000;

/// How a request relates to the peers given with `--peer`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dial {
    /// The request needs no peers.
    Never,
    /// In the background; the node waits for a connection itself if it needs one.
    Background,
    /// The request is sent once a peer is connected, all have failed, or the wait is over. A peer
    /// that does not answer is a warning: the request does not depend on it.
    AndWarn,
    /// As `AndWarn`, but without any peer the answer is incomplete: the command fails after
    /// printing it.
    AndWait,
}

/// Whether a command may make an archive where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Making {
    /// It reads or changes what is there.
    Never,
    /// It keeps what it fetches, which takes a peer.
    WithPeers,
    /// It begins an archive.
    Always,
}

/// How requests reach a node.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    data: PathBuf,
    home: Home,
    keys: Option<PathBuf>,
    group_keys: bool,
    making: Making,
    peers: Vec<String>,
    screen: &'a Screen,
}

/// An answer, with how it was obtained.
pub(crate) struct Answered<A> {
    pub(crate) answer: A,
    /// Set if a node was started for this request and has stopped since.
    pub(crate) embedded: bool,
}

/// A reachable node.
enum Reached {
    /// It runs in another process.
    Running(PathBuf),
    /// It was started for this command, perhaps in a place that goes with the command.
    Embedded(Box<Node>, Option<TempDir>),
}

impl Reached {
    /// A connection, for one request.
    async fn client(&self) -> Result<Client, CommandError> {
        match self {
            Reached::Running(data) => Ok(Client::connect(data).await?),
            Reached::Embedded(node, _) => node
                .client()
                .map_err(|source| CommandError::Io { what: "cannot open a socket".into(), source }),
        }
    }
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        global: &Global,
        screen: &'a Screen,
        making: Making,
    ) -> Result<Session<'a>, CommandError> {
        let peers: Vec<_> = global.peers.iter().filter(|peer| !peer.is_empty()).cloned().collect();
        for peer in &peers {
            perennial_node::config::check_peer(peer)
                .map_err(|error| CommandError::Usage { message: error.to_string(), hint: None })?;
        }
        let home = Home::from(|name| std::env::var_os(name));
        Ok(Session {
            data: data_directory(global, &home)?,
            home,
            keys: global.keys.as_deref().map(absolute).transpose()?,
            group_keys: global.group_keys,
            making,
            peers,
            screen,
        })
    }

    /// Whether peers were named for this command.
    pub(crate) fn has_peers(&self) -> bool {
        !self.peers.is_empty()
    }

    /// Whether the group of a key file may have access to it.
    pub(crate) fn group_keys(&self) -> bool {
        self.group_keys
    }

    /// Takes a copy of a publisher's key into the data directory, on which no node may run.
    pub(crate) fn restore_key(&self, from: &Path) -> Result<(), CommandError> {
        perennial_node::restore_key(&self.config(&[]), from)?;
        Ok(())
    }

    /// The settings of a node for this command.
    fn config(&self, peers: &[String]) -> Config {
        Config {
            peers: peers.to_vec(),
            create: match self.making {
                Making::Never => false,
                Making::WithPeers => !peers.is_empty(),
                Making::Always => true,
            },
            state: self.home.state(),
            runtime: self.home.runtime(),
            keys: self.keys.clone(),
            group_keys: self.group_keys,
            ..Config::embedded(&self.data)
        }
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Sends a request that streams no rows and needs no peers.
    pub(crate) async fn ask<R: Ask>(&self, request: R) -> Result<R::Answer, CommandError> {
        self.ask_rows(request, Dial::Never, |_| Ok(())).await
    }

    /// Sends a request; rows go to `on_item` as they arrive. The request is cancelled when
    /// `on_item` fails.
    pub(crate) async fn ask_rows<R: Ask>(
        &self,
        request: R,
        dial: Dial,
        on_item: impl FnMut(R::Item) -> io::Result<()>,
    ) -> Result<R::Answer, CommandError> {
        Ok(self.converse(request, dial, on_item, |_| true).await?.answer)
    }

    /// As `ask_rows`, and reports how the answer was obtained. An answer for which `came` is false
    /// is that of a failed command.
    pub(crate) async fn converse<R: Ask>(
        &self,
        request: R,
        dial: Dial,
        on_item: impl FnMut(R::Item) -> io::Result<()>,
        came: impl Fn(&R::Answer) -> bool,
    ) -> Result<Answered<R::Answer>, CommandError> {
        let (to_connect, wait_ms) = match dial {
            Dial::Never => (Vec::new(), 0),
            Dial::Background => (self.peers.clone(), 0),
            Dial::AndWarn | Dial::AndWait => (self.peers.clone(), PEER_WAIT_MS),
        };
        let reached = self.reach(&to_connect).await?;
        let answer = async {
            let mut connection = ConnectDone { reached: true, ..ConnectDone::default() };
            if !to_connect.is_empty() {
                let connect = Connect { peers: to_connect, wait_ms };
                connection = reached.client().await?.call(connect, |_| ()).await?;
            }
            let cut_off = matches!(dial, Dial::AndWait) && !connection.reached;
            for UnreachedRow { address, reason } in &connection.unreached {
                if !cut_off {
                    self.screen.status(format_args!(
                        "warning: {}: {}",
                        safe(address),
                        safe(reason)
                    ));
                }
            }
            let answer = call(reached.client().await?, request, self.screen, on_item).await?;
            if cut_off { Err(no_peer(&connection)) } else { Ok(answer) }
        };
        let answer = tokio::select! {
            answer = answer => answer,
            () = interrupted() => Err(CommandError::Interrupted { goes_on: false }),
        };
        let embedded = match reached {
            Reached::Running(_) => false,
            Reached::Embedded(node, place) => {
                match &answer {
                    Ok(answer) if came(answer) => node.shutdown().await,
                    // Whatever still runs may end at any point, and who interrupts does not wait.
                    Err(CommandError::Interrupted { .. }) => {
                        let _ = tokio::time::timeout(GOODBYE, node.discard()).await;
                    }
                    // A failed command leaves no empty archive behind.
                    Ok(_) | Err(_) => node.discard().await,
                }
                drop(place);
                true
            }
        };
        Ok(Answered { answer: answer?, embedded })
    }

    /// Finds the running node, or starts one.
    async fn reach(&self, peers: &[String]) -> Result<Reached, CommandError> {
        let give_up = Instant::now() + BUSY;
        loop {
            match Client::connect(&self.data).await {
                Ok(_) => return Ok(Reached::Running(self.data.clone())),
                Err(ConnectError::NotRunning { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            match Node::start(self.config(peers)).await {
                Ok(node) => {
                    if let Some(note) = node.note() {
                        self.screen.status(format_args!("note: {note}"));
                    }
                    return Ok(Reached::Embedded(Box::new(node), None));
                }
                // Peers can be asked without an archive; their answers are not kept.
                Err(StartError::Place(PlaceError::NoArchive { .. }))
                    if self.making == Making::Never && !peers.is_empty() =>
                {
                    let place = tempfile::tempdir().map_err(|source| CommandError::Io {
                        what: std::env::temp_dir().display().to_string(),
                        source,
                    })?;
                    let config = Config { peers: peers.to_vec(), ..Config::embedded(place.path()) };
                    return Ok(Reached::Embedded(
                        Box::new(Node::start(config).await?),
                        Some(place),
                    ));
                }
                Err(StartError::InUse { data, pid }) if Instant::now() >= give_up => {
                    return Err(CommandError::InUse { data, pid });
                }
                Err(StartError::InUse { .. }) => tokio::time::sleep(RETRY_EVERY).await,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The failure of a request that depended on peers, none of which answered.
fn no_peer(connection: &ConnectDone) -> CommandError {
    let unreached = connection.unreached.iter();
    let unreached: Vec<_> =
        unreached.map(|UnreachedRow { address, reason }| format!("{address}: {reason}")).collect();
    let message = format!("no peer answered. {}", unreached.join("; "));
    CommandError::Refused(Failure::new(ErrorKind::Unreachable, message).hint(
        "check the address, and that a node runs there: `perennial status` there lists its \
         addresses",
    ))
}

/// Sends one request on one connection and shows its progress.
pub(crate) async fn call<R: Ask>(
    client: Client,
    request: R,
    screen: &Screen,
    mut on_item: impl FnMut(R::Item) -> io::Result<()>,
) -> Result<R::Answer, CommandError> {
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
    let answer: Result<R::Answer, CallError> = tokio::select! {
        biased;
        answer = conversation => answer,
        () = enough.notified() => Err(CallError::Lost),
    };
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(answer?),
    }
}

/// Resolves once the user interrupts the command.
pub(crate) async fn interrupted() {
    let mut signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    match (&mut signals.0, &mut signals.1) {
        (Ok(interrupt), Ok(terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // Signals cannot be received, so their default action applies.
        _ => std::future::pending().await,
    }
}
