//! The failures of key files.

use std::path::PathBuf;

/// Why a key cannot be read or created.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A key file cannot be read or written.
    #[error("key {}: {source}", path.display())]
    Io {
        /// The key file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Users other than the owner can read or write the key file.
    #[error("key {} has mode {mode:o}: {}", path.display(), loose(*.mode))]
    Loose {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// No folder for the keys keeps modes.
    #[error(
        "the file system of {} cannot keep a key private; give a folder on another one with --keys \
         DIR",
        folder.display()
    )]
    NoModes {
        /// The folder tried last.
        folder: PathBuf,
    },
    /// The keys of the data directory lie in a folder that is not there.
    #[error(
        "the keys of {} lie in {}, which is not there: bring it back, or give its new place with \
         --keys DIR",
        data.display(),
        folder.display()
    )]
    Away {
        /// The data directory.
        data: PathBuf,
        /// The folder of its keys.
        folder: PathBuf,
    },
    /// A key is there already, and none is overwritten.
    #[error("{} is there already, and no key is overwritten: move it away first", path.display())]
    Exists {
        /// The key file.
        path: PathBuf,
    },
    /// The file is not an unencrypted Ed25519 key.
    #[error("key {}: {reason}", path.display())]
    Malformed {
        /// The key file.
        path: PathBuf,
        /// Why it was rejected.
        reason: String,
    },
}

/// The users that a key with this mode admits, and the remedy.
fn loose(mode: u32) -> &'static str {
    if mode & 0o007 != 0 {
        "others could use it. Run `chmod 600` on it; where the file system keeps no modes, move \
         its folder elsewhere and give it with --keys DIR"
    } else {
        "its group, or a user in its access control list, could use it. Run `chmod 600` on it; \
         where that is intended, as with Kubernetes' fsGroup, accept it with --group-keys \
         (PERENNIAL_GROUP_KEYS=true)"
    }
}
