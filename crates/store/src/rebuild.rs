//! Opening the index, deciding whether it is to be believed, and making it again from the files.
//!
//! An index is believed if sled opens and reads it to its end, its generation is not behind the one kept outside, its schema is
//! ours, and it has exactly the entries that the packs have. Anything else moves it aside (one is kept) and rebuilds. A
//! rebuild that is killed leaves an index with fewer entries than the packs: the next start sees that and rebuilds again.

use std::fs;
use std::sync::Arc;

use perennial_manifest::{EntryId, PublisherId, SignedEntry};

use crate::blobs::Blobs;
use crate::catalog::{Catalog, ReleaseFilter};
use crate::durable;
use crate::error::{AtPath, StoreError};
use crate::index::SledIndex;
use crate::keys;
use crate::layout::Layout;
use crate::meta::{Change, Memory, MetaIndex, ReadOnly};
use crate::pack::Kind;
use crate::state::State;
use crate::store::IndexKind;

/// Entries put at a time while rebuilding.
const PORTION: usize = 1024;

/// An index that is open, and why it was made again, if it was.
pub(crate) struct Opened {
    pub(crate) index: Arc<dyn MetaIndex>,
    pub(crate) rebuilt: Option<String>,
}

/// Opens the index at the start of a process.
pub(crate) fn open_index(
    layout: &Layout,
    blobs: &Blobs,
    state: &State,
    kind: IndexKind,
) -> Result<Opened, StoreError> {
    reopen_index(layout, blobs, state, kind, false)
}

/// Opens the index; `afresh` does not even try the one that is there.
pub(crate) fn reopen_index(
    layout: &Layout,
    blobs: &Blobs,
    state: &State,
    kind: IndexKind,
    afresh: bool,
) -> Result<Opened, StoreError> {
    let ids = entry_ids(blobs)?;
    if kind == IndexKind::Memory {
        let index: Arc<dyn MetaIndex> = Arc::new(Memory::default());
        fill(&*index, blobs, state, &ids)?;
        return Ok(Opened { index, rebuilt: None });
    }
    let generation = layout.state().join("generation");
    let existed = layout.index().exists() || generation.exists();
    let doubt = if afresh {
        Err(StoreError::Index("asked for".to_owned()))
    } else {
        believe(layout, &generation, &ids)
    };
    match doubt {
        Ok(index) => Ok(Opened { index, rebuilt: None }),
        // a disk that is full or fails says nothing about the index
        Err(error @ (StoreError::DiskFull { .. } | StoreError::Io { .. })) => Err(error),
        Err(error) => {
            let reason = error.to_string();
            if existed {
                tracing::warn!(%reason, "making the index again");
            }
            move_aside(layout)?;
            durable::remove_file(&generation)?;
            let index: Arc<dyn MetaIndex> = Arc::new(SledIndex::open(&layout.index(), &generation)?);
            fill(&*index, blobs, state, &ids)?;
            Ok(Opened { index, rebuilt: existed.then_some(reason) })
        }
    }
}

/// Ids of all entries in packs, each once.
fn entry_ids(blobs: &Blobs) -> Result<Vec<EntryId>, StoreError> {
    let mut ids = Vec::new();
    blobs.packs().each(Kind::Entry, &mut |key, _| {
        ids.push(EntryId::from_bytes(key));
        Ok(())
    })?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn believe(
    layout: &Layout,
    generation: &std::path::Path,
    ids: &[EntryId],
) -> Result<Arc<dyn MetaIndex>, StoreError> {
    let index = SledIndex::open(&layout.index(), generation)?;
    if index.get(keys::SCHEMA)?.as_deref() != Some(keys::SCHEMA_VERSION) {
        return Err(StoreError::Index("it has another schema, or none".into()));
    }
    let number = |key| {
        Ok::<_, StoreError>(
            index.get(key)?.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes),
        )
    };
    let (noted, skipped) = (number(keys::ENTRIES)?, number(keys::SKIPPED)?);
    let mut rows = 0u64;
    index.walk(b"F", b"F", &mut |_, _| {
        rows += 1;
        true
    })?;
    if rows != noted || rows + skipped != ids.len() as u64 {
        let packs = ids.len();
        return Err(StoreError::Index(format!(
            "it has {rows} entries, notes {noted}, and the packs have {packs}"
        )));
    }
    Ok(Arc::new(index))
}

/// An index in memory, made from the files, that takes no changes: while there is none on disk.
pub(crate) fn read_only(blobs: &Blobs, state: &State) -> Result<Arc<dyn MetaIndex>, StoreError> {
    let memory = Memory::default();
    fill(&memory, blobs, state, &entry_ids(blobs)?)?;
    Ok(Arc::new(ReadOnly(memory)))
}

fn move_aside(layout: &Layout) -> Result<(), StoreError> {
    let (index, aside) = (layout.index(), layout.root().join("index.bad"));
    if !index.exists() {
        return Ok(());
    }
    if aside.exists() {
        fs::remove_dir_all(&aside).at(&aside)?;
    }
    fs::rename(&index, &aside).at(&index)?;
    durable::sync_dir(layout.root())
}

/// Puts all entries of the packs into an empty index, in the order of their feeds, and counts what is held.
fn fill(index: &dyn MetaIndex, blobs: &Blobs, state: &State, ids: &[EntryId]) -> Result<(), StoreError> {
    let follows = state.follows();
    let keeps = |publisher: &PublisherId| follows.keeps(publisher);
    let catalog = Catalog { index, blobs };
    let mut order: Vec<(u64, EntryId)> = Vec::with_capacity(ids.len());
    for id in ids {
        match catalog.entry(id) {
            Ok(Some(signed)) => order.push((signed.entry().seq, *id)),
            // damaged on disk: reconciliation brings it again
            outcome => tracing::warn!(%id, ?outcome, "an entry does not read back"),
        }
    }
    order.sort_unstable();
    let mut portion: Vec<SignedEntry> = Vec::with_capacity(PORTION);
    let mut left_out = ids.len() as u64 - order.len() as u64;
    for (_, id) in order {
        portion.extend(catalog.entry(&id)?);
        if portion.len() == PORTION {
            left_out += put(&catalog, &portion, &keeps)?;
            portion.clear();
        }
    }
    left_out += put(&catalog, &portion, &keeps)?;
    if left_out > 0 {
        tracing::warn!(
            left_out,
            "entries whose predecessors are lost stay out of the index until they come again"
        );
    }
    let mut pairs = Vec::new();
    blobs.each_large(&mut |blob, info| {
        pairs.extend(info.sha256.map(|sha256| (*sha256.as_bytes(), blob)));
        Ok(())
    })?;
    catalog.note_large(&pairs)?;
    let rows = catalog.releases(&ReleaseFilter::default())?;
    let rows: Vec<_> = rows.iter().map(|row| (row.release, follows.keeps(&row.publisher))).collect();
    catalog.refresh_all(&rows)?;
    // last: an index without it was never finished
    index.apply(&[
        Change::Put(keys::SKIPPED.to_vec(), left_out.to_be_bytes().to_vec()),
        Change::Put(keys::SCHEMA.to_vec(), keys::SCHEMA_VERSION.to_vec()),
    ])
}

fn put(
    catalog: &Catalog<'_>,
    portion: &[SignedEntry],
    keeps: &dyn Fn(&PublisherId) -> bool,
) -> Result<u64, StoreError> {
    use perennial_manifest::Admit;
    let puts = catalog.put(portion, false, keeps)?;
    Ok(puts.iter().filter(|put| matches!(put.admit, Admit::Orphan(_) | Admit::Reject(_))).count() as u64)
}
