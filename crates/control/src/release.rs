//! Releases listed, found and described.

use perennial_manifest::{
    ArtifactPath, BlobId, Holding, PublisherId, PublisherKind, PublisherRef, Purl, ReleaseId, Role,
    Selector, Sha256Digest,
};
use serde::{Deserialize, Serialize};

/// Which releases to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ls {
    /// Only releases that this matches.
    pub selector: Option<Selector>,
    /// Only releases of this publisher.
    pub publisher: Option<PublisherRef>,
    /// Only releases in this state.
    pub state: Option<Holding>,
    /// Most rows to send; none or 0 means all.
    pub limit: Option<u32>,
}

/// Which names to search for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// Words that must all occur in the name, separated by spaces.
    pub text: String,
    /// Most rows to send, from 1 to 10,000.
    pub limit: u32,
}

/// Which release to describe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Show {
    /// The release.
    pub selector: Selector,
    /// The publisher whose release is meant, where several signed the name.
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
    /// What the publisher says it is.
    pub kind: PublisherKind,
    /// Number of files.
    pub artifacts: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of them that are here.
    pub held_bytes: u64,
    /// How much of the release is here.
    pub state: Holding,
}

/// One file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRow {
    /// The file's path in the release.
    pub path: ArtifactPath,
    /// The file's size, in bytes.
    pub size: u64,
    /// The blob's id, `blake3:…`.
    pub blake3: BlobId,
    /// The same bytes by SHA-256, `sha256:…`.
    pub sha256: Sha256Digest,
    /// What the file is for.
    pub role: Role,
    /// The file's media type.
    pub media_type: String,
    /// `os/arch`, for a file of one platform.
    pub platform: Option<String>,
    /// Whether the file is executable.
    pub exec: bool,
    /// Whether the bytes are here.
    pub held: bool,
}

/// A node that holds a release, or part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderRow {
    /// The node's peer id.
    pub peer: String,
    /// Whether the holder is this node; the others are quoted, not verified.
    pub this_node: bool,
    /// How much it holds.
    pub state: Holding,
    /// Bytes it holds; none where that cannot be told, as when the list of files is not here.
    pub held_bytes: Option<u64>,
}

/// One release in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowDone {
    /// The release's row in `ls`.
    #[serde(flatten)]
    pub row: ReleaseRow,
    /// The user's name for the publisher, if it is followed under one.
    pub publisher_name: Option<String>,
    /// Whether the publisher is followed, or is this node's own.
    pub followed: bool,
    /// Whether the publisher's feed is forked: two histories were signed with its key.
    pub forked: bool,
    /// SPDX expression.
    pub license: String,
    /// When the publisher says it signed, in Unix seconds.
    pub issued_at: u64,
    /// The blob id of the artifact list, `blake3:…`.
    pub list: BlobId,
    /// Where the publisher says the release came from.
    pub source: Option<String>,
    /// Free text of the publisher.
    pub notes: Option<String>,
    /// Other publishers that signed exactly these bytes under this name, followed or not.
    pub agreeing: Vec<PublisherId>,
    /// Publishers that signed other bytes under this name.
    pub disagreeing: Vec<PublisherId>,
    /// This node and the peers that say they hold it, as far as peers answered in time.
    pub holders: Vec<HolderRow>,
    /// The release's files; none when the artifact list is not here and no peer sent it.
    pub files: Option<Vec<ArtifactRow>>,
}
