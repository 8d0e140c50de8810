//! The node's two key files: `keys/node.key` is its network identity, `keys/publisher.key` signs
//! its entries.
//!
//! Both are OpenSSH private keys (Ed25519, no passphrase), created on first use and readable only
//! by their owner. A key file that other users can read is rejected; a key file is never
//! overwritten.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use perennial_manifest::Keypair;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};

/// Largest key file accepted, in bytes; an Ed25519 key takes about 400.
const MAX_KEY_FILE: u64 = 16 * 1024;

/// The folder of a data directory that contains its keys.
#[derive(Clone, Debug)]
pub struct Keys {
    folder: PathBuf,
}

impl Keys {
    /// The keys of the data directory `data`. Does not access the disk.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        Keys { folder: data.join("keys") }
    }

    /// The seed of the network identity, created on first use.
    ///
    /// # Errors
    /// When the file cannot be read or created, is not a key, or is accessible to other users.
    pub fn node(&self) -> Result<[u8; 32], KeyError> {
        self.read_or_create("node.key", "perennial node")
    }

    /// The key that signs what this node publishes, created on first use.
    ///
    /// # Errors
    /// As for [`Keys::node`].
    pub fn publisher(&self) -> Result<Keypair, KeyError> {
        self.read_or_create("publisher.key", "perennial publisher").map(Keypair::from_seed)
    }

    /// The key that signs what this node publishes, if it exists.
    ///
    /// # Errors
    /// As for [`Keys::node`].
    pub fn existing_publisher(&self) -> Result<Option<Keypair>, KeyError> {
        Ok(read(&self.publisher_path())?.map(Keypair::from_seed))
    }

    /// The path of the publisher's key file.
    #[must_use]
    pub fn publisher_path(&self) -> PathBuf {
        self.folder.join("publisher.key")
    }

    fn read_or_create(&self, name: &str, comment: &str) -> Result<[u8; 32], KeyError> {
        let path = self.folder.join(name);
        match read(&path)? {
            Some(seed) => Ok(seed),
            None => create(&self.folder, &path, comment),
        }
    }
}

fn read(path: &Path) -> Result<Option<[u8; 32]>, KeyError> {
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits();
    let file = match OpenOptions::new().read(true).custom_flags(no_follow.cast_signed()).open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let metadata = file.metadata().map_err(io)?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Loose { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(io)?;
    let malformed = |reason: String| KeyError::Malformed { path: path.to_owned(), reason };
    let key = PrivateKey::from_openssh(&text).map_err(|error| malformed(error.to_string()))?;
    match key.key_data() {
        KeypairData::Ed25519(pair) => Ok(Some(pair.private.to_bytes())),
        _ => Err(malformed("it is not an unencrypted Ed25519 key".to_owned())),
    }
}

/// Writes a new key under a temporary name and links it into place, so that a key file is always
/// complete and never overwritten.
fn create(folder: &Path, path: &Path, comment: &str) -> Result<[u8; 32], KeyError> {
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let seed: [u8; 32] = rand::random();
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
    let text =
        PrivateKey::new(pair, comment).and_then(|key| key.to_openssh(LineEnding::LF)).map_err(
            |error| KeyError::Malformed { path: path.to_owned(), reason: error.to_string() },
        )?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
    let mut file = tempfile::Builder::new()
        .prefix(".key-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .tempfile_in(folder)
        .map_err(io)?;
    file.write_all(text.as_bytes()).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    file.persist_noclobber(path).map_err(|error| io(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
    Ok(seed)
}

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
    #[error("key {} has mode {mode:o}: others could read it. Run `chmod 600` on it", path.display())]
    Loose {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_made_once_and_stay() {
        let data = tempfile::tempdir().unwrap();
        let keys = Keys::of(data.path());
        assert!(keys.existing_publisher().unwrap().is_none());
        let id = keys.publisher().unwrap().id();
        assert_eq!(keys.publisher().unwrap().id(), id);
        assert_eq!(keys.existing_publisher().unwrap().unwrap().id(), id);
        assert_eq!(keys.node().unwrap(), keys.node().unwrap());
        let mode = std::fs::metadata(keys.publisher_path()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = std::fs::read_to_string(keys.publisher_path()).unwrap();
        assert!(text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let keys = Keys::of(data.path());
        keys.publisher().unwrap();
        std::fs::set_permissions(keys.publisher_path(), std::fs::Permissions::from_mode(0o644))
            .unwrap();
        assert!(matches!(keys.publisher(), Err(KeyError::Loose { mode: 0o644, .. })));
    }

    #[test]
    fn rubbish_and_symlinks_are_refused_and_left_alone() {
        let data = tempfile::tempdir().unwrap();
        let keys = Keys::of(data.path());
        keys.node().unwrap();
        std::os::unix::fs::symlink("node.key", keys.publisher_path()).unwrap();
        assert!(matches!(keys.publisher(), Err(KeyError::Io { .. })));
        std::fs::remove_file(keys.publisher_path()).unwrap();
        std::fs::write(keys.publisher_path(), "no key").unwrap();
        std::fs::set_permissions(keys.publisher_path(), std::fs::Permissions::from_mode(0o600))
            .unwrap();
        assert!(matches!(keys.publisher(), Err(KeyError::Malformed { .. })));
        assert_eq!(std::fs::read(keys.publisher_path()).unwrap(), b"no key");
    }
}
