//! Checks of URLs that are added again: the upstream serves other bytes than before, or none.
//!
//! A name keeps the bytes that were archived under it. The upstream's present content is signed as
//! an observation and rejected as a release of that name.

use perennial_import::{ImportError, Imported};
use perennial_manifest::{
    Artifact, ArtifactList, Body, Observation, Origin, Purl, ReleaseId, Resolution, Role, Selector,
    Verdict,
};
use perennial_store::StoreError;

use crate::archive::ArchiveError;
use crate::archive::publish::{Signing, unix_seconds};

/// Compares the outcome of an import with this node's earlier release of the same name, if any. If
/// the upstream's content differs, signs the observations and fails; otherwise returns the outcome.
/// Blocking.
pub(in crate::archive) fn check(
    signing: &mut Signing<'_>,
    purl: &Purl,
    outcome: Result<Imported, ImportError>,
) -> Result<Imported, ArchiveError> {
    let Some(archived) = Archived::of(signing, purl)? else { return Ok(outcome?) };
    let (observations, differences) = archived.compare(&outcome);
    if differences.is_empty() {
        return Ok(outcome?);
    }
    for seen in observations {
        signing.sign(None, Body::Observation(seen))?;
    }
    Err(ArchiveError::UpstreamChanged {
        differences: differences.join("; "),
        purl: Box::new(purl.clone()),
        release: archived.release,
        source: outcome.err(),
    })
}

/// This node's earlier release of a name.
struct Archived {
    release: ReleaseId,
    list: ArtifactList,
}

impl Archived {
    /// The release that the name means by this node's own statements; `None` if there is none.
    fn of(signing: &Signing<'_>, purl: &Purl) -> Result<Option<Self>, StoreError> {
        let (store, own) = (signing.store(), signing.archive.publisher());
        let selector = Selector::Purl(purl.clone());
        let Resolution::Found(found) = store.resolve(&selector, &own, Some(&own))? else {
            return Ok(None);
        };
        // A purl without qualifiers may have found one with them.
        let same = found.iter().find(|found| found.purl == *purl);
        let Some(row) = same.map(|found| store.release(&found.release)).transpose()?.flatten()
        else {
            return Ok(None);
        };
        let list = match store.read_list(&row.artifacts) {
            Err(StoreError::InvalidList { .. }) => None,
            other => other?,
        };
        Ok(list.map(|list| Self { release: row.release, list }))
    }

    /// The observations to sign, and a description of each difference; no descriptions mean no
    /// difference.
    fn compare(&self, outcome: &Result<Imported, ImportError>) -> (Vec<Observation>, Vec<String>) {
        let (mut seen, mut differences) = (Vec::new(), Vec::new());
        match outcome {
            Ok(imported) => {
                let all: Vec<_> =
                    imported.drafts.iter().flat_map(|draft| &draft.artifacts).collect();
                let came = |old: &Artifact| all.iter().any(|new| new.blake3 == old.blake3);
                for draft in &imported.drafts {
                    let observed = draft.observations.iter().filter(|seen| {
                        let same = |archived: &Artifact| seen.blake3 == Some(archived.blake3);
                        let archived: Vec<_> = self.artifacts_from(&seen.url).collect();
                        !archived.iter().any(|old| same(old))
                            && !archived.iter().all(|old| came(old))
                    });
                    seen.extend(
                        observed
                            .cloned()
                            .map(|seen| Observation { verdict: Verdict::Changed, ..seen }),
                    );
                    let new = draft.artifacts.iter().filter(|new| self.contradicts(new, &came));
                    differences.extend(new.map(|new| format!("{} has other bytes now", new.path)));
                }
                let lost = imported
                    .failed
                    .iter()
                    .filter(|failed| self.artifacts_from(&failed.what).any(|old| !came(old)));
                differences.extend(lost.map(|failed| failed.reason.clone()));
            }
            Err(error) => {
                let (url, verdict) = match error {
                    ImportError::Gone { what, .. } => (what, Verdict::Gone),
                    ImportError::Mismatch { what, .. } | ImportError::Unfit { what, .. } => {
                        (what, Verdict::Changed)
                    }
                    _ => return (seen, differences),
                };
                if self.artifacts_from(url).next().is_some() {
                    seen.push(observation(url, verdict));
                    differences.push(error.to_string());
                }
            }
        }
        (seen, differences)
    }

    fn artifacts_from(&self, url: &str) -> impl Iterator<Item = &Artifact> {
        let url = Origin::of(url).text;
        self.list
            .iter()
            .filter(move |artifact| artifact.origins.iter().any(|origin| is_from(origin, &url)))
    }

    /// Returns whether a new file would replace an archived one. Checksum lists and signatures do
    /// not count: they grow with the files they cover. `came` says whether an archived file is
    /// among the new ones.
    fn contradicts(&self, new: &Artifact, came: &dyn Fn(&Artifact) -> bool) -> bool {
        if matches!(new.role, Role::Checksums | Role::Signature) {
            return false;
        }
        if let Some(old) = self.list.iter().find(|old| old.path == new.path) {
            return old.blake3 != new.blake3;
        }
        // Several files may come from one URL, whose query told them apart and is not signed: the
        // archived ones may have come beside the new one.
        let Some(url) = new.origins.first().map(|url| Origin::of(url).text) else { return false };
        let from = |old: &&Artifact| old.origins.first().is_some_and(|old| is_from(old, &url));
        let old: Vec<_> = self.list.iter().filter(from).collect();
        !old.iter().any(|old| old.blake3 == new.blake3) && !old.iter().all(|old| came(old))
    }
}

/// Whether an archived origin is this URL, as far as it is signed. Earlier versions signed origins
/// with their secrets.
fn is_from(origin: &str, url: &str) -> bool {
    origin == url || Origin::of(origin).text == url
}

fn observation(url: &str, verdict: Verdict) -> Observation {
    Observation {
        url: Origin::of(url).text,
        fetched_at: unix_seconds(),
        status: None,
        etag: None,
        last_modified: None,
        size: None,
        blake3: None,
        sha256: None,
        verdict,
    }
}
