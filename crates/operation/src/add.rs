//! Releases made from files, and the result of signing a release of any origin.

use std::path::PathBuf;

use perennial_manifest::{PublisherId, PublisherKind, Purl, ReleaseId};
use serde::{Deserialize, Serialize};

use crate::Failed;

/// A request to publish files as one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add {
    /// Files and directories, absolute. A directory adds the files, symbolic links and empty
    /// directories below it, named relative to it; a file adds itself under its own name.
    pub paths: Vec<PathBuf>,
    /// The release's package URL, with a version.
    pub purl: Purl,
    /// SPDX expression; none means `NOASSERTION`.
    pub license: Option<String>,
    /// Licence texts that are not among the paths, absolute.
    pub license_files: Vec<PathBuf>,
    /// Refer to the files in place instead of copying them.
    pub in_place: bool,
    /// This publisher's kind; none keeps the kind in its profile (`archivist` when it has no
    /// profile).
    pub kind: Option<PublisherKind>,
    /// Free-form notes for people.
    pub notes: Option<String>,
    /// Sign a release even if this node's last release of the name says the same.
    #[serde(default)]
    pub again: bool,
    /// Sign URLs in the notes as they are, but for users and passwords.
    #[serde(default)]
    pub keep_query: bool,
    /// Patterns of files to leave out: with a `/` inside, of paths below a directory of `paths`,
    /// otherwise of names at any depth.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Add the files and directories that symbolic links lead to, instead of the links.
    #[serde(default)]
    pub dereference: bool,
    /// Leave out what cannot be part of a release, instead of adding nothing.
    #[serde(default)]
    pub skip_unportable: bool,
}

impl Add {
    /// Copies of the files below `paths`, published as `purl` without a licence statement.
    #[must_use]
    pub fn new<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>, purl: Purl) -> Self {
        Self {
            paths: paths.into_iter().map(Into::into).collect(),
            purl,
            license: None,
            license_files: Vec::new(),
            in_place: false,
            kind: None,
            notes: None,
            again: false,
            keep_query: false,
            exclude: Vec::new(),
            dereference: false,
            skip_unportable: false,
        }
    }
}

/// A release that was signed and stored, now or before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The release's id.
    pub release: ReleaseId,
    /// The release's package URL.
    pub purl: Purl,
    /// The publisher that signed it: this node's key.
    pub publisher: PublisherId,
    /// Number of files.
    pub artifacts: u64,
    /// Total size of all files in bytes, counting repeated content each time.
    pub bytes: u64,
    /// Bytes that the store did not have before.
    pub new_bytes: u64,
    /// Nothing was signed: this node's last release of the name says the same already.
    #[serde(default)]
    pub already: bool,
    /// Remarks about the files.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// Files that were left out because they cannot be part of a release, as far as they are
    /// listed.
    #[serde(default)]
    pub left_out: Vec<Failed>,
}
