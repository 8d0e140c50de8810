//! Secures a TCP connection: TLS 1.3, or noise with a peer that does not speak TLS.

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
}

impl Security {
    pub(crate) fn new(key: &identity::Keypair) -> Result<Self, StartError> {
        Ok(Self {
            tls: tls::Config::new(key).map_err(StartError::setup)?,
            noise: noise::Config::new(key).map_err(StartError::setup)?,
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
        if self.is_tls(agreed) {
            left(self.tls.upgrade_inbound(connection, agreed)).boxed()
        } else {
            right(self.noise.upgrade_inbound(connection, agreed)).boxed()
        }
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
type Failure = Box<dyn std::error::Error + Send + Sync>;
