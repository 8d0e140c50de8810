//! Secrets in what this node has signed.
//!
//! Reads its own feed, and those of the keys that it replaced, with the artifact lists that are
//! here. Names the place of each secret, and each part that it could not read. Nothing can be taken
//! back: other nodes keep what was signed. The credential has to be replaced.

use perennial_manifest::{EntryId, Exposed, Origin, PublisherId, Purl, Release, ReleaseId};
use tokio::sync::mpsc;

use super::{Archive, ArchiveError};

/// A place in a signed statement.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The statement.
    pub entry: EntryId,
    /// The release that it states, with its name.
    pub release: Option<(ReleaseId, Purl)>,
    /// What is wrong there.
    pub found: Found,
}

/// What an audit finds.
#[derive(Debug, Clone)]
pub enum Found {
    /// A field with secrets, and its text without them.
    Secrets(Exposed),
    /// The statement cannot be read, for this reason.
    UnreadEntry(String),
    /// The release's list of files cannot be read, for this reason.
    UnreadList(String),
}

/// What an audit covered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Audited {
    /// Statements read.
    pub entries: u64,
    /// Statements that cannot be read.
    pub unread_entries: u64,
    /// Artifact lists that are not here, or cannot be read.
    pub unread_lists: u64,
    /// Places with secrets.
    pub found: u64,
}

impl Archive {
    /// Looks for secrets in all statements of this node's key and of those before it. Findings go
    /// to `found` as they are made; the search ends early when nothing receives them.
    ///
    /// # Errors
    /// Failures of the index.
    pub async fn audit(&self, found: mpsc::Sender<Finding>) -> Result<Audited, ArchiveError> {
        self.blocking(move |archive| {
            let mut audit = Audit { archive, found, so_far: Audited::default() };
            for key in own_keys(archive)? {
                for id in archive.store.entries_of(&key)? {
                    audit.statement(id)?;
                }
            }
            Ok::<_, ArchiveError>(audit.so_far)
        })
        .await
    }
}

/// The node's key, and those that were handed over to it, one after another.
fn own_keys(archive: &Archive) -> Result<Vec<PublisherId>, ArchiveError> {
    let feeds = archive.store.publishers()?;
    let mut keys = vec![archive.publisher()];
    let mut at = 0;
    while let Some(next) = keys.get(at).copied() {
        let before = feeds.iter().filter(|(_, feed)| feed.names_successor(&next));
        let before: Vec<_> =
            before.map(|(key, _)| *key).filter(|key| !keys.contains(key)).collect();
        keys.extend(before);
        at += 1;
    }
    Ok(keys)
}

/// An audit under way.
struct Audit<'a> {
    archive: &'a Archive,
    found: mpsc::Sender<Finding>,
    so_far: Audited,
}

impl Audit<'_> {
    fn statement(&mut self, id: EntryId) -> Result<(), ArchiveError> {
        let signed = match self.archive.store.entry(&id) {
            Ok(Some(signed)) => signed,
            Ok(None) => return self.tell(id, None, Found::UnreadEntry("it is not here".into())),
            Err(error) => return self.tell(id, None, Found::UnreadEntry(error.to_string())),
        };
        self.so_far.entries += 1;
        let release = signed.release();
        for exposed in Exposed::in_body(&signed.entry().body) {
            self.tell(id, release, Found::Secrets(exposed))?;
        }
        let Some((_, body)) = release else { return Ok(()) };
        match self.archive.store.read_list(&body.artifacts) {
            Ok(Some(list)) => {
                for exposed in list.iter().flat_map(Exposed::in_artifact) {
                    self.tell(id, release, Found::Secrets(exposed))?;
                }
                Ok(())
            }
            Ok(None) => self.tell(id, release, Found::UnreadList("it is not here".into())),
            Err(error) => self.tell(id, release, Found::UnreadList(error.to_string())),
        }
    }

    fn tell(
        &mut self,
        entry: EntryId,
        release: Option<(ReleaseId, &Release)>,
        found: Found,
    ) -> Result<(), ArchiveError> {
        *match found {
            Found::Secrets(_) => &mut self.so_far.found,
            Found::UnreadEntry(_) => &mut self.so_far.unread_entries,
            Found::UnreadList(_) => &mut self.so_far.unread_lists,
        } += 1;
        let release = release.map(|(id, body)| {
            // A name may have a secret itself.
            let name = Origin::of_purl(&body.purl).text;
            (id, Purl::parse(&name).unwrap_or_else(|_| body.purl.clone()))
        });
        let told = self.found.blocking_send(Finding { entry, release, found });
        told.map_err(|_| ArchiveError::Cancelled)
    }
}
