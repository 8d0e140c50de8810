//! Observations: a witness statement about the answer of an upstream, and its time.

use serde::{Deserialize, Serialize};

use super::{BodyError, optional, text};
use crate::{BlobId, Sha256Digest};

/// The comparison of an upstream's answer with the archived bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The archived bytes.
    Same,
    /// Different bytes.
    Changed,
    /// No bytes.
    Gone,
}

/// A witness statement about the answer of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The URL or OCI reference that was asked.
    pub url: String,
    /// Unix seconds, by the observer's clock.
    pub fetched_at: u64,
    /// HTTP status, if there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `ETag` as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `Last-Modified` as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// Length in bytes, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// BLAKE3 of the bytes served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<BlobId>,
    /// SHA-256 of the bytes served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Digest>,
    /// The comparison with the archived bytes.
    pub verdict: Verdict,
}

impl Observation {
    pub(super) fn check(&self) -> Result<(), BodyError> {
        text("url", &self.url)?;
        optional("etag", self.etag.as_deref())?;
        optional("last_modified", self.last_modified.as_deref())
    }
}
