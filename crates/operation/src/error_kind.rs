//! The kinds of failure of an operation.

use serde::{Deserialize, Serialize};

/// The kind of a failure. Clients map each to an exit code or an HTTP status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// A disk, a file, an upstream or the node itself failed.
    #[default]
    Failed,
    /// The request is invalid.
    Usage,
    /// The name matches several releases.
    Ambiguous,
    /// Not held, and no reachable peer knows or holds it.
    NotFound,
    /// Only publishers that the user does not follow signed the name. Nothing was fetched.
    Strangers,
    /// Bytes do not match their digest.
    Verification,
    /// Followed publishers disagree on the bytes, or a feed is forked.
    Conflict,
    /// A node or the peers named cannot be reached.
    Unreachable,
}
