//! Imports: releases made from the files of an upstream.

use std::num::NonZeroU32;
use std::path::PathBuf;

use perennial_manifest::{ArtifactPath, PublisherKind, Purl};
use serde::{Deserialize, Serialize};

use crate::{Environment, ErrorKind, Published};

/// A request to import from an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The source to import from.
    pub source: ImportSource,
    /// SPDX expression; none means `NOASSERTION`.
    pub license: Option<String>,
    /// This publisher's kind; none keeps the kind in its profile.
    pub kind: Option<PublisherKind>,
    /// Free-form notes for people.
    pub notes: Option<String>,
    /// Sign releases even if this node's last ones of their names say the same.
    #[serde(default)]
    pub again: bool,
    /// Sign URLs as they are, but for users and passwords.
    #[serde(default)]
    pub keep_query: bool,
    /// Allow connections to addresses in private networks.
    pub allow_private: bool,
    /// Use plain HTTP for registries.
    pub plain_http: bool,
    /// The caller's proxies, places of credentials and trusted certificates; none means those of
    /// the process that carries the import out.
    #[serde(default)]
    pub environment: Option<Environment>,
    /// How often an upstream is asked before it is given up; none means the importers' own
    /// patience.
    #[serde(default)]
    pub tries: Option<NonZeroU32>,
}

/// A source to import from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportSource {
    /// Files named by URL, as one release.
    Urls {
        /// `https://…` or `http://…`.
        urls: Vec<String>,
        /// The release's package URL, with a version.
        purl: Purl,
        /// Accept a web page where an archive was expected.
        html: bool,
        /// The file's name, for one URL; none takes the server's or the URL's.
        #[serde(default)]
        file_name: Option<ArtifactPath>,
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

/// A report of a running import, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportEvent {
    /// A release was signed, now or before.
    #[serde(rename = "imported")]
    Published(Published),
    /// A file, image or chart could not be imported.
    #[serde(rename = "not-imported")]
    Failed(Failed),
    /// A file was added without a comparison with a checksum file that is published beside it.
    #[serde(rename = "not-checked")]
    Unchecked(Failed),
    /// How many of the images that a release refers to are held.
    Completeness(Completeness),
    /// A request failed and is made again.
    Retrying(Retrying),
}

/// A request to an upstream that failed and is made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retrying {
    /// What failed, and how.
    pub reason: String,
    /// Milliseconds until the next try.
    pub wait_ms: u64,
}

/// A file, image or chart that could not be imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// A URL or an image reference.
    pub what: String,
    /// Why it could not be imported.
    pub reason: String,
    /// The kind of failure.
    #[serde(default)]
    pub kind: ErrorKind,
}

impl Failed {
    /// A part that failed for a reason of no special kind.
    pub fn new(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { what: what.into(), reason: reason.into(), kind: ErrorKind::Failed }
    }

    /// The same failure, of this kind.
    #[must_use]
    pub fn of(self, kind: ErrorKind) -> Self {
        Self { kind, ..self }
    }
}

/// How many of the images that a release refers to are held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completeness {
    /// The referring release, as a package URL.
    pub of: String,
    /// References that are held.
    pub held_images: Vec<String>,
    /// References that are not held, each with the reason.
    pub missing_images: Vec<Failed>,
}

/// The totals of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportSummary {
    /// Number of releases signed.
    pub releases: u64,
    /// Number of releases that were signed before and say the same.
    #[serde(default)]
    pub already: u64,
    /// Number of images or files that could not be imported.
    pub failed: u64,
    /// Number of published checksum files that nothing could be compared with.
    #[serde(default)]
    pub unchecked: u64,
    /// Total size of all releases in bytes.
    pub bytes: u64,
    /// Bytes that the store did not have before.
    pub new_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_names_are_those_that_clients_know() {
        let failed = Failed::new("docker://a/b:c", "gone").of(ErrorKind::NotFound);
        let event = ImportEvent::Failed(failed);
        let text = serde_json::to_string(&event).unwrap();
        let fields = r#""what":"docker://a/b:c","reason":"gone""#;
        assert_eq!(text, format!(r#"{{"not-imported":{{{fields},"kind":"not-found"}}}}"#));
        assert_eq!(serde_json::from_str::<ImportEvent>(&text).unwrap(), event);
        // An older node tells no kind.
        let older = format!(r#"{{"not-imported":{{{fields}}}}}"#);
        let ImportEvent::Failed(older) = serde_json::from_str(&older).unwrap() else { panic!() };
        assert_eq!(older.kind, ErrorKind::Failed);
        let published = format!(
            r#"{{"imported":{{"release":"{}","purl":"pkg:generic/a@1","publisher":"{}",{}}}}}"#,
            "ab".repeat(32),
            "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
            r#""artifacts":1,"bytes":2,"new_bytes":3,"already":false,"remarks":[],"left_out":[]"#
        );
        let event: ImportEvent = serde_json::from_str(&published).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), published);
    }
}
