//! Container images: what a release of one looks like, whichever way the bytes came.
//!
//! Owns the walk from a root manifest to every byte it names, and the draft that is made of them: an OCI image layout
//! (DESIGN, section 4) whose list depends only on what the upstream has, so that two archivists of one tag get one list.
//! Every byte is compared with its digest and length before the store gets it. Where bytes come from is an [`Origin`]'s.

mod check;
mod draft;
mod gather;
mod incoming;
mod keeper;
mod manifest;
mod named;
mod origin;
mod platform;
mod reference;
mod tree;

pub(crate) use check::{Check, sha256_of};
pub(crate) use draft::{About, draft};
pub(crate) use gather::gather;
pub(crate) use incoming::Incoming;
pub(crate) use keeper::Keeper;
pub(crate) use manifest::{
    INDEX, MANIFEST, MAX_MANIFEST, Manifest, cosign_subject, cosign_tags, fallback_tag,
    is_media_type,
};
pub(crate) use origin::{Attached, Origin, Wanted};
pub(crate) use platform::Platforms;
pub use reference::{Reference, image_purl};
pub(crate) use reference::{has_version, parse_reference, with_tag};
pub(crate) use tree::{CHART, PROVENANCE, path_of};
