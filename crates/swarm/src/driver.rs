//! The task that owns the libp2p swarm: commands in, events out.
//!
//! The network is polled only while no event waits for its reader, so that a slow reader slows the
//! network down instead of filling memory. Peer ids are parsed here, once per command.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use futures::StreamExt;
use libp2p::Swarm;
use libp2p::gossipsub::{self, MessageAcceptance};
use libp2p::identity::Keypair;
use libp2p::kad::{QueryId, RecordKey};
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{InboundRequestId, OutboundRequestId, ResponseChannel};
use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use perennial_manifest::ReleaseId;
use perennial_protocol::{
    Acceptance, Input, PeerId, RequestFailure, RequestId, Response, TOPIC, Token,
};
use tokio::sync::{mpsc, oneshot};

use crate::address::PeerAddress;
use crate::behaviour::Behaviour;
use crate::config::{Config, StartError};
use crate::dial_error::DialError;
use crate::event::Event;
use crate::events::peer_id;
use crate::handle::{Command, Handle, OpenFailure, PeerCommand};
use crate::{asleep, listen, transport};

/// Capacity of the queue of commands and of the queue of events; senders wait while a queue is
/// full.
const QUEUE: usize = 256;
/// Concurrent announcements of releases, at most.
const MAX_ANNOUNCING: usize = 16;

/// Starts a swarm on the current Tokio runtime. The addresses on which it listens arrive as events.
///
/// A swarm that neither listens nor looks for peers is built when it is first asked to dial: until
/// then it opens no socket.
///
/// The swarm ends with [`Handle::shutdown`], or once the receiver of its events is dropped.
///
/// # Errors
/// When an address is malformed or cannot be listened on, or a transport cannot be set up.
pub fn start(config: &Config) -> Result<(Handle, mpsc::Receiver<Event>), StartError> {
    let key = Keypair::ed25519_from_bytes(config.identity).map_err(StartError::setup)?;
    let (commands, inbox) = mpsc::channel(QUEUE);
    let (outbox, events) = mpsc::channel(QUEUE);
    let handle = Handle { me: peer_id(&key.public().to_peer_id()), commands };
    if config.waits_for_peers() {
        tokio::spawn(Driver::new(key, config, outbox)?.run(inbox, VecDeque::new()));
    } else {
        tokio::spawn(asleep::run(key, config.clone(), outbox, inbox));
    }
    Ok((handle, events))
}

pub(crate) struct Driver {
    pub(crate) swarm: Swarm<Behaviour>,
    outbox: mpsc::Sender<Event>,
    /// Requests of peers that wait for an answer.
    pub(crate) answers: HashMap<Token, (InboundRequestId, ResponseChannel<Response>)>,
    /// This node's requests in flight.
    pub(crate) asked: HashMap<OutboundRequestId, RequestId>,
    /// Running searches for providers.
    pub(crate) searches: HashMap<QueryId, ReleaseId>,
    /// Dials of addresses under way; libp2p bounds how many.
    pub(crate) dialling: HashMap<ConnectionId, oneshot::Sender<Result<PeerId, DialError>>>,
    /// Releases that wait to be announced.
    pub(crate) to_announce: BTreeSet<ReleaseId>,
    /// Running announcements.
    pub(crate) announcing: HashSet<QueryId>,
    /// The last token assigned.
    pub(crate) next: u64,
}

impl Driver {
    /// Builds the swarm, and listens on the configured addresses.
    pub(crate) fn new(
        key: Keypair,
        config: &Config,
        outbox: mpsc::Sender<Event>,
    ) -> Result<Self, StartError> {
        let mut swarm = transport::build(key, config)?;
        for address in &config.listen {
            let address: PeerAddress = address.parse()?;
            if let Err(error) = listen::check(address.multiaddr()) {
                return Err(StartError::Listen { address, source: error.into() });
            }
            if let Err(error) = swarm.listen_on(address.multiaddr().clone()) {
                return Err(StartError::Listen { address, source: error.into() });
            }
        }
        for address in &config.external {
            let address: PeerAddress = address.parse()?;
            swarm.add_external_address(address.multiaddr().clone());
        }
        Ok(Driver {
            swarm,
            outbox,
            answers: HashMap::new(),
            asked: HashMap::new(),
            searches: HashMap::new(),
            dialling: HashMap::new(),
            to_announce: BTreeSet::new(),
            announcing: HashSet::new(),
            next: 0,
        })
    }

    /// Runs until a shutdown. The events in `waiting` come first.
    pub(crate) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Command>,
        mut waiting: VecDeque<Event>,
    ) {
        // Commands are taken even while events wait for their reader, so that a task that both
        // sends commands and reads events cannot lock up.
        let outbox = self.outbox.clone();
        loop {
            let command = if waiting.is_empty() {
                tokio::select! {
                    event = self.swarm.select_next_some() => {
                        waiting.extend(self.on_swarm(event));
                        continue;
                    }
                    command = inbox.recv() => command,
                }
            } else {
                tokio::select! {
                    permit = outbox.reserve() => {
                        // The receiver was dropped: the node is shutting down.
                        let Ok(permit) = permit else { return };
                        if let Some(event) = waiting.pop_front() {
                            permit.send(event);
                        }
                        continue;
                    }
                    command = inbox.recv() => command,
                }
            };
            match command {
                None | Some(Command::Shutdown) => return,
                Some(command) => waiting.extend(self.on_command(command)),
            }
        }
    }

    pub(crate) fn on_command(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Dial { address, outcome } => {
                self.dial(&address, outcome);
            }
            Command::Peer(peer, command) => match peer.as_str().parse() {
                Ok(id) => self.on_peer_command(id, command),
                Err(_) => return refuse(peer, command),
            },
            Command::Publish(bytes) => {
                // An error means that there are no peers or that it was already published:
                // reconciliation covers both.
                let topic = gossipsub::IdentTopic::new(TOPIC);
                let _ = self.swarm.behaviour_mut().gossip.publish(topic, bytes);
            }
            Command::Respond { token, response } => {
                if let Some((_, channel)) = self.answers.remove(&token) {
                    // If the connection has ended by now, the peer notices by itself.
                    let _ = self.swarm.behaviour_mut().requests.send_response(channel, response);
                }
            }
            Command::Provide(release) => {
                self.to_announce.insert(release);
                self.announce();
            }
            Command::StopProviding(release) => {
                self.to_announce.remove(&release);
                self.swarm.behaviour_mut().kad.stop_providing(&key(&release));
            }
            Command::FindProviders(release) => {
                let query = self.swarm.behaviour_mut().kad.get_providers(key(&release));
                self.searches.insert(query, release);
            }
            Command::Shutdown => {}
        }
        None
    }

    /// Dials an address, even that of a connected peer: the caller asks about the address.
    fn dial(&mut self, address: &PeerAddress, outcome: oneshot::Sender<Result<PeerId, DialError>>) {
        let multiaddr = address.multiaddr().clone();
        let named = multiaddr.iter().find_map(|part| match part {
            Protocol::P2p(peer) => Some(peer),
            _ => None,
        });
        let options = match named {
            Some(peer) => DialOpts::peer_id(peer)
                .addresses(vec![multiaddr])
                .condition(PeerCondition::Always)
                .build(),
            None => DialOpts::unknown_peer_id().address(multiaddr).build(),
        };
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.dialling.insert(connection, outcome)),
            // The caller may have left.
            Err(error) => drop(outcome.send(Err((&error).into()))),
        }
    }

    fn on_peer_command(&mut self, peer: libp2p::PeerId, command: PeerCommand) {
        match command {
            PeerCommand::Dial => {
                // A failure is not an event: tasks that wait for the peer have their own deadline.
                let _ = self.swarm.dial(peer);
            }
            PeerCommand::Disconnect => {
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            PeerCommand::Earned(standing) => {
                self.swarm.behaviour_mut().door.earned(&peer_id(&peer), standing);
            }
            PeerCommand::Ban => {
                // Closes open connections, too.
                self.swarm.behaviour_mut().banned.block_peer(peer);
            }
            PeerCommand::Unban => {
                self.swarm.behaviour_mut().banned.unblock_peer(peer);
            }
            PeerCommand::ReportGossip { message, acceptance } => {
                let acceptance = match acceptance {
                    Acceptance::Accept => MessageAcceptance::Accept,
                    Acceptance::Ignore => MessageAcceptance::Ignore,
                    Acceptance::Reject => MessageAcceptance::Reject,
                };
                let id = gossipsub::MessageId::from(message.0);
                let gossip = &mut self.swarm.behaviour_mut().gossip;
                gossip.report_message_validation_result(&id, &peer, acceptance);
            }
            PeerCommand::Request { id, request } => {
                let sent = self.swarm.behaviour_mut().requests.send_request(&peer, request);
                self.asked.insert(sent, id);
            }
            PeerCommand::OpenStream(opened) => {
                self.swarm.behaviour_mut().streams.open(peer, opened);
            }
        }
    }

    /// Starts waiting announcements, up to the limit: each is a search for the peers to tell.
    pub(crate) fn announce(&mut self) {
        while self.announcing.len() < MAX_ANNOUNCING {
            let Some(release) = self.to_announce.pop_first() else { return };
            // Never fails: the store sets no bound on this node's own keys.
            if let Ok(query) = self.swarm.behaviour_mut().kad.start_providing(key(&release)) {
                self.announcing.insert(query);
            }
        }
    }
}

/// The key of a release in the DHT.
fn key(release: &ReleaseId) -> RecordKey {
    RecordKey::new(release.as_bytes())
}

/// Fails a command for a peer that does not exist: libp2p did not issue its id, or has no peers
/// yet.
pub(crate) fn refuse(peer: PeerId, command: PeerCommand) -> Option<Event> {
    match command {
        PeerCommand::Request { id, .. } => {
            let result = Err(RequestFailure::Disconnected);
            Some(Event::Input(Input::Response { from: peer, id, result }))
        }
        PeerCommand::OpenStream(opened) => {
            // The requesting task may have been dropped.
            let _ = opened.send(Err(OpenFailure::NotConnected));
            None
        }
        _ => None,
    }
}
