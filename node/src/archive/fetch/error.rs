//! Why bytes could not be fetched from peers.

use std::sync::Arc;

use perennial_manifest::ReleaseId;
use perennial_protocol::FetchFailure;
use perennial_store::{Loss, StoreError};
use tokio::task::JoinError;

use crate::archive::Unreached;
use crate::archive::error::unreached_text;
use crate::archive::in_place::losses_text;

/// Why bytes could not be fetched from peers.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The catalog has no such release.
    #[error("release {0} is not known on this node")]
    Unknown(ReleaseId),
    /// Peers could not deliver the bytes, or this node could not store them.
    #[error("{}", failure_text(.0))]
    Peers(FetchFailure),
    /// None of the given peers answered.
    #[error("no peer answered. {}", unreached_text(.0))]
    Unreached(Vec<Unreached>),
    /// Files of the release lay in place and are lost, and no peer sent them.
    #[error("{}; {why}", losses_text(.losses))]
    LostInPlace {
        /// The lost files.
        losses: Arc<[Loss]>,
        /// Why they were not fetched.
        why: Box<FetchError>,
    },
    /// No peer sent what somebody waits to see.
    #[error("no peer sent it in time")]
    Slow,
    /// No peer is connected, and none is expected.
    #[error("no peer is connected to fetch it from")]
    Alone,
    /// All bytes came, and some of them are lost or damaged again.
    #[error("bytes of release {0} were lost or damaged while the rest was fetched; ask again")]
    Damaged(ReleaseId),
    /// The store failed, or rejects one of the blobs.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// A thread of the fetch panicked, or was stopped with the runtime.
    #[error("the fetch was interrupted: {0}")]
    Interrupted(Arc<JoinError>),
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

fn failure_text(failure: &FetchFailure) -> &'static str {
    match failure {
        FetchFailure::NoHolder => "no reachable peer holds these bytes",
        FetchFailure::Stalled => "peers hold these bytes, but none of them sent all",
        FetchFailure::Local => "this node could not store what peers sent",
        FetchFailure::Busy => "this node has too many fetches under way; try again later",
    }
}
