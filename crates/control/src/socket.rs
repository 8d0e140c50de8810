//! The path of the socket, and how to pass a long one to the kernel.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Longest path the kernel accepts for a socket, without its terminating zero (`sun_path` in
/// `unix(7)`).
const MAX_SOCKET_PATH: usize = 107;

/// The socket of the node on the data directory `data`: in that directory, or where the file
/// `control.at` in it says.
#[must_use]
pub fn socket_path(data: &Path) -> PathBuf {
    match std::fs::read_to_string(elsewhere(data)) {
        Ok(path) if path.starts_with('/') => PathBuf::from(path.trim_end_matches('\n')),
        _ => own_path(data),
    }
}

/// The place of the socket where the file system can hold one.
pub(crate) fn own_path(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// The file that names the place of a socket elsewhere.
pub(crate) fn elsewhere(data: &Path) -> PathBuf {
    data.join("control.at")
}

/// A form of a socket's path that the kernel accepts: a long path goes through its opened
/// directory.
pub(crate) struct ShortPath {
    path: PathBuf,
    _directory: Option<File>,
}

impl ShortPath {
    /// The form for the socket at `path`, whose directory exists.
    pub(crate) fn of(path: &Path) -> io::Result<ShortPath> {
        if path.as_os_str().len() <= MAX_SOCKET_PATH {
            return Ok(ShortPath { path: path.to_owned(), _directory: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let directory = File::open(parent)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
        Ok(ShortPath { path, _directory: Some(directory) })
    }

    /// The path to pass to the kernel, valid while `self` lives.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
