//! Artifact lists as the faces read them: from here or brought here, and the last ones kept decoded.
//!
//! Owns no list: a list here is the one its digest names, so none is ever out of date.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use perennial_manifest::{ArtifactList, BlobId};
use perennial_store::{ReleaseRow, Store, StoreError};

use crate::Faces;
use crate::backend::FetchError;
use crate::content::run;
use crate::problem::Problem;

/// How many artifacts the lists that are kept may have together.
const KEPT: usize = 50_000;
/// How long a list may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// The lists that were read last.
#[derive(Debug, Default)]
pub(crate) struct Lists(Mutex<VecDeque<(BlobId, Arc<ArtifactList>)>>);

impl Lists {
    /// The list of a release, if it is here. Reads the disk.
    pub(crate) fn read(
        &self,
        store: &Store,
        row: &ReleaseRow,
    ) -> Result<Option<Arc<ArtifactList>>, StoreError> {
        let blob = row.artifacts.blob;
        {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, list)) = kept.iter().find(|(kept, _)| *kept == blob) {
                return Ok(Some(Arc::clone(list)));
            }
        }
        let Some(list) = store.read_list(&row.artifacts)?.map(Arc::new) else { return Ok(None) };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((blob, Arc::clone(&list)));
        while kept.iter().map(|(_, list)| list.len() + 1).sum::<usize>() > KEPT {
            kept.pop_front();
        }
        Ok(Some(list))
    }
}

impl Faces {
    /// The list of a release, brought here if need be.
    pub(crate) async fn list(&self, row: &ReleaseRow, owner: bool) -> Result<Arc<ArtifactList>, Problem> {
        if let Some(list) = self.list_here(row).await? {
            return Ok(list);
        }
        let _waiting = self.within_budget(row.artifacts.blob, row.artifacts.size, owner)?;
        let missing = || Problem::no_holder(&format!("the artifact list of {}", row.purl));
        match tokio::time::timeout(PATIENCE, self.backend.fetch_list(row.release)).await {
            Ok(Ok(())) => {}
            Ok(Err(FetchError::Failed(error))) => return Err(Problem::internal(&error)),
            Ok(Err(FetchError::NoHolder)) | Err(_) => return Err(missing()),
        }
        self.list_here(row).await?.ok_or_else(missing)
    }

    async fn list_here(&self, row: &ReleaseRow) -> Result<Option<Arc<ArtifactList>>, Problem> {
        let (lists, store, row) = (Arc::clone(&self.lists), self.backend.store().clone(), row.clone());
        match run(move || lists.read(&store, &row)).await {
            Ok(list) => Ok(list),
            Err(StoreError::Corrupt { blob }) => {
                self.backend.damaged(blob);
                Ok(None)
            }
            Err(error) => Err(Problem::internal(&error)),
        }
    }
}
