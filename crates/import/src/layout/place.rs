//! The files of a layout, in a directory or in a tar.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use perennial_store::Room;

use super::entries::Entries;
use super::source::Kind;
use crate::ImportError;

/// A directory or a tar.
#[derive(Debug)]
pub(super) enum Place {
    Dir(PathBuf),
    Tar(PathBuf, Entries),
}

/// An open file, and its size in bytes.
pub(super) struct Opened {
    pub(super) reader: Box<dyn Read>,
    pub(super) size: u64,
}

impl Place {
    pub(super) fn open(kind: Kind, path: &Path, room: &Room) -> Result<Self, ImportError> {
        match kind {
            Kind::Dir => Ok(Self::Dir(path.to_owned())),
            Kind::OciArchive | Kind::DockerArchive => {
                Ok(Self::Tar(path.to_owned(), Entries::open(path, room)?))
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Dir(path) | Self::Tar(path, _) => path,
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            // Links and pipes do not count: a hostile archive must not lead elsewhere or block.
            Self::Dir(dir) => {
                std::fs::symlink_metadata(dir.join(name)).is_ok_and(|meta| meta.is_file())
            }
            Self::Tar(_, entries) => entries.get(name).is_some(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Result<Option<Opened>, ImportError> {
        if !self.has(name) {
            return Ok(None);
        }
        match self {
            Self::Dir(dir) => {
                let path = dir.join(name);
                let open = || {
                    let file = File::open(&path)?;
                    let size = file.metadata()?.len();
                    Ok(Some(Opened { reader: Box::new(file), size }))
                };
                open().map_err(|source| ImportError::File { path: path.clone(), source })
            }
            Self::Tar(_, entries) => Ok(entries
                .get(name)
                .map(|(window, size)| Opened { reader: Box::new(window), size })),
        }
    }

    /// Reads a whole file of at most `most` bytes.
    pub(super) fn read(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, ImportError> {
        let Some(opened) = self.get(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = opened.reader.take(most + 1).read_to_end(&mut bytes);
        read.map_err(|source| self.failed(source))?;
        if bytes.len() as u64 > most {
            let reason = format!("{name} is longer than {most} bytes");
            return Err(ImportError::Upstream { what: self.path().display().to_string(), reason });
        }
        Ok(Some(bytes))
    }

    pub(super) fn failed(&self, source: io::Error) -> ImportError {
        ImportError::File { path: self.path().to_owned(), source }
    }
}
