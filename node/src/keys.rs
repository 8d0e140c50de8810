//! The node's two key files: `keys/node.key` is its network identity, `keys/publisher.key` signs
//! its entries.
//!
//! Both are OpenSSH private keys (Ed25519, no passphrase), created on first use and readable only
//! by their owner. A key file that other users can read is rejected; a key file is never
//! overwritten.

mod error;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use perennial_manifest::{Keypair, PublisherId};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};

pub use error::KeyError;

/// Largest key file accepted, in bytes; an Ed25519 key takes about 400.
const MAX_KEY_FILE: u64 = 16 * 1024;

/// The file in a data directory's `keys` that names the folder of its keys, if that is elsewhere.
const ELSEWHERE: &str = "elsewhere";
/// The file of the network identity.
const NODE: &str = "node.key";
/// The file of the publisher's key.
const PUBLISHER: &str = "publisher.key";
/// The file of the key that is to take over the feed.
const NEXT: &str = "publisher.key.next";

/// The folder that contains the keys of a data directory.
#[derive(Clone, Debug)]
pub struct Keys {
    folder: PathBuf,
    /// The permission bits that a key file must not have.
    others: u32,
}

impl Keys {
    /// The keys in `folder`. With `group`, the group of a key file may have access to it. Does not
    /// touch the disk.
    #[must_use]
    pub fn in_folder(folder: PathBuf, group: bool) -> Self {
        Keys { folder, others: if group { 0o007 } else { 0o077 } }
    }

    /// The same keys, which lie on read-only media: nothing is signed with them, and some media
    /// (ISO 9660) have no modes.
    #[must_use]
    pub fn to_read(self) -> Self {
        Keys { others: 0, ..self }
    }

    /// The keys of the data directory `data`. If it has none yet and its file system keeps no
    /// modes, they lie below `state`, and the second value says so.
    ///
    /// # Errors
    /// When the folder cannot be used, or there is none that keeps modes.
    pub fn of(
        data: &Path,
        state: Option<&Path>,
        group: bool,
    ) -> Result<(Self, Option<String>), KeyError> {
        let folder = data.join("keys");
        let pointer = folder.join(ELSEWHERE);
        match std::fs::read_to_string(&pointer) {
            Ok(named) => {
                let named = PathBuf::from(named.trim_end_matches('\n'));
                if !named.is_dir() {
                    return Err(KeyError::Away { data: data.to_owned(), folder: named });
                }
                return Ok((Keys::in_folder(named, group), None));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io(&pointer)(error)),
        }
        let made = files(&folder).any(|path| path.exists());
        if made || perennial_store::is_on_read_only_media(data) || keeps_modes(&folder) {
            return Ok((Keys::in_folder(folder, group), None));
        }
        let state = state.ok_or_else(|| KeyError::NoModes { folder: folder.clone() })?;
        let id: String = rand::random::<[u8; 8]>().iter().map(|b| format!("{b:02x}")).collect();
        let other = state.join("keys").join(id);
        if !keeps_modes(&other) {
            return Err(KeyError::NoModes { folder: other });
        }
        std::fs::write(&pointer, format!("{}\n", other.display())).map_err(io(&pointer))?;
        File::open(&pointer).and_then(|file| file.sync_all()).map_err(io(&pointer))?;
        let note = format!(
            "the file system of {} cannot keep a file private, so the keys lie in {}: back up both",
            data.display(),
            other.display()
        );
        Ok((Keys::in_folder(other, group), Some(note)))
    }

    /// The seed of the network identity, created on first use.
    ///
    /// # Errors
    /// When the file cannot be read or created, is not a key, or is accessible to other users.
    pub fn node(&self) -> Result<[u8; 32], KeyError> {
        self.read_or_create(NODE, "perennial node")
    }

    /// The key that signs this node's entries, created on first use.
    ///
    /// # Errors
    /// As for [`Keys::node`].
    pub fn publisher(&self) -> Result<Keypair, KeyError> {
        self.read_or_create(PUBLISHER, "perennial publisher").map(Keypair::from_seed)
    }

    /// The key that signs this node's entries, if it exists.
    ///
    /// # Errors
    /// As for [`Keys::node`].
    pub fn existing_publisher(&self) -> Result<Option<Keypair>, KeyError> {
        Ok(read(&self.publisher_path(), self.others)?.map(Keypair::from_seed))
    }

    /// The path of the publisher's key file.
    #[must_use]
    pub fn publisher_path(&self) -> PathBuf {
        self.folder.join(PUBLISHER)
    }

    /// The key that takes over the feed, created at the first try of a rotation: one that broke off
    /// goes on with the same key.
    pub(crate) fn next(&self) -> Result<Keypair, KeyError> {
        self.read_or_create(NEXT, "perennial publisher").map(Keypair::from_seed)
    }

    /// Makes the next key the publisher's, unless it is, and keeps the one that it replaces aside.
    /// There is a key at any moment. Returns the path of the old one.
    pub(crate) fn promote_next(
        &self,
        old: &PublisherId,
        next: &PublisherId,
    ) -> Result<PathBuf, KeyError> {
        let path = self.publisher_path();
        let id = old.to_string();
        let name = format!("publisher-{}.key", id.trim_start_matches("did:key:"));
        let aside = self.folder.join(name);
        if self.existing_publisher()?.is_some_and(|key| key.id() == *next) {
            return Ok(aside);
        }
        match std::fs::hard_link(&path, &aside) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(io(&aside)(error));
            }
            _ => {}
        }
        std::fs::rename(self.folder.join(NEXT), &path).map_err(io(&path))?;
        perennial_store::sync_directory(&self.folder).map_err(io(&self.folder))?;
        Ok(aside)
    }

    /// Writes a copy of the publisher's key, which only its owner may read. Overwrites nothing.
    /// Returns whether the copy is private: some file systems keep no modes.
    ///
    /// # Errors
    /// When there is no key, or the copy cannot be written or is there already.
    pub fn backup(&self, to: &Path) -> Result<bool, KeyError> {
        let path = self.publisher_path();
        // Refuses what is no key.
        self.existing_publisher()?.ok_or_else(|| io(&path)(ErrorKind::NotFound.into()))?;
        let text = std::fs::read(&path).map_err(io(&path))?;
        write_new(to, &text)?;
        Ok(std::fs::metadata(to).map_err(io(to))?.mode() & 0o077 == 0)
    }

    /// Takes a copy of a publisher's key in, whatever the mode of the copy. Overwrites none.
    ///
    /// # Errors
    /// [`KeyError::Exists`] if there is a key, or as for [`Keys::node`] if the copy is none.
    pub fn restore(&self, from: &Path) -> Result<PublisherId, KeyError> {
        let path = self.publisher_path();
        if self.existing_publisher()?.is_some() {
            return Err(KeyError::Exists { path });
        }
        let io = |source| KeyError::Io { path: from.to_owned(), source };
        let seed = read(from, 0)?.ok_or_else(|| io(ErrorKind::NotFound.into()))?;
        let text = std::fs::read(from).map_err(io)?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|source| KeyError::Io { path: self.folder.clone(), source })?;
        write_new(&path, &text)?;
        Ok(Keypair::from_seed(seed).id())
    }

    fn read_or_create(&self, name: &str, comment: &str) -> Result<[u8; 32], KeyError> {
        let path = self.folder.join(name);
        match read(&path, self.others)? {
            Some(seed) => Ok(seed),
            None => create(&self.folder, &path, comment),
        }
    }
}

/// The paths of the key files in a folder.
pub(crate) fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    [NODE, PUBLISHER].into_iter().map(|name| folder.join(name))
}

/// The folder outside of the data directory `data` in which its keys lie, if they do.
pub(crate) fn elsewhere(data: &Path) -> Option<PathBuf> {
    let named = std::fs::read_to_string(data.join("keys").join(ELSEWHERE)).ok()?;
    Some(PathBuf::from(named.trim_end_matches('\n')))
}

/// Whether a new file in `folder`, which is created, can be private and get its name in one step.
fn keeps_modes(folder: &Path) -> bool {
    let kept = || -> std::io::Result<bool> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let file = private_file(folder)?;
        let private = file.as_file().metadata()?.mode() & 0o077 == 0;
        let named = folder.join(".key-probe");
        let _ = std::fs::remove_file(&named);
        file.persist_noclobber(&named).map_err(|error| error.error)?;
        std::fs::remove_file(&named)?;
        Ok(private)
    };
    kept().unwrap_or(false)
}

/// A temporary file that only its owner may read, where the file system can do that.
fn private_file(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    // Made with its mode, not changed to it, which some file systems refuse.
    tempfile::Builder::new().prefix(".key-").permissions(mode).tempfile_in(folder)
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::Io { path, source }
}

fn read(path: &Path, others: u32) -> Result<Option<[u8; 32]>, KeyError> {
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
    if mode & others != 0 {
        return Err(KeyError::Loose { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(io)?;
    let malformed = |reason: String| KeyError::Malformed { path: path.to_owned(), reason };
    let key = PrivateKey::from_openssh(&text).map_err(|error| malformed(error.to_string()))?;
    match key.key_data() {
        KeypairData::Ed25519(pair) => Ok(Some(pair.private.to_bytes())),
        KeypairData::Encrypted(_) => Err(malformed(format!(
            "it has a passphrase: take it off a copy with `ssh-keygen -p -f {}`",
            path.display()
        ))),
        _ => Err(malformed("it is not an Ed25519 key".to_owned())),
    }
}

/// Writes a new private file under a temporary name and links it into place, so that it is always
/// complete and nothing is overwritten.
fn write_new(path: &Path, text: &[u8]) -> Result<(), KeyError> {
    let io = |source: std::io::Error| match source.kind() {
        ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_owned() },
        _ => KeyError::Io { path: path.to_owned(), source },
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut file = private_file(folder).map_err(io)?;
    file.write_all(text).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    file.persist_noclobber(path).map_err(|error| io(error.error))?;
    perennial_store::sync_directory(folder).map_err(io)
}

/// Makes a new key.
fn create(folder: &Path, path: &Path, comment: &str) -> Result<[u8; 32], KeyError> {
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let seed: [u8; 32] = rand::random();
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
    let text =
        PrivateKey::new(pair, comment).and_then(|key| key.to_openssh(LineEnding::LF)).map_err(
            |error| KeyError::Malformed { path: path.to_owned(), reason: error.to_string() },
        )?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
    write_new(path, text.as_bytes())?;
    Ok(seed)
}

#[cfg(test)]
mod tests;
