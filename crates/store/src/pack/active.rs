//! The pack being written: appended to, looked up in memory, recovered by reading it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use perennial_manifest::{BlobId, Sha256Digest};

use super::damage::{Found, Keep};
use super::pack_path;
use super::record::{self, HEADER, Kind, MAX_CONTENT, Record, Row};
use crate::durable;
use crate::error::{AtPath, StoreError};

/// Size of the buffer that gathers appends, so that many small records take few system calls.
const BUFFER: usize = 1 << 20;

/// Why a pack takes no records.
#[derive(Debug, Clone, Copy)]
enum Closed {
    Failed,
    ReadOnly,
}

#[derive(Debug)]
pub(super) struct Active {
    number: u64,
    path: PathBuf,
    file: File,
    /// Bytes in the file and in the buffer.
    len: u64,
    /// Bytes that an fsync has made durable.
    synced: u64,
    buffer: Vec<u8>,
    dirty: bool,
    /// Why nothing is appended any more: after a failed fsync, the appended bytes are in doubt.
    closed: Option<Closed>,
    rows: HashMap<(Kind, [u8; 32]), Row>,
    by_sha256: HashMap<[u8; 32], [u8; 32]>,
}

impl Active {
    pub(super) fn create(dir: &Path, number: u64) -> Result<Self, StoreError> {
        let path = pack_path(dir, number);
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = file.at(&path)?;
        // A file left behind would be in the way of the next try.
        durable::sync_dir(dir).inspect_err(|_| drop(std::fs::remove_file(&path)))?;
        Ok(Self::new(number, path, file))
    }

    fn new(number: u64, path: PathBuf, file: File) -> Self {
        let (rows, by_sha256) = (HashMap::new(), HashMap::new());
        let (buffer, dirty, closed) = (Vec::new(), false, None);
        Self { number, path, file, len: 0, synced: 0, buffer, dirty, closed, rows, by_sha256 }
    }

    /// Reads a pack that was being written when its process ended, and cuts off the torn tail.
    pub(super) fn recover(dir: &Path, number: u64, keep: Keep<'_>) -> Result<Self, StoreError> {
        let path = pack_path(dir, number);
        let file = OpenOptions::new().read(true).write(true).open(&path).at(&path)?;
        let end = file.metadata().at(&path)?.len();
        let mut active = Self::new(number, path, file);
        let mut found = Found::default();
        let offset =
            record::walk(&active.file, end, |row, whole| found.take(row, whole)).at(&active.path)?;
        found
            .settle(&active.file, &active.path, keep)?
            .into_iter()
            .for_each(|row| active.insert(row));
        if offset < end {
            tracing::info!(pack = %active.path.display(), cut = end - offset,
                "cut off the torn tail of a pack");
            keep_tail(&active.path, &active.file, offset, end)?;
            durable::truncate(&active.file, offset, &active.path)?;
        }
        // Records of a killed process are whole here and may not have reached the disk, yet callers
        // are told that it is held.
        durable::sync_file(&active.file, &active.path)?;
        (active.len, active.synced) = (offset, offset);
        Ok(active)
    }

    /// The unfinished pack on media that cannot be written to; without one, an empty one that takes
    /// no records either.
    pub(super) fn open_to_read(dir: &Path, number: Option<u64>) -> Result<Self, StoreError> {
        let path = number.map_or_else(|| dir.to_owned(), |number| pack_path(dir, number));
        let file = File::open(&path).at(&path)?;
        let mut active = Self::new(number.unwrap_or_default(), path, file);
        active.closed = Some(Closed::ReadOnly);
        if number.is_some() {
            let end = active.file.metadata().at(&active.path)?.len();
            let mut found = Found::default();
            active.len = record::walk(&active.file, end, |row, whole| found.take(row, whole))
                .at(&active.path)?;
            active.synced = active.len;
            let rows = found.settle(&active.file, &active.path, &mut |_, _| Ok(()))?;
            rows.into_iter().for_each(|row| active.insert(row));
        }
        Ok(active)
    }

    fn insert(&mut self, row: Row) {
        if row.kind == Kind::Blob {
            self.by_sha256.insert(row.check, row.key);
        }
        self.rows.insert((row.kind, row.key), row);
    }

    pub(super) fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        self.usable()?;
        let too_long = || StoreError::Format {
            path: self.path.clone(),
            reason: "the record is longer than a pack allows".into(),
        };
        let len = u32::try_from(record.content.len())
            .ok()
            .filter(|len| *len <= MAX_CONTENT)
            .ok_or_else(too_long)?;
        let bytes = record.encode();
        // Before the record is added, so that a refused record is not found here.
        if self.buffer.len() >= BUFFER {
            self.write_out()?;
        }
        let offset = self.len + HEADER as u64;
        self.buffer.extend_from_slice(&bytes);
        self.len += bytes.len() as u64;
        self.dirty = true;
        self.insert(Row { kind: record.kind, key: record.key, check: record.check, offset, len });
        Ok(())
    }

    fn write_out(&mut self) -> Result<(), StoreError> {
        let start = self.len - self.buffer.len() as u64;
        // On a full disk the buffer stays as it is: it holds records of other batches too, and each
        // of them must hear of it from its own sync, or be written by that sync once there is room.
        durable::write_at(&self.file, &self.buffer, start, &self.path)?;
        self.buffer.clear();
        Ok(())
    }

    fn usable(&self) -> Result<(), StoreError> {
        let path = self.path.clone();
        match self.closed {
            None => Ok(()),
            Some(Closed::ReadOnly) => Err(StoreError::ReadOnly { path }),
            Some(Closed::Failed) => {
                let reason = "an earlier fsync failed; open the store again".to_owned();
                Err(StoreError::Format { path, reason })
            }
        }
    }

    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.usable()?;
        if !self.dirty {
            return Ok(());
        }
        self.write_out()?;
        if let Err(error) = durable::sync_file(&self.file, &self.path) {
            // The kernel may have dropped the pages: a second fsync that succeeds would prove
            // nothing.
            self.closed = Some(Closed::Failed);
            self.discard();
            return Err(error);
        }
        (self.synced, self.dirty) = (self.len, false);
        Ok(())
    }

    /// Removes bytes that no fsync made durable. They read well as long as the kernel caches them,
    /// and callers that found them would take them for stored.
    fn discard(&mut self) {
        let synced = self.synced;
        self.rows.retain(|_, row| row.offset < synced);
        let rows = &self.rows;
        self.by_sha256.retain(|_, key| rows.contains_key(&(Kind::Blob, *key)));
        self.len = synced;
        if let Err(error) = durable::truncate(&self.file, synced, &self.path) {
            tracing::error!(%error, "could not remove unsynced records from a pack");
        }
    }

    pub(super) fn find(&self, kind: Kind, key: &[u8; 32]) -> Option<Row> {
        self.rows.get(&(kind, *key)).copied()
    }

    /// The keys of a kind that begin with `prefix`, in no order. Visits all records.
    pub(super) fn keys_with(&self, kind: Kind, prefix: &[u8]) -> impl Iterator<Item = [u8; 32]> {
        let keys = self.rows.keys().filter(move |(of, _)| *of == kind).map(|(_, key)| *key);
        keys.filter(move |key| key.starts_with(prefix))
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

    /// Removes a blob from the look-ups if its record is damaged.
    pub(super) fn forget_damaged(
        &mut self,
        blob: &BlobId,
        keep: Keep<'_>,
    ) -> Result<(), StoreError> {
        let key = (Kind::Blob, *blob.as_bytes());
        if let Some(row) = self.rows.get(&key)
            && matches!(self.read(row), Err(StoreError::Corrupt { .. }))
        {
            keep(*blob, &record::read_raw(&self.file, row).at(&self.path)?.content)?;
            self.by_sha256.remove(&row.check);
            self.rows.remove(&key);
        }
        Ok(())
    }

    /// All rows, in the order of their place in the pack.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.rows.values().copied().collect();
        rows.sort_unstable_by_key(|row| row.offset);
        rows
    }

    /// Number of blobs in it.
    pub(super) fn blobs(&self) -> u64 {
        self.rows.keys().filter(|(kind, _)| *kind == Kind::Blob).count() as u64
    }

    /// When the pack was last written to, in Unix seconds.
    pub(super) fn written(&self) -> Result<u64, StoreError> {
        let meta = self.file.metadata().at(&self.path)?;
        Ok(u64::try_from(meta.mtime()).unwrap_or(0))
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

    /// Bytes appended that are not in the file yet.
    pub(super) const fn buffered(&self) -> u64 {
        self.buffer.len() as u64
    }
}

/// Keeps a copy of a tail that is cut off. It is normally a record that was never acknowledged; a
/// copy costs little and may help after a disk fault.
fn keep_tail(path: &Path, file: &File, offset: u64, end: u64) -> Result<(), StoreError> {
    let kept = path.with_extension("damaged");
    let len = usize::try_from((end - offset).min(1 << 20)).unwrap_or(0);
    let mut tail = vec![0; len];
    file.read_exact_at(&mut tail, offset).at(path)?;
    // On a full disk the copy is given up, not the start.
    let _ = std::fs::write(kept, tail);
    Ok(())
}
