//! Secrets in what this node has signed.
//!
//! Reads its own feed, with the artifact lists that are here, and names the place of each secret.
//! Nothing can be taken back: other nodes keep what was signed. The credential has to be replaced.

use perennial_manifest::{EntryId, Exposed, Origin, Purl, ReleaseId};
use perennial_store::StoreError;
use tokio::sync::mpsc;

use super::{Archive, ArchiveError};

/// A place in a signed statement with secrets in it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The statement.
    pub entry: EntryId,
    /// The release that it states, with its name.
    pub release: Option<(ReleaseId, Purl)>,
    /// The field, and its text without the secrets.
    pub exposed: Exposed,
}

/// What an audit covered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Audited {
    /// Statements read.
    pub entries: u64,
    /// Artifact lists that are not here, or cannot be read.
    pub unread_lists: u64,
    /// Places found.
    pub found: u64,
}

impl Archive {
    /// Looks for secrets in all statements of this node's feed. Findings go to `found` as they are
    /// made; the search ends early when nothing receives them.
    ///
    /// # Errors
    /// Failures of the store.
    pub async fn audit(&self, found: mpsc::Sender<Finding>) -> Result<Audited, ArchiveError> {
        self.blocking(move |archive| audit(archive, &found)).await
    }
}

fn audit(archive: &Archive, found: &mpsc::Sender<Finding>) -> Result<Audited, ArchiveError> {
    let (store, mut audited) = (&archive.store, Audited::default());
    for (_, id) in store.times(Some(&[archive.publisher()]))? {
        let Some(signed) = store.entry(&id)? else { continue };
        audited.entries += 1;
        let release = signed.release();
        let named = release.map(|(release, body)| {
            // A name may have a secret itself.
            let name = Origin::of_purl(&body.purl).text;
            (release, Purl::parse(&name).unwrap_or_else(|_| body.purl.clone()))
        });
        let mut tell = |exposed: Exposed| {
            audited.found += 1;
            let told = found.blocking_send(Finding { entry: id, release: named.clone(), exposed });
            told.map_err(|_| ArchiveError::Cancelled)
        };
        Exposed::in_body(&signed.entry().body).into_iter().try_for_each(&mut tell)?;
        let Some((_, body)) = release else { continue };
        match store.read_list(&body.artifacts) {
            Ok(Some(list)) => {
                list.iter().flat_map(Exposed::in_artifact).try_for_each(&mut tell)?;
            }
            Ok(None) | Err(StoreError::Corrupt { .. } | StoreError::InvalidList { .. }) => {
                audited.unread_lists += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(audited)
}
