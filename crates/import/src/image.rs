//! Turns a container image into a release, whatever the source of its bytes.
//!
//! Drives the walk ([`perennial_oci::Tree`]) from a root manifest to every byte it names, and
//! drafts the result: an OCI image layout (DESIGN, section 4) whose list depends only on the image,
//! so that two archivists of one tag sign the same list. Every byte is verified against its digest
//! and length before the store gets it. An [`Origin`] supplies the bytes.

mod blob_sink;
mod draft;
mod gather;
mod incoming;
mod origin;
mod platforms;
mod sha512_names;
mod walk;

pub(crate) use blob_sink::BlobSink;
pub(crate) use draft::{About, draft};
pub(crate) use gather::gather;
pub(crate) use incoming::Incoming;
pub(crate) use origin::{Attached, Origin, Wanted};
pub(crate) use platforms::Platforms;
