//! Files that are written and wait for their sync, to get their names together.
//!
//! The sync of a small file costs a commit of the file system's journal, and so it does for each of
//! many. Where one sync of the file system covers them all and reports its errors (Linux 5.8, on
//! the file systems listed here), a group of files shares it; elsewhere each file is synced by
//! itself. Either way a file gets its name once its bytes are durable, and none that has appeared
//! meanwhile is replaced unasked: two names may be one where case does not count.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FsWord, fstatfs, syncfs};
use tempfile::NamedTempFile;

use super::ExportError;

/// Most files that wait at once: each is an open file.
const FILES: usize = 512;
/// Most bytes that wait.
const BYTES: u64 = 64 << 20;
/// Files from which a sync of the file system costs less than one of each.
const WORTH: usize = 8;
/// ext2 to ext4, XFS, Btrfs, F2FS.
const SHARED_SYNC: [FsWord; 4] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010];

/// Files of one file system, and their names to be.
#[derive(Debug)]
pub(super) struct Pending {
    files: Vec<(NamedTempFile, PathBuf)>,
    device: u64,
    bytes: u64,
    /// Whether files that exist are replaced.
    force: bool,
}

impl Pending {
    pub(super) fn new(force: bool) -> Self {
        Self { files: Vec::new(), device: 0, bytes: 0, force }
    }

    /// Takes a file that is written. It has its name after the next [`Pending::settle`], which may
    /// be now.
    pub(super) fn add(&mut self, file: NamedTempFile, path: &Path) -> Result<(), ExportError> {
        let at = |e| ExportError::io(path, e);
        let meta = file.as_file().metadata().map_err(at)?;
        if !shares_sync(&file) {
            file.as_file().sync_all().map_err(at)?;
            return file.persist(path).map(drop).map_err(|e| at(e.error));
        }
        if meta.dev() != self.device {
            self.settle()?;
            self.device = meta.dev();
        }
        self.bytes += meta.len();
        self.files.push((file, path.to_owned()));
        if self.files.len() >= FILES || self.bytes >= BYTES { self.settle() } else { Ok(()) }
    }

    /// Makes all files durable and gives them their names.
    pub(super) fn settle(&mut self) -> Result<(), ExportError> {
        let files = std::mem::take(&mut self.files);
        self.bytes = 0;
        let shared = files.len() >= WORTH;
        if let (true, Some((first, path))) = (shared, files.first()) {
            syncfs(first.as_file()).map_err(|e| ExportError::io(path, e.into()))?;
        }
        for (file, path) in files {
            let at = |e: io::Error| ExportError::io(&path, e);
            if !shared {
                file.as_file().sync_all().map_err(at)?;
            }
            let named = match self.force {
                true => file.persist(&path),
                false => file.persist_noclobber(&path),
            };
            match named.map_err(|e| e.error) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(ExportError::Exists { path });
                }
                other => drop(other.map_err(at)?),
            }
        }
        Ok(())
    }
}

/// Files that were written before an error are there, as far as they can be.
impl Drop for Pending {
    fn drop(&mut self) {
        let _ = self.settle();
    }
}

fn shares_sync(file: &NamedTempFile) -> bool {
    fstatfs(file.as_file()).is_ok_and(|found| SHARED_SYNC.contains(&found.f_type))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn put(pending: &mut Pending, path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
        let file = NamedTempFile::new_in(path.parent().unwrap()).unwrap();
        fs::write(file.path(), bytes).unwrap();
        pending.add(file, path)
    }

    #[test]
    fn files_get_their_names_in_groups_and_all_of_them_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut pending = Pending::new(false);
        for n in 0..FILES + 3 {
            put(&mut pending, &dir.path().join(n.to_string()), &[1]).unwrap();
            assert!(pending.files.len() < FILES, "bounded");
        }
        drop(pending);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), FILES + 3);
    }

    #[test]
    fn a_file_that_appeared_meanwhile_is_replaced_only_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        for force in [false, true] {
            fs::write(&path, b"mine").unwrap();
            let mut pending = Pending::new(force);
            let put = put(&mut pending, &path, b"theirs");
            let settled = put.and_then(|()| pending.settle());
            let waits = shares_sync(&NamedTempFile::new_in(dir.path()).unwrap());
            assert_eq!(settled.is_ok(), force || !waits);
            let kept = fs::read(&path).unwrap() == b"mine";
            assert_eq!(kept, !force && waits);
        }
    }
}
