//! The kind of each failure, as frontends tell failures apart.

use perennial_operation::ErrorKind;
use perennial_protocol::FetchFailure;
use perennial_store::StoreError;

use super::ArchiveError;
use crate::archive::FetchError;

impl ArchiveError {
    /// The kind of this failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Fetch(error) => fetch_kind(error),
            Self::Import(error) => error.kind(),
            Self::Export(error) => error.kind(),
            Self::Image(error) => error.kind(),
            Self::Unresolved(unresolved) => unresolved.kind(),
            Self::UpstreamChanged { source: Some(error), .. }
                if error.kind() == ErrorKind::NotFound =>
            {
                ErrorKind::NotFound
            }
            Self::UpstreamChanged { .. } => ErrorKind::Verification,
            Self::List(_)
            | Self::Body(_)
            | Self::NoVersion(_)
            | Self::SecretInName { .. }
            | Self::NoFiles
            | Self::Unportable(_)
            | Self::Pattern { .. }
            | Self::SharedName { .. }
            | Self::NameTaken { .. }
            | Self::StillFollowed(_)
            | Self::OwnPublisher(_)
            | Self::DeniesItself => ErrorKind::Usage,
            Self::NotFollowed(_)
            | Self::UnknownPublisher(_)
            | Self::NothingKnown(_)
            | Self::NotPinned(_)
            | Self::NotDenied(_)
            | Self::NoClaim(_)
            | Self::NoHolder(_)
            | Self::NothingInPlace(_)
            | Self::NoSuchFile { .. }
            | Self::NotHeld(_) => ErrorKind::NotFound,
            Self::OneFile(_) => ErrorKind::Usage,
            Self::Unreached(_) => ErrorKind::Unreachable,
            // No peer could be asked.
            Self::UnknownFeed { answered: 0, .. } => ErrorKind::Unreachable,
            Self::Store(StoreError::InvalidList { .. }) => ErrorKind::Verification,
            Self::Store(_)
            | Self::Key(_)
            | Self::Disk(_)
            | Self::Twin { .. }
            | Self::UnknownFeed { .. }
            | Self::Sign(_)
            | Self::Read { .. }
            | Self::Unread { .. }
            | Self::NotForked
            | Self::Cancelled
            | Self::Stopping
            | Self::Interrupted(_) => ErrorKind::Failed,
        }
    }
}

fn fetch_kind(error: &FetchError) -> ErrorKind {
    match error {
        FetchError::Peers(FetchFailure::NoHolder | FetchFailure::Stalled)
        | FetchError::Slow
        | FetchError::Unknown(_) => ErrorKind::NotFound,
        FetchError::LostInPlace { .. } => ErrorKind::Verification,
        FetchError::Alone | FetchError::Unreached(_) => ErrorKind::Unreachable,
        FetchError::Store(error) => match **error {
            StoreError::Format { .. }
            | StoreError::InvalidList { .. }
            | StoreError::WrongBytes(_) => ErrorKind::Verification,
            _ => ErrorKind::Failed,
        },
        FetchError::Damaged(_)
        | FetchError::Peers(FetchFailure::Local | FetchFailure::Busy)
        | FetchError::Interrupted(_) => ErrorKind::Failed,
    }
}
