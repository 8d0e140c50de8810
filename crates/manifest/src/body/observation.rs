//! What was seen at an upstream, and when: the witness statement.

use serde::{Deserialize, Serialize};

use super::{BodyError, optional, text};
use crate::{BlobId, Sha256Digest};

/// What an observer found at an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The bytes that are archived.
    Same,
    /// Other bytes.
    Changed,
    /// Nothing.
    Gone,
}

/// What was seen at an upstream: the witness statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// URL or OCI reference.
    pub url: String,
    /// Unix seconds, by the observer's clock.
    pub fetched_at: u64,
    /// HTTP status, where there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `ETag` as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `Last-Modified` as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// Length in bytes, where bytes came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// BLAKE3 of what came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<BlobId>,
    /// SHA-256 of what came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Digest>,
    /// Compared with what is archived.
    pub verdict: Verdict,
}

impl Observation {
    pub(super) fn check(&self) -> Result<(), BodyError> {
        text("url", &self.url)?;
        optional("etag", self.etag.as_deref())?;
        optional("last_modified", self.last_modified.as_deref())
    }
}
