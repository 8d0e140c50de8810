//! Secures a TCP connection: TLS 1.3, or noise with a peer that does not speak TLS.
//!
//! Names the caller that has this node's own key. libp2p refuses such a connection on both sides,
//! but only once a multiplexer is agreed on, and by then the caller has refused it and is gone: the
//! side that was called would hear of a call that failed, and not whose it was.

use std::error::Error;
use std::io;

use futures::future::{BoxFuture, Either};
use futures::{AsyncRead, AsyncWrite, FutureExt};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use libp2p::{PeerId, identity, noise, tls};

use crate::config::StartError;

/// The upgrade of a TCP connection to a secure one. TLS comes first: it costs less (AES in
/// hardware).
#[derive(Clone)]
pub(crate) struct Security {
    tls: tls::Config,
    noise: noise::Config,
    me: PeerId,
}

/// The caller has this node's own key.
#[derive(Debug, thiserror::Error)]
#[error("the caller has this node's own key")]
struct OwnKey;

/// Whether a call failed because the caller has this node's own key.
pub(crate) fn is_own_key(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<OwnKey>() {
            return true;
        }
        // An `io::Error` hides the error it wraps from `source`.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

impl Security {
    pub(crate) fn new(key: &identity::Keypair) -> Result<Self, StartError> {
        Ok(Self {
            tls: tls::Config::new(key).map_err(StartError::setup)?,
            noise: noise::Config::new(key).map_err(StartError::setup)?,
            me: key.public().to_peer_id(),
        })
    }
}

/// The peer at the other end, and the stream to it.
type Secured<C> = (PeerId, Either<tls::TlsStream<C>, noise::Output<C>>);

impl UpgradeInfo for Security {
    type Info = &'static str;
    type InfoIter = Vec<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.tls.protocol_info().chain(self.noise.protocol_info()).collect()
    }
}

impl Security {
    /// Whether the peers agreed on TLS.
    fn is_tls(&self, agreed: &str) -> bool {
        self.tls.protocol_info().any(|tls| tls == agreed)
    }
}

impl<C> InboundConnectionUpgrade<C> for Security
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Secured<C>;
    type Error = io::Error;
    type Future = BoxFuture<'static, Result<Secured<C>, io::Error>>;

    fn upgrade_inbound(self, connection: C, agreed: Self::Info) -> Self::Future {
        let me = self.me;
        let secured = if self.is_tls(agreed) {
            left(self.tls.upgrade_inbound(connection, agreed)).boxed()
        } else {
            right(self.noise.upgrade_inbound(connection, agreed)).boxed()
        };
        let other = move |(peer, stream)| match peer == me {
            true => Err(io::Error::other(OwnKey)),
            false => Ok((peer, stream)),
        };
        secured.map(move |secured| secured.and_then(other)).boxed()
    }
}

impl<C> OutboundConnectionUpgrade<C> for Security
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Secured<C>;
    type Error = io::Error;
    type Future = BoxFuture<'static, Result<Secured<C>, io::Error>>;

    fn upgrade_outbound(self, connection: C, agreed: Self::Info) -> Self::Future {
        if self.is_tls(agreed) {
            left(self.tls.upgrade_outbound(connection, agreed)).boxed()
        } else {
            right(self.noise.upgrade_outbound(connection, agreed)).boxed()
        }
    }
}

async fn left<A, B, E: Into<Failure>>(
    handshake: impl Future<Output = Result<(PeerId, A), E>>,
) -> Result<(PeerId, Either<A, B>), io::Error> {
    let (peer, stream) = handshake.await.map_err(io::Error::other)?;
    Ok((peer, Either::Left(stream)))
}

async fn right<A, B, E: Into<Failure>>(
    handshake: impl Future<Output = Result<(PeerId, B), E>>,
) -> Result<(PeerId, Either<A, B>), io::Error> {
    let (peer, stream) = handshake.await.map_err(io::Error::other)?;
    Ok((peer, Either::Right(stream)))
}

/// The error of a handshake.
type Failure = Box<dyn Error + Send + Sync>;
