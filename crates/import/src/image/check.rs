//! Whether bytes have the digest that names them: SHA-256 and SHA-512, the two that OCI registered.

use oci_spec::image::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256, Sha512};

use crate::ImportError;

/// A digest being computed, and what it is to be.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    expected: Digest,
    hasher: Hasher,
}

#[derive(Debug, Clone)]
enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Check {
    pub(crate) fn new(expected: &Digest) -> Result<Self, ImportError> {
        let hasher = match expected.algorithm() {
            DigestAlgorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            DigestAlgorithm::Sha512 => Hasher::Sha512(Sha512::new()),
            other => {
                let reason = format!("{other} digests are not known; sha256 and sha512 are");
                return Err(ImportError::Upstream { what: expected.to_string(), reason });
            }
        };
        Ok(Self { expected: expected.clone(), hasher })
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.hasher {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Result<(), ImportError> {
        let (name, hex) = match self.hasher {
            Hasher::Sha256(hasher) => ("sha256", hex::encode(hasher.finalize())),
            Hasher::Sha512(hasher) => ("sha512", hex::encode(hasher.finalize())),
        };
        if hex == self.expected.digest() {
            return Ok(());
        }
        let reason = format!("what came has the digest {name}:{hex}");
        Err(ImportError::Mismatch { what: self.expected.to_string(), reason })
    }

    /// Checks bytes that are all there.
    pub(crate) fn bytes(expected: &Digest, bytes: &[u8]) -> Result<(), ImportError> {
        let mut check = Self::new(expected)?;
        check.update(bytes);
        check.finish()
    }
}

/// The SHA-256 of bytes, as a digest.
pub(crate) fn sha256_of(bytes: &[u8]) -> Result<Digest, ImportError> {
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
    Digest::try_from(digest).map_err(|e| ImportError::Usage(e.to_string()))
}
