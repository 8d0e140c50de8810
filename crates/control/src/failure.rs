//! Failures of requests, each with its reason and a remedy.

use perennial_manifest::{BlobId, PublisherId, PublisherKind, Purl, ReleaseId};
use perennial_operation::ErrorKind;
use serde::{Deserialize, Serialize};

/// Most claims a failure lists.
pub const MAX_CLAIMS: usize = 64;

/// Most details a failure lists.
pub const MAX_DETAILS: usize = 100;

/// A failed request: its reason and a remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind of the failure.
    pub code: ErrorKind,
    /// The event, with the path or id concerned.
    pub message: String,
    /// A next step for the user.
    pub hint: Option<String>,
    /// The signed claims behind `Strangers`, `Conflict` and `Ambiguous`; at most [`MAX_CLAIMS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// The files concerned and what is wrong with each, if there are several; at most
    /// [`MAX_DETAILS`], and how many there are besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

impl Failure {
    /// A failure without a hint and without claims.
    pub fn new(code: ErrorKind, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: message.into(),
            hint: None,
            claims: Vec::new(),
            details: Vec::new(),
        }
    }

    /// Adds a remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the details, cut to [`MAX_DETAILS`].
    #[must_use]
    pub fn details(mut self, mut details: Vec<String>) -> Failure {
        if details.len() > MAX_DETAILS {
            let more = details.len() - MAX_DETAILS;
            details.truncate(MAX_DETAILS);
            details.push(format!("and {more} more"));
        }
        self.details = details;
        self
    }

    /// Sets the claims, cut to [`MAX_CLAIMS`].
    #[must_use]
    pub fn claims(mut self, mut claims: Vec<Claim>) -> Failure {
        claims.truncate(MAX_CLAIMS);
        self.claims = claims;
        self
    }
}

/// A release that a publisher signed under the requested name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The release's id.
    pub release: ReleaseId,
    /// The release's package URL.
    pub purl: Purl,
    /// The publisher that signed it.
    pub publisher: PublisherId,
    /// The kind that the publisher declares in its profile.
    pub kind: PublisherKind,
    /// The user's name for the publisher, if it is followed under one.
    pub name: Option<String>,
    /// The artifact list; releases with equal lists have equal bytes.
    pub list: BlobId,
    /// Number of files.
    pub artifacts: u64,
    /// Total size of all files in bytes.
    pub bytes: u64,
    /// When the publisher claims to have signed it, in Unix seconds.
    pub issued_at: u64,
    /// Set if the publisher's feed is forked.
    pub forked: bool,
}
