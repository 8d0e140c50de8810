//! One record of a pack: its bytes on disk, and the row that finds it again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use perennial_manifest::{BlobId, Sha256Digest};

/// Bytes before the content: length (u32 LE), kind (u8), three zero bytes, key (32), check (32).
pub(crate) const HEADER: usize = 72;
/// Longest content of a record. Small blobs end at 64 KiB, entries before 9 KiB.
pub(crate) const MAX_CONTENT: u32 = 64 << 10;

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A small blob: the key is its BLAKE3, `check` its SHA-256.
    Blob,
    /// An encoded entry: the key is its id (BLAKE3 of the payload), `check` the BLAKE3 of the encoding.
    Entry,
}

impl Kind {
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Blob => 1,
            Self::Entry => 2,
        }
    }

    pub(crate) const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Blob),
            2 => Some(Self::Entry),
            _ => None,
        }
    }
}

/// A record with its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) key: [u8; 32],
    pub(crate) check: [u8; 32],
    pub(crate) content: Vec<u8>,
}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) key: [u8; 32],
    pub(crate) check: [u8; 32],
    /// Of the content, in the pack.
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

impl Record {
    /// A small blob.
    pub(crate) fn blob(id: BlobId, sha256: Sha256Digest, content: Vec<u8>) -> Self {
        Self { kind: Kind::Blob, key: *id.as_bytes(), check: *sha256.as_bytes(), content }
    }

    /// An encoded entry.
    pub(crate) fn entry(id: [u8; 32], content: Vec<u8>) -> Self {
        Self { kind: Kind::Entry, key: id, check: *blake3::hash(&content).as_bytes(), content }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let len = u32::try_from(self.content.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(HEADER + self.content.len());
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&[self.kind.byte(), 0, 0, 0]);
        bytes.extend_from_slice(&self.key);
        bytes.extend_from_slice(&self.check);
        bytes.extend_from_slice(&self.content);
        bytes
    }

    /// Whether the content is what the header says.
    pub(crate) fn is_whole(&self) -> bool {
        let hash = blake3::hash(&self.content);
        match self.kind {
            Kind::Blob => *hash.as_bytes() == self.key,
            Kind::Entry => *hash.as_bytes() == self.check,
        }
    }
}

/// Reads a header: the row of a record at `offset`, if there is a plausible one.
pub(crate) fn parse_header(header: &[u8; HEADER], offset: u64) -> Option<Row> {
    let len = u32::from_le_bytes(header[..4].try_into().ok()?);
    let kind = Kind::of(header[4])?;
    if len > MAX_CONTENT || header[5..8] != [0; 3] {
        return None;
    }
    let key = header[8..40].try_into().ok()?;
    let check = header[40..72].try_into().ok()?;
    Some(Row { kind, key, check, offset: offset + HEADER as u64, len })
}

/// Reads a record's content and checks it; `Ok(None)` where it is not what was written.
pub(crate) fn read(file: &File, row: &Row) -> io::Result<Option<Record>> {
    if row.len > MAX_CONTENT {
        return Ok(None);
    }
    let mut content = vec![0; row.len as usize];
    match file.read_exact_at(&mut content, row.offset) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    let record = Record { kind: row.kind, key: row.key, check: row.check, content };
    Ok(record.is_whole().then_some(record))
}
