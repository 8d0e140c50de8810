//! What an import answers: a row for each thing that did not come, how complete the rest is, and sums.

use serde::{Deserialize, Serialize};

/// Something that could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRow {
    /// A URL or reference.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// How much of what a release refers to is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletenessRow {
    /// The release, as a package URL.
    pub of: String,
    /// References that are held.
    pub held: Vec<String>,
    /// References that are not, each with the reason.
    pub missing: Vec<FailedRow>,
}

/// The sums of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportDone {
    /// Releases that were signed.
    pub releases: u64,
    /// Things that could not be had.
    pub failed: u64,
    /// Bytes of all releases.
    pub bytes: u64,
    /// Bytes that were not here before.
    pub new_bytes: u64,
}
