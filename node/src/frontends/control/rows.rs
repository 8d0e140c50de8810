//! What lists show, from what the store knows.

use perennial_control::{Kind, ReleaseRow, State};
use perennial_manifest::PublisherKind;
use perennial_store::{ReleaseState, Store, StoreError};

/// A publisher that never said what it is counts as an archivist: nobody becomes upstream by silence.
pub(crate) fn kind(kind: Option<PublisherKind>) -> Kind {
    match kind {
        Some(PublisherKind::Upstream) => Kind::Upstream,
        Some(PublisherKind::Archivist) | None => Kind::Archivist,
    }
}

pub(crate) fn state(state: ReleaseState) -> State {
    match state {
        ReleaseState::Held => State::Held,
        ReleaseState::Partial => State::Partial,
        ReleaseState::Known => State::Known,
    }
}

pub(crate) fn release(
    store: &Store,
    row: &perennial_store::ReleaseRow,
) -> Result<ReleaseRow, StoreError> {
    Ok(ReleaseRow {
        release: row.release.to_string(),
        purl: row.purl.to_string(),
        publisher: row.publisher.to_string(),
        kind: kind(store.publisher_kind(&row.publisher)?),
        artifacts: u64::from(row.artifacts.count),
        bytes: row.artifacts.bytes,
        held_bytes: row.held_bytes,
        state: state(row.state),
    })
}
