//! The error of all archive operations.
//!
//! Each variant states what failed, and on what; [`ArchiveError::kind`] groups them for frontends,
//! which map a kind to an exit code or an HTTP status, and [`ArchiveError::hint`] tells the user
//! what to do next.

mod hint;
mod kind;

use std::path::PathBuf;

use perennial_import::ImportError;
use perennial_manifest::{
    BlobId, BodyError, DenyTarget, FollowName, ListError, PublisherId, Purl, ReleaseId, Selector,
    Sha256Digest,
};
use perennial_store::StoreError;
use tokio::task::JoinError;

use crate::disk::DiskError;
use crate::keys::KeyError;

use super::{
    Claim, ExportError, FetchError, ImageError, Offender, SignError, Unreached, Unresolved,
};

pub(super) use hint::ASK_A_PEER;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data directory is gone, or its disk does not answer.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The bytes could not be fetched from peers.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Signing failed, or was completed only in part.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// An upstream or its content was rejected.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Files could not be written out.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// An image cannot be written for container engines.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A name does not resolve to one release.
    #[error(transparent)]
    Unresolved(#[from] Box<Unresolved>),
    /// The files do not make a valid artifact list.
    #[error(transparent)]
    List(#[from] ListError),
    /// The licence is not a valid SPDX expression.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The name of a release lacks a version.
    #[error("{0} has no version, and a release is one version of one thing")]
    NoVersion(Purl),
    /// The name of a release has a secret in it.
    #[error("{parts} would be signed with {purl}, and what is signed cannot be taken back")]
    SecretInName {
        /// The name without the secret.
        purl: String,
        /// A description of each secret.
        parts: String,
    },
    /// The given paths contain no file.
    #[error("the given paths contain no file to add")]
    NoFiles,
    /// Files cannot be part of a release. Nothing was read.
    #[error("{}", offenders_text(.0, "cannot be part of a release"))]
    Unportable(Vec<Offender>),
    /// A pattern of files to leave out is malformed.
    #[error("--exclude {pattern}: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Files could not be read, or changed meanwhile. The others are stored; nothing was signed.
    #[error(
        "{}. The other {stored} are stored, and nothing was signed",
        offenders_text(.failed, "could not be added")
    )]
    Unread {
        /// The files, and what is wrong with each.
        failed: Vec<Offender>,
        /// Number of files that were stored.
        stored: u64,
    },
    /// A file to add cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// An upstream now serves other bytes than those archived from it. The name keeps its
    /// meaning.
    #[error(
        "{differences}; {purl} still means the bytes archived before (release {release}), which \
        stay"
    )]
    UpstreamChanged {
        /// Each file that differs and how, joined by `; `.
        differences: String,
        /// The name of the archived release.
        purl: Box<Purl>,
        /// The release archived under that name before.
        release: ReleaseId,
        /// The upstream's error, if it served no bytes at all.
        source: Option<ImportError>,
    },
    /// The publisher, or `all`, is not followed, so there is nothing to unfollow.
    #[error("{0} is not followed")]
    NotFollowed(String),
    /// The publisher is followed, so that its entries would come again.
    #[error("{0} is followed, so nothing of it is forgotten")]
    StillFollowed(PublisherId),
    /// The publisher is this node's own.
    #[error("{0} is this node's own publisher, so nothing of it is forgotten")]
    OwnPublisher(PublisherId),
    /// No entry of the publisher is here.
    #[error("nothing is known of {0}")]
    NothingKnown(PublisherId),
    /// No followed publisher has the name.
    #[error("this node follows no publisher named {0}")]
    UnknownPublisher(FollowName),
    /// Several followed publishers have the name.
    #[error("{name} is the name of both {} and {}", by[0], by[1])]
    SharedName {
        /// The ambiguous name.
        name: FollowName,
        /// Two of the publishers with this name.
        by: Box<[PublisherId; 2]>,
    },
    /// Another followed publisher already has the name.
    #[error("{name} is already the name of {by}")]
    NameTaken {
        /// The requested name.
        name: FollowName,
        /// The publisher that has the name.
        by: PublisherId,
    },
    /// No release refers to a file below this path.
    #[error("no release has files in place below {}", .0.display())]
    NothingInPlace(PathBuf),
    /// The pin to remove does not exist.
    #[error("{0} is not pinned")]
    NotPinned(Selector),
    /// A key cannot be read or written.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What is to be allowed again is not denied.
    #[error("{0} is not on the deny list")]
    NotDenied(DenyTarget),
    /// A node that denies its own publisher could sign nothing.
    #[error("the publisher of this node itself cannot be denied")]
    DeniesItself,
    /// No reachable peer claims to have a blob with this SHA-256.
    #[error("no reachable peer holds {0}")]
    NoClaim(Sha256Digest),
    /// No reachable peer holds the blob.
    #[error("no reachable peer holds {0}")]
    NoHolder(BlobId),
    /// This node does not hold a blob with this SHA-256.
    #[error("{0} is not held on this node")]
    NotHeld(Sha256Digest),
    /// The release has no such file.
    #[error("{purl} has no file {path:?}{}", near_text(.near))]
    NoSuchFile {
        /// The path asked for.
        path: String,
        /// The name of the release.
        purl: Box<Purl>,
        /// Files of the release whose names are near, or its first ones.
        near: Vec<String>,
    },
    /// Files were asked for of something that is one file.
    #[error("{0} is one file: it has no files in it")]
    OneFile(Selector),
    /// None of the given peers answered, and without them the request has no answer.
    #[error("no peer answered. {}", unreached_text(.0))]
    Unreached(Vec<Unreached>),
    /// Another node signs with this node's key.
    #[error("another node uses this node's keys ({address}), so nothing is signed here")]
    Twin {
        /// Where it answered, or called from.
        address: String,
    },
    /// This node's key was copied here, and its feed is not here.
    #[error(
        "this key may have signed elsewhere, and its feed is not here: {}",
        asked_text(*.answered, .unreached)
    )]
    UnknownFeed {
        /// Number of peers that answered.
        answered: usize,
        /// The addresses at which no peer answered.
        unreached: Vec<Unreached>,
    },
    /// A merge was requested, but the feed is not forked.
    #[error("this key's feed is not forked, so there is nothing to merge")]
    NotForked,
    /// The caller left before the operation was complete.
    #[error("the client left before the operation was done")]
    Cancelled,
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Stopping,
    /// A thread of this operation panicked, or was stopped with the runtime.
    #[error("the operation was interrupted: {0}")]
    Interrupted(#[from] JoinError),
}

impl ArchiveError {
    /// The files concerned and what is wrong with each, if there are several.
    #[must_use]
    pub fn details(&self) -> Vec<String> {
        let (Self::Unportable(files) | Self::Unread { failed: files, .. }) = self else {
            return Vec::new();
        };
        match files.len() {
            0 | 1 => Vec::new(),
            _ => files.iter().map(ToString::to_string).collect(),
        }
    }

    /// Each publisher's statement, if a name does not resolve to one release.
    #[must_use]
    pub fn claims(&self) -> &[Claim] {
        match self {
            Self::Unresolved(unresolved) => unresolved.claims(),
            _ => &[],
        }
    }
}

pub(super) fn unreached_text(unreached: &[Unreached]) -> String {
    unreached.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The only offender, or how many there are.
fn offenders_text(offenders: &[Offender], what: &str) -> String {
    match offenders {
        [one] => one.to_string(),
        many => format!("{} files {what}", many.len()),
    }
}

fn near_text(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; it has {}", near.join(", ")) }
}

fn asked_text(answered: usize, unreached: &[Unreached]) -> String {
    match (answered, unreached) {
        (0, []) => "no peer was asked".to_owned(),
        (0, unreached) => unreached_text(unreached),
        (1, _) => "the one peer that answered has no entry of it".to_owned(),
        (peers, _) => format!("the {peers} peers that answered have no entry of it"),
    }
}
