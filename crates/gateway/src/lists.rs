//! Artifact lists as the faces read them: from here or brought here, and the last ones kept decoded.
//!
//! Owns no list: a list here is the one its digest names, so none is ever out of date.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perennial_manifest::{ArtifactList, ArtifactListRef, BlobId, ReleaseId};
use perennial_store::{ReleaseRow, Store, StoreError};
use tokio::sync::Semaphore;

use crate::backend::{Backend, FetchError};
use crate::content::run;
use crate::gateway::Gateway;
use crate::http_error::HttpError;

/// How many artifacts the lists that are kept may have together.
const KEPT: usize = 50_000;
/// How many lists are read for requests at once: each may take 100,000 artifacts of memory.
const READING: usize = 2;
/// How long a list may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// The lists that were read last.
#[derive(Debug)]
pub(crate) struct Lists {
    kept: Mutex<Kept>,
    reading: Arc<Semaphore>,
}

impl Default for Lists {
    fn default() -> Self {
        Self { kept: Mutex::default(), reading: Arc::new(Semaphore::new(READING)) }
    }
}

#[derive(Debug, Default)]
struct Kept {
    lists: HashMap<BlobId, Arc<ArtifactList>>,
    /// In the order they came.
    order: VecDeque<BlobId>,
    artifacts: usize,
}

impl Kept {
    fn keep(&mut self, blob: BlobId, list: &Arc<ArtifactList>) {
        if self.lists.insert(blob, Arc::clone(list)).is_some() {
            return;
        }
        self.order.push_back(blob);
        self.artifacts += list.len() + 1;
        // the last one stays, however long: it is likely to be asked for again
        while self.artifacts > KEPT
            && self.order.len() > 1
            && let Some(oldest) = self.order.pop_front()
        {
            self.artifacts -= self.lists.remove(&oldest).map_or(0, |list| list.len() + 1);
        }
    }
}

impl Lists {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, blob: &BlobId) -> Option<Arc<ArtifactList>> {
        self.kept().lists.get(blob).map(Arc::clone)
    }

    /// A list, if it is here. Reads the disk.
    pub(crate) fn read(
        &self,
        store: &Store,
        claim: &ArtifactListRef,
    ) -> Result<Option<Arc<ArtifactList>>, StoreError> {
        if let Some(list) = self.known(&claim.blob) {
            return Ok(Some(list));
        }
        let Some(list) = store.read_list(claim)?.map(Arc::new) else { return Ok(None) };
        self.kept().keep(claim.blob, &list);
        Ok(Some(list))
    }

    /// A list, if it is here and whole; the node is told of one that is damaged.
    pub(crate) fn whole(
        &self,
        backend: &dyn Backend,
        claim: &ArtifactListRef,
    ) -> Result<Option<Arc<ArtifactList>>, StoreError> {
        match self.read(backend.store(), claim) {
            Err(StoreError::Corrupt { blob }) => {
                backend.damaged(blob);
                Ok(None)
            }
            other => other,
        }
    }
}

impl Gateway {
    /// The list of a release, brought here if need be.
    pub(crate) async fn list(
        &self,
        row: &ReleaseRow,
        owner: bool,
    ) -> Result<Arc<ArtifactList>, HttpError> {
        if let Some(list) = self.list_here(row.artifacts).await? {
            return Ok(list);
        }
        self.bring_list(row.release, &row.artifacts, owner).await?;
        self.list_here(row.artifacts).await?.ok_or_else(|| no_holder(row.release))
    }

    /// Has the list of a release brought here.
    pub(crate) async fn bring_list(
        &self,
        release: ReleaseId,
        claim: &ArtifactListRef,
        owner: bool,
    ) -> Result<(), HttpError> {
        let _waiting = self.within_budget(claim.blob, claim.size, owner)?;
        match tokio::time::timeout(PATIENCE, self.backend.fetch_list(release)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(FetchError::Failed(error))) => Err(HttpError::internal(&error)),
            Ok(Err(FetchError::NoHolder)) | Err(_) => Err(no_holder(release)),
        }
    }

    pub(crate) async fn list_here(
        &self,
        claim: ArtifactListRef,
    ) -> Result<Option<Arc<ArtifactList>>, HttpError> {
        let (lists, backend) = (Arc::clone(&self.lists), Arc::clone(&self.backend));
        if let Some(list) = lists.known(&claim.blob) {
            return Ok(Some(list));
        }
        let place = Arc::clone(&lists.reading).acquire_owned().await;
        let read = move || {
            // goes with the work, which goes on when the client leaves
            let _place = place;
            lists.whole(&*backend, &claim)
        };
        run(read).await.map_err(|error| HttpError::internal(&error))
    }
}

fn no_holder(release: ReleaseId) -> HttpError {
    HttpError::no_holder(&format!("the artifact list of release {release}"))
}
