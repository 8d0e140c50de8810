//! Pins: releases and blobs that `gc` never removes.

use std::fmt;
use std::str::FromStr;

use perennial_manifest::{
    BlobId, DigestError, Holding, PublisherId, PublisherRef, Purl, ReleaseId, Selector,
    serde_as_text,
};
use serde::{Deserialize, Serialize};

/// A request to pin a release or blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The release or the blob.
    pub selector: Selector,
    /// The publisher of the release, if several signed the name.
    pub publisher: Option<PublisherRef>,
}

/// A request to remove a pin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpin {
    /// The release or the blob.
    pub selector: Selector,
    /// The publisher of the release, if several signed the name.
    pub publisher: Option<PublisherRef>,
}

/// The request for all pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins;

/// A pinned release or blob; written as the release id or as `blake3:…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinTarget {
    /// A release and every blob it lists.
    Release(ReleaseId),
    /// One blob.
    Blob(BlobId),
}

/// The kind of a pin's target, a release or a single blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinKind {
    /// A release and every blob it lists.
    Release,
    /// One blob.
    Blob,
}

impl PinTarget {
    /// The kind of the target.
    #[must_use]
    pub fn kind(&self) -> PinKind {
        match self {
            PinTarget::Release(_) => PinKind::Release,
            PinTarget::Blob(_) => PinKind::Blob,
        }
    }
}

impl fmt::Display for PinTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PinTarget::Release(id) => id.fmt(f),
            PinTarget::Blob(id) => id.fmt(f),
        }
    }
}

impl FromStr for PinTarget {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<PinTarget, DigestError> {
        if text.starts_with("blake3:") {
            text.parse().map(PinTarget::Blob)
        } else {
            text.parse().map(PinTarget::Release)
        }
    }
}

serde_as_text!(PinTarget);

impl fmt::Display for PinKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            PinKind::Release => "release",
            PinKind::Blob => "blob",
        })
    }
}

/// A pin in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRow {
    /// The pinned release or blob.
    pub target: PinTarget,
    /// The kind of the target, for scripts.
    pub what: PinKind,
    /// The release's package URL.
    pub purl: Option<Purl>,
    /// The publisher of the release.
    #[serde(default)]
    pub publisher: Option<PublisherId>,
    /// The user's name for the publisher, if it is followed under one.
    #[serde(default)]
    pub publisher_name: Option<String>,
    /// When the publisher claims to have signed the release, in Unix seconds.
    #[serde(default)]
    pub issued_at: Option<u64>,
    /// How much of the target is held.
    pub state: Holding,
    /// Total size of the target in bytes, if known.
    pub bytes: Option<u64>,
}
