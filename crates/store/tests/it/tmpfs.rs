//! A small file system of its own, whose used bytes are known at any moment. Mounting needs root;
//! without it a test prints a line and passes.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::statvfs;

/// A tmpfs, unmounted when dropped.
pub(crate) struct Tmpfs {
    dir: tempfile::TempDir,
}

impl Tmpfs {
    pub(crate) fn mount(mib: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={mib}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { dir });
        }
        eprintln!("skipped: a tmpfs cannot be mounted here (root is needed)");
        None
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Bytes allocated on it.
    pub(crate) fn used(&self) -> u64 {
        let stat = statvfs(self.dir.path()).unwrap();
        (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    }

    /// Takes every byte that is left, as another program would.
    pub(crate) fn fill(&self) -> Ballast {
        let path = self.dir.path().join("ballast");
        let mut file = File::create(&path).unwrap();
        for piece in [1 << 20, 4096] {
            while file.write_all(&vec![7; piece]).is_ok() {}
        }
        assert_eq!(statvfs(self.dir.path()).unwrap().f_bfree, 0, "not full");
        Ballast(path)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}

/// What another program has taken.
pub(crate) struct Ballast(PathBuf);

impl Ballast {
    /// Gives some of it back.
    pub(crate) fn leave(self, bytes: u64) -> Self {
        let file = File::options().write(true).open(&self.0).unwrap();
        file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
        self
    }

    pub(crate) fn remove(self) {
        fs::remove_file(self.0).unwrap();
    }
}

/// The names of the files in a directory.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    fs::read_dir(dir).unwrap().map(|entry| name(entry.unwrap())).collect()
}
