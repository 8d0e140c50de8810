//! Finds the releases that list a digest.
//!
//! A bounded in-memory index from digests to releases. The details of a digest are read from the
//! release's list when they are needed.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use perennial_manifest::{
    Artifact, ArtifactList, ArtifactListRef, BlobId, PublisherId, ReleaseId, Role,
};
use perennial_oci::Digest;
use perennial_store::StoreError;

use crate::backend::BlobRequest;

/// Pairs of digest and release kept, at most; each takes 20 bytes.
const PAIRS: usize = 2_000_000;
/// Pairs kept, at most, before those of untrusted publishers are no longer added.
const STRANGERS: usize = 500_000;
/// Missing lists looked up again in one refresh, at most.
const RETRIES: usize = 1000;
/// Releases copied when one is added to a published index, at most.
const CHUNK: usize = 512;

/// Content that a digest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContentRef {
    pub(crate) digest: Digest,
    pub(crate) blob: BlobId,
    pub(crate) size: u64,
    pub(crate) media_type: String,
    /// A release that lists it; `None` for content that is held without one.
    pub(crate) release: Option<ReleaseId>,
    /// Whether the digest was computed here, or a trusted publisher signed it. Content that only
    /// strangers call so is hashed before it is served.
    pub(crate) vouched: bool,
}

impl ContentRef {
    /// The request to send to the swarm; `None` if no release lists the content.
    pub(crate) fn request(&self) -> Option<BlobRequest> {
        let (blob, size) = (self.blob, self.size);
        self.release.map(|release| BlobRequest { release: Some(release), blob, size })
    }
}

/// A release whose list is indexed or waits to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed {
    pub(crate) publisher: PublisherId,
    pub(crate) release: ReleaseId,
    pub(crate) list: ArtifactListRef,
}

/// A digest's first 16 bytes, and the index of a release that lists it.
type Pair = ([u8; 16], u32);

/// The index. Cheap to clone: clones share all unchanged parts.
#[derive(Debug, Clone, Default)]
pub(crate) struct DigestIndex {
    /// Split into chunks of [`CHUNK`].
    releases: Vec<Arc<Vec<Listed>>>,
    /// Sorted runs, each at least twice as long as the next.
    runs: Vec<Arc<Vec<Pair>>>,
}

impl DigestIndex {
    /// The releases that may list a digest, newest first.
    pub(crate) fn releases(&self, digest: &Digest) -> Vec<Listed> {
        let key = digest.key();
        let mut found: Vec<u32> = Vec::new();
        for run in &self.runs {
            let from = run.partition_point(|pair| pair.0 < key);
            let named = run.iter().skip(from).take_while(|pair| pair.0 == key);
            found.extend(named.map(|(_, at)| *at));
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        found.into_iter().filter_map(|at| self.release(at)).collect()
    }

    fn release(&self, at: u32) -> Option<Listed> {
        let at = usize::try_from(at).ok()?;
        self.releases.get(at / CHUNK)?.get(at % CHUNK).copied()
    }

    fn push(&mut self, listed: Listed) -> Option<u32> {
        let full = self.releases.last().is_none_or(|chunk| chunk.len() == CHUNK);
        if full {
            self.releases.push(Arc::default());
        }
        let before = (self.releases.len() - 1) * CHUNK;
        let chunk = Arc::make_mut(self.releases.last_mut()?);
        chunk.push(listed);
        u32::try_from(before + chunk.len() - 1).ok()
    }

    fn len(&self) -> usize {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// Adds pairs as a run, and merges runs until each is at least twice as long as the next, so
    /// that each pair is merged logarithmically often.
    fn add_run(&mut self, mut run: Vec<Pair>) {
        if run.is_empty() {
            return;
        }
        run.sort_unstable();
        while let Some(last) = self.runs.pop_if(|last| last.len() < 2 * run.len()) {
            run = merged(&last, &run);
        }
        run.dedup();
        self.runs.push(Arc::new(run));
    }
}

fn merged(a: &[Pair], b: &[Pair]) -> Vec<Pair> {
    let mut all = Vec::with_capacity(a.len() + b.len());
    all.extend_from_slice(a);
    all.extend_from_slice(b);
    // A stable sort merges two sorted runs in one pass.
    all.sort();
    all
}

/// Reads a list, if it is held. A damaged list and one that does not fit its release stop nothing.
type ReadList<'a> = dyn Fn(&ArtifactListRef) -> Result<Option<Arc<ArtifactList>>, StoreError> + 'a;

/// Fills a [`DigestIndex`] from the lists of releases.
#[derive(Debug, Default)]
pub(crate) struct DigestIndexer {
    index: DigestIndex,
    /// Releases whose list was not held, or for which there was no room.
    missing: VecDeque<u32>,
}

impl DigestIndexer {
    pub(crate) fn index(&self) -> &DigestIndex {
        &self.index
    }

    /// Returns whether a missing list may have arrived since.
    pub(crate) fn has_missing(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Queues a release for indexing.
    pub(crate) fn add(&mut self, listed: Listed) {
        let at = self.index.push(listed);
        self.missing.extend(at);
    }

    /// Drops the releases of some publishers.
    pub(crate) fn forget(&mut self, gone: &BTreeSet<PublisherId>) {
        let old = std::mem::take(&mut self.index);
        let moved: Vec<Option<u32>> = old
            .releases
            .iter()
            .flat_map(|chunk| chunk.iter())
            .map(|listed| match gone.contains(&listed.publisher) {
                true => None,
                false => self.index.push(*listed),
            })
            .collect();
        let place = |at: u32| moved.get(usize::try_from(at).ok()?).copied().flatten();
        let pairs = old.runs.iter().flat_map(|run| run.iter());
        self.index.add_run(pairs.filter_map(|(key, at)| Some((*key, place(*at)?))).collect());
        self.missing = self.missing.iter().filter_map(|at| place(*at)).collect();
    }

    /// Indexes the lists of the `new` releases added last; with `retry`, also looks up some lists
    /// that were missing before. `artifacts` returns a list if it is held.
    pub(crate) fn fill(
        &mut self,
        new: usize,
        retry: bool,
        trusted: &dyn Fn(&PublisherId) -> bool,
        artifacts: &ReadList<'_>,
    ) -> Result<(), StoreError> {
        let mut run = Vec::new();
        // New releases come first, so that a failure skips none of them.
        self.missing.rotate_right(new.min(self.missing.len()));
        let mut outcome = Ok(());
        let most = new.saturating_add(if retry { RETRIES } else { 0 });
        for _ in 0..self.missing.len().min(most) {
            let Some(at) = self.missing.pop_front() else { break };
            match self.pairs(at, run.len(), trusted, artifacts) {
                Ok(Some(pairs)) => run.extend(pairs),
                Ok(None) => self.missing.push_back(at),
                Err(error) => {
                    self.missing.push_back(at);
                    outcome = Err(error);
                    break;
                }
            }
        }
        self.index.add_run(run);
        outcome
    }

    /// The pairs of a release, if its list is held and they fit besides `more`.
    fn pairs(
        &self,
        at: u32,
        more: usize,
        trusted: &dyn Fn(&PublisherId) -> bool,
        artifacts: &ReadList<'_>,
    ) -> Result<Option<Vec<Pair>>, StoreError> {
        let Some(listed) = self.index.release(at) else { return Ok(None) };
        let room = if trusted(&listed.publisher) { PAIRS } else { STRANGERS };
        let list = match artifacts(&listed.list) {
            // A damaged list can come again; one that does not fit its release never will.
            Err(StoreError::Corrupt { .. }) => None,
            Err(StoreError::InvalidList { .. }) => return Ok(Some(Vec::new())),
            other => other?,
        };
        Ok(list.filter(|list| self.index.len() + more + list.len() <= room).map(|list| {
            list.iter().filter_map(digest_of).map(|digest| (digest.key(), at)).collect()
        }))
    }
}

/// The digest that an artifact of an image layout stores, from its path.
pub(crate) fn digest_of(artifact: &Artifact) -> Option<Digest> {
    match Digest::of_path(artifact.path.as_str())? {
        // The path repeats a field of the list that is checked elsewhere.
        Digest::Sha256(_) => Some(Digest::from(artifact.sha256)),
        sha512 => Some(sha512),
    }
}

/// Returns whether an artifact may be a manifest.
pub(crate) fn is_manifest(artifact: &Artifact) -> bool {
    let role = matches!(artifact.role, Role::ImageManifest | Role::ImageIndex);
    let kind = &artifact.media_type;
    role || (kind.ends_with("+json") && (kind.contains("manifest") || kind.contains("image.index")))
}

#[cfg(test)]
mod tests {
    use perennial_manifest::Keypair;

    use super::*;

    #[test]
    fn runs_are_merged_and_a_published_index_stays_as_it_was() {
        let mut index = DigestIndex::default();
        let list = ArtifactListRef { blob: BlobId::of(b""), count: 1, bytes: 1, size: 1 };
        let publisher = Keypair::from_seed([1; 32]).id();
        let digest = |at: u32| Digest::sha256_of(&at.to_be_bytes());
        let mut published = Vec::new();
        for at in 0..2000_u32 {
            let release = ReleaseId::from_bytes(*BlobId::of(&at.to_be_bytes()).as_bytes());
            assert_eq!(index.push(Listed { publisher, release, list }), Some(at));
            index.add_run(vec![(digest(at % 700).key(), at)]);
            if at == 1000 {
                published.push(index.clone());
            }
        }
        let counts =
            |index: &DigestIndex| [0, 300, 699].map(|at| index.releases(&digest(at)).len());
        assert_eq!(counts(&index), [3, 3, 2]);
        assert_eq!(counts(&published[0]), [2, 2, 1]);
        assert_eq!(index.len(), 2000);
        assert!(index.runs.len() < 12, "{} runs", index.runs.len());
        let newest = index.releases(&digest(0));
        assert_eq!(newest[0].release.as_bytes(), BlobId::of(&1400_u32.to_be_bytes()).as_bytes());
        assert!(index.releases(&digest(701)).is_empty());
    }

    #[test]
    fn of_publishers_that_go_nothing_stays() {
        let [stays, goes] = [1, 2].map(|seed| Keypair::from_seed([seed; 32]).id());
        let mut indexer = DigestIndexer::default();
        let digest = Digest::from(perennial_manifest::Sha256Digest::from_bytes([7; 32]));
        for n in 0..3_u32 {
            let publisher = if n == 1 { goes } else { stays };
            let blob = BlobId::of(&n.to_be_bytes());
            let release = perennial_manifest::EntryId::from_bytes(*blob.as_bytes()).into();
            let list = ArtifactListRef { blob, count: 1, bytes: 1, size: 1 };
            indexer.add(Listed { publisher, release, list });
        }
        indexer.index.add_run(vec![(digest.key(), 0), (digest.key(), 1), (digest.key(), 2)]);
        indexer.missing = VecDeque::from([1, 2]);
        let before = indexer.index.releases(&digest);
        indexer.forget(&BTreeSet::from([goes]));
        let after = indexer.index.releases(&digest);
        let ids = |all: &[Listed]| all.iter().map(|listed| listed.release).collect::<Vec<_>>();
        assert_eq!(ids(&after), [before[0].release, before[2].release]);
        assert_eq!((indexer.missing, indexer.index.len()), (VecDeque::from([1]), 2));
    }
}
