//! Releases and blobs brought here and written out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use perennial_manifest::{BlobId, PublisherId, PublisherRef, Purl, ReleaseId, Selector};
use serde::{Deserialize, Serialize};

/// What to fetch and where to write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get {
    /// The release or the blob.
    pub selector: Selector,
    /// Resolve the name through this publisher alone.
    pub publisher: Option<PublisherRef>,
    /// Directory to write the files to, absolute; none only brings them into the store.
    pub output: Option<PathBuf>,
    /// Replace existing files that have other content.
    pub force: bool,
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetDone {
    /// The release; none when a single blob was asked for.
    pub release: Option<ReleaseId>,
    /// The blob, when a single one was asked for.
    pub blob: Option<BlobId>,
    /// The release's package URL.
    pub purl: Option<Purl>,
    /// Number of files.
    pub artifacts: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of blobs that came over the network for this request.
    pub fetched_bytes: u64,
    /// Bytes of them by the peer that sent them.
    pub from: BTreeMap<String, u64>,
    /// Duration, in milliseconds.
    pub elapsed_ms: u64,
    /// Trusted publishers that signed exactly these bytes under this name.
    pub publishers: Vec<PublisherId>,
    /// The directory or the file that was written.
    pub output: Option<String>,
}
