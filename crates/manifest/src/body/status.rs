//! A remark on a release or a digest. It cannot delete.

use serde::{Deserialize, Serialize};

use super::{BodyError, text, texts};
use crate::{BlobId, EntryId, Sha256Digest};

/// The subject of a remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A release.
    Release(EntryId),
    /// A blob.
    Blob(BlobId),
    /// A blob, by the name that other tools use.
    Sha256(Sha256Digest),
}

/// The kind of a remark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names of DESIGN, section 4, say what they are")]
pub enum StatusKind {
    Yanked,
    Advisory,
    Legal,
    Superseded,
    LicenceChange,
}

/// A remark on a release or digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The subject.
    pub target: Target,
    /// The kind of the remark.
    pub status: StatusKind,
    /// The remark.
    pub text: String,
    /// OSV or GHSA ids, URLs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
}

impl Status {
    pub(super) fn check(&self) -> Result<(), BodyError> {
        text("text", &self.text)?;
        texts("references", &self.references)
    }
}
