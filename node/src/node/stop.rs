//! The end of a node: what asks for it, and a clean stop.

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::Node;
use crate::archive::Archive;
use crate::disk::DiskError;

/// How long each part of a node may take to stop.
const STOP_WAIT: Duration = Duration::from_secs(4);

impl Node {
    /// Returns once a client has asked the node to stop over its control socket.
    pub async fn stop_requested(&self) {
        self.service.stop.notified().await;
    }

    /// Resolves once the data directory is gone or its disk has failed. The node is of no use then,
    /// even when the disk comes back: it is to be shut down, and another started.
    pub async fn disk_lost(&self) -> DiskError {
        self.archive.disk_lost().await
    }

    /// As [`Node::shutdown`], after a request that failed: if this start made the archive, and
    /// nothing came into it that another attempt could go on from, the archive goes.
    pub async fn discard(mut self) {
        let fresh = self.fresh.take();
        let is_empty = match fresh.is_some() {
            true => self.archive.blocking(Archive::is_empty).await.unwrap_or(false),
            false => false,
        };
        self.shutdown().await;
        if let Some(fresh) = fresh.filter(|_| is_empty) {
            fresh.remove();
        }
    }

    /// Stops cleanly, within 10 s: takes no new work, cuts transfers, makes work that was begun
    /// durable, and releases the lock on the data directory.
    pub async fn shutdown(self) {
        let Node { archive, service, swarm, stop, parts, tasks, .. } = self;
        stop.cancel();
        let _ = timeout(STOP_WAIT, swarm.shutdown()).await;
        for part in parts {
            let _ = timeout(STOP_WAIT, part).await;
        }
        tasks.close();
        let _ = timeout(STOP_WAIT, tasks.wait()).await;
        // The last handle to the store holds the lock, and an interrupted request may still read on
        // a blocking thread. The store's damage channel closes after the lock is released.
        let mut damage = archive.store().damage();
        drop((archive, service, swarm));
        let released = async { while !matches!(damage.recv().await, Err(RecvError::Closed)) {} };
        let _ = timeout(STOP_WAIT, released).await;
    }
}
