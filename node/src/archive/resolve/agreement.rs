//! Lists that have to be here before publishers can be said to agree.
//!
//! Agreement is decided by what releases consist of, which only their lists say. The lists of
//! followed publishers come by themselves; those that have not come yet are fetched when a name
//! hangs on them.

use futures::future::join_all;
use perennial_manifest::{ReleaseId, Resolution};

use crate::archive::{Archive, ArchiveError};

/// Lists fetched to decide on one name, at most.
const LISTS: usize = 32;

impl Archive {
    /// Fetches the lists that a resolution hangs on. Returns whether there were any: it may be
    /// another one now.
    pub(super) async fn decide(&self, resolution: &Resolution) -> Result<bool, ArchiveError> {
        let undecided: Vec<_> = resolution.undecided().iter().map(|one| one.release).collect();
        if undecided.len() > LISTS {
            return Ok(false);
        }
        self.compare(&undecided).await?;
        Ok(!undecided.is_empty())
    }

    /// Fetches lists, as far as peers have them, and notes what they contain.
    pub(crate) async fn compare(&self, releases: &[ReleaseId]) -> Result<(), ArchiveError> {
        let brought = releases.iter().map(|release| async {
            // Without its list, a release agrees with no other.
            self.bring_list(*release).await.ok().map(|()| *release)
        });
        let brought: Vec<_> = join_all(brought).await.into_iter().flatten().collect();
        self.blocking(move |archive| {
            for release in brought {
                match archive.store.note_content(&release) {
                    Err(perennial_store::StoreError::InvalidList { .. }) => {}
                    noted => noted?,
                }
            }
            Ok::<_, ArchiveError>(())
        })
        .await
    }
}
