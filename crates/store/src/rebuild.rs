//! Opening the index, deciding whether to trust it, and rebuilding it from the files.
//!
//! An index is trusted if sled opens it and reads it to its end, its generation is not behind the
//! one kept outside, it has this version's schema, and it has exactly the entries that the packs
//! have. Otherwise it is moved aside (one such copy is kept) and rebuilt. A rebuild that is killed
//! leaves an index with fewer entries than the packs, which the next start notices.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use perennial_manifest::{Admit, EntryId};

use crate::blobs::Blobs;
use crate::catalog::{Catalog, Source, Unbounded};
use crate::durable;
use crate::error::{AtPath, StoreError};
use crate::index::SledIndex;
use crate::index_trait::{Change, IndexKind, Memory, MetaIndex, ReadOnly};
use crate::layout::Layout;
use crate::pack::Kind;
use crate::rows;
use crate::space::{Counted, Space};
use crate::state::{Follows, State};

/// Entries per put while rebuilding.
const PORTION: usize = 4096;

/// An open index, and why it was rebuilt, if it was.
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

/// Opens the index; with `afresh`, without trying the existing one.
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
    let space = Arc::clone(blobs.space());
    let generation = layout.state().join("generation");
    let is_there = |path: &Path| path.try_exists().at(path);
    let existed = is_there(&layout.index())? || is_there(&generation)?;
    let doubt = if afresh || !existed {
        Err(StoreError::Index(if existed { "asked for" } else { "there is none yet" }.to_owned()))
    } else {
        believe(layout, &generation, blobs, &state.follows(), &ids)
    };
    match doubt {
        Ok(index) => Ok(Opened { index, rebuilt: None }),
        // A disk that is full, fails or may not be used says nothing about the index.
        Err(
            error @ (StoreError::DiskFull { .. }
            | StoreError::Io { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Gone { .. }),
        ) => Err(error),
        Err(error) => {
            let reason = match error {
                StoreError::Index(reason) => reason,
                other => other.to_string(),
            };
            if existed {
                tracing::warn!(%reason, "rebuilding the index");
            }
            move_aside(layout, &space)?;
            durable::remove_file(&generation)?;
            let index = SledIndex::open(&layout.index(), &generation)?;
            let index: Arc<dyn MetaIndex> = Arc::new(Counted { index, space });
            fill(&*index, blobs, state, &ids)?;
            Ok(Opened { index, rebuilt: existed.then_some(reason) })
        }
    }
}

/// Ids of all entries in the packs, each once, in their order on disk, which is nearly that of
/// their admission.
fn entry_ids(blobs: &Blobs) -> Result<Vec<EntryId>, StoreError> {
    let (mut ids, mut seen) = (Vec::new(), HashSet::new());
    blobs.packs().each(Kind::Entry, &mut |key, _| {
        let id = EntryId::from_bytes(key);
        if seen.insert(id) {
            ids.push(id);
        }
        Ok(())
    })?;
    Ok(ids)
}

fn believe(
    layout: &Layout,
    generation: &Path,
    blobs: &Blobs,
    follows: &Follows,
    ids: &[EntryId],
) -> Result<Arc<dyn MetaIndex>, StoreError> {
    let index = SledIndex::open(&layout.index(), generation)?;
    if index.get(rows::SCHEMA)?.as_deref() != Some(rows::SCHEMA_VERSION) {
        return Err(StoreError::Index("it has another schema, or none".into()));
    }
    let catalog = Catalog { index: &index, blobs };
    let (noted, skipped) = (catalog.count()?, catalog.skipped()?);
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
    catalog.begin_tally()?;
    if !catalog.follows_are(follows)? {
        // Killed between writing the follows and indexing the releases they want.
        catalog.follow(None, follows)?;
    }
    Ok(Arc::new(Counted { index, space: Arc::clone(blobs.space()) }))
}

/// An index in memory, made from the files, that takes no changes; used while there is none on
/// disk.
pub(crate) fn read_only(blobs: &Blobs, state: &State) -> Result<Arc<dyn MetaIndex>, StoreError> {
    let memory = Memory::default();
    fill(&memory, blobs, state, &entry_ids(blobs)?)?;
    Ok(Arc::new(ReadOnly(memory)))
}

/// Opens the index on a disk that is too full to open the one that is there: a new one takes less
/// room than it leaves. If even that does not fit, one in memory takes its place, and nothing can
/// be changed until there is room.
pub(crate) fn open_on_full_disk(
    layout: &Layout,
    blobs: &Blobs,
    state: &State,
    kind: IndexKind,
) -> Result<Opened, StoreError> {
    let full = match reopen_index(layout, blobs, state, kind, true) {
        Err(error @ StoreError::DiskFull { .. }) => error,
        other => return other,
    };
    tracing::error!(
        error = %full,
        "there is no room for an index: what is here can be read, and nothing can be changed"
    );
    Ok(Opened { index: read_only(blobs, state)?, rebuilt: None })
}

/// Sets the index aside, or removes it where there is no room for another beside it.
fn move_aside(layout: &Layout, space: &Space) -> Result<(), StoreError> {
    let (index, aside) = (layout.index(), layout.root().join("index.bad"));
    if !index.exists() {
        return Ok(());
    }
    space.shrunk();
    if !space.has_room_for_index() {
        fs::remove_dir_all(&index).at(&index)?;
        return durable::sync_dir(layout.root());
    }
    match fs::symlink_metadata(&aside) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(&aside).at(&aside)?,
        // A file, not a directory.
        _ => durable::remove_file(&aside)?,
    }
    durable::rename(&index, &aside)?;
    durable::sync_dir(layout.root())
}

/// Puts all entries of the packs into an empty index, and counts the held ones.
fn fill(
    index: &dyn MetaIndex,
    blobs: &Blobs,
    state: &State,
    ids: &[EntryId],
) -> Result<(), StoreError> {
    let follows = state.follows();
    let catalog = Catalog { index, blobs };
    let mut pairs = Vec::new();
    blobs.each_large(&mut |blob, info| {
        pairs.extend(info.sha256.map(|sha256| (*sha256.as_bytes(), blob)));
        Ok(())
    })?;
    catalog.note_large(&pairs)?;
    catalog.begin_tally()?;
    let mut filling =
        Filling { catalog: &catalog, follows: &follows, late: Vec::new(), left_out: 0 };
    filling.put(ids, Source::Packs)?;
    // A rewritten pack stands behind younger ones: entries that came too early are put once more,
    // in order.
    for source in [Source::Packs, Source::PacksWithGaps] {
        let mut late = std::mem::take(&mut filling.late);
        late.sort_unstable();
        let late: Vec<EntryId> = late.into_iter().map(|(_, id)| id).collect();
        filling.put(&late, source)?;
    }
    let left_out = filling.left_out + filling.late.len() as u64;
    if left_out > 0 {
        tracing::warn!(
            left_out,
            "entries that do not read back were left out of the index until they come again"
        );
    }
    // Last: an index without it was never finished.
    index.apply(&[
        Change::Put(rows::SKIPPED.to_vec(), left_out.to_be_bytes().to_vec()),
        Change::Put(rows::FOLLOWS.to_vec(), follows.digest().to_vec()),
        Change::Put(rows::SCHEMA.to_vec(), rows::SCHEMA_VERSION.to_vec()),
    ])
}

/// A rebuild in progress.
struct Filling<'a> {
    catalog: &'a Catalog<'a>,
    follows: &'a Follows,
    /// Sequence numbers and ids of entries that came before their predecessors.
    late: Vec<(u64, EntryId)>,
    /// Number of entries that do not read back or do not fit.
    left_out: u64,
}

impl Filling<'_> {
    fn put(&mut self, ids: &[EntryId], source: Source) -> Result<(), StoreError> {
        for portion in ids.chunks(PORTION) {
            let mut entries = Vec::with_capacity(portion.len());
            for id in portion {
                match self.catalog.entry(id) {
                    Ok(signed) => entries.extend(signed),
                    Err(error @ (StoreError::DamagedEntry(_) | StoreError::Format { .. })) => {
                        tracing::warn!(%error, "entry left out of the index");
                        self.left_out += 1;
                    }
                    // A disk that does not answer does not prove that the entry is lost.
                    Err(error) => return Err(error),
                }
            }
            let puts = self.catalog.put(&entries, source, self.follows, &Unbounded)?;
            for (signed, put) in entries.iter().zip(puts) {
                match put.admit {
                    Some(Admit::Orphan(_)) => self.late.push((signed.entry().seq, put.id)),
                    Some(Admit::Reject(_)) | None => self.left_out += 1,
                    Some(Admit::New | Admit::Known | Admit::Fork(_)) => {}
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use perennial_manifest::{Body, Entry, Keypair, Profile, PublisherKind};

    use super::*;
    use crate::index_trait::Unavailable;
    use crate::store::{OpenOptions, Store};

    fn fail(store: &Store) {
        *store.inner().index.write().unwrap() = Arc::new(Unavailable);
    }

    #[test]
    fn an_index_that_fails_while_it_is_used_is_opened_again_by_reads_and_by_writes() {
        for index in [IndexKind::Sled, IndexKind::Memory] {
            let dir = tempfile::tempdir().unwrap();
            let store =
                Store::open(dir.path(), OpenOptions { index, ..OpenOptions::default() }).unwrap();
            let key = Keypair::from_seed([1; 32]);
            let entry = |seq: u64, prevs: Vec<EntryId>| {
                let (name, contact, claims) = ("KubeSphere savers".to_owned(), None, Vec::new());
                let publisher_kind = PublisherKind::Archivist;
                let body = Body::Profile(Profile { name, publisher_kind, contact, claims });
                Entry { publisher: key.id(), seq, prevs, issued_at: 1, body }.sign(&key).unwrap()
            };
            let first = entry(0, Vec::new());
            store.put_entries(std::slice::from_ref(&first)).unwrap();
            fail(&store);
            assert_eq!(store.entry_count().unwrap(), 1);
            assert!(store.rebuilt().is_some());
            fail(&store);
            store.put_entries(&[entry(1, vec![first.id()])]).unwrap();
            assert_eq!(store.times(None).unwrap().len(), 2);
        }
    }
}
