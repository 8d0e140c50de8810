//! A swarm before its first dial: it has no peers, no sockets and no libp2p.
//!
//! Answers the commands that need an answer as a swarm without peers does, and remembers those that
//! concern later peers.

use std::collections::{BTreeSet, VecDeque};

use libp2p::identity::Keypair;
use perennial_protocol::Input;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::dial_error::DialError;
use crate::driver::{Driver, refuse};
use crate::event::Event;
use crate::handle::Command;

/// Runs until the first dial, and then as the driver of the swarm.
pub(crate) async fn run(
    key: Keypair,
    config: Config,
    outbox: mpsc::Sender<Event>,
    mut inbox: mpsc::Receiver<Command>,
) {
    let mut to_announce = BTreeSet::new();
    // As in the driver, commands are taken even while events wait for their reader.
    let mut waiting = VecDeque::new();
    loop {
        let command = tokio::select! {
            permit = outbox.reserve(), if !waiting.is_empty() => {
                let Ok(permit) = permit else { return };
                if let Some(event) = waiting.pop_front() {
                    permit.send(event);
                }
                continue;
            }
            command = inbox.recv() => command,
            () = outbox.closed() => return,
        };
        match command {
            None | Some(Command::Shutdown) => return,
            Some(Command::Dial { address, outcome }) => {
                match Driver::new(key.clone(), &config, outbox.clone()) {
                    Ok(mut driver) => {
                        driver.to_announce = to_announce;
                        driver.announce();
                        waiting.extend(driver.on_command(Command::Dial { address, outcome }));
                        return driver.run(inbox, waiting).await;
                    }
                    Err(error) => {
                        let refused = DialError::Other(error.to_string());
                        let _ = outcome.send(Err(refused));
                    }
                }
            }
            Some(Command::Peer(peer, command)) => waiting.extend(refuse(peer, command)),
            Some(Command::FindProviders(release)) => {
                let nowhere = Input::Providers { release, peers: Vec::new(), done: true };
                waiting.push_back(Event::Input(nowhere));
            }
            Some(Command::Provide(release)) => {
                to_announce.insert(release);
            }
            Some(Command::StopProviding(release)) => {
                to_announce.remove(&release);
            }
            // To peers, of which there are none.
            Some(Command::Publish(_) | Command::Respond { .. }) => {}
        }
    }
}
