//! The next step of each failure, as a hint for the user.

use perennial_import::ImportError;
use perennial_manifest::SignRefusal;
use perennial_protocol::FetchFailure;
use perennial_store::StoreError;

use super::ArchiveError;
use crate::archive::{FetchError, SignError};

/// The hint where a peer may help.
pub(in crate::archive) const ASK_A_PEER: &str =
    "connect to a node that may have it with --peer HOST:PORT (or PERENNIAL_PEERS)";

/// The hint where nothing more fits.
const MAKE_ROOM: &str = "unpin, unfollow or forget what is not needed and run `perennial gc`, or \
                         give the node a larger --quota, or a larger disk";

/// The hint where files that lay in place are lost.
const PUT_BACK: &str = "put the files back, name their new place with `perennial relocate OLD \
                        NEW`, or connect to a node that has them with --peer HOST:PORT";

impl ArchiveError {
    /// Whether the deny list is the reason.
    fn is_of_deny_list(&self) -> bool {
        match self {
            Self::NotDenied(_) | Self::Store(StoreError::Denied(_)) => true,
            Self::Fetch(FetchError::Store(error)) => matches!(**error, StoreError::Denied(_)),
            _ => false,
        }
    }

    /// Whether there is no room on the disk.
    fn is_full(&self) -> bool {
        match self {
            Self::Store(error) | Self::Import(ImportError::Store(error)) => error.is_full(),
            Self::Fetch(FetchError::Store(error)) => error.is_full(),
            _ => false,
        }
    }

    /// A next step for the user, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Disk(_) => Some(
                "bring the disk back (its errors are in the kernel's log); the node goes on by \
                      itself then",
            ),
            Self::Store(StoreError::ReadOnly { .. }) => {
                Some("mount it to be written to, or give another --data DIR")
            }
            Self::NoVersion(_) => Some("give --version, or pkg:…@VERSION"),
            Self::SecretInName { .. } => {
                Some("leave it out of --purl; if it is no secret, --keep-query signs it")
            }
            Self::UpstreamChanged { .. } => {
                Some("to archive what the upstream gives now, add it under another --version")
            }
            Self::Sign(SignError::Refused(SignRefusal::Behind { .. })) => Some(
                "connect to a peer that has the newer entries (--peer) and try again; if another \
                machine uses this key, stop one of them",
            ),
            Self::Sign(SignError::Refused(SignRefusal::Forked(_))) => Some(
                "`perennial key --merge` joins the branches, once only one machine signs with this \
                key",
            ),
            Self::Unreached(_) => Some(
                "check the address, and that a node runs there: `perennial status` there lists its \
                addresses",
            ),
            Self::Twin { .. } => Some(
                "stop one of the two; a copy that is to live on needs keys of its own: stop it, \
                move its keys/ directory away, start it again",
            ),
            Self::UnknownFeed { .. } => Some(
                "connect to a node that has its feed with --peer HOST:PORT (or PERENNIAL_PEERS), \
                 or begin a new feed with `perennial add --new-feed`, if this key has signed \
                 nothing",
            ),
            Self::Unportable(_) => Some(
                "--skip-unportable leaves these out, --exclude GLOB leaves out what it matches, \
                 --dereference adds what symbolic links lead to",
            ),
            Self::Pattern { .. } => Some("patterns are like *.log, .git or docs/*.tmp"),
            Self::Unread { .. } => Some(
                "the same command goes on from here; --exclude GLOB leaves out what keeps changing",
            ),
            Self::StillFollowed(_) => {
                Some("`perennial unfollow` it first, or `perennial unfollow all`")
            }
            Self::NotFollowed(_) => Some("`perennial follows` lists the followed publishers"),
            Self::UnknownPublisher(_) => Some(
                "`perennial follows` lists the names; any publisher can be given by its DID \
                (did:key:…)",
            ),
            Self::SharedName { .. } => Some(
                "give the publisher by its DID (did:key:…); `perennial follow DID --as NAME` \
                renames one",
            ),
            Self::NameTaken { .. } => Some("choose another name with --as NAME"),
            Self::Unresolved(unresolved) => unresolved.hint(),
            Self::NoClaim(_)
            | Self::NoHolder(_)
            | Self::Fetch(
                FetchError::Peers(FetchFailure::NoHolder)
                | FetchError::Alone
                | FetchError::Unknown(_),
            ) => Some(ASK_A_PEER),
            Self::Fetch(FetchError::Peers(FetchFailure::Stalled)) => {
                Some("the same command goes on with what is missing")
            }
            Self::Fetch(FetchError::Peers(FetchFailure::Local)) => Some(
                "the disk may be full or failing: `perennial status` shows the space left, and the \
                 log of the node the reason",
            ),
            Self::NoSuchFile { .. } => Some(
                "`perennial show` lists the files of a release; what follows the release are paths \
                 in it, and a second release takes a second `get`",
            ),
            Self::NotHeld(_) => Some("`perennial get` fetches it"),
            Self::Fetch(FetchError::LostInPlace { .. }) => Some(PUT_BACK),
            Self::NothingInPlace(_) => Some(
                "give the path at which they were when they were added; `perennial verify` names \
                 the files that are lost",
            ),
            _ if self.is_full() => Some(MAKE_ROOM),
            _ if self.is_of_deny_list() => {
                Some("`perennial denied` lists what is denied; `perennial undeny` allows it again")
            }
            Self::NotPinned(_) => Some("`perennial pins` lists the pins"),
            Self::Export(error) => error.hint(),
            _ => None,
        }
    }
}
