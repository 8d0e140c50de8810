//! The source of an image's bytes: a registry, or a layout on disk.

use perennial_oci::Digest;

use crate::ImportError;
use crate::image::Incoming;
use crate::meter::Meter;

/// A requested blob, by the digest and size that its bytes must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// A statement about another manifest: a signature, an attestation, an SBOM.
#[derive(Debug, Clone)]
pub(crate) struct Attached {
    pub(crate) digest: Digest,
    /// Its own tag, if it was found by one.
    pub(crate) tag: Option<String>,
}

/// Supplies bytes by digest. Verifying them is up to the caller.
pub(crate) trait Origin: Sync {
    /// Fetches a manifest of at most [`perennial_oci::MAX_MANIFEST`] bytes.
    fn manifest(
        &self,
        digest: &Digest,
    ) -> impl Future<Output = Result<Vec<u8>, ImportError>> + Send;

    /// Whether a manifest is known to be missing here, because only part of the image was saved.
    fn lacks(&self, digest: &Digest) -> bool;

    /// Finds the statements about a manifest; also returns the ways of finding them that failed.
    fn attached(
        &self,
        digest: &Digest,
    ) -> impl Future<Output = (Vec<Attached>, Vec<ImportError>)> + Send;

    /// Appends the missing rest of a blob to `into`.
    fn blob(
        &self,
        wanted: &Wanted,
        into: Incoming,
        meter: &Meter<'_>,
    ) -> impl Future<Output = Result<Incoming, ImportError>> + Send;
}
