//! Lists and searches: the releases in this node's catalog, and those that connected peers know
//! beyond it.
//!
//! Answers of peers are shown and not stored: a publisher's entries come with its feed.

use std::collections::BTreeSet;

use perennial_manifest::{Holding, Purl, ReleaseId, Selector, SignedEntry};
use perennial_store::{ReleaseFilter, ReleaseRow};

use super::{Archive, ArchiveError, Unreached};
use crate::network::message::LookupAnswer;

/// Releases that have one file, listed at most.
const FILES: usize = 1000;

/// The releases found.
#[derive(Debug, Default)]
pub struct FoundReleases {
    /// Those in this node's catalog.
    pub here: Vec<ReleaseRow>,
    /// Those that only connected peers know. Their signatures are valid; their publishers may be
    /// anyone.
    pub elsewhere: Vec<ReleaseRow>,
    /// Set if more were found than the limit allows.
    pub more: bool,
}

impl FoundReleases {
    /// These, unless there are none because of the addresses that do not answer.
    fn unless_cut_off(self, unreached: Vec<Unreached>) -> Result<Self, ArchiveError> {
        let nothing = self.here.is_empty() && self.elsewhere.is_empty();
        if nothing && !unreached.is_empty() {
            return Err(ArchiveError::Unreached(unreached));
        }
        Ok(self)
    }
}

impl Archive {
    /// Releases in which all words of `text` occur, at most `limit`, also those that only connected
    /// peers know.
    ///
    /// # Errors
    /// [`ArchiveError::Unreached`] if nothing is found and no address of a peer answers, or the
    /// store's error.
    pub async fn search(&self, text: String, limit: usize) -> Result<FoundReleases, ArchiveError> {
        let words = text.clone();
        let search = self.blocking(move |archive| archive.store.search(&words, limit + 1));
        let here = search.await?;
        let unreached = self.needed_peers(&here).await;
        let entries = self.if_connected(self.network.search(text)).await;
        self.joined(here, entries, limit, |_| true).await?.unless_cut_off(unreached)
    }

    /// The releases that `filter` selects. If it names one and does not ask for bytes held here,
    /// also those that only connected peers know.
    ///
    /// # Errors
    /// [`ArchiveError::Unreached`] if it names one that is not found while no address of a peer
    /// answers, or the store's error.
    pub async fn list(&self, filter: ReleaseFilter) -> Result<FoundReleases, ArchiveError> {
        let (limit, publisher) = (filter.limit, filter.publisher);
        let asked = filter.selector.clone().filter(|selector| {
            filter.state.is_none_or(|state| state == Holding::Known)
                && !matches!(selector, Selector::Blob(_) | Selector::Sha256(_))
        });
        // One row beyond the limit shows whether more follow.
        let filter = ReleaseFilter { limit: limit + usize::from(limit > 0), ..filter };
        let list = self.blocking(move |archive| {
            let found = archive.store.releases(&filter)?;
            // A digest lists the releases that have the file.
            let digest = filter.selector.as_ref().and_then(Selector::sha256);
            match digest {
                Some(digest) if found.is_empty() => archive.store.releases_with(&digest, FILES),
                _ => Ok(found),
            }
        });
        let here = list.await?;
        let Some(selector) = asked else {
            return self.joined(here, Vec::new(), limit, |_| true).await;
        };
        let unreached = self.needed_peers(&here).await;
        let entries = self.if_connected(self.network.lookup(selector, publisher)).await;
        let is_known = |row: &ReleaseRow| row.state == Holding::Known;
        self.joined(here, entries, limit, is_known).await?.unless_cut_off(unreached)
    }

    /// If nothing was found here, waits for an expected peer. Returns the addresses that do not
    /// answer if there is none.
    async fn needed_peers(&self, here: &[ReleaseRow]) -> Vec<Unreached> {
        if here.is_empty() { self.network.connected().await } else { Vec::new() }
    }

    /// Names that peers know and that may be meant instead of one that means nothing.
    pub(super) async fn near_elsewhere(&self, selector: &Selector) -> Vec<Purl> {
        let Some(word) = selector.word() else { return Vec::new() };
        let entries = self.if_connected(self.network.search(word.to_owned())).await;
        entries
            .iter()
            .filter_map(|entry| entry.release())
            .map(|(_, body)| body.purl.clone())
            .collect()
    }

    /// Releases in which connected peers find a text.
    pub(super) async fn search_elsewhere(&self, text: String) -> Vec<ReleaseId> {
        let entries = self.if_connected(self.network.search(text)).await;
        entries.iter().filter_map(|entry| entry.release()).map(|(release, _)| release).collect()
    }

    /// The entries of an answer, if a peer is connected that can give one.
    async fn if_connected(&self, answer: impl Future<Output = LookupAnswer>) -> Vec<SignedEntry> {
        if self.network.overview().borrow().peers.is_empty() {
            return Vec::new();
        }
        answer.await.entries
    }

    /// Adds the entries of peers to the rows found here. A release that is in the catalog, where
    /// this node did not find it, is shown as the catalog has it, if it fits.
    async fn joined(
        &self,
        mut here: Vec<ReleaseRow>,
        entries: Vec<SignedEntry>,
        limit: usize,
        fits: impl Fn(&ReleaseRow) -> bool + Send + 'static,
    ) -> Result<FoundReleases, ArchiveError> {
        let joined = self.blocking(move |archive| {
            let mut seen: BTreeSet<ReleaseId> = here.iter().map(|row| row.release).collect();
            let mut elsewhere = Vec::new();
            for row in entries.iter().filter_map(row_of) {
                let is_denied = archive.store.denial_of_release(&row).is_some();
                if is_denied || !seen.insert(row.release) {
                    continue;
                }
                match archive.store.known_release(&row.release)? {
                    Some(known) => here.extend(Some(known).filter(&fits)),
                    None => elsewhere.push(row),
                }
            }
            Ok::<_, ArchiveError>((here, elsewhere))
        });
        let (mut here, mut elsewhere) = joined.await?;
        elsewhere.sort_by(|one, other| (&one.purl, one.release).cmp(&(&other.purl, other.release)));
        let more = limit != 0 && here.len() + elsewhere.len() > limit;
        if more {
            here.truncate(limit);
            elsewhere.truncate(limit - here.len());
        }
        Ok(FoundReleases { here, elsewhere, more })
    }
}

/// A release as its entry states it.
fn row_of(entry: &SignedEntry) -> Option<ReleaseRow> {
    let (release, body) = entry.release()?;
    Some(ReleaseRow {
        release,
        purl: body.purl.clone(),
        publisher: entry.entry().publisher,
        artifacts: body.artifacts,
        seq: entry.entry().seq,
        listed_at: entry.entry().issued_at,
        issued_at: entry.entry().issued_at,
        state: Holding::Known,
        held_bytes: 0,
        content: None,
    })
}
