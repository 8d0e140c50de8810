//! Releases and the publishers that vouch for them.
//!
//! Owns ids, package URLs, paths, artifact lists, signed entries, the rules of feeds, and the
//! resolution of names. Promises one encoding per value; a bound on everything from outside,
//! checked before it costs memory; and no panic on any input. Pure: no I/O, no clock, no threads,
//! no randomness. FORMAT.md draws the bytes.

#![cfg_attr(test, allow(clippy::cast_possible_truncation))]

pub mod artifact;
pub mod body;
pub mod canonical;
pub mod deny;
pub mod digest;
pub mod draft;
pub mod entry;
pub mod exposed;
pub mod feed;
pub mod holding;
pub mod link;
pub mod list;
pub mod name;
pub mod name_pattern;
mod nearness;
mod order;
pub mod origin;
pub mod path;
pub mod publisher;
pub mod publisher_ref;
pub mod purl;
pub mod resolve;
pub mod role;
pub mod selector;
pub mod sha256;
mod text;

pub use artifact::{Artifact, Platform, PlatformError};
pub use body::{
    Acquired, Body, BodyError, Merge, Observation, Profile, Release, Rotate, Source, Status,
    StatusKind, Target, Verdict,
};
pub use deny::{DenyTarget, DenyTargetError};
pub use digest::{BlobId, ContentId, DigestError, EntryId, ReleaseId, Sha256Digest};
pub use draft::Draft;
pub use entry::{Entry, EntryError, MAX_ENCODED, MAX_PAYLOAD, SignedEntry};
pub use exposed::Exposed;
pub use feed::{Admit, FeedError, FeedState, ForkProof, Known, NextEntry, SignRefusal};
pub use holding::{Holding, HoldingError};
pub use list::{ArtifactList, ArtifactListRef, ListError};
pub use name::Name;
pub use name_pattern::{NamePattern, NamePatternError};
pub use origin::Origin;
pub use path::{ArtifactPath, PathError};
pub use publisher::{Keypair, PublisherError, PublisherId, PublisherKind};
pub use publisher_ref::{FollowName, FollowNameError, PublisherRef, PublisherRefError};
pub use purl::{Purl, PurlError};
pub use resolve::{Candidate, Resolution, resolve};
pub use role::{Role, RoleError};
pub use selector::{MIN_PREFIX, Selector, SelectorError};
pub use sha256::Sha256;
