//! Looks up the names in addresses, with the system's settings of that moment.
//!
//! A resolver is made for each question, so a machine whose settings are missing or unusable can do
//! everything else, and one that gets a network later, or another one, finds names from then on.
//! Without usable settings, the failure is that of the one question.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::core::Transport;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, dns};

/// A transport that takes names in addresses, above one that does not.
pub(crate) struct Names<O> {
    direct: Shared<O>,
}

impl<O> Names<O> {
    pub(crate) fn over(direct: Boxed<O>) -> Self {
        Self { direct: Shared(Arc::new(Mutex::new(direct))) }
    }
}

impl<O> fmt::Debug for Names<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

type Dial<O> = BoxFuture<'static, Result<O, io::Error>>;

impl<O: Send + 'static> Transport for Names<O> {
    type Output = O;
    type Error = io::Error;
    type ListenerUpgrade = <Boxed<O> as Transport>::ListenerUpgrade;
    type Dial = Dial<O>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.direct.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.direct.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        opts: DialOpts,
    ) -> Result<Dial<O>, TransportError<io::Error>> {
        if !has_name(&address) {
            return Ok(self.direct.dial(address, opts)?.boxed());
        }
        let mut resolving =
            dns::tokio::Transport::system(self.direct.clone()).map_err(|error| {
                TransportError::Other(io::Error::other(format!(
                    "this machine's settings for looking up names (/etc/resolv.conf): {error}"
                )))
            })?;
        let dialled = resolving.dial(address, opts).map_err(|error| error.map(io::Error::other))?;
        Ok(async move { dialled.await.map_err(io::Error::other) }.boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.direct).poll(cx)
    }
}

fn has_name(address: &Multiaddr) -> bool {
    let names = |part| {
        matches!(
            part,
            Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)
        )
    };
    address.iter().any(names)
}

/// The transport below, which each resolver dials through.
struct Shared<O>(Arc<Mutex<Boxed<O>>>);

impl<O> Clone for Shared<O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<O> Shared<O> {
    fn lock(&self) -> MutexGuard<'_, Boxed<O>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O> Transport for Shared<O> {
    type Output = O;
    type Error = io::Error;
    type ListenerUpgrade = <Boxed<O> as Transport>::ListenerUpgrade;
    type Dial = <Boxed<O> as Transport>::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.lock().listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.lock().remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        opts: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        self.lock().dial(address, opts)
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut *self.lock()).poll(cx)
    }
}
