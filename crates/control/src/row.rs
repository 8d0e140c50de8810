//! The rows that answers are made of. They are what `--json` prints, so a field once here stays.

use std::collections::BTreeMap;

use perennial_manifest::{Holding, PublisherKind};
use serde::{Deserialize, Serialize};

/// The result of `add`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddDone {
    /// The release that was signed.
    pub release: String,
    /// Its package URL.
    pub purl: String,
    /// Who signed it.
    pub publisher: String,
    /// Files.
    pub artifacts: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that were not here before.
    pub new_bytes: u64,
}

/// The result of `get`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetDone {
    /// The release; none when a single blob was asked for.
    pub release: Option<String>,
    /// The blob, when a single one was asked for.
    pub blob: Option<String>,
    /// The release's package URL.
    pub purl: Option<String>,
    /// Files.
    pub artifacts: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of blobs that came over the network for this.
    pub fetched_bytes: u64,
    /// Which peer sent how many of them.
    pub from: BTreeMap<String, u64>,
    /// How long it took.
    pub elapsed_ms: u64,
    /// Trusted publishers that signed exactly these bytes under this name.
    pub publishers: Vec<String>,
    /// Where the files were written.
    pub output: Option<String>,
}

/// A release in `ls` and `search`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRow {
    /// The release.
    pub release: String,
    /// Its package URL.
    pub purl: String,
    /// Who signed it.
    pub publisher: String,
    /// What that publisher is.
    pub kind: PublisherKind,
    /// Files.
    pub artifacts: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of them that are here.
    pub held_bytes: u64,
    /// How much is here.
    pub state: Holding,
}

/// One file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRow {
    /// Its path in the release.
    pub path: String,
    /// Its size.
    pub size: u64,
    /// Its name: `blake3:…`.
    pub blake3: String,
    /// `sha256:…`.
    pub sha256: String,
    /// Its role.
    pub role: String,
    /// Its media type.
    pub media_type: String,
    /// `os/arch`, when it is for one.
    pub platform: Option<String>,
    /// Whether it may be executed.
    pub exec: bool,
    /// Whether its bytes are here.
    pub held: bool,
}

/// Who says it holds a release, or some of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderRow {
    /// The peer.
    pub peer: String,
    /// Whether that is this node; of others it is by their own words.
    pub this_node: bool,
    /// How much.
    pub state: Holding,
    /// Bytes of its files; none where they cannot be told, as when the list of files is not here.
    pub held_bytes: Option<u64>,
}

/// Everything about one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowDone {
    /// Its row in `ls`.
    #[serde(flatten)]
    pub row: ReleaseRow,
    /// What the user calls the publisher, or what it calls itself.
    pub publisher_name: Option<String>,
    /// Whether the user follows the publisher.
    pub followed: bool,
    /// Whether the publisher's feed is forked: somebody signed two histories.
    pub forked: bool,
    /// SPDX expression.
    pub license: String,
    /// When the publisher says it signed, in Unix seconds.
    pub issued_at: u64,
    /// The artifact list: `blake3:…`.
    pub list: String,
    /// Where it says it came from.
    pub source: Option<String>,
    /// Free text.
    pub notes: Option<String>,
    /// Publishers that signed exactly these bytes under this name, followed or not.
    pub agreeing: Vec<String>,
    /// Publishers that signed other bytes under this name.
    pub disagreeing: Vec<String>,
    /// This node and the peers that say they hold it, as far as they were reached within a moment.
    pub holders: Vec<HolderRow>,
    /// Its files; none when the list is not here and no peer gave it.
    pub files: Option<Vec<ArtifactRow>>,
}

/// Whom the user follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowRow {
    /// `did:key:…`, or `all`.
    pub publisher: String,
    /// What the user calls it.
    pub name: Option<String>,
    /// What it says it is, when its profile is known.
    pub kind: Option<PublisherKind>,
    /// Its releases known here.
    pub releases: u64,
    /// Of these, held.
    pub held: u64,
    /// Whether its feed is forked.
    pub forked: bool,
}

/// Why something may not be collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRow {
    /// A release id, or `blake3:…`.
    pub target: String,
    /// Whether the target is a `release` or a `blob`.
    pub what: String,
    /// The release's package URL.
    pub purl: Option<String>,
    /// How much of it is here.
    pub state: Holding,
    /// Its bytes, when they are known.
    pub bytes: Option<u64>,
}

/// This node in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRow {
    /// Its name on the network.
    pub peer_id: String,
    /// Where it listens, each ending in `/p2p/<peer id>`.
    pub addresses: Vec<String>,
    /// Connected peers.
    pub peers: u64,
    /// Releases known.
    pub releases: u64,
    /// Of these, held.
    pub held: u64,
    /// Blobs stored.
    pub blobs: u64,
    /// Bytes they take.
    pub stored_bytes: u64,
    /// Bytes of all held releases, as if nothing were shared between them.
    pub logical_bytes: u64,
    /// Its publisher, when it has signed or was asked for its key.
    pub publisher: Option<String>,
    /// Signed statements known.
    pub entries: u64,
    /// Blobs that failed their check and were set aside.
    pub quarantined: u64,
    /// Bytes of the reconciliation of entries, sent since start.
    pub sync_sent_bytes: u64,
    /// And received, entries included.
    pub sync_received_bytes: u64,
    /// Bytes of blobs sent to peers since start.
    pub sent_bytes: u64,
    /// And received.
    pub received_bytes: u64,
    /// What the user should know, as "the index was rebuilt: …" or "read-only: …".
    pub notices: Vec<String>,
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRow {
    /// Its name on the network.
    pub peer_id: String,
    /// Where it is.
    pub address: Option<String>,
    /// Bytes of blobs that it sent us.
    pub received_bytes: u64,
    /// And that we sent it.
    pub sent_bytes: u64,
    /// How often it was caught with wrong bytes or broken promises.
    pub faults: u64,
}

/// The publisher key of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// `did:key:…`
    pub publisher: String,
    /// What its profile says it is.
    pub kind: PublisherKind,
    /// Entries it signed.
    pub entries: u64,
    /// Whether its own feed is forked.
    pub forked: bool,
    /// The file that holds it.
    pub file: String,
}

/// A stored blob, or signed statement, that is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorruptRow {
    /// Its name; of a statement `entry:` and its id.
    pub blob: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The result of `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyDone {
    /// Blobs read.
    pub checked: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Blobs and statements that failed; each was sent as a row, and set aside.
    pub corrupt: u64,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// The result of `gc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcDone {
    /// Whether nothing was really removed.
    pub dry_run: bool,
    /// Blobs removed, or that would be.
    pub blobs: u64,
    /// Bytes freed, or that would be.
    pub bytes: u64,
    /// Blobs that stay.
    pub kept: u64,
    /// Of these, spared only because they were touched lately.
    pub in_grace: u64,
}

/// The result of `rebuild-index`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildDone {
    /// Signed statements in the new index.
    pub entries: u64,
    /// Releases in it.
    pub releases: u64,
    /// How long it took.
    pub elapsed_ms: u64,
}
