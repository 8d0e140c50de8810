//! SHA-256, computed.
//!
//! By ring, whose assembly takes 3 s for a GiB on a processor without instructions for SHA-256;
//! `sha2` takes 6 s there. Where the processor has them, both are limited by memory.

use std::fmt;

use ring::digest::{Context, SHA256, digest};

use crate::Sha256Digest;

/// A SHA-256 under way over the pieces of something.
///
/// ```
/// use perennial_manifest::{Sha256, Sha256Digest};
///
/// let mut hasher = Sha256::new();
/// hasher.update(b"a");
/// hasher.update(b"bc");
/// assert_eq!(hasher.finish(), Sha256Digest::of(b"abc"));
/// ```
#[derive(Clone)]
pub struct Sha256(Context);

impl Sha256 {
    /// A hash of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken.
    #[must_use]
    pub fn finish(self) -> Sha256Digest {
        from(&self.0.finish())
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256")
    }
}

impl Sha256Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        from(&digest(&SHA256, bytes))
    }
}

fn from(digest: &ring::digest::Digest) -> Sha256Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    Sha256Digest::from_bytes(bytes)
}
