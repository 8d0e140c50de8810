//! A release that nobody signed yet: what an importer or a push hands to whoever holds the key.

use std::collections::BTreeMap;

use crate::{Artifact, Observation, Purl};

/// An unsigned release. Its blobs are in the store already; its list is made, checked and stored when it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it is a release of; with a version.
    pub purl: Purl,
    /// SPDX licence expression, where it is known.
    pub license: Option<String>,
    /// Its files, in any order.
    pub artifacts: Vec<Artifact>,
    /// Where it came from: a URL, an OCI reference.
    pub from: String,
    /// Mutable names that it sets, each with the digest it means (`sha256:…`).
    pub tags: BTreeMap<String, String>,
    /// What was seen at the upstream on the way; each is signed as a statement of its own.
    pub observations: Vec<Observation>,
    /// Remarks.
    pub notes: Option<String>,
}
