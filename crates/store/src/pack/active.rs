//! The pack that is being written: appended to, found in memory, recovered by reading it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use perennial_manifest::{BlobId, Sha256Digest};

use super::pack_path;
use super::record::{self, HEADER, Kind, Record, Row};
use crate::durable;
use crate::error::{AtPath, StoreError};

/// Appends gather here before they are written, so that many small records are few system calls.
const BUFFER: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Active {
    number: u64,
    path: PathBuf,
    file: File,
    /// Bytes in the file and in the buffer.
    len: u64,
    buffer: Vec<u8>,
    dirty: bool,
    rows: HashMap<(Kind, [u8; 32]), Row>,
    by_sha256: HashMap<[u8; 32], [u8; 32]>,
}

impl Active {
    pub(super) fn create(dir: &Path, number: u64) -> Result<Self, StoreError> {
        let path = pack_path(dir, number);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).at(&path)?;
        durable::sync_dir(dir)?;
        Ok(Self::new(number, path, file))
    }

    fn new(number: u64, path: PathBuf, file: File) -> Self {
        let (rows, by_sha256) = (HashMap::new(), HashMap::new());
        Self { number, path, file, len: 0, buffer: Vec::new(), dirty: false, rows, by_sha256 }
    }

    /// Reads a pack that was being written when its process ended, and cuts off what is not whole at its end.
    pub(super) fn recover(dir: &Path, number: u64) -> Result<Self, StoreError> {
        let path = pack_path(dir, number);
        let file = OpenOptions::new().read(true).write(true).open(&path).at(&path)?;
        let end = file.metadata().at(&path)?.len();
        let mut active = Self::new(number, path, file);
        let mut offset = 0;
        let mut damaged = false;
        while offset + HEADER as u64 <= end {
            let mut header = [0; HEADER];
            active.file.read_exact_at(&mut header, offset).at(&active.path)?;
            let Some(row) = record::parse_header(&header, offset) else { break };
            if row.offset + u64::from(row.len) > end {
                break;
            }
            // a flipped bit in the middle loses that record only: the next header is found by its length
            match record::read(&active.file, &row).at(&active.path)? {
                Some(_) => active.insert(row),
                None => damaged = true,
            }
            offset = row.offset + u64::from(row.len);
        }
        if offset < end {
            if damaged {
                tracing::warn!(pack = %active.path.display(), "records in the middle of a pack are damaged");
            }
            tracing::info!(pack = %active.path.display(), cut = end - offset, "cut the torn end of a pack");
            keep_tail(&active.path, &active.file, offset, end)?;
            active.file.set_len(offset).at(&active.path)?;
            active.file.sync_all().at(&active.path)?;
        }
        active.len = offset;
        Ok(active)
    }

    fn insert(&mut self, row: Row) {
        if row.kind == Kind::Blob {
            self.by_sha256.insert(row.check, row.key);
        }
        self.rows.insert((row.kind, row.key), row);
    }

    pub(super) fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let bytes = record.encode();
        let len = u32::try_from(record.content.len()).unwrap_or(u32::MAX);
        let offset = self.len + HEADER as u64;
        self.buffer.extend_from_slice(&bytes);
        self.len += bytes.len() as u64;
        self.dirty = true;
        self.insert(Row { kind: record.kind, key: record.key, check: record.check, offset, len });
        if self.buffer.len() >= BUFFER { self.write_out() } else { Ok(()) }
    }

    fn write_out(&mut self) -> Result<(), StoreError> {
        let start = self.len - self.buffer.len() as u64;
        if let Err(error) = self.file.write_all_at(&self.buffer, start).at(&self.path) {
            self.forget_from(start);
            return Err(error);
        }
        self.buffer.clear();
        Ok(())
    }

    /// After a write that failed: what was not written was never here.
    fn forget_from(&mut self, start: u64) {
        self.rows.retain(|_, row| row.offset < start);
        self.by_sha256.retain(|_, key| self.rows.contains_key(&(Kind::Blob, *key)));
        self.buffer.clear();
        self.len = start;
        let _ = self.file.set_len(start);
    }

    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        if !self.dirty {
            return Ok(());
        }
        self.write_out()?;
        self.file.sync_all().at(&self.path)?;
        self.dirty = false;
        Ok(())
    }

    pub(super) fn find(&self, kind: Kind, key: &[u8; 32]) -> Option<Row> {
        self.rows.get(&(kind, *key)).copied()
    }

    pub(super) fn blob_of(&self, sha256: &Sha256Digest) -> Option<BlobId> {
        self.by_sha256.get(sha256.as_bytes()).map(|key| BlobId::from_bytes(*key))
    }

    pub(super) fn read(&self, row: &Row) -> Result<Record, StoreError> {
        let start = self.len - self.buffer.len() as u64;
        let corrupt = || StoreError::Corrupt { blob: BlobId::from_bytes(row.key) };
        if row.offset < start {
            return record::read(&self.file, row).at(&self.path)?.ok_or_else(corrupt);
        }
        let from = usize::try_from(row.offset - start).map_err(|_| corrupt())?;
        let content = self.buffer.get(from..from + row.len as usize).ok_or_else(corrupt)?.to_vec();
        Ok(Record { kind: row.kind, key: row.key, check: row.check, content })
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        self.rows.values().copied().collect()
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn records(&self) -> usize {
        self.rows.len()
    }
}

/// What is cut off is normally a record that was never acknowledged; a copy costs little and may help after a disk fault.
fn keep_tail(path: &Path, file: &File, offset: u64, end: u64) -> Result<(), StoreError> {
    let kept = path.with_extension("damaged");
    let len = usize::try_from((end - offset).min(1 << 20)).unwrap_or(0);
    let mut tail = vec![0; len];
    file.read_exact_at(&mut tail, offset).at(path)?;
    // on a full disk the copy is given up, the start is not
    let _ = std::fs::write(kept, tail);
    Ok(())
}
