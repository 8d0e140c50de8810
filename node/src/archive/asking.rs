//! What connected peers know about something that this node does not: for clients that cannot wait
//! for more than an answer of those that are there.

use perennial_manifest::{PublisherId, ReleaseId, Selector, Sha256Digest};

use super::resolve::likely_size;
use super::{Archive, ArchiveError};

/// Releases of which peers say that they have a digest, taken in at most.
const CLAIMED: usize = 4;

/// What peers know about a selector.
#[derive(Debug, Default)]
pub(crate) struct PeersAnswer {
    /// The releases that it names, or that have a file with the digest, as peers say. They are in
    /// the catalog.
    pub(crate) releases: Vec<ReleaseId>,
    /// The length of the blob that it names, as most peers say.
    pub(crate) size: Option<u64>,
}

impl Archive {
    /// Asks the connected peers about a selector. Their statements are taken into the catalog; what
    /// they are worth, trust decides there.
    ///
    /// # Errors
    /// The store's error.
    pub(crate) async fn ask_peers(
        &self,
        selector: Selector,
        publisher: Option<PublisherId>,
    ) -> Result<PeersAnswer, ArchiveError> {
        if self.network.overview().borrow().peers.is_empty() || self.store.is_read_only() {
            return Ok(PeersAnswer::default());
        }
        match selector {
            Selector::Sha256(digest) => self.ask_for_digest(digest).await,
            Selector::Blob(_) => {
                let claims = self.network.lookup(selector, None).await.claims;
                let size = likely_size(claims.iter().map(|(_, claim)| claim.size));
                Ok(PeersAnswer { size, ..PeersAnswer::default() })
            }
            Selector::Release(_)
            | Selector::ReleasePrefix(_)
            | Selector::Purl(_)
            | Selector::Name(_) => {
                let entries = self.network.lookup(selector, publisher).await.entries;
                let releases = entries.iter().filter_map(|entry| entry.release());
                let releases = releases.map(|(release, _)| release).collect();
                self.take_in(entries).await?;
                Ok(PeersAnswer { releases, size: None })
            }
        }
    }

    async fn ask_for_digest(&self, digest: Sha256Digest) -> Result<PeersAnswer, ArchiveError> {
        let mut releases = Vec::new();
        for release in self.search_elsewhere(digest.to_string()).await.into_iter().take(CLAIMED) {
            // A search sends statements without their feeds; a look-up brings both.
            let entries = self.network.lookup(Selector::Release(release), None).await.entries;
            self.take_in(entries).await?;
            releases.push(release);
        }
        Ok(PeersAnswer { releases, size: None })
    }
}
