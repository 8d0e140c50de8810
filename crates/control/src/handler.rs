//! The interface that a node implements to answer requests, and the sink for rows and progress.

use tokio::sync::mpsc;

use crate::reply::{Event, NoRows};
use crate::request::requests;
use crate::{
    AuditDone, ConnectDone, DeniedRow, Failure, ForgetDone, GcDone, GetDone, ImportSummary, KeyRow,
    Listed, PinRow, Published, RebuildDone, RelocateDone, ShowDone, StatusRow, Unfollowed,
    VerifyDone,
};
use perennial_operation::Progress;

/// Rows and progress queued per conversation, at most.
pub(crate) const QUEUE: usize = 64;

macro_rules! define_handler {
    ($( $(#[$doc:meta])* $name:ident, $method:ident: $item:ident => $answer:ty; )*) => {
        /// A node's side of the conversation: one method per request. Rows and progress go to the
        /// sink; the returned value is the last reply.
        ///
        /// The future is dropped when the client disconnects, so work that must be finished once it
        /// has begun runs in a task of its own.
        pub trait Handler: Send + Sync + 'static {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// The [`Failure`] is sent to the client as it is.
                fn $method(
                    &self,
                    request: crate::$name,
                    sink: Sink<crate::$item>,
                ) -> impl Future<Output = Result<$answer, Failure>> + Send;
            )*
        }
    };
}

requests!(define_handler);

/// A handler's output for rows and progress. Usable from async and from blocking code.
#[derive(Debug)]
pub struct Sink<I = NoRows>(mpsc::Sender<Event<I>>);

impl<I> Sink<I> {
    /// Creates a sink and the receiver of its events.
    pub(crate) fn new() -> (Sink<I>, mpsc::Receiver<Event<I>>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Sink(sender), receiver)
    }

    /// Reports progress. Never waits: a slow client misses some reports.
    pub fn progress(&self, progress: Progress) {
        // Half of the queue is reserved for rows.
        if self.0.capacity() > QUEUE / 2 {
            let _ = self.0.try_send(Event::Progress(progress));
        }
    }

    /// Sends a row, waiting while the client is slow. Returns false when the client has
    /// disconnected.
    pub async fn item(&self, item: I) -> bool {
        self.0.send(Event::Item(item)).await.is_ok()
    }

    /// Sends a row from blocking code, which must not run on a runtime worker. Returns false when
    /// the client has disconnected.
    pub fn item_blocking(&self, item: I) -> bool {
        self.0.blocking_send(Event::Item(item)).is_ok()
    }

    /// Returns whether the client has disconnected; long blocking work should check it regularly.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

// Not derived: a sink is cloneable whatever its row type is.
impl<I> Clone for Sink<I> {
    fn clone(&self) -> Sink<I> {
        Sink(self.0.clone())
    }
}
