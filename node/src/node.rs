//! A running node as its owner sees it: starting it, its addresses, stopping it (`node/stop`).

mod stop;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use perennial_manifest::Keypair;
use perennial_protocol::{Config as ProtocolConfig, Node as Protocol};
use perennial_store::{Follows, OpenError, Store};
use perennial_swarm::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::archive::{self, Archive, Signer, protocol_follows};
use crate::config::{ByteCount, Config};
use crate::descriptors;
use crate::frontends::control::{self, Client, ControlService, socket_path};
use crate::frontends::http::{self, ServeError};
use crate::keys::{KeyError, Keys};
use crate::memory;
use crate::network::dial::DialList;
use crate::network::handle::Network;
use crate::network::{EventLoop, Parts};
use crate::place::{self, Fresh};
use crate::start_error::StartError;

/// How long a starting node waits for its listen addresses.
const LISTEN_WAIT: Duration = Duration::from_secs(5);

/// A running node. Dropping it leaves its tasks running until the runtime ends; call
/// [`Node::shutdown`] to stop it.
#[derive(Debug)]
pub struct Node {
    data: PathBuf,
    peer_id: String,
    archive: Archive,
    service: Arc<ControlService>,
    swarm: Handle,
    http: Option<SocketAddr>,
    note: Option<String>,
    /// Set if this start made the archive.
    fresh: Option<Fresh>,
    stop: CancellationToken,
    parts: Vec<JoinHandle<()>>,
    tasks: TaskTracker,
}

impl Node {
    /// Opens the data directory, starts the swarm and serves the control socket. Requires a
    /// multi-threaded Tokio runtime. A start that fails leaves no new archive behind.
    ///
    /// # Errors
    /// [`StartError::InUse`] when another process uses the data directory; otherwise the error of
    /// the part that did not start.
    pub async fn start(config: Config) -> Result<Node, StartError> {
        place::check(&config)?;
        let fresh = Fresh::before(&config);
        match (Self::open(config).await, fresh) {
            (Ok(node), fresh) => Ok(Node { fresh, ..node }),
            (Err(error), Some(fresh)) => {
                fresh.remove();
                Err(error)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn open(config: Config) -> Result<Node, StartError> {
        let descriptors = descriptors::raise();
        let peers = DialList::new(&config.peers)?;
        let (data, options) = (config.data.clone(), config.store());
        let existed = data.join("FORMAT").exists();
        let opened = tokio::task::spawn_blocking(move || Store::open(&data, options));
        let store = opened.await??;
        place::made(&config);
        let damage = store.damage();
        let (keys, note) = keys_of(&config)?;
        if let Some(note) = &note {
            tracing::warn!("{note}");
        }
        let read_only = store.is_read_only();
        let keys = if read_only { keys.to_read() } else { keys };
        let existing = keys.existing_publisher()?;
        let made_now = existing.is_none();
        let (identity, signer) = if read_only {
            tracing::warn!(
                "{} is on read-only media: it is served as it is",
                config.data.display()
            );
            // An identity of its own: the archive that these media are a copy of may be running.
            let stand_in = || Keypair::from_seed(rand::random());
            (rand::random(), Signer::new(existing.unwrap_or_else(stand_in)))
        } else {
            (keys.node()?, Signer::new(keys.publisher()?))
        };
        archive::note_key(&store, signer.publisher(), made_now, existed)
            .map_err(OpenError::from)?;
        // What others publish finds no place on read-only media.
        let follows = if read_only { Follows::default() } else { first_follows(&store, &config)? };
        store.watch(&signer.publisher()).map_err(OpenError::from)?;

        let mut swarm = perennial_swarm::Config::new(identity);
        (swarm.listen, swarm.mdns) = (config.listen.clone(), config.mdns);
        swarm.external = config.external.clone();
        swarm.max_memory = memory::limit();
        (swarm.max_inbound, swarm.max_blob_streams) =
            (descriptors::peers(descriptors, config.max_peers), config.serve_streams as usize);
        let (swarm, events) = perennial_swarm::start(&swarm)?;
        let me = swarm.peer_id().clone();
        let mut seed = [0; 8];
        seed.copy_from_slice(&identity[..8]);
        let protocol = Protocol::new(ProtocolConfig {
            me: me.clone(),
            seed: u64::from_le_bytes(seed),
            upload: config.upload.map(ByteCount::get),
        });

        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (mut network, ends) = Network::new(!config.peers.is_empty(), config.peer_wait);
        network.listens = !config.listen.is_empty() || config.mdns;
        let archive = Archive::new(store.clone(), network.clone(), signer, tasks.clone());
        let (keeper, keepers) = (archive.clone(), tasks.clone());
        let event_loop = EventLoop::new(Parts {
            store,
            swarm: swarm.clone(),
            network: network.clone(),
            ends,
            protocol,
            peers,
            stall: config.stall,
            keeps: config.keeps,
            keep: Box::new(move |release| {
                keepers.spawn(archive::keep(keeper.clone(), release));
            }),
            tasks: tasks.clone(),
        });
        let mut parts = vec![tokio::spawn(event_loop.run(events, stop.clone()))];
        network.follow(protocol_follows(&follows, archive.publisher())).await;
        tasks.spawn(announce_held(archive.clone()));
        parts.push(tokio::spawn(archive.clone().repair(damage, stop.clone())));
        parts.push(tokio::spawn(archive.clone().watch_rotations(stop.clone())));
        if config.daemon && !read_only {
            parts.push(tokio::spawn(archive.clone().watch_room(config.grace, stop.clone())));
        }
        archive.end_rotation(&keys).await;

        let service = Arc::new(ControlService {
            archive: archive.clone(),
            peer_id: me.to_string(),
            keys,
            grace: config.grace,
            daemon: config.daemon,
            started: Instant::now(),
            http: OnceLock::new(),
            stop: Notify::new(),
        });
        let mut node = Node {
            data: config.data.clone(),
            peer_id: me.to_string(),
            archive,
            service,
            swarm,
            http: None,
            note,
            fresh: None,
            stop,
            parts,
            tasks,
        };
        match node.serve(&config).await {
            Ok(()) => Ok(node),
            Err(error) => {
                node.shutdown().await;
                Err(error)
            }
        }
    }

    /// Serves the control socket and HTTP, and waits until the node listens.
    async fn serve(&mut self, config: &Config) -> Result<(), StartError> {
        match control::serve(
            self.service.clone(),
            &config.data,
            config.runtime.as_deref(),
            self.stop.clone(),
        ) {
            Ok(serving) => self.parts.push(serving),
            // A command talks to its own node without a socket file; on read-only media each
            // command reads the archive itself.
            Err(error) if !config.daemon || self.archive.store().is_read_only() => {
                tracing::info!(%error, "other commands cannot join");
            }
            Err(error) => return Err(error.into()),
        }
        if let Some(settings) = &config.http {
            match http::serve(self.archive.clone(), settings, self.stop.clone()).await {
                Ok(served) => {
                    self.http = Some(served.address);
                    let _ = self.service.http.set(served.address);
                    self.parts.push(served.task);
                }
                Err(ServeError::Bind { address, source }) if settings.if_free => {
                    tracing::warn!(%address, %source,
                        "HTTP is not served; give --http ADDR to choose another address");
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !config.listen.is_empty() {
            let mut overview = self.archive.network().overview();
            let listening = overview.wait_for(|overview| !overview.addresses.is_empty());
            let _ = timeout(LISTEN_WAIT, listening).await;
        }
        Ok(())
    }

    /// The archive, for programs that embed the node.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// A connection to this node from its own process, for one request. Needs no socket file.
    ///
    /// # Errors
    /// When the system has no more sockets.
    pub fn client(&self) -> std::io::Result<Client> {
        Client::of(self.service.clone())
    }

    /// The path of the control socket.
    #[must_use]
    pub fn control_path(&self) -> PathBuf {
        socket_path(&self.data)
    }

    /// The multiaddresses this node listens on, each ending in `/p2p/<peer id>`.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.archive.network().overview().borrow().addresses.clone()
    }

    /// The address on which HTTP is served; `None` without HTTP.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// A remark about this start for the user, if there is one.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The node's peer id.
    #[must_use]
    pub fn peer_id(&self) -> String {
        self.peer_id.clone()
    }
}

/// The keys of an archive, and a remark about their place.
pub(crate) fn keys_of(config: &Config) -> Result<(Keys, Option<String>), KeyError> {
    match &config.keys {
        Some(folder) => Ok((Keys::in_folder(folder.clone(), config.group_keys), None)),
        None => Keys::of(&config.data, config.state.as_deref(), config.group_keys),
    }
}

/// Adds the configured follows to those recorded earlier.
fn first_follows(store: &Store, config: &Config) -> Result<Follows, StartError> {
    let mut follows = store.follows();
    for text in &config.follow {
        if text == "all" {
            follows.all = true;
        } else {
            let publisher =
                text.parse().map_err(|source| StartError::Follow { text: text.clone(), source })?;
            follows.publishers.entry(publisher).or_default();
        }
    }
    if follows != store.follows() {
        store.set_follows(&follows).map_err(OpenError::from)?;
    }
    Ok(follows)
}

/// Reports every held release to the protocol, which announces it.
async fn announce_held(archive: Archive) {
    match archive.blocking(|archive| archive::held(archive.store())).await {
        Ok(held) => {
            for release in held {
                archive.network().held(release).await;
            }
        }
        Err(error) => tracing::warn!(%error, "could not list the releases to announce"),
    }
}
