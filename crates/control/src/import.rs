//! Importing releases from upstreams.

use std::path::PathBuf;

use perennial_manifest::{PublisherKind, Purl};
use serde::{Deserialize, Serialize};

use crate::add::AddDone;

/// A request to import from an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The source to import from.
    pub source: Source,
    /// SPDX expression; none means `NOASSERTION`.
    pub license: Option<String>,
    /// This publisher's kind; none keeps the kind in its profile.
    pub kind: Option<PublisherKind>,
    /// Free-form notes for people.
    pub notes: Option<String>,
    /// Allow connections to addresses in private networks.
    pub allow_private: bool,
    /// Use plain HTTP for registries.
    pub plain_http: bool,
}

/// A source to import from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Files named by URL, as one release.
    Urls {
        /// `https://…` or `http://…`.
        urls: Vec<String>,
        /// The release's package URL, with a version.
        purl: Purl,
        /// Accept a web page where an archive was expected.
        html: bool,
    },
    /// Images in registries, one release per image.
    Images {
        /// `docker://…`.
        references: Vec<String>,
        /// Import every tag of each repository.
        all_tags: bool,
        /// `os/architecture[/variant]`; empty means all platforms.
        platforms: Vec<String>,
        /// Credentials file, absolute; none uses the files of podman and docker.
        auth_file: Option<PathBuf>,
    },
    /// Images in an OCI layout, an archive of a layout, or an archive of `docker save`.
    Layout {
        /// `oci:DIR`, `oci-archive:FILE` or `docker-archive:FILE` with an absolute path, and `:TAG`
        /// to pick one of several images.
        layout: String,
        /// The image's reference, for a layout that does not name it.
        name: Option<String>,
    },
    /// A chart of a Helm repository.
    Chart {
        /// `https://…`.
        repository: String,
        /// The chart's name.
        name: String,
        /// The chart's version; none means the newest.
        version: Option<String>,
        /// Import the images that the chart names as well.
        with_images: bool,
    },
}

/// A row that an import reports while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportRow {
    /// A release was signed.
    Imported(AddDone),
    /// Something could not be imported.
    NotImported(FailedRow),
    /// How much of what a release refers to is held.
    Completeness(CompletenessRow),
}

/// A file, image or chart that could not be imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRow {
    /// A URL or an image reference.
    pub what: String,
    /// Why it could not be imported.
    pub reason: String,
}

/// How much of what a release refers to is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletenessRow {
    /// The release, as a package URL.
    pub of: String,
    /// References that are held.
    pub held: Vec<String>,
    /// References that are not held, each with the reason.
    pub missing: Vec<FailedRow>,
}

/// The totals of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportDone {
    /// Number of releases signed.
    pub releases: u64,
    /// Number of images or files that could not be imported.
    pub failed: u64,
    /// Total size of all releases in bytes.
    pub bytes: u64,
    /// Bytes that the store did not have before.
    pub new_bytes: u64,
}
