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

use super::Packs;
use super::record::{self, Kind, Row};
use super::sealed::Sealed;
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
    pub(super) fn settle(
        self,
        pack: &File,
        path: &Path,
        keep: Keep<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        let Self { mut whole, damaged } = self;
        for row in damaged {
            if whole.contains_key(&(row.kind, row.key)) {
                continue;
            }
            match row.kind {
                Kind::Entry => drop(whole.insert((row.kind, row.key), row)),
                Kind::Blob => {
                    keep(
                        BlobId::from_bytes(row.key),
                        &record::read_raw(pack, &row).at(path)?.content,
                    )?;
                }
            }
        }
        Ok(whole.into_values().collect())
    }
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
            if pack.read_raw(&row)?.is_whole() {
                continue;
            }
            let mut good = Vec::new();
            for row in pack.rows()? {
                let raw = pack.read_raw(&row)?;
                if row.kind == Kind::Entry || raw.is_whole() {
                    good.push(row);
                } else {
                    keep(BlobId::from_bytes(row.key), &raw.content)?;
                }
            }
            Sealed::write_index(&self.dir, *number, good)?;
            *pack = Arc::new(Sealed::open(&self.dir, *number, keep)?);
        }
        Ok(())
    }
}
