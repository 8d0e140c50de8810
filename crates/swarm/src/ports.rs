//! Calls from another port where the port that this node listens on is taken.
//!
//! libp2p's TCP calls from the port that the node listens on, so that peers see where to call back,
//! and binds it at every address of the machine. Where another program listens on the same port of
//! another address, the system refuses that, and no peer could be called.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::Multiaddr;
use libp2p::core::Transport;
use libp2p::core::transport::{DialOpts, ListenerId, PortUse, TransportError, TransportEvent};

/// A transport that dials once more, from a port that the system chooses, if its own is taken.
#[derive(Debug)]
pub(crate) struct Ports<T>(Arc<Mutex<T>>);

impl<T> Ports<T> {
    pub(crate) fn of(transport: T) -> Self {
        Self(Arc::new(Mutex::new(transport)))
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Transport for Ports<T>
where
    T: Transport<Error = io::Error> + Send + Unpin + 'static,
    T::Dial: Send + 'static,
    T::Output: Send,
{
    type Output = T::Output;
    type Error = io::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = BoxFuture<'static, Result<T::Output, io::Error>>;

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
        let call = self.lock().dial(address.clone(), opts)?;
        let ports = Self(self.0.clone());
        Ok(async move {
            match call.await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    let opts = DialOpts { port_use: PortUse::New, ..opts };
                    let call = ports.lock().dial(address, opts).map_err(io::Error::other)?;
                    call.await
                }
                outcome => outcome,
            }
        }
        .boxed())
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut *self.lock()).poll(cx)
    }
}
