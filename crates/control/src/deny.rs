//! The deny list: what a node neither takes in nor gives out.

use perennial_manifest::DenyTarget;
use serde::{Deserialize, Serialize};

/// A digest, a package or a publisher to deny.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deny {
    /// What to deny.
    pub target: DenyTarget,
    /// The reason, which everybody is told who asks for it.
    pub reason: Option<String>,
}

/// Something to take off the deny list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undeny {
    /// What to allow again.
    pub target: DenyTarget,
}

/// The request for the deny list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied;

/// A line of the deny list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeniedRow {
    /// `blake3:…`, `sha256:…`, `pkg:…` or `did:key:…`.
    pub target: DenyTarget,
    /// `digest`, `package` or `publisher`.
    pub what: String,
    /// The reason given.
    pub reason: Option<String>,
}

impl DeniedRow {
    /// The line for this target.
    #[must_use]
    pub fn new(target: DenyTarget, reason: Option<String>) -> Self {
        Self { what: target.kind().to_owned(), target, reason }
    }
}
