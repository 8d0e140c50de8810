//! Handshakes of peers that call: few at one time, each with a deadline over the whole of it.
//!
//! Whoever calls gets a place, if need be that of the longest-waiting caller of the most crowded
//! network: a caller that says nothing keeps nobody out.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::Multiaddr;
use libp2p::core::Transport;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use perennial_protocol::{Entry, Guest, Places, Shares, Standing};
use tokio::sync::oneshot;

use super::{Registry, prefix};

/// Handshakes under way for each connection that peers may have, at most: the more there are, the
/// more callers a second it takes to end an honest one before it is through.
const PER_CONNECTION: usize = 2;
/// How long a handshake may take, from the first byte to the last. It takes three round trips.
const DEADLINE: Duration = Duration::from_secs(5);

/// Handshakes under way, by number.
struct Waiting {
    places: Places<u64>,
    /// Dropped to end the handshake.
    ends: HashMap<u64, oneshot::Sender<Infallible>>,
    last: u64,
}

/// A transport whose incoming connections wait for their handshake at the door.
pub(crate) struct Handshakes<T> {
    inner: T,
    registry: Registry,
    waiting: Arc<Mutex<Waiting>>,
}

impl<T> Handshakes<T> {
    pub(crate) fn of(inner: T, registry: Registry, connections: u32) -> Self {
        let most = PER_CONNECTION * (connections as usize).max(1);
        // Nobody is known yet: none is kept, and a network has a quarter.
        let shares = Shares { most, kept: 0, per_peer: most, per_prefix: most.div_ceil(4) };
        let waiting = Waiting { places: Places::new(shares), ends: HashMap::new(), last: 0 };
        Self { inner, registry, waiting: Arc::new(Mutex::new(waiting)) }
    }

    /// Takes a place for a caller, at the expense of another if need be.
    fn enter(&self, from: &Multiaddr) -> (Place, oneshot::Receiver<Infallible>) {
        let mut waiting = lock(&self.waiting);
        waiting.last += 1;
        let number = waiting.last;
        // Not known before the handshake.
        let guest = Guest { peer: None, prefix: prefix(from), standing: Standing::Stranger };
        if let Entry::InsteadOf(other) = waiting.places.enter(self.registry.now(), number, guest) {
            waiting.ends.remove(&other);
        }
        let (end, ended) = oneshot::channel();
        waiting.ends.insert(number, end);
        (Place { number, waiting: Arc::clone(&self.waiting) }, ended)
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The place of one handshake, free again when dropped.
struct Place {
    number: u64,
    waiting: Arc<Mutex<Waiting>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = lock(&self.waiting);
        waiting.places.leave(&self.number);
        waiting.ends.remove(&self.number);
    }
}

impl<T> Transport for Handshakes<T>
where
    T: Transport<Error = io::Error> + Unpin,
    T::ListenerUpgrade: Send + 'static,
    T::Output: Send + 'static,
{
    type Output = T::Output;
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, Result<T::Output, io::Error>>;
    type Dial = T::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        opts: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        self.inner.dial(address, opts)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let event = match Pin::new(&mut self.inner).poll(cx) {
            Poll::Ready(event) => event,
            Poll::Pending => return Poll::Pending,
        };
        let place = match &event {
            TransportEvent::Incoming { send_back_addr, .. } => Some(self.enter(send_back_addr)),
            _ => None,
        };
        Poll::Ready(event.map_upgrade(|upgrade| match place {
            Some((place, ended)) => within(upgrade, place, ended).boxed(),
            None => upgrade.boxed(),
        }))
    }
}

async fn within<O>(
    handshake: impl Future<Output = Result<O, io::Error>>,
    place: Place,
    ended: oneshot::Receiver<Infallible>,
) -> Result<O, io::Error> {
    let _place = place;
    tokio::select! {
        outcome = tokio::time::timeout(DEADLINE, handshake) => {
            outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        }
        _ = ended => Err(io::Error::other("the place went to another caller")),
    }
}
