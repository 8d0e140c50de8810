//! A release that is not signed yet: importers and pushes hand it to the owner of a key.

use std::collections::BTreeMap;

use crate::{Artifact, Observation, Purl};

/// An unsigned release. Its blobs are in the store already; its list is made, checked and stored
/// when it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Package URL, with a version.
    pub purl: Purl,
    /// SPDX licence expression, if known.
    pub license: Option<String>,
    /// Its files, in any order.
    pub artifacts: Vec<Artifact>,
    /// Origin: a URL, an OCI reference.
    pub from: String,
    /// Mutable names that it sets, each with the digest it stands for (`sha256:…`).
    pub tags: BTreeMap<String, String>,
    /// Observations of the upstream, made while obtaining it; each is signed separately.
    pub observations: Vec<Observation>,
    /// Remarks for people.
    pub notes: Option<String>,
}
