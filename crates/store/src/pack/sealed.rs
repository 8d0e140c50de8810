//! A full pack: immutable, and found through the sorted index beside it, as git's packs are.
//!
//! The index is read with pread and never mapped, so that a damaged disk causes an error and not a
//! signal. It can be rebuilt from its pack at any time, and is, when it does not fit.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perennial_manifest::{BlobId, Sha256Digest};

use super::damage::{Found, Keep};
use super::open_files::{Files, Identity, OpenFiles};
use super::record::{self, Kind, Record, Row};
use super::table::Table;
use super::{index_path, pack_path};
use crate::durable;
use crate::error::{AtPath, StoreError};

const MAGIC: &[u8; 16] = b"perennial idx 1\n";
/// Bytes of a row: key, check, offset (u64 LE), length (u32 LE), kind, three zero bytes.
const ROW: usize = 80;
/// Bytes of a row of the second table: SHA-256, BLAKE3.
const PAIR: usize = 64;
/// Magic, pack length, number of rows, number of pairs, BLAKE3 of the tables.
const HEAD: usize = 16 + 8 + 8 + 8 + 32;

#[derive(Debug)]
pub(super) struct Sealed {
    dir: PathBuf,
    number: u64,
    open: Arc<OpenFiles>,
    identity: Identity,
    len: u64,
    /// By key and kind.
    rows: Table,
    /// By SHA-256.
    pairs: Table,
}

impl Sealed {
    /// Opens a pack and its index. An index that is missing or does not fit is rebuilt, and damaged
    /// blobs found then go to `keep`.
    pub(super) fn open(
        dir: &Path,
        number: u64,
        open: &Arc<OpenFiles>,
        keep: Keep<'_>,
    ) -> Result<Self, StoreError> {
        if let Some(sealed) = Self::try_open(dir, number, open)? {
            return Ok(sealed);
        }
        tracing::warn!(pack = number, "rebuilding the index of a pack");
        let path = pack_path(dir, number);
        let pack = File::open(&path).at(&path)?;
        let end = pack.metadata().at(&path)?.len();
        let mut found = Found::default();
        record::walk(&pack, end, |row, whole| found.take(row, whole)).at(&path)?;
        Self::write_index(dir, number, found.settle(&pack, &path, keep)?)?;
        Self::try_open(dir, number, open)?.ok_or_else(|| StoreError::Format {
            path: index_path(dir, number),
            reason: "it does not read back".into(),
        })
    }

    /// As `open`, on media that cannot be written to: an index that does not fit is an error.
    pub(super) fn open_to_read(
        dir: &Path,
        number: u64,
        open: &Arc<OpenFiles>,
    ) -> Result<Self, StoreError> {
        Self::try_open(dir, number, open)?.ok_or_else(|| StoreError::Format {
            path: index_path(dir, number),
            reason: "it does not fit its pack, and cannot be made again on read-only media; copy \
                     the archive to a disk that can be written to"
                .into(),
        })
    }

    fn try_open(
        dir: &Path,
        number: u64,
        open: &Arc<OpenFiles>,
    ) -> Result<Option<Self>, StoreError> {
        let (pack_path, index_path) = (pack_path(dir, number), index_path(dir, number));
        let Some(files) = Files::open(dir, number)? else { return Ok(None) };
        let Files { pack, index, .. } = &files;
        let len = pack.metadata().at(&pack_path)?.len();
        let index_len = index.metadata().at(&index_path)?.len();
        let mut head = [0; HEAD];
        if index_len < HEAD as u64 {
            return Ok(None);
        }
        index.read_exact_at(&mut head, 0).at(&index_path)?;
        if &head[..16] != MAGIC {
            return Ok(None);
        }
        let number_at =
            |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
        let (pack_len, rows, pairs) = (number_at(16), number_at(24), number_at(32));
        let tables = rows.checked_mul(ROW as u64).zip(pairs.checked_mul(PAIR as u64));
        let Some(expected) = tables.and_then(|(a, b)| a.checked_add(b)?.checked_add(HEAD as u64))
        else {
            return Ok(None);
        };
        if pack_len != len
            || expected != index_len
            || hash_tables(index, index_len).at(&index_path)?[..] != head[40..72]
        {
            return Ok(None);
        }
        let identity = files.identity();
        open.keep(number, Arc::new(files));
        let (dir, open) = (dir.to_owned(), Arc::clone(open));
        let rows = Table::new(HEAD as u64, rows, ROW);
        let pairs = Table::new(rows.end(), pairs, PAIR);
        Ok(Some(Self { dir, number, open, identity, len, rows, pairs }))
    }

    /// Its files. A pack that was removed or rewritten since is `NotFound`.
    fn files(&self) -> Result<Arc<Files>, StoreError> {
        self.open.get(&self.dir, self.number, &self.identity)
    }

    /// Number of blobs in it.
    pub(super) const fn blobs(&self) -> u64 {
        self.pairs.rows()
    }

    /// When the pack was last written to, in Unix seconds.
    pub(super) fn written(&self) -> Result<u64, StoreError> {
        let meta = self.files()?.pack.metadata().at(&self.dir)?;
        Ok(u64::try_from(meta.mtime()).unwrap_or(0))
    }

    pub(super) fn write_index(
        dir: &Path,
        number: u64,
        mut rows: Vec<Row>,
    ) -> Result<(), StoreError> {
        let path = pack_path(dir, number);
        let pack_len = File::open(&path).and_then(|pack| pack.metadata()).at(&path)?.len();
        rows.sort_unstable_by_key(|row| (row.key, row.kind));
        rows.dedup_by_key(|row| (row.key, row.kind));
        let mut pairs: Vec<_> = rows
            .iter()
            .filter(|row| row.kind == Kind::Blob)
            .map(|row| (row.check, row.key))
            .collect();
        pairs.sort_unstable();
        let mut tables = Vec::with_capacity(rows.len() * ROW + pairs.len() * PAIR);
        for row in &rows {
            tables.extend_from_slice(&row.key);
            tables.extend_from_slice(&row.check);
            tables.extend_from_slice(&row.offset.to_le_bytes());
            tables.extend_from_slice(&row.len.to_le_bytes());
            tables.extend_from_slice(&[row.kind.byte(), 0, 0, 0]);
        }
        for (sha256, blake3) in &pairs {
            tables.extend_from_slice(sha256);
            tables.extend_from_slice(blake3);
        }
        let mut bytes = MAGIC.to_vec();
        for number in [pack_len, rows.len() as u64, pairs.len() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(blake3::hash(&tables).as_bytes());
        bytes.extend_from_slice(&tables);
        durable::write_file(&index_path(dir, number), &bytes)
    }

    fn row(index: &File, at: u64) -> io::Result<Row> {
        let mut bytes = [0; ROW];
        index.read_exact_at(&mut bytes, HEAD as u64 + at * ROW as u64)?;
        parse_row(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    pub(super) fn find(&self, kind: Kind, key: &[u8; 32]) -> Result<Option<Row>, StoreError> {
        let found = self.rows.find(&self.files()?.index, key).at(Path::new("packs"))?;
        for bytes in found.chunks_exact(ROW) {
            let row = bytes.try_into().ok().and_then(parse_row);
            let damaged = || io::Error::from(io::ErrorKind::InvalidData);
            let row = row.ok_or_else(damaged).at(Path::new("packs"))?;
            if row.kind == kind {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// The keys of a kind that begin with `prefix`, ascending, until `limit` are in `found`.
    pub(super) fn keys_with(
        &self,
        kind: Kind,
        prefix: &[u8],
        limit: usize,
        found: &mut BTreeSet<[u8; 32]>,
    ) -> Result<(), StoreError> {
        let files = self.files()?;
        let row = |at| Self::row(&files.index, at).at(Path::new("packs"));
        let (mut low, mut high) = (0, self.rows.rows());
        while low < high {
            let middle = low + (high - low) / 2;
            if row(middle)?.key[..] < *prefix { low = middle + 1 } else { high = middle }
        }
        while low < self.rows.rows() && found.len() < limit {
            let row = row(low)?;
            if !row.key.starts_with(prefix) {
                break;
            }
            found.extend((row.kind == kind).then_some(row.key));
            low += 1;
        }
        Ok(())
    }

    pub(super) fn blob_of(&self, sha256: &Sha256Digest) -> Result<Option<BlobId>, StoreError> {
        let files = self.files()?;
        let found = self.pairs.find(&files.index, sha256.as_bytes()).at(Path::new("packs"))?;
        let blake3 = found.get(32..PAIR).and_then(|bytes| bytes.try_into().ok());
        Ok(blake3.map(BlobId::from_bytes))
    }

    pub(super) fn read(&self, row: &Row) -> Result<Record, StoreError> {
        let record = self.read_raw(row)?;
        if record.is_whole() {
            Ok(record)
        } else {
            Err(StoreError::Corrupt { blob: BlobId::from_bytes(row.key) })
        }
    }

    /// A record unchecked; empty if the pack ends before it.
    pub(super) fn read_raw(&self, row: &Row) -> Result<Record, StoreError> {
        record::read_raw(&self.files()?.pack, row).at(Path::new("packs"))
    }

    /// All rows, in the order of their place in the pack.
    pub(super) fn rows(&self) -> Result<Vec<Row>, StoreError> {
        let len = usize::try_from(self.rows.rows()).unwrap_or(0) * ROW;
        let mut bytes = vec![0; len];
        self.files()?.index.read_exact_at(&mut bytes, HEAD as u64).at(Path::new("packs"))?;
        let mut rows: Vec<Row> =
            bytes.chunks_exact(ROW).filter_map(|row| parse_row(row.try_into().ok()?)).collect();
        rows.sort_unstable_by_key(|row| row.offset);
        Ok(rows)
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }
}

fn parse_row(bytes: &[u8; ROW]) -> Option<Row> {
    Some(Row {
        key: bytes[..32].try_into().ok()?,
        check: bytes[32..64].try_into().ok()?,
        offset: u64::from_le_bytes(bytes[64..72].try_into().ok()?),
        len: u32::from_le_bytes(bytes[72..76].try_into().ok()?),
        kind: Kind::of(bytes[76])?,
    })
}

fn hash_tables(index: &File, end: u64) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut offset = HEAD as u64;
    while offset < end {
        let take = usize::try_from((end - offset).min(buffer.len() as u64)).unwrap_or(buffer.len());
        index.read_exact_at(&mut buffer[..take], offset)?;
        hasher.update(&buffer[..take]);
        offset += take as u64;
    }
    Ok(*hasher.finalize().as_bytes())
}
