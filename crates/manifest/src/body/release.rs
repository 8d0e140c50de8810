//! One version of one project: the statement that the archive exists for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::licence::{self, NO_ASSERTION};
use super::{BodyError, MAX_ITEMS, MAX_TEXT, optional, text};
use crate::{ArtifactListRef, BlobId, Purl};

/// One version of one project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Package URL, with a version.
    pub purl: Purl,
    /// SPDX licence expression, or `NOASSERTION`.
    pub license: String,
    /// Blobs of the licence texts, if archived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub license_texts: Vec<BlobId>,
    /// The list of its artifacts.
    pub artifacts: ArtifactListRef,
    /// Where upstream keeps the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// How this copy was obtained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquired: Option<Acquired>,
    /// Mutable names that it sets, such as `quay.io/kubesphere/ks-console:v3.4.1`, each with a
    /// digest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Remarks for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// An upstream's version control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Repository URL.
    pub vcs: String,
    /// Commit or tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// How a copy was obtained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acquired {
    /// Unix seconds, by the publisher's clock.
    pub at: u64,
    /// Origin: a URL, an OCI reference, or `file`.
    pub from: String,
    /// Program and version that obtained it.
    pub tool: String,
}

impl Release {
    /// A release of these artifacts that states nothing about its licence, its origin or its tags.
    #[must_use]
    pub fn new(purl: Purl, artifacts: ArtifactListRef) -> Self {
        Self {
            purl,
            license: NO_ASSERTION.into(),
            license_texts: Vec::new(),
            artifacts,
            source: None,
            acquired: None,
            tags: BTreeMap::new(),
            notes: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), BodyError> {
        if self.purl.version().is_none_or(str::is_empty) {
            return Err(BodyError::NoVersion(self.purl.clone()));
        }
        licence::check(&self.license)?;
        self.artifacts.check()?;
        if self.license_texts.len() > MAX_ITEMS {
            return Err(BodyError::Field("license_texts"));
        }
        if let Some(source) = &self.source {
            text("source.vcs", &source.vcs)?;
            optional("source.commit", source.commit.as_deref())?;
        }
        if let Some(acquired) = &self.acquired {
            text("acquired.from", &acquired.from)?;
            text("acquired.tool", &acquired.tool)?;
        }
        if self.tags.len() > MAX_ITEMS {
            return Err(BodyError::Field("tags"));
        }
        for (tag, digest) in &self.tags {
            text("tags", tag)?;
            text("tags", digest)?;
        }
        if let Some(notes) = &self.notes
            && (notes.len() > MAX_TEXT || notes.chars().any(|c| c.is_control() && c != '\n'))
        {
            return Err(BodyError::Field("notes"));
        }
        Ok(())
    }
}
