//! One record of a pack: its bytes on disk, and the row that finds it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use perennial_manifest::{BlobId, Sha256Digest};

use crate::hashing::names_of;

/// Bytes before the content: length (u32 LE), kind (u8), three zero bytes, key (32), check (32).
pub(crate) const HEADER: usize = 72;
/// Longest content of a record. Small blobs end at 64 KiB, entries before 9 KiB.
pub(crate) const MAX_CONTENT: u32 = 64 << 10;

/// The kind of a record's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A small blob: the key is its BLAKE3, `check` its SHA-256.
    Blob,
    /// An encoded entry: the key is its id (BLAKE3 of the payload), `check` the BLAKE3 of the
    /// encoding.
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
    /// Offset of the content in the pack.
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

impl Row {
    /// Where the next record begins.
    fn end(&self) -> u64 {
        self.offset + u64::from(self.len)
    }
}

impl Record {
    /// Bytes that it takes in a pack.
    pub(crate) const fn disk_bytes(&self) -> u64 {
        (HEADER + self.content.len()) as u64
    }

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

    /// Whether the content matches the header.
    pub(crate) fn is_whole(&self) -> bool {
        let hash = blake3::hash(&self.content);
        match self.kind {
            Kind::Blob => *hash.as_bytes() == self.key,
            Kind::Entry => *hash.as_bytes() == self.check,
        }
    }
}

/// Reads the header at an offset: the row of the record, if the header is plausible.
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

/// Reads and checks a record's content. `Ok(None)`: the bytes are damaged.
pub(crate) fn read(file: &File, row: &Row) -> io::Result<Option<Record>> {
    Ok(Some(read_raw(file, row)?).filter(Record::is_whole))
}

/// Reads a record unchecked; without content if the file ends before it.
pub(crate) fn read_raw(file: &File, row: &Row) -> io::Result<Record> {
    let mut content = vec![0; row.len.min(MAX_CONTENT) as usize];
    match file.read_exact_at(&mut content, row.offset) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => content.clear(),
        other => other?,
    }
    Ok(Record { kind: row.kind, key: row.key, check: row.check, content })
}

/// The offset of the next whole record at or after `from`; `None` if there is none before `end`.
///
/// A header carries no checksum, so a damaged length leads astray. Content that has the hash its
/// header names is proof.
pub(crate) fn resync(file: &File, from: u64, end: u64) -> io::Result<Option<u64>> {
    let mut window = vec![0; 1 << 20];
    let mut start = from;
    while start + HEADER as u64 <= end {
        let take = usize::try_from((end - start).min(window.len() as u64)).unwrap_or(window.len());
        file.read_exact_at(&mut window[..take], start)?;
        let last = take - HEADER;
        for at in 0..=last {
            // Kind and three zero bytes: rules out nearly every offset before anything is hashed.
            if Kind::of(window[at + 4]).is_none() || window[at + 5..at + 8] != [0; 3] {
                continue;
            }
            let Ok(header) = window[at..at + HEADER].try_into() else { continue };
            let Some(row) = parse_header(header, start + at as u64) else { continue };
            if row.end() <= end && read(file, &row)?.is_some() {
                return Ok(Some(start + at as u64));
            }
        }
        start += last as u64 + 1;
    }
    Ok(None)
}

/// Visits the records from the start of a pack and tells of each whether it is whole. Returns the
/// end: the offset after which no whole record follows. A damaged record is visited only if the
/// headers lead past it to a whole one, or to the end.
pub(crate) fn walk(file: &File, end: u64, mut visit: impl FnMut(Row, bool)) -> io::Result<u64> {
    let mut offset = 0;
    while offset + HEADER as u64 <= end {
        if let Some(mut row) = header_at(file, offset, end)?
            && let Some(record) = read(file, &row)?
        {
            offset = row.end();
            if row.kind == Kind::Blob {
                // The hash of the content does not cover the SHA-256 beside it, by which others
                // look it up.
                row.check = *names_of(&record.content).1.as_bytes();
            }
            visit(row, true);
            continue;
        }
        // Damage, or the torn end: it is the end only if nothing whole follows and no header leads
        // to the last byte.
        let next = resync(file, offset + 1, end)?;
        let (mut at, mut named) = (offset, Vec::new());
        while let Some(row) = header_at(file, at, next.unwrap_or(end))? {
            at = row.end();
            named.push(row);
        }
        let complete = at == next.unwrap_or(end);
        if next.is_none() && !complete {
            break;
        }
        tracing::warn!(at = offset, "records of a pack are damaged");
        if complete {
            named.into_iter().for_each(|row| visit(row, false));
        }
        offset = next.unwrap_or(end);
    }
    Ok(offset)
}

/// The row whose header stands at `offset`, if it is plausible and its record ends by `end`.
fn header_at(file: &File, offset: u64, end: u64) -> io::Result<Option<Row>> {
    if offset + HEADER as u64 > end {
        return Ok(None);
    }
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, offset)?;
    Ok(parse_header(&header, offset).filter(|row| row.end() <= end))
}
