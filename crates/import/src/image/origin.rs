//! Where the bytes of an image come from: a registry, or a layout on disk.

use std::future::Future;

use oci_spec::image::Digest;

use crate::ImportError;
use crate::image::Incoming;
use crate::meter::Meter;

/// A blob or a manifest by what it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// A manifest that says something of another one: a signature, an attestation, a bill of materials.
#[derive(Debug, Clone)]
pub(crate) struct Attached {
    pub(crate) digest: Digest,
    /// Its own tag, where it is found by one.
    pub(crate) tag: Option<String>,
}

/// Gives bytes by digest. It need not check them: who asks does.
pub(crate) trait Origin: Sync {
    /// What its artifacts say where they come from.
    fn origins(&self) -> Vec<String>;

    /// A manifest, of at most [`super::MAX_MANIFEST`] bytes.
    fn manifest(
        &self,
        digest: &Digest,
    ) -> impl Future<Output = Result<Vec<u8>, ImportError>> + Send;

    /// Whether it is known that a manifest is not to be had here, because only a part was saved.
    fn lacks(&self, digest: &Digest) -> bool;

    /// What is said of a manifest.
    fn attached(
        &self,
        digest: &Digest,
    ) -> impl Future<Output = Result<Vec<Attached>, ImportError>> + Send;

    /// The rest of a blob.
    fn blob(
        &self,
        wanted: &Wanted,
        into: Incoming,
        meter: &Meter<'_>,
    ) -> impl Future<Output = Result<Incoming, ImportError>> + Send;
}
