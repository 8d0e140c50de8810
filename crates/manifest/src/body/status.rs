//! A remark on a release or a digest. It cannot delete.

use serde::{Deserialize, Serialize};

use super::{BodyError, text, texts};
use crate::{BlobId, EntryId, Sha256Digest};

/// What a remark is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A release.
    Release(EntryId),
    /// A blob.
    Blob(BlobId),
    /// A blob by the name others give it.
    Sha256(Sha256Digest),
}

/// What kind of remark.
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
    /// What it is about.
    pub target: Target,
    /// Its kind.
    pub status: StatusKind,
    /// What it says.
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
