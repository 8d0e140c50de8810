//! Media types, and the role that each blob of an image has in an artifact list.

use perennial_manifest::Role;

/// An index of manifests, OCI's.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// A manifest of an image, OCI's.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An index of manifests, docker's.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// A manifest of an image, docker's.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// The manifest of artifacts that OCI 1.1 dropped before its release.
pub(crate) const ARTIFACT_MANIFEST: &str = "application/vnd.oci.artifact.manifest.v1+json";
/// Docker's first manifests, signed or not.
const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";
/// The archive of a Helm chart.
pub const HELM_CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// The provenance file of a Helm chart.
pub const HELM_PROVENANCE: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";
/// Bytes of no known type.
pub(crate) const BYTES: &str = "application/octet-stream";

/// Longest media type of an artifact, in bytes.
const MAX_MEDIA_TYPE: usize = 255;

/// Whether a text can be the media type of an artifact.
#[must_use]
pub fn is_media_type(text: &str) -> bool {
    let parts =
        text.split_once('/').is_some_and(|(ty, subtype)| !ty.is_empty() && !subtype.is_empty());
    parts && text.len() <= MAX_MEDIA_TYPE && !text.chars().any(char::is_control)
}

/// Whether content of this type is a manifest or an index.
pub(crate) fn is_manifest(media_type: &str) -> bool {
    matches!(
        media_type,
        OCI_INDEX | OCI_MANIFEST | DOCKER_LIST | DOCKER_MANIFEST | ARTIFACT_MANIFEST
    ) || media_type.starts_with(DOCKER_SCHEMA_1)
}

/// Whether a licence keeps layers of this type from being passed on, as Windows base layers. Their
/// bytes are left out of releases, even where a registry holds them.
pub(crate) fn is_foreign(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
}

/// The place of a blob in a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Config,
    Layer,
}

/// The role of a blob. `statement` means that its manifest describes an image instead of being one.
pub(crate) fn role_of(media_type: &str, place: Place, statement: bool) -> Role {
    let names = |words: &[&str]| words.iter().any(|word| media_type.contains(word));
    if media_type.starts_with("application/vnd.cncf.helm.chart.content") {
        Role::Chart
    } else if names(&["simplesigning", "sigstore", "signature"]) || media_type == HELM_PROVENANCE {
        Role::Signature
    } else if names(&["spdx", "cyclonedx"]) {
        Role::Sbom
    } else if statement {
        Role::Signature
    } else if place == Place::Config {
        Role::ImageConfig
    } else {
        Role::ImageLayer
    }
}
