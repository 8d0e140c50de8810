//! How much of each release is held, and which releases of followed publishers are still wanted.

use std::path::Path;

use perennial_manifest::{ArtifactList, ArtifactListRef, Holding, PublisherId, ReleaseId};

use super::{Catalog, ReleaseRow};
use crate::error::StoreError;
use crate::index_trait::Change;
use crate::large::SMALL;
use crate::rows::{self, ReleaseValue};
use crate::state::{Follows, Kept};

/// How much of a release is held.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) state: Holding,
    pub(super) held_bytes: u64,
    /// Its artifact list, if that is here and fits the release.
    pub(super) list: Option<ArtifactList>,
}

impl Counted {
    const fn nothing(state: Holding) -> Self {
        Self { state, held_bytes: 0, list: None }
    }

    /// Of a release whose list was not looked for.
    pub(super) const UNSEEN: Self = Self::nothing(Holding::Known);
}

/// The count of a release's bytes, and of digests that were computed for its blobs.
#[derive(Debug)]
pub(crate) struct Recount {
    counted: Counted,
    changes: Vec<Change>,
}

/// The key and the value of a release, if it is known.
pub(crate) type Place = Option<(Vec<u8>, ReleaseValue)>;

impl Catalog<'_> {
    /// Recomputes which releases are wanted. `before`: the follows that the present state was made
    /// for, if known.
    pub(crate) fn follow(&self, before: Option<&Follows>, now: &Follows) -> Result<(), StoreError> {
        let differs = |id: &PublisherId| before.is_none_or(|before| !before.keep_alike(now, id));
        let mut publishers: Vec<PublisherId> = match before {
            Some(before) if before.all == now.all => {
                before.publishers.keys().chain(now.publishers.keys()).copied().collect()
            }
            _ => self.publishers()?.into_iter().map(|(id, _)| id).collect(),
        };
        publishers.retain(differs);
        let mut changes = Vec::new();
        for publisher in publishers {
            for key in self.keys_of(&publisher)? {
                let Some(value) = self.value(&key)? else { continue };
                let kept = now.kept(&publisher, rows::purl_of(&key).unwrap_or_default());
                changes.extend(rows::wants(&value.release, &key, kept, value.state.is_wanting()));
            }
        }
        // Last: a process killed before it makes the rows again.
        changes.push(Change::Put(rows::FOLLOWS.to_vec(), now.digest().to_vec()));
        self.index.apply(&changes)
    }

    /// Whether the wanted releases are those that these follows ask for.
    pub(crate) fn follows_are(&self, now: &Follows) -> Result<bool, StoreError> {
        Ok(self.index.get(rows::FOLLOWS)?.as_deref() == Some(&now.digest()[..]))
    }

    /// The artifact list of a release, if it is here.
    pub(crate) fn artifact_list(&self, id: &ReleaseId) -> Result<Option<ArtifactList>, StoreError> {
        let Some(signed) = self.entry(&id.entry())? else { return Ok(None) };
        let Some((_, body)) = signed.release() else { return Ok(None) };
        self.read_list(&body.artifacts)
    }

    pub(crate) fn read_list(
        &self,
        claim: &ArtifactListRef,
    ) -> Result<Option<ArtifactList>, StoreError> {
        let Some(size) = self.blobs.size(&claim.blob)? else { return Ok(None) };
        if size != claim.size {
            let reason = format!("it has {size} bytes, and the release says {}", claim.size);
            return Err(StoreError::InvalidList { list: claim.blob, reason });
        }
        let mut encoded = Vec::new();
        self.blobs.copy_out(&claim.blob, &mut encoded, Path::new("memory"))?;
        let list = ArtifactList::decode(&encoded, claim);
        list.map(Some)
            .map_err(|e| StoreError::InvalidList { list: claim.blob, reason: e.to_string() })
    }

    /// Counts how much of a release is held. Reads its list, so it takes time.
    pub(crate) fn recount(&self, claim: &ArtifactListRef) -> Result<Recount, StoreError> {
        let mut changes = Vec::new();
        let counted = self.count_held(claim, &mut changes)?;
        Ok(Recount { counted, changes })
    }

    /// Notes how much of a release is held.
    pub(crate) fn note_held(
        &self,
        (key, mut value): (Vec<u8>, ReleaseValue),
        recount: &Recount,
        follows: &Follows,
    ) -> Result<Holding, StoreError> {
        let purl = rows::purl_of(&key).unwrap_or_default();
        let kept = PublisherId::from_bytes(value.publisher)
            .map_or(Kept::Not, |publisher| follows.kept(&publisher, purl));
        let mut changes = recount.changes.clone();
        let Counted { mut state, held_bytes, ref list } = recount.counted;
        if value.state == Holding::Invalid && state == Holding::Known {
            // The list is no longer here, and its bytes would be the same again.
            state = Holding::Invalid;
        }
        let content = value.content;
        if (value.state == Holding::Known || content.is_none())
            && let Some(list) = list
            && let (Some(place), Some(purl)) = (rows::place_of_release(&key), rows::purl_of(&key))
        {
            value.content = Some(list.content());
            changes.extend(rows::of_files(list, place, purl));
        }
        if (value.state, value.held_bytes, value.content) != (state, held_bytes, content) {
            (value.state, value.held_bytes) = (state, held_bytes);
            changes.push(Change::Put(key.clone(), value.encode()));
        }
        let id = &value.release;
        let wants = self.index.get(&rows::wanted(id))?.is_some();
        if wants != (kept != Kept::Not && state.is_wanting()) {
            changes.extend(rows::wants(id, &key, kept, state.is_wanting()));
        }
        if !changes.is_empty() {
            self.apply(changes)?;
        }
        Ok(state)
    }

    /// Notes the content of a release whose list is here.
    pub(crate) fn note_content(&self, id: &ReleaseId) -> Result<(), StoreError> {
        let Some((key, mut value)) = self.place_of(id)? else { return Ok(()) };
        if value.content.is_none()
            && let Some(list) = self.read_list(&value.artifacts)?
        {
            value.content = Some(list.content());
            self.index.apply(&[Change::Put(key, value.encode())])?;
        }
        Ok(())
    }

    /// How much of a release is held. Also notes the digests that were computed for its blobs.
    pub(super) fn count_held(
        &self,
        claim: &ArtifactListRef,
        changes: &mut Vec<Change>,
    ) -> Result<Counted, StoreError> {
        let list = match self.read_list(claim) {
            Ok(Some(list)) => list,
            Err(StoreError::InvalidList { .. }) => return Ok(Counted::nothing(Holding::Invalid)),
            Ok(None) | Err(_) => return Ok(Counted::nothing(Holding::Known)),
        };
        let (mut held, mut held_bytes) = (0, 0);
        for artifact in &list {
            if self.blobs.size(&artifact.blake3)? == Some(artifact.size) {
                held += 1;
                held_bytes += artifact.size;
                if artifact.size > SMALL {
                    self.note_hashed(&artifact.blake3, changes)?;
                }
            }
        }
        let state = if held == list.len() { Holding::Held } else { Holding::Partial };
        Ok(Counted { state, held_bytes, list: Some(list) })
    }

    /// Lists releases as known only. Called before their bytes are deleted, so that a killed
    /// collection leaves no release listed as held that is not whole.
    pub(crate) fn set_known(&self, rows: &[ReleaseRow]) -> Result<(), StoreError> {
        let mut changes = Vec::new();
        for row in rows {
            let Some((key, mut value)) = self.place_of_row(row)? else { continue };
            (value.state, value.held_bytes) = (Holding::Known, 0);
            changes.push(Change::Put(key, value.encode()));
        }
        if changes.is_empty() { Ok(()) } else { self.apply(changes) }
    }
}
