//! The rules of OCI and docker images, shared by imports and the registry.
//!
//! Owns digests, descriptors, manifests and their limits, references and their package URLs, the
//! walk from a root to all its blobs, and the files of an image layout. Promises one verdict on
//! every manifest and one artifact list for every image, whether it was imported from a registry,
//! read from an archive or pushed. Pure: no I/O, no clock, no threads, no randomness.

mod attached_tag;
mod descriptor;
mod digest;
mod engine;
mod fields;
mod layout;
mod manifest;
mod reference;
mod repository;
mod role;
mod tree;

pub use attached_tag::{cosign_tags, referrers_tag, subject_of_tag};
pub use descriptor::Descriptor;
pub use digest::{Check, Digest, DigestError, DigestMismatch};
pub use engine::{
    DOCKER_PATH, DOCKER_TYPE, IMAGE_NAME, docker_list, index_of_one, is_image_config, name_index,
};
pub use layout::{HEADER_PATH, INDEX_PATH, LayoutFile, REF_NAME, Stored};
pub use manifest::{ACCEPT, MAX_MANIFEST, Manifest, ManifestError, OddEntry};
pub use reference::{Reference, ReferenceError, Version, VersionError};
pub use repository::{Repository, is_port, is_repository_name, is_tag, starts_with_registry};
pub use role::{
    DOCKER_LIST, DOCKER_MANIFEST, HELM_CHART, HELM_PROVENANCE, OCI_INDEX, OCI_MANIFEST,
    is_media_type,
};
pub use tree::{Content, MAX_BLOBS, MAX_DEPTH, MAX_MANIFESTS, Rule, Tree, TreeError, Visit};
