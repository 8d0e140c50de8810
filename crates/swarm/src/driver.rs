//! The loop that owns the libp2p swarm: commands in, events out.
//!
//! One task. The network is polled only while no event waits to go out, so that a slow user slows the network down rather
//! than filling memory.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use futures::StreamExt;
use libp2p::gossipsub::{self, MessageAcceptance};
use libp2p::identity::Keypair;
use libp2p::kad::{QueryId, RecordKey};
use libp2p::request_response::{InboundRequestId, OutboundRequestId, ResponseChannel};
use libp2p::{Multiaddr, Swarm};
use perennial_protocol::{
    Acceptance, MessageId, PeerId, RequestFailure, RequestId, Response, TOPIC, Token,
};
use tokio::sync::mpsc;

use crate::behaviour::Behaviour;
use crate::config::{Config, StartError};
use crate::event::Event;
use crate::events::peer_id;
use crate::handle::{Command, Handle};
use crate::transport;

/// Commands and events that may wait; then their senders do.
const QUEUE: usize = 256;
/// Keys that are announced at a time.
const MAX_ANNOUNCING: usize = 16;

pub(crate) fn keypair(identity: [u8; 32]) -> Result<Keypair, StartError> {
    Keypair::ed25519_from_bytes(identity).map_err(|e| StartError::Setup(e.to_string()))
}

fn parse(address: &str) -> Result<Multiaddr, StartError> {
    address.parse().map_err(|e: libp2p::multiaddr::Error| StartError::Address {
        address: address.to_owned(),
        reason: e.to_string(),
    })
}

/// Starts a swarm on the current tokio runtime. The addresses it listens on come as events.
pub fn start(config: &Config) -> Result<(Handle, mpsc::Receiver<Event>), StartError> {
    let key = keypair(config.identity)?;
    let mut swarm = transport::build(key, config)?;
    for address in &config.listen {
        let parsed = parse(address)?;
        swarm
            .listen_on(parsed)
            .map_err(|e| StartError::Listen { address: address.clone(), reason: e.to_string() })?;
    }
    for address in &config.external {
        let parsed = parse(address)?;
        swarm.add_external_address(parsed);
    }
    let (commands, inbox) = mpsc::channel(QUEUE);
    let (outbox, events) = mpsc::channel(QUEUE);
    let handle = Handle { peer: peer_id(swarm.local_peer_id()), commands };
    let driver = Driver {
        swarm,
        outbox,
        answers: HashMap::new(),
        asked: HashMap::new(),
        searches: HashMap::new(),
        to_announce: BTreeSet::new(),
        announcing: HashSet::new(),
        next: 0,
    };
    tokio::spawn(driver.run(inbox));
    Ok((handle, events))
}

pub(crate) struct Driver {
    pub(crate) swarm: Swarm<Behaviour>,
    outbox: mpsc::Sender<Event>,
    /// Peers' questions that wait for an answer.
    pub(crate) answers: HashMap<Token, (InboundRequestId, ResponseChannel<Response>)>,
    /// Our questions under way.
    pub(crate) asked: HashMap<OutboundRequestId, RequestId>,
    pub(crate) searches: HashMap<QueryId, [u8; 32]>,
    /// Keys to be announced, and announcements under way.
    to_announce: BTreeSet<[u8; 32]>,
    pub(crate) announcing: HashSet<QueryId>,
    /// The last token given.
    pub(crate) next: u64,
}

impl Driver {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        // commands are taken while events wait for their reader: whoever reads the one and writes the other never locks up
        let mut waiting: VecDeque<Event> = VecDeque::new();
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
                        // nobody listens any more: the node is going down
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

    fn on_command(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Dial { address, outcome } => {
                let _ = outcome.send(self.dial(&address));
            }
            Command::DialPeer(peer) => {
                if let Ok(peer) = peer.as_str().parse::<libp2p::PeerId>() {
                    // a peer that can't be reached is not an event: whoever waits has a deadline
                    let _ = self.swarm.dial(peer);
                }
            }
            Command::Disconnect(peer) => {
                if let Ok(peer) = peer.as_str().parse() {
                    let _ = self.swarm.disconnect_peer_id(peer);
                }
            }
            Command::Ban { peer, banned } => {
                if let Ok(peer) = peer.as_str().parse() {
                    let list = &mut self.swarm.behaviour_mut().banned;
                    // closes what is open, too; whether it was on the list before makes no difference
                    let _ = if banned { list.block_peer(peer) } else { list.unblock_peer(peer) };
                }
            }
            Command::Publish(bytes) => {
                // no peers yet, or published before: reconciliation carries it
                let _ = self
                    .swarm
                    .behaviour_mut()
                    .gossip
                    .publish(gossipsub::IdentTopic::new(TOPIC), bytes);
            }
            Command::Report { message, from, acceptance } => {
                self.report(&message, &from, acceptance)
            }
            Command::Request { peer, id, request } => match peer.as_str().parse() {
                Ok(to) => {
                    let asked = self.swarm.behaviour_mut().requests.send_request(&to, request);
                    self.asked.insert(asked, id);
                }
                Err(_) => {
                    return Some(Event::Response {
                        from: peer,
                        id,
                        result: Err(RequestFailure::Disconnected),
                    });
                }
            },
            Command::Respond { token, response } => {
                if let Some((_, channel)) = self.answers.remove(&token) {
                    // gone by now: the asker sees it
                    let _ = self.swarm.behaviour_mut().requests.send_response(channel, response);
                }
            }
            Command::Provide(key) => {
                self.to_announce.insert(key);
                self.announce();
            }
            Command::StopProviding(key) => {
                self.to_announce.remove(&key);
                self.swarm.behaviour_mut().kad.stop_providing(&RecordKey::new(&key));
            }
            Command::FindProviders(key) => {
                let query = self.swarm.behaviour_mut().kad.get_providers(RecordKey::new(&key));
                self.searches.insert(query, key);
            }
            Command::OpenStream { peer, opened } => match peer.as_str().parse() {
                Ok(peer) => self.swarm.behaviour_mut().streams.open(peer, opened),
                // whoever asked may be gone by now
                Err(_) => drop(opened.send(Err("not a libp2p peer id".to_owned()))),
            },
            Command::Shutdown => {}
        }
        None
    }

    /// Announces what waits for it, a few keys at a time: each is a search for the peers to tell.
    pub(crate) fn announce(&mut self) {
        while self.announcing.len() < MAX_ANNOUNCING {
            let Some(key) = self.to_announce.pop_first() else { return };
            // never refused: own keys have no bound
            if let Ok(query) = self.swarm.behaviour_mut().kad.start_providing(RecordKey::new(&key))
            {
                self.announcing.insert(query);
            }
        }
    }

    fn dial(&mut self, address: &str) -> Result<(), String> {
        let address: Multiaddr =
            address.parse().map_err(|e| format!("{address:?} is not an address: {e}"))?;
        self.swarm.dial(address.clone()).map_err(|e| format!("cannot dial {address}: {e}"))
    }

    fn report(&mut self, message: &MessageId, from: &PeerId, acceptance: Acceptance) {
        let Ok(from) = from.as_str().parse() else { return };
        let acceptance = match acceptance {
            Acceptance::Accept => MessageAcceptance::Accept,
            Acceptance::Ignore => MessageAcceptance::Ignore,
            Acceptance::Reject => MessageAcceptance::Reject,
        };
        let id = gossipsub::MessageId::from(message.0.clone());
        self.swarm.behaviour_mut().gossip.report_message_validation_result(&id, &from, acceptance);
    }
}
