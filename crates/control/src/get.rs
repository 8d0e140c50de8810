//! Fetching releases and blobs, and writing them out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use perennial_manifest::{BlobId, Platform, PublisherId, PublisherRef, Purl, ReleaseId, Selector};
use serde::{Deserialize, Serialize};

/// A request to fetch a release or blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get {
    /// The release or the blob.
    pub selector: Selector,
    /// Resolve the name only through this publisher.
    pub publisher: Option<PublisherRef>,
    /// Directory to write the files to, absolute; none only fetches them into the store.
    pub output: Option<PathBuf>,
    /// Replace existing files that have other content.
    pub force: bool,
    /// Only this platform of an image.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// Only these files of a release, by path, by the last part of a path, or by directory; none
    /// means all.
    #[serde(default)]
    pub files: Vec<String>,
}

/// The result of a fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetDone {
    /// The release; none when a single blob was requested.
    pub release: Option<ReleaseId>,
    /// The blob, when a single blob was requested.
    pub blob: Option<BlobId>,
    /// The release's package URL.
    pub purl: Option<Purl>,
    /// Number of files.
    pub artifacts: u64,
    /// Total size of all files in bytes.
    pub bytes: u64,
    /// Bytes of blobs received over the network for this request.
    pub fetched_bytes: u64,
    /// The received bytes, by peer.
    pub from: BTreeMap<String, u64>,
    /// Duration, in milliseconds.
    pub elapsed_ms: u64,
    /// Trusted publishers that signed exactly these bytes under this name.
    pub publishers: Vec<PublisherId>,
    /// The directory or file that was written.
    pub output: Option<String>,
    /// Remarks about what the file system of the output did not take.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// The image that was written there.
    #[serde(default)]
    pub image: Option<WrittenImage>,
}

/// An image that was written in the form that container engines take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenImage {
    /// Its full names, such as `quay.io/team/app:v1`.
    pub names: Vec<String>,
    /// The digest of the manifest that the names mean.
    pub digest: String,
    /// One file instead of a directory.
    pub archive: bool,
    /// Whether docker's `load` reads it.
    pub docker: bool,
}
