//! The way in: commands to the swarm, from any task.

use perennial_protocol::{Acceptance, MessageId, PeerId, Request, RequestId, Response, Token};
use tokio::sync::{mpsc, oneshot};

use crate::stream::BlobStream;
use crate::streams::Opened;

/// What the driver is told to do.
#[derive(Debug)]
pub(crate) enum Command {
    Dial { address: String, outcome: oneshot::Sender<Result<(), String>> },
    DialPeer(PeerId),
    Disconnect(PeerId),
    Ban { peer: PeerId, banned: bool },
    Publish(Vec<u8>),
    Report { message: MessageId, from: PeerId, acceptance: Acceptance },
    Request { peer: PeerId, id: RequestId, request: Request },
    Respond { token: Token, response: Response },
    Provide([u8; 32]),
    StopProviding([u8; 32]),
    FindProviders([u8; 32]),
    OpenStream { peer: PeerId, opened: Opened },
    Shutdown,
}

/// The swarm has ended.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the network part of this node has ended")]
pub struct Closed;

/// A stream that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("no blob stream to {peer}: {reason}")]
pub struct OpenError {
    /// To whom.
    pub peer: PeerId,
    /// Why.
    pub reason: String,
}

/// Commands a swarm. Clones command the same one.
#[derive(Clone)]
pub struct Handle {
    pub(crate) peer: PeerId,
    pub(crate) commands: mpsc::Sender<Command>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle of {}", self.peer)
    }
}

/// The peer id of a node with this key.
#[must_use]
pub fn peer_id(identity: [u8; 32]) -> Option<PeerId> {
    crate::driver::keypair(identity).ok()?.public().to_peer_id().to_string().parse().ok()
}

impl Handle {
    /// Who we are.
    #[must_use]
    pub fn peer_id(&self) -> &PeerId {
        &self.peer
    }

    async fn send(&self, command: Command) -> Result<(), Closed> {
        self.commands.send(command).await.map_err(|_| Closed)
    }

    /// Connects to an address. Returns once dialling began; the connection shows as an event.
    pub async fn dial(&self, address: &str) -> Result<(), String> {
        let (outcome, answer) = oneshot::channel();
        let command = Command::Dial { address: address.to_owned(), outcome };
        self.send(command).await.map_err(|e| e.to_string())?;
        answer.await.map_err(|_| Closed.to_string())?
    }

    /// Connects to a peer whose address is known from others.
    pub async fn dial_peer(&self, peer: PeerId) -> Result<(), Closed> {
        self.send(Command::DialPeer(peer)).await
    }

    /// Closes all connections to a peer.
    pub async fn disconnect(&self, peer: PeerId) -> Result<(), Closed> {
        self.send(Command::Disconnect(peer)).await
    }

    /// Refuses a peer, or takes it again.
    pub async fn ban(&self, peer: PeerId, banned: bool) -> Result<(), Closed> {
        self.send(Command::Ban { peer, banned }).await
    }

    /// Gossips a message.
    pub async fn publish(&self, bytes: Vec<u8>) -> Result<(), Closed> {
        self.send(Command::Publish(bytes)).await
    }

    /// Says what to do with a gossip message.
    pub async fn report_gossip(
        &self,
        message: MessageId,
        from: PeerId,
        acceptance: Acceptance,
    ) -> Result<(), Closed> {
        self.send(Command::Report { message, from, acceptance }).await
    }

    /// Asks a peer; the answer is an event with this id.
    pub async fn request(
        &self,
        peer: PeerId,
        id: RequestId,
        request: Request,
    ) -> Result<(), Closed> {
        self.send(Command::Request { peer, id, request }).await
    }

    /// Answers a request.
    pub async fn respond(&self, token: Token, response: Response) -> Result<(), Closed> {
        self.send(Command::Respond { token, response }).await
    }

    /// Announces that we provide a key, now and from time to time.
    pub async fn provide(&self, key: [u8; 32]) -> Result<(), Closed> {
        self.send(Command::Provide(key)).await
    }

    /// Stops announcing a key.
    pub async fn stop_providing(&self, key: [u8; 32]) -> Result<(), Closed> {
        self.send(Command::StopProviding(key)).await
    }

    /// Looks for providers of a key; they are events.
    pub async fn find_providers(&self, key: [u8; 32]) -> Result<(), Closed> {
        self.send(Command::FindProviders(key)).await
    }

    /// Opens a stream to a connected peer to fetch blobs.
    pub async fn open_blob_stream(&self, peer: &PeerId) -> Result<BlobStream, OpenError> {
        let fail = |reason: String| OpenError { peer: peer.clone(), reason };
        let (opened, outcome) = oneshot::channel();
        let command = Command::OpenStream { peer: peer.clone(), opened };
        self.send(command).await.map_err(|e| fail(e.to_string()))?;
        match outcome.await {
            Ok(Ok(stream)) => Ok(BlobStream::new(stream, None)),
            Ok(Err(reason)) => Err(fail(reason)),
            Err(_) => Err(fail("the connection ended".to_owned())),
        }
    }

    /// Closes all connections and ends the swarm.
    pub async fn shutdown(&self) {
        let _ = self.send(Command::Shutdown).await;
        self.commands.closed().await;
    }
}
