//! The failures of a start, with the exit code and the hint for each.

use std::path::PathBuf;

use perennial_manifest::PublisherError;
use perennial_store::OpenError;
use perennial_swarm::PeerAddressError;
use tokio::task::JoinError;

use crate::frontends::control::BindError;
use crate::frontends::http::ServeError;
use crate::keys::KeyError;
use crate::place::PlaceError;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A value of `--follow` is neither a publisher nor `all`.
    #[error("--follow {text}: {source}")]
    Follow {
        /// The value, as given.
        text: String,
        /// Why it is not a publisher.
        source: PublisherError,
    },
    /// A configured address of a peer is malformed.
    #[error("--peer: {0}")]
    Peer(#[from] PeerAddressError),
    /// Another process uses the data directory.
    #[error("{} is in use by process {pid}", data.display())]
    InUse {
        /// The data directory in use.
        data: PathBuf,
        /// The id of the process that uses it.
        pid: u32,
    },
    /// There is no archive, and none may be made.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The data directory cannot be opened.
    #[error(transparent)]
    Open(OpenError),
    /// A key cannot be read or created.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The swarm did not start.
    #[error(transparent)]
    Network(#[from] perennial_swarm::StartError),
    /// HTTP cannot be served.
    #[error(transparent)]
    Http(#[from] ServeError),
    /// The control socket cannot be bound.
    #[error(transparent)]
    Control(#[from] BindError),
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signals(#[source] std::io::Error),
    /// Opening the store was interrupted.
    #[error("the start was interrupted: {0}")]
    Interrupted(#[from] JoinError),
}

impl StartError {
    /// The exit code of a program that could not start: 1 for a failure, 2 for a setting that makes
    /// no sense, 3 for an archive that is not there, 5 for one that is in use.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::InUse { .. } => 5,
            Self::Place(PlaceError::NoArchive { .. } | PlaceError::NotMounted { .. }) => 3,
            Self::Place(PlaceError::Foreign { .. })
            | Self::Follow { .. }
            | Self::Peer(_)
            | Self::Network(perennial_swarm::StartError::Address(_)) => 2,
            _ => 1,
        }
    }

    /// A next step for the user, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Place(error) => Some(error.hint()),
            Self::InUse { .. } => Some(
                "`perennial status` shows whether it is a node, which commands join by \
                 themselves; wait for it to end, or give another --data DIR"
                    .into(),
            ),
            Self::Http(ServeError::Bind { .. }) => Some(
                "give another address with --http ADDRESS:PORT (`http` in the settings file), or \
                 --http off"
                    .into(),
            ),
            Self::Network(perennial_swarm::StartError::Listen { .. }) => Some(
                "give another address with --listen MULTIADDRESS (`listen` in the settings file), \
                 such as /ip4/0.0.0.0/tcp/4408"
                    .into(),
            ),
            _ => None,
        }
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::InUse { dir, pid } => Self::InUse { data: dir, pid },
            other => Self::Open(other),
        }
    }
}
