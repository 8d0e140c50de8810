//! URLs that are added again: other bytes than before, or none any more.
//!
//! Promises that a name goes on meaning the bytes that were archived under it, and that what the upstream gives now is signed
//! as seen.

use std::time::{SystemTime, UNIX_EPOCH};

use perennial_control::{ErrorCode, Failure};
use perennial_import::{ImportError, Imported};
use perennial_manifest::{
    Artifact, ArtifactList, Body, Observation, Purl, ReleaseId, Resolution, Role, Selector,
    SignedEntry, Verdict,
};
use perennial_store::{Store, StoreError};

use super::refused;
use crate::archive::publish::sign_failure;
use crate::archive::signer::Signer;
use crate::failure::failed;

/// What this node released before under a name.
pub(crate) struct Before {
    purl: Purl,
    release: ReleaseId,
    list: ArtifactList,
}

impl Before {
    /// What the name means, as far as this publisher says; none if it says nothing. Blocking.
    pub(crate) fn of(
        store: &Store,
        signer: &Signer,
        purl: &Purl,
    ) -> Result<Option<Self>, StoreError> {
        let own = signer.publisher();
        let Resolution::Found(found) =
            store.resolve(&Selector::Purl(purl.clone()), &own, Some(&own))?
        else {
            return Ok(None);
        };
        let Some(row) =
            found.first().map(|found| store.release(&found.release)).transpose()?.flatten()
        else {
            return Ok(None);
        };
        let list = store.read_list(&row.artifacts)?;
        Ok(list.map(|list| Self { purl: purl.clone(), release: row.release, list }))
    }

    fn came_from(&self, url: &str) -> impl Iterator<Item = &Artifact> {
        self.list.iter().filter(move |artifact| artifact.origins.iter().any(|origin| origin == url))
    }

    /// Signs what was seen where the upstream does not give what was archived, and says so; otherwise gives back what came.
    /// Blocking.
    pub(crate) fn compare(
        &self,
        store: &Store,
        signer: &Signer,
        came: Result<Imported, ImportError>,
    ) -> Result<Imported, (Failure, Vec<SignedEntry>)> {
        let (mut seen, mut differ) = (Vec::new(), Vec::new());
        match &came {
            Ok(came) => {
                for draft in &came.drafts {
                    let observed = draft.observations.iter().filter(|seen| {
                        self.came_from(&seen.url)
                            .any(|artifact| seen.blake3 != Some(artifact.blake3))
                    });
                    seen.extend(
                        observed
                            .cloned()
                            .map(|seen| Observation { verdict: Verdict::Changed, ..seen }),
                    );
                    let new = draft.artifacts.iter().filter(|new| self.contradicts(new));
                    differ.extend(new.map(|new| format!("{} has other bytes now", new.path)));
                }
                let lost = came
                    .failed
                    .iter()
                    .filter(|failed| self.came_from(&failed.what).next().is_some());
                differ.extend(lost.map(|failed| failed.reason.clone()));
            }
            Err(error) => {
                let (what, verdict) = match error {
                    ImportError::Gone { what, .. } => (what, Verdict::Gone),
                    ImportError::Mismatch { what, .. } => (what, Verdict::Changed),
                    _ => return came.map_err(|error| (refused(error), Vec::new())),
                };
                if self.came_from(what).next().is_some() {
                    seen.push(observation(what, verdict));
                    differ.push(error.to_string());
                }
            }
        }
        if differ.is_empty() {
            return came.map_err(|error| (refused(error), Vec::new()));
        }
        let code = came.map_or_else(|error| refused(error).code, |_| ErrorCode::Verification);
        let mut signed = Vec::new();
        for seen in seen {
            match signer.sign(store, None, Body::Observation(seen)) {
                Ok(entries) => signed.extend(entries),
                Err(error) => return Err((sign_failure(error), signed)),
            }
        }
        let message = format!(
            "{}; {} goes on meaning what was archived (release {})",
            differ.join("; "),
            self.purl,
            self.release
        );
        let failure = Failure::new(code, message);
        Err((failure.hint("what the upstream gives now is added under another --version"), signed))
    }

    /// Whether a file would take the place of another. Lists of checksums and signatures grow with what lies beside them.
    fn contradicts(&self, new: &Artifact) -> bool {
        let same = |old: &&Artifact| {
            old.path == new.path
                || old.origins.first().is_some_and(|url| new.origins.first() == Some(url))
        };
        let grows = matches!(new.role, Role::Checksums | Role::Signature);
        !grows && self.list.iter().filter(same).any(|old| old.blake3 != new.blake3)
    }
}

fn observation(url: &str, verdict: Verdict) -> Observation {
    Observation {
        url: url.to_owned(),
        fetched_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        status: None,
        etag: None,
        last_modified: None,
        size: None,
        blake3: None,
        sha256: None,
        verdict,
    }
}

/// Compares what came of URLs with what was archived before under the name, if anything was. Blocking.
pub(crate) fn compared(
    store: &Store,
    signer: &Signer,
    purl: &Purl,
    came: Result<Imported, ImportError>,
) -> Result<Imported, (Failure, Vec<SignedEntry>)> {
    match Before::of(store, signer, purl).map_err(|error| (failed(error), Vec::new()))? {
        Some(before) => before.compare(store, signer, came),
        None => came.map_err(|error| (refused(error), Vec::new())),
    }
}
