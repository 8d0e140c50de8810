//! What a node answers: how far it is, rows, one result, or one failure.

use perennial_manifest::PublisherKind;
use serde::{Deserialize, Serialize};

use crate::import_row::{CompletenessRow, FailedRow, ImportDone};
use crate::row::{
    AddDone, CorruptRow, FollowRow, GcDone, GetDone, KeyRow, PeerRow, PinRow, RebuildDone,
    ReleaseRow, ShowDone, StatusRow, VerifyDone,
};

/// Claims a failure lists, at most.
pub const MAX_CLAIMS: usize = 64;

/// One frame from the node. `Done` or `Error` is the last of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// How far it is. May be dropped when the client is slow.
    Progress(Progress),
    /// One row of a list.
    Item(Item),
    /// It is done.
    Done(Done),
    /// It is not.
    Error(Failure),
}

/// What a node is busy with, in the order of an `add` or a `get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Waiting for configured peers to be reached.
    Connecting,
    /// Asking who knows and who holds it.
    Finding,
    /// Reading files into the store.
    Storing,
    /// Bytes arrive from an upstream.
    Importing,
    /// Bytes arrive from peers.
    Fetching,
    /// Writing files out.
    Writing,
    /// Reading stored blobs again.
    Verifying,
    /// Looking for what nothing needs.
    Collecting,
}

/// How far a request is. Numbers only grow within a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What the node is busy with.
    pub stage: Stage,
    /// Bytes done in this stage.
    pub bytes: u64,
    /// Of so many.
    pub total_bytes: Option<u64>,
    /// Files or blobs done.
    pub items: u64,
    /// Of so many.
    pub total_items: Option<u64>,
    /// Peers that bytes come from right now.
    pub peers: u32,
}

impl Progress {
    /// The beginning of `stage`, with nothing known yet.
    pub fn of(stage: Stage) -> Progress {
        Progress { stage, bytes: 0, total_bytes: None, items: 0, total_items: None, peers: 0 }
    }
}

/// One row of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Item {
    /// Of `ls` and `search`.
    Release(ReleaseRow),
    /// Of an import: a release that was signed.
    Imported(AddDone),
    /// Of an import: what could not be had.
    NotImported(FailedRow),
    /// Of an import: how much came of what a release refers to.
    Completeness(CompletenessRow),
    /// Of `follows`.
    Follow(FollowRow),
    /// Of `pins`.
    Pin(PinRow),
    /// Of `peers`.
    Peer(PeerRow),
    /// Of `verify`.
    Corrupt(CorruptRow),
}

/// The result of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// Done; there is nothing to say.
    Ok,
    /// Every row was sent.
    Listed {
        /// Rows sent.
        rows: u64,
        /// Whether a limit left rows out.
        more: bool,
    },
    /// Of `add`.
    Add(AddDone),
    /// Of an import.
    Import(ImportDone),
    /// Of `get`.
    Get(GetDone),
    /// Of `show`.
    Show(Box<ShowDone>),
    /// Of `pin` and `unpin`.
    Pin(PinRow),
    /// Of `status`.
    Status(StatusRow),
    /// Of `key`.
    Key(KeyRow),
    /// Of `verify`. Corrupt blobs do not make it a failure here; the command line's exit code says so.
    Verify(VerifyDone),
    /// Of `gc`.
    Gc(GcDone),
    /// Of `rebuild-index`.
    Rebuild(RebuildDone),
}

/// What kind of failure it is; the command line maps each to an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// It went wrong: a disk, a file, a bug.
    Failed,
    /// What was asked makes no sense.
    Usage,
    /// Several releases match what was typed; `claims` lists them.
    Ambiguous,
    /// Nobody reachable knows or holds it.
    NotFound,
    /// Only publishers that the user does not follow signed that name; `claims` lists them. Nothing was fetched.
    Strangers,
    /// Bytes are not what their name says.
    Verification,
    /// Followed publishers disagree on the bytes, or a feed is forked; `claims` lists them.
    Conflict,
    /// A node cannot be reached.
    Unreachable,
    /// Another process uses the data directory.
    InUse,
}

/// Why a request failed and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub code: ErrorCode,
    /// What happened, with the path or the id it is about.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Who signed what, for `Strangers`, `Conflict` and `Ambiguous`; at most [`MAX_CLAIMS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
}

impl Failure {
    /// A failure of this kind, without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), hint: None, claims: Vec::new() }
    }

    /// With what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// With who signed what.
    #[must_use]
    pub fn claims(mut self, mut claims: Vec<Claim>) -> Failure {
        claims.truncate(MAX_CLAIMS);
        self.claims = claims;
        self
    }
}

/// Somebody's statement about a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The release.
    pub release: String,
    /// Its package URL.
    pub purl: String,
    /// Who signed it.
    pub publisher: String,
    /// What that publisher says it is.
    pub kind: PublisherKind,
    /// What the user calls it here, or what it calls itself.
    pub name: Option<String>,
    /// The artifact list; equal lists are equal bytes.
    pub list: String,
    /// Files.
    pub artifacts: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// When it says it signed, in Unix seconds.
    pub issued_at: u64,
    /// Whether the feed is forked.
    pub forked: bool,
}
