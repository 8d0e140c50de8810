//! The node itself: its state, its peers, its key, and its end.

use perennial_manifest::{EntryId, PublisherId, PublisherKind, Purl, ReleaseId};
use serde::{Deserialize, Serialize};

/// The request for the node's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status;

/// The request for the connected peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers;

/// The request for the node's publisher key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key;

/// The request to look for secrets in what the node has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit;

/// A place in a signed statement with secrets in it, or one that could not be read. The secrets
/// themselves are never told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// The statement.
    pub entry: EntryId,
    /// The release that it states, if it is one.
    pub release: Option<ReleaseId>,
    /// That release's package URL.
    pub purl: Option<Purl>,
    /// The field of the statement, or the file of the release.
    pub field: String,
    /// The text of the field without the secrets.
    pub text: String,
    /// A description of each secret.
    pub secrets: Vec<String>,
    /// Why the place could not be read.
    pub reason: Option<String>,
}

/// The totals of an audit. Secrets are not a failure of the request; the command line reports them
/// by its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditDone {
    /// Number of statements read.
    pub entries: u64,
    /// Number of places with secrets; each was reported as a row.
    pub found: u64,
    /// Number of statements that could not be read; each was reported as a row.
    pub unread_entries: u64,
    /// Number of releases whose lists of files are not here, or could not be read; the same.
    pub unread_lists: u64,
}

/// The request to hand the node's own feed over to a new key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotate;

/// The request to merge the node's own forked feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge;

/// The request to begin a feed with a key that may have signed elsewhere: the user says that it has
/// not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFeed;

/// The request to stop the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shutdown;

/// Peers to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connect {
    /// Addresses: multiaddresses, or `HOST:PORT`.
    pub peers: Vec<String>,
    /// How long to wait for the first connection, in milliseconds; 0 does not wait.
    pub wait_ms: u32,
}

/// The outcome of connecting to peers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectDone {
    /// Set if one of the peers is connected, or if the request did not wait.
    pub reached: bool,
    /// The addresses at which no peer answered, as far as known.
    pub unreached: Vec<UnreachedRow>,
}

/// An address at which no peer answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreachedRow {
    /// The address, as given.
    pub address: String,
    /// Why no peer answered.
    pub reason: String,
}

/// The node in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRow {
    /// The node runs until it is stopped. Not set for the node of a single command.
    #[serde(default)]
    pub daemon: bool,
    /// The node's version.
    #[serde(default)]
    pub version: String,
    /// Seconds since the node started.
    #[serde(default)]
    pub uptime_seconds: u64,
    /// The data directory.
    #[serde(default)]
    pub data: String,
    /// Bytes free for this user on the file system of the data directory, if the system says.
    #[serde(default)]
    pub free_bytes: Option<u64>,
    /// Bytes on disk of everything below the data directory, never less than the file system has
    /// allocated.
    #[serde(default)]
    pub used_bytes: u64,
    /// Bytes that the data directory may have on disk.
    #[serde(default)]
    pub quota_bytes: Option<u64>,
    /// Bytes of the reserve that is given up on a full disk.
    #[serde(default)]
    pub reserve_bytes: u64,
    /// Bytes that can still be taken in.
    #[serde(default)]
    pub room_bytes: u64,
    /// Bytes that were declined lately and would be again.
    #[serde(default)]
    pub declined_bytes: Option<u64>,
    /// What left no room for them; `None` while nothing is declined.
    #[serde(default)]
    pub disk_full: Option<FullBy>,
    /// The address at which ordinary tools are served.
    #[serde(default)]
    pub http: Option<String>,
    /// The node's peer id.
    pub peer_id: String,
    /// Addresses the node listens on, each ending in `/p2p/<peer id>`.
    pub addresses: Vec<String>,
    /// Number of connected peers.
    pub peers: u64,
    /// Number of releases known.
    pub releases: u64,
    /// Number of releases that are held.
    pub held_releases: u64,
    /// Number of releases that are held in part.
    #[serde(default)]
    pub partial_releases: u64,
    /// Number of releases without files, because their list does not fit them.
    #[serde(default)]
    pub invalid_releases: u64,
    /// Number of publishers followed by name.
    #[serde(default)]
    pub follows: u64,
    /// Set if every publisher is followed.
    #[serde(default)]
    pub follows_all: bool,
    /// Number of blobs stored.
    pub blobs: u64,
    /// Bytes that the blobs take on disk.
    pub stored_bytes: u64,
    /// Bytes of all held releases, counting shared files once per release.
    pub logical_bytes: u64,
    /// The node's publisher, once the node has signed an entry or a client has requested the key.
    pub publisher: Option<PublisherId>,
    /// Number of signed entries known.
    pub entries: u64,
    /// Number of blobs set aside because they failed verification.
    pub quarantined: u64,
    /// Number of files added in place that are lost.
    #[serde(default)]
    pub lost_objects: u64,
    /// Bytes of entry reconciliation sent since the node started.
    pub sync_sent_bytes: u64,
    /// Bytes of entry reconciliation received since the node started, entries included.
    pub sync_received_bytes: u64,
    /// Bytes of blobs sent to peers since the node started.
    pub sent_bytes: u64,
    /// Verified bytes of blobs received from peers since the node started, each counted once.
    pub received_bytes: u64,
    /// Notices for the user, such as "the index was rebuilt: …".
    pub notices: Vec<String>,
}

/// Why a node declines what it is to take in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FullBy {
    /// The data directory has all the bytes that it may have.
    Quota,
    /// The disk is full.
    Disk,
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRow {
    /// The peer's id.
    pub peer_id: String,
    /// The peer's multiaddress.
    pub address: Option<String>,
    /// Bytes of blobs received from it.
    pub received_bytes: u64,
    /// Bytes of blobs sent to it.
    pub sent_bytes: u64,
    /// Number of the peer's offences, such as wrong bytes or false claims.
    pub faults: u64,
}

/// The node's publisher key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// The publisher's id, `did:key:…`.
    pub publisher: PublisherId,
    /// The kind that its profile declares.
    pub kind: PublisherKind,
    /// Number of entries it has signed.
    pub entries: u64,
    /// Set if its feed is forked.
    pub forked: bool,
    /// Path of the key file.
    pub file: String,
    /// The key that this one took over from, after a rotation.
    #[serde(default)]
    pub previous: Option<PublisherId>,
    /// Where that key is kept.
    #[serde(default)]
    pub previous_file: Option<String>,
    /// The copy of the key that was written or taken in.
    #[serde(default)]
    pub backup: Option<String>,
}
