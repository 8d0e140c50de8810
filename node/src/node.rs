//! A running node as its owner sees it: start, where it is, stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use perennial_control::{BindError, Listener};
use perennial_protocol::node::{Config as ProtocolConfig, Node as Protocol};
use perennial_store::{OpenError, OpenOptions, Store};
use perennial_swarm::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::archive::signer::Signer;
use crate::config::{Config, ConfigError};
use crate::frontends::control::{Services, for_protocol};
use crate::frontends::http::{Faces, ServeError};
use crate::keys::{KeyError, Keys};
use crate::network::EventLoop;
use crate::network::blob_stream::Limits;
use crate::network::handle::{Core, Message, Overview, QUEUE};

/// How long the addresses that a node listens on may take to be known.
const LISTEN_WAIT: Duration = Duration::from_secs(5);
/// How long parts get to end by themselves.
const STOP_WAIT: Duration = Duration::from_secs(4);

/// A running node. Dropping it stops it without order; [`Node::shutdown`] stops it properly.
#[derive(Debug)]
pub struct Node {
    control: PathBuf,
    peer_id: String,
    overview: watch::Receiver<Overview>,
    services: Arc<Services>,
    swarm: Handle,
    http: Option<SocketAddr>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    /// Opens the data directory, starts the swarm and answers on the control socket. Needs a Tokio runtime with
    /// more than one thread.
    pub async fn start(config: Config) -> Result<Node, StartError> {
        let data = config.data.clone();
        let store =
            tokio::task::spawn_blocking(move || Store::open(&data, OpenOptions::default())).await;
        let store = store.map_err(|e| StartError::Task(e.to_string()))??;
        let keys = Keys::of(&config.data);
        let (identity, signer) = (keys.node()?, Arc::new(Signer::new(keys.publisher()?)));
        let follows = first_follows(&store, &config)?;
        store.watch(&signer.publisher()).map_err(OpenError::from)?;

        let mut network = perennial_swarm::Config::new(identity);
        (network.listen, network.mdns) = (config.listen.clone(), config.mdns);
        network.external = config.external.clone();
        (network.max_inbound, network.max_blob_streams) =
            (config.max_peers, config.serve_streams as usize);
        let (swarm, events) = perennial_swarm::start(&network)?;
        let me = swarm.peer_id().clone();
        let mut seed = [0; 8];
        seed.copy_from_slice(&identity[..8]);
        let upload = config.upload.map(crate::config::ByteCount::get);
        let protocol = Protocol::new(ProtocolConfig {
            me: me.clone(),
            seed: u64::from_le_bytes(seed),
            upload,
        });

        let (messages, inbox) = mpsc::channel(QUEUE);
        let (shown, overview) = watch::channel(Overview::default());
        let core = Core { messages, overview: overview.clone(), damage: Arc::default() };
        let services = Arc::new(Services {
            store: store.clone(),
            core: core.clone(),
            signer: signer.clone(),
            peer_id: me.to_string(),
            key_file: keys.publisher_path(),
            expects_peers: (!config.peers.is_empty()).into(),
            peer_wait: config.peer_wait,
            grace: config.grace,
            stop: tokio::sync::Notify::new(),
        });
        let stop = CancellationToken::new();
        let limits = Limits { stall: config.stall };
        let event_loop = EventLoop::new(
            store.clone(),
            swarm.clone(),
            core.clone(),
            limits,
            config.peers.clone(),
            protocol,
            shown,
        );
        let mut tasks = vec![tokio::spawn(event_loop.run(events, inbox, stop.clone()))];
        core.send(Message::Follows(for_protocol(&follows, signer.publisher()))).await;
        tasks.push(tokio::spawn(announce_held(store.clone(), core.clone())));
        tasks.push(tokio::spawn(crate::archive::repair::run(store, core, stop.clone())));

        let listener = Listener::bind(&config.data)?;
        let (handler, stopped) = (services.clone(), stop.clone());
        tasks.push(tokio::spawn(async move { listener.serve(handler, stopped.cancelled()).await }));
        let mut http = None;
        if let Some(face) = &config.http {
            let faces =
                Faces::new(services.store.clone(), services.core.clone(), services.signer.clone());
            match faces.serve(face, stop.clone()).await {
                Ok(served) => {
                    http = Some(served.address);
                    tasks.push(served.task);
                }
                Err(ServeError::Bind { address, source }) if face.if_free => {
                    tracing::warn!(%address, %source, "not served over HTTP: give --http ADDR for another address");
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !config.listen.is_empty() {
            let mut listening = overview.clone();
            let _ = tokio::time::timeout(
                LISTEN_WAIT,
                listening.wait_for(|overview| !overview.addresses.is_empty()),
            )
            .await;
        }
        Ok(Node {
            control: config.control_path(),
            peer_id: me.to_string(),
            overview,
            services,
            swarm,
            http,
            stop,
            tasks,
        })
    }

    /// The socket that this node answers its user on.
    #[must_use]
    pub fn control_path(&self) -> &Path {
        &self.control
    }

    /// The multiaddresses this node listens on, each ending in `/p2p/<peer id>`.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.overview.borrow().addresses.clone()
    }

    /// Where the faces are served, if they are.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// The node's name on the network.
    #[must_use]
    pub fn peer_id(&self) -> String {
        self.peer_id.clone()
    }

    /// Returns once somebody asked the node to stop over its control socket.
    pub async fn stop_requested(&self) {
        self.services.stop.notified().await;
    }

    /// Stops in order: no new work, transfers cut, what was acknowledged durable, lock released. Within 10 s.
    pub async fn shutdown(self) {
        let Node { services, swarm, stop, tasks, .. } = self;
        stop.cancel();
        let _ = tokio::time::timeout(STOP_WAIT, swarm.shutdown()).await;
        for task in tasks {
            let _ = tokio::time::timeout(STOP_WAIT, task).await;
        }
        // the store goes with its last user, and the lock with it: blocking work that runs on holds it that long
        let store = services.store.clone();
        drop((services, swarm));
        let released = async {
            while store.is_shared() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(STOP_WAIT, released).await;
    }
}

/// Takes the follows of the configuration in with those that the user chose before.
fn first_follows(store: &Store, config: &Config) -> Result<perennial_store::Follows, StartError> {
    let mut follows = store.follows();
    for wanted in &config.follow {
        if wanted == "all" {
            follows.all = true;
        } else {
            let publisher = wanted.parse().map_err(|e: perennial_manifest::PublisherError| {
                StartError::Follow(e.to_string())
            })?;
            follows.publishers.entry(publisher).or_default();
        }
    }
    if follows != store.follows() {
        store.set_follows(&follows).map_err(OpenError::from)?;
    }
    Ok(follows)
}

/// Tells the protocol what is held, so that it is announced.
async fn announce_held(store: Store, core: Core) {
    match crate::blocking::blocking(move || crate::archive::repair::held(&store)).await {
        Ok(held) => {
            for release in held {
                core.send(Message::Held(release)).await;
            }
        }
        Err(error) => tracing::warn!(%error, "what is held could not be listed"),
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is no good.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something that is no publisher is to be followed.
    #[error("--follow: {0}")]
    Follow(String),
    /// Another process uses the data directory.
    #[error("{} is in use by process {pid}", data.display())]
    InUse {
        /// The data directory.
        data: PathBuf,
        /// The process that uses it.
        pid: u32,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Open(OpenError),
    /// A key cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The network cannot be had.
    #[error(transparent)]
    Network(#[from] perennial_swarm::StartError),
    /// The faces cannot be served.
    #[error(transparent)]
    Http(#[from] ServeError),
    /// The control socket cannot be had.
    #[error(transparent)]
    Control(#[from] BindError),
    /// A part of the start ended early.
    #[error("the start ended early: {0}")]
    Task(String),
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::InUse { dir, pid } => Self::InUse { data: dir, pid },
            other => Self::Open(other),
        }
    }
}
