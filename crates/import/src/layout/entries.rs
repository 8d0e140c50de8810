//! Finds the entries of a tar by name, without unpacking it.
//!
//! Nothing is written, and a link leads to another entry or nowhere, so no name escapes. The number
//! of bytes read to find the entries is bounded, and so is memory, whatever the headers claim.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use perennial_store::{Room, Scratch, StoreError};
use tar::EntryType;

use crate::ImportError;

/// Most bytes of headers and long names: some 100,000 entries.
const MAX_HEADERS: u64 = 64 << 20;
const MAX_NAME: usize = 4096;
/// Most bytes that a packed tar unpacks to, so that a small one cannot fill a disk: some times the
/// largest images in use.
const MAX_UNPACKED: u64 = 256 << 30;
/// Most look-ups for one name, as links lead from entry to entry.
const MAX_HOPS: usize = 8;

/// The entries of a tar.
#[derive(Debug)]
pub(super) struct Entries {
    file: Arc<File>,
    found: BTreeMap<String, Entry>,
    /// The room of a tar that was unpacked.
    _unpacked: Option<Scratch>,
}

#[derive(Debug)]
enum Entry {
    File { at: u64, size: u64 },
    Link(String),
}

impl Entries {
    /// Opens a tar, or one packed with gzip, which is unpacked into a nameless file.
    pub(super) fn open(path: &Path, room: &Room) -> Result<Self, ImportError> {
        let at = |source| ImportError::File { path: path.to_owned(), source };
        let refuse =
            |reason: String| ImportError::Upstream { what: path.display().to_string(), reason };
        // Opening a pipe would wait for its writer.
        if !std::fs::metadata(path).map_err(at)?.is_file() {
            return Err(refuse("is not a file".into()));
        }
        let mut file = File::open(path).map_err(at)?;
        let mut scratch = None;
        let mut magic = [0; 6];
        let _ = file.read_at(&mut magic, 0).map_err(at)?;
        if magic.starts_with(&[0x1f, 0x8b]) {
            let plain = unpacked(file, room).map_err(|e| match e.downcast::<StoreError>() {
                Ok(error) => error.into(),
                Err(e) => refuse(format!("cannot be unpacked with gzip: {e}")),
            })?;
            file = plain.file().try_clone().map_err(at)?;
            scratch = Some(plain);
        }
        let others: [(&[u8], &str); 3] =
            [(b"\xfd7zXZ\0", "unxz"), (b"BZh", "bunzip2"), (b"\x28\xb5\x2f\xfd", "unzstd")];
        if let Some((_, program)) = others.iter().find(|(first, _)| magic.starts_with(first)) {
            return Err(refuse(format!("is compressed; `{program}` it first")));
        }
        let len = file.metadata().map_err(at)?.len();
        let mut found = BTreeMap::new();
        let mut tar =
            tar::Archive::new(Bounded { file: file.try_clone().map_err(at)?, left: MAX_HEADERS });
        let no_tar = |e: io::Error| refuse(format!("is not a whole tar: {e}"));
        for entry in tar.entries_with_seek().map_err(no_tar)? {
            let entry = entry.map_err(no_tar)?;
            let Some(name) = normal("", &entry.path_bytes()) else { continue };
            let kind = entry.header().entry_type();
            let link = |base: &str| normal(base, &entry.link_name_bytes()?);
            let value = match kind {
                EntryType::Regular | EntryType::Continuous => {
                    let (at, size) = (entry.raw_file_position(), entry.size());
                    if at.checked_add(size).is_none_or(|end| end > len) {
                        return Err(refuse(format!(
                            "is cut short: {name:?} should have {size} bytes"
                        )));
                    }
                    Some(Entry::File { at, size })
                }
                EntryType::Symlink => {
                    link(name.rsplit_once('/').map_or("", |(dir, _)| dir)).map(Entry::Link)
                }
                EntryType::Link => link("").map(Entry::Link),
                _ => None,
            };
            found.extend(value.map(|value| (name, value)));
        }
        Ok(Self { file: Arc::new(file), found, _unpacked: scratch })
    }

    /// The bytes of an entry, and its size. The name is in any spelling of its path.
    pub(super) fn get(&self, name: &str) -> Option<(Window, u64)> {
        let plain = normal("", name.as_bytes())?;
        let mut name = plain.as_str();
        for _ in 0..MAX_HOPS {
            match self.found.get(name)? {
                Entry::Link(target) => name = target,
                Entry::File { at, size } => {
                    return Some((Window { file: self.file.clone(), at: *at, left: *size }, *size));
                }
            }
        }
        None
    }
}

/// The content of a file packed with gzip, in a file that goes when it is closed.
fn unpacked(file: File, room: &Room) -> io::Result<Scratch> {
    let mut plain = room.scratch().map_err(io::Error::other)?;
    let mut content = MultiGzDecoder::new(BufReader::new(file)).take(MAX_UNPACKED + 1);
    if io::copy(&mut content, &mut plain)? > MAX_UNPACKED {
        return Err(io::Error::other(format!("it has more than {MAX_UNPACKED} bytes")));
    }
    plain.file().rewind()?;
    Ok(plain)
}

/// Normalises a path inside the archive, whose root is `/`; `None` if it leads out or is not UTF-8.
fn normal(base: &str, name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= MAX_NAME)?;
    let base = if name.starts_with('/') { "" } else { base };
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// A part of a file, read in place.
#[derive(Debug)]
pub(super) struct Window {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// A file of which `left` bytes may still be read; skipping is free.
struct Bounded {
    file: File,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("its headers are longer than 64 MiB"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl Seek for Bounded {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
