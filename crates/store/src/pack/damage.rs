//! Damaged records: which of them stay known, and how the others leave the look-ups.
//!
//! Promises that a damaged blob is no longer found once it was seen to be damaged, over restarts too, because the index of
//! its pack is written without it; its bytes are handed to the caller to be kept aside. A damaged entry stays known: others
//! of its feed stand on it, and it is replaced when it comes again.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use perennial_manifest::BlobId;

use super::record::{self, Kind, Row};
use super::sealed::Sealed;
use super::{Packs, pack_path};
use crate::error::{AtPath, StoreError};

/// Gets a damaged blob and its bytes as they are, before it leaves the look-ups.
pub(crate) type Keep<'a> = &'a mut dyn FnMut(BlobId, &[u8]) -> Result<(), StoreError>;

/// What a walk through a pack found.
#[derive(Default)]
pub(super) struct Found {
    whole: HashMap<(Kind, [u8; 32]), Row>,
    damaged: Vec<Row>,
}

impl Found {
    pub(super) fn take(&mut self, row: Row, whole: bool) {
        if whole {
            self.whole.insert((row.kind, row.key), row);
        } else {
            self.damaged.push(row);
        }
    }

    /// The rows that look-ups are to find. Damaged blobs without a whole twin go to `keep`.
    pub(super) fn settle(self, pack: &File, path: &Path, keep: Keep<'_>) -> Result<Vec<Row>, StoreError> {
        let Self { mut whole, damaged } = self;
        for row in damaged {
            if whole.contains_key(&(row.kind, row.key)) {
                continue;
            }
            match row.kind {
                Kind::Entry => drop(whole.insert((row.kind, row.key), row)),
                Kind::Blob => keep_raw(pack, path, &row, keep)?,
            }
        }
        Ok(whole.into_values().collect())
    }
}

pub(super) fn keep_raw(pack: &File, path: &Path, row: &Row, keep: Keep<'_>) -> Result<(), StoreError> {
    let raw = record::read_raw(pack, row).at(path)?;
    keep(BlobId::from_bytes(row.key), raw.as_ref().map_or(&[], |record| &record.content))
}

impl Packs {
    /// Takes damaged blobs out of the look-ups: this one wherever it is damaged, and whatever else is damaged in the same
    /// sealed packs, because their index is written anew as a whole.
    pub(crate) fn forget_damaged(&self, blob: &BlobId, keep: Keep<'_>) -> Result<(), StoreError> {
        self.active().forget_damaged(blob, keep)?;
        // alone, so that a pack that is just being compacted away is not brought back
        let mut all = self.sealed.write().unwrap_or_else(PoisonError::into_inner);
        for (number, pack) in &mut *all {
            let Some(row) = pack.find(Kind::Blob, blob.as_bytes())? else { continue };
            if pack.is_whole(&row)? {
                continue;
            }
            let mut good = Vec::new();
            for row in pack.rows()? {
                if row.kind == Kind::Entry || pack.is_whole(&row)? {
                    good.push(row);
                } else {
                    keep_raw(pack.file(), &pack_path(&self.dir, *number), &row, keep)?;
                }
            }
            Sealed::write_index(&self.dir, *number, good)?;
            *pack = Arc::new(Sealed::open(&self.dir, *number, keep)?);
        }
        Ok(())
    }
}
