//! The place that the bytes of an image come from: a registry, or a layout on disk.

use perennial_oci::Digest;

use crate::ImportError;
use crate::image::Incoming;
use crate::meter::Meter;

/// A blob, by what its bytes must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// A manifest that says something about another one: a signature, an attestation, an SBOM.
#[derive(Debug, Clone)]
pub(crate) struct Attached {
    pub(crate) digest: Digest,
    /// Its own tag, if it was found by one.
    pub(crate) tag: Option<String>,
}

/// Gives bytes by digest. Checking them is the caller's part.
pub(crate) trait Origin: Sync {
    /// A manifest, of at most [`perennial_oci::MAX_MANIFEST`] bytes.
    fn manifest(
        &self,
        digest: &Digest,
    ) -> impl Future<Output = Result<Vec<u8>, ImportError>> + Send;

    /// Whether a manifest is known to be missing here, because only a part was saved.
    fn lacks(&self, digest: &Digest) -> bool;

    /// The statements about a manifest.
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
