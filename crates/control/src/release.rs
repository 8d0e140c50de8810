//! Listing, searching and describing releases.

use perennial_manifest::{
    ArtifactPath, BlobId, Holding, PublisherId, PublisherKind, PublisherRef, Purl, ReleaseId, Role,
    Selector, Sha256Digest,
};
use serde::{Deserialize, Serialize};

/// The filter of a list of releases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ls {
    /// Only releases that match this selector.
    pub selector: Option<Selector>,
    /// Only releases of this publisher.
    pub publisher: Option<PublisherRef>,
    /// Only releases in this state.
    pub state: Option<Holding>,
    /// Rows to send, at most; none or 0 means all.
    pub limit: Option<u32>,
}

/// A search for releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// Words separated by spaces, all of which must occur in the name, the version, the registry or
    /// the names of files; or a digest.
    pub text: String,
    /// Rows to send, at most, from 1 to 10,000.
    pub limit: u32,
}

/// A request to describe one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Show {
    /// The release.
    pub selector: Selector,
    /// The publisher of the release, if several signed the name.
    pub publisher: Option<PublisherRef>,
}

/// A release in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRow {
    /// The release's id.
    pub release: ReleaseId,
    /// The release's package URL.
    pub purl: Purl,
    /// The publisher that signed it.
    pub publisher: PublisherId,
    /// The user's name for the publisher, if it is followed under one; never told over HTTP.
    #[serde(default)]
    pub publisher_name: Option<String>,
    /// The kind that the publisher declares in its profile.
    pub kind: PublisherKind,
    /// When the publisher claims to have signed it, in Unix seconds.
    #[serde(default)]
    pub issued_at: u64,
    /// Number of files.
    pub artifacts: u64,
    /// Total size of all files in bytes.
    pub bytes: u64,
    /// Bytes of the files that are held.
    pub held_bytes: u64,
    /// How much of the release is held.
    pub state: Holding,
    /// Set if only connected peers know the release, and this node's catalog does not have it.
    #[serde(default)]
    pub elsewhere: bool,
}

/// One file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRow {
    /// The file's path in the release.
    pub path: ArtifactPath,
    /// The file's size, in bytes.
    pub size: u64,
    /// The BLAKE3 id of its blob, `blake3:…`.
    pub blake3: BlobId,
    /// The SHA-256 of the same bytes, `sha256:…`.
    pub sha256: Sha256Digest,
    /// The role of the file in the release.
    pub role: Role,
    /// The file's media type.
    pub media_type: String,
    /// `os/arch`, for a platform-specific file.
    pub platform: Option<String>,
    /// Set if the file is executable.
    pub exec: bool,
    /// Set if the file's bytes are held.
    pub held: bool,
}

/// A node that holds a release, or part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderRow {
    /// The node's peer id.
    pub peer: String,
    /// Set if the holder is this node; other holders' claims are quoted, not verified.
    pub this_node: bool,
    /// How much of the release it holds.
    pub state: Holding,
    /// Bytes it holds; none if unknown, for example when the artifact list is not held.
    pub held_bytes: Option<u64>,
}

/// The answer to [`Show`], after the files as rows: there may be any number of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowDone {
    /// The release.
    pub shown: Shown,
    /// Set if its files were sent; unset when the artifact list is not held and no peer sent it, or
    /// does not fit.
    pub listed: bool,
}

/// One release in full, but for its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The release's row in `ls`.
    #[serde(flatten)]
    pub row: ReleaseRow,
    /// Set if the publisher is followed, or is this node's own.
    pub followed: bool,
    /// Set if the publisher's feed is forked: two histories were signed with its key.
    pub forked: bool,
    /// SPDX expression.
    pub license: String,
    /// The blob id of the artifact list, `blake3:…`.
    pub list: BlobId,
    /// The origin of the release, as the publisher states it.
    pub source: Option<String>,
    /// The publisher's free-form notes.
    pub notes: Option<String>,
    /// Other publishers that signed exactly these bytes under this name, followed or not.
    pub agreeing: Vec<PublisherId>,
    /// Publishers that signed other bytes under this name.
    pub disagreeing: Vec<PublisherId>,
    /// This node and the peers that claim to hold the release, as far as they answered in time.
    pub holders: Vec<HolderRow>,
    /// Why the release has no files, if its artifact list does not fit it.
    #[serde(default)]
    pub invalid: Option<String>,
    /// Why the artifact list is not here, though peers were asked for it.
    #[serde(default)]
    pub missing_list: Option<String>,
}
