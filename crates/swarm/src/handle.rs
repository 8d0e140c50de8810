//! Commands to a swarm, from any task.

use std::error::Error;
use std::fmt;

use perennial_manifest::ReleaseId;
use perennial_protocol::{
    Acceptance, MessageId, PeerId, Request, RequestId, Response, Standing, Token,
};
use tokio::sync::{mpsc, oneshot};

use crate::address::PeerAddress;
use crate::dial_error::DialError;
use crate::stream::BlobStream;
use crate::streams::Opened;

/// A command to the driver.
#[derive(Debug)]
pub(crate) enum Command {
    Dial {
        address: PeerAddress,
        outcome: oneshot::Sender<Result<PeerId, DialError>>,
    },
    /// A command about one peer.
    Peer(PeerId, PeerCommand),
    Publish(Vec<u8>),
    Respond {
        token: Token,
        response: Response,
    },
    Provide(ReleaseId),
    StopProviding(ReleaseId),
    FindProviders(ReleaseId),
    Shutdown,
}

/// A command to the driver about one peer.
#[derive(Debug)]
pub(crate) enum PeerCommand {
    Dial,
    Disconnect,
    Ban,
    Unban,
    Earned(Standing),
    ReportGossip { message: MessageId, acceptance: Acceptance },
    Request { id: RequestId, request: Request },
    OpenStream(Opened),
}

/// The swarm has ended: it was shut down, or its events are no longer read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the network part of this node has ended")]
pub struct Closed;

/// A blob stream could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("no blob stream to {peer}: {source}")]
pub struct OpenError {
    /// The peer that the stream was for.
    pub peer: PeerId,
    /// Why it could not be opened.
    pub source: OpenFailure,
}

/// Why a stream could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenFailure {
    /// The peer is not connected.
    #[error("not connected")]
    NotConnected,
    /// The connection ended before the stream was open.
    #[error("the connection ended")]
    Disconnected,
    /// Too many streams are being opened on the connection; try again.
    #[error("too many streams are being opened")]
    Busy,
    /// The peer does not speak the protocol, or did not answer.
    #[error(transparent)]
    Negotiation(Box<dyn Error + Send + Sync>),
    /// The swarm has ended.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// The command interface of a swarm. All clones command the same swarm.
///
/// A method returns once the command is queued; it waits while the queue is full. Outcomes arrive
/// as [`Event`](crate::Event)s.
#[derive(Clone)]
pub struct Handle {
    pub(crate) me: PeerId,
    pub(crate) commands: mpsc::Sender<Command>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle of {}", self.me)
    }
}

impl Handle {
    /// The peer id of this node.
    #[must_use]
    pub const fn peer_id(&self) -> &PeerId {
        &self.me
    }

    async fn send(&self, command: Command) -> Result<(), Closed> {
        self.commands.send(command).await.map_err(|_| Closed)
    }

    /// Connects to an address, and returns the peer that answers there. The first connection to a
    /// peer is also reported as [`Event::Connected`](crate::Event::Connected).
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn dial(&self, address: &PeerAddress) -> Result<PeerId, DialError> {
        let (outcome, answer) = oneshot::channel();
        self.send(Command::Dial { address: address.clone(), outcome }).await?;
        answer.await.map_err(|_| Closed)?
    }

    /// Connects to a peer at the addresses that other peers reported for it. A failure is not
    /// reported.
    ///
    /// # Errors
    /// When the swarm has ended.
    pub async fn dial_peer(&self, peer: PeerId) -> Result<(), Closed> {
        self.send(Command::Peer(peer, PeerCommand::Dial)).await
    }

    /// Closes all connections to a peer.
    ///
    /// # Errors
    /// When the swarm has ended.
    pub async fn disconnect(&self, peer: PeerId) -> Result<(), Closed> {
        self.send(Command::Peer(peer, PeerCommand::Disconnect)).await
    }

    /// Bans a peer, which closes all connections to it, or lifts its ban.
    ///
    /// # Errors
    /// When the swarm has ended.
    pub async fn ban(&self, peer: PeerId, banned: bool) -> Result<(), Closed> {
        let command = if banned { PeerCommand::Ban } else { PeerCommand::Unban };
        self.send(Command::Peer(peer, command)).await
    }

    /// Notes what a peer has earned: its connections and streams keep their places, or get places
    /// that are kept for such peers.
    ///
    /// # Errors
    /// When the swarm has ended.
    pub async fn earned(&self, peer: PeerId, standing: Standing) -> Result<(), Closed> {
        self.send(Command::Peer(peer, PeerCommand::Earned(standing))).await
    }

    /// Publishes a message by gossip.
    ///
    /// # Errors
    /// When the swarm has ended.
    pub async fn publish(&self, bytes: Vec<u8>) -> Result<(), Closed> {
        self.send(Command::Publish(bytes)).await
    }

    /// Reports the verdict on a gossip message, which is held back until then.
    ///
    /// # Errors
    /// When the swarm has ended.
    pub async fn report_gossip(
        &self,
        message: MessageId,
        from: PeerId,
        acceptance: Acceptance,
    ) -> Result<(), Closed> {
        self.send(Command::Peer(from, PeerCommand::ReportGossip { message, acceptance })).await
    }

    /// Sends a request. It ends with one [`Input::Response`](perennial_protocol::Input::Response)
    /// with the same id.
    ///
    /// # Errors
    /// When the swarm has ended.
    pub async fn request(
        &self,
        peer: PeerId,
        id: RequestId,
        request: Request,
    ) -> Result<(), Closed> {
        self.send(Command::Peer(peer, PeerCommand::Request { id, request })).await
    }

    /// Answers a request.
    ///
    /// # Errors
    /// When the swarm has ended.
    pub async fn respond(&self, token: Token, response: Response) -> Result<(), Closed> {
        self.send(Command::Respond { token, response }).await
    }

    /// Announces that this node provides a release, now and every six hours.
    ///
    /// # Errors
    /// When the swarm has ended.
    pub async fn provide(&self, release: ReleaseId) -> Result<(), Closed> {
        self.send(Command::Provide(release)).await
    }

    /// Stops announcing a release.
    ///
    /// # Errors
    /// When the swarm has ended.
    pub async fn stop_providing(&self, release: ReleaseId) -> Result<(), Closed> {
        self.send(Command::StopProviding(release)).await
    }

    /// Searches the DHT for providers of a release. They arrive as
    /// [`Input::Providers`](perennial_protocol::Input::Providers).
    ///
    /// # Errors
    /// When the swarm has ended.
    pub async fn find_providers(&self, release: ReleaseId) -> Result<(), Closed> {
        self.send(Command::FindProviders(release)).await
    }

    /// Opens a stream to a connected peer to request blobs. The peer sees the stream with its first
    /// byte.
    ///
    /// # Errors
    /// When there is no connection, too many streams are being opened on it, the peer does not
    /// speak the protocol, or the swarm has ended.
    pub async fn open_blob_stream(&self, peer: &PeerId) -> Result<BlobStream, OpenError> {
        let fail = |source: OpenFailure| OpenError { peer: peer.clone(), source };
        let (opened, outcome) = oneshot::channel();
        let command = Command::Peer(peer.clone(), PeerCommand::OpenStream(opened));
        self.send(command).await.map_err(|closed| fail(closed.into()))?;
        let opened = outcome.await.unwrap_or(Err(OpenFailure::Disconnected));
        opened.map(|stream| BlobStream::new(stream, None)).map_err(fail)
    }

    /// Closes all connections and waits for the swarm to end.
    pub async fn shutdown(&self) {
        let _ = self.send(Command::Shutdown).await;
        self.commands.closed().await;
    }
}
