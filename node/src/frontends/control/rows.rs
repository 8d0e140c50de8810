//! What lists show, from what the store knows.

use perennial_control::ReleaseRow;
use perennial_store::{Store, StoreError};

pub(crate) fn release(
    store: &Store,
    row: &perennial_store::ReleaseRow,
) -> Result<ReleaseRow, StoreError> {
    Ok(ReleaseRow {
        release: row.release.to_string(),
        purl: row.purl.to_string(),
        publisher: row.publisher.to_string(),
        kind: store.publisher_kind(&row.publisher)?.unwrap_or_default(),
        artifacts: u64::from(row.artifacts.count),
        bytes: row.artifacts.bytes,
        held_bytes: row.held_bytes,
        state: row.state,
    })
}
