//! Artifact lists as the frontends read them: read from the store, or fetched first. Recently read
//! lists are cached in decoded form.
//!
//! A cached list is never stale: it is kept under its digest and what its release says of it, which
//! another release of the same digest need not.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use perennial_manifest::{ArtifactList, ArtifactListRef, Holding, ReleaseId};
use perennial_store::{ReleaseRow, Store, StoreError};
use tokio::sync::Semaphore;

use crate::backend::BlobRequest;
use crate::blocking::blocking;
use crate::bounded::Bounded;
use crate::gateway::Gateway;
use crate::http_error::HttpError;

/// Artifacts in all cached lists together, at most.
const KEPT: usize = 50_000;
/// Lists read concurrently for the file frontend; further requests wait without occupying a thread.
const READING: usize = 2;
/// Longest list, in artifacts, that is read alongside others. Longer lists are read one at a time,
/// because each may take the memory of 100,000 artifacts.
const SHORT: u32 = 1_000;
/// How long a list may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// The lists read most recently.
#[derive(Debug)]
pub(crate) struct Lists {
    kept: Bounded<ArtifactListRef, Arc<ArtifactList>>,
    reading: Arc<Semaphore>,
    /// Locked while a long list is read.
    long: Mutex<()>,
}

impl Default for Lists {
    fn default() -> Self {
        let reading = Arc::new(Semaphore::new(READING));
        Self { kept: Bounded::new(KEPT), reading, long: Mutex::default() }
    }
}

impl Lists {
    /// Returns a list, if it is held. Reads the disk unless the list is cached.
    ///
    /// # Errors
    ///
    /// The errors of [`Store::read_list`].
    pub(crate) fn read(
        &self,
        store: &Store,
        claim: &ArtifactListRef,
    ) -> Result<Option<Arc<ArtifactList>>, StoreError> {
        if let Some(list) = self.kept.get(claim) {
            return Ok(Some(list));
        }
        let _long = match claim.count > SHORT {
            true => Some(self.long.lock().unwrap_or_else(PoisonError::into_inner)),
            false => None,
        };
        if let Some(list) = self.kept.get(claim) {
            return Ok(Some(list));
        }
        let Some(list) = store.read_list(claim)?.map(Arc::new) else { return Ok(None) };
        self.kept.insert(*claim, Arc::clone(&list), list.len() + 1, Instant::now());
        Ok(Some(list))
    }

    /// Returns a list, if it is held and undamaged and fits its release.
    ///
    /// # Errors
    ///
    /// As for [`Self::read`], except that a damaged or invalid list is not an error.
    pub(crate) fn whole(
        &self,
        store: &Store,
        claim: &ArtifactListRef,
    ) -> Result<Option<Arc<ArtifactList>>, StoreError> {
        match self.read(store, claim) {
            Err(StoreError::Corrupt { .. } | StoreError::InvalidList { .. }) => Ok(None),
            other => other,
        }
    }
}

impl Gateway {
    /// Returns a release's list, fetched first if necessary.
    pub(crate) async fn list(
        &self,
        row: &ReleaseRow,
        owner: bool,
    ) -> Result<Arc<ArtifactList>, HttpError> {
        if let Some(list) = self.list_here(row.artifacts).await? {
            return Ok(list);
        }
        if row.state == Holding::Invalid {
            let text = format!("the artifact list of {} does not fit it", row.release);
            return Err(HttpError::new(StatusCode::NOT_FOUND, format!("invalid release: {text}")));
        }
        self.bring_list(row.release, &row.artifacts, owner).await?;
        self.list_here(row.artifacts).await?.ok_or_else(|| no_holder(row.release))
    }

    /// Fetches the list of a release.
    pub(crate) async fn bring_list(
        &self,
        release: ReleaseId,
        claim: &ArtifactListRef,
        owner: bool,
    ) -> Result<(), HttpError> {
        let request = BlobRequest { release: Some(release), blob: claim.blob, size: claim.size };
        self.find_place(request, &list_of(release), owner).await?;
        let _wait = self.wait(owner)?;
        let charge = self.within_budget(claim.blob, claim.size, owner)?;
        match tokio::time::timeout(PATIENCE, self.backend.fetch_list(release)).await {
            Ok(outcome) => {
                charge.brought().store(outcome.is_ok(), Ordering::Relaxed);
                outcome.map_err(|error| HttpError::fetch(&error, &list_of(release)))
            }
            Err(_) => Err(no_holder(release)),
        }
    }

    pub(crate) async fn list_here(
        &self,
        claim: ArtifactListRef,
    ) -> Result<Option<Arc<ArtifactList>>, HttpError> {
        let (lists, store) = (Arc::clone(&self.lists), self.backend.store().clone());
        if let Some(list) = lists.kept.get(&claim) {
            return Ok(Some(list));
        }
        // The semaphore is never closed. The permit moves into the task, which continues when the
        // client disconnects.
        let permit = Arc::clone(&lists.reading).acquire_owned().await;
        blocking(move || {
            let _permit = permit;
            Ok(lists.whole(&store, &claim)?)
        })
        .await
    }
}

fn list_of(release: ReleaseId) -> String {
    format!("the artifact list of release {release}")
}

fn no_holder(release: ReleaseId) -> HttpError {
    HttpError::no_holder(&list_of(release))
}
