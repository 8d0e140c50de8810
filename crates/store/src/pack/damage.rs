//! Damaged records: which of them stay known, and which leave the look-ups.
//!
//! Promises that a blob is no longer found once it was seen to be damaged, after a restart too,
//! because the index of its pack is rewritten without it; its bytes go to the caller, which sets
//! them aside. A damaged entry stays known, because other entries of its feed build on it; it is
//! replaced when it comes again.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use perennial_manifest::BlobId;

use super::record::{self, Kind, Row};
use crate::error::{AtPath, StoreError};

/// Receives a damaged blob and its bytes before it leaves the look-ups.
pub(crate) type Keep<'a> = &'a mut dyn FnMut(BlobId, &[u8]) -> Result<(), StoreError>;

/// The findings of a walk through a pack.
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

    /// The rows for the look-ups. Damaged blobs without a whole twin go to `keep`.
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
