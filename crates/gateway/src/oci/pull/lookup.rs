//! The content that a digest names: what is held or listed here, or else lists that are fetched.

use std::sync::Arc;

use futures::future::join_all;
use perennial_manifest::ReleaseId;
use perennial_oci::Digest;
use perennial_store::{Store, StoreError};

use crate::blocking::blocking;
use crate::http_error::HttpError;
use crate::oci::Registry;
use crate::oci::digest_index::ContentRef;
use crate::oci::name::Named;
use crate::oci::snapshot::Snapshot;

impl Registry {
    /// As [`Self::find`]; peers are asked for releases that have a digest which nothing here names.
    pub(crate) async fn find_or_learn<T: Send + 'static>(
        &self,
        owner: bool,
        name: &Named,
        digest: &Digest,
        first: &[ReleaseId],
        then: fn(&Store, &ContentRef) -> Result<T, StoreError>,
    ) -> Result<(ContentRef, T), HttpError> {
        let found = self.find(owner, name, digest, first, then).await;
        if found.as_ref().is_err_and(HttpError::is_unknown)
            && let Some(sha256) = digest.sha256()
            && self.gateway.learn_of(sha256, owner).await
        {
            return self.find(owner, name, digest, first, then).await;
        }
        found
    }

    /// The content that a digest names, and the result of `then` on it; lists that may contain the
    /// digest are fetched first if necessary. A digest means the same bytes in every repository, so
    /// `name` decides only which lists are fetched first.
    pub(crate) async fn find<T: Send + 'static>(
        &self,
        owner: bool,
        name: &Named,
        digest: &Digest,
        first: &[ReleaseId],
        then: fn(&Store, &ContentRef) -> Result<T, StoreError>,
    ) -> Result<(ContentRef, T), HttpError> {
        let mut snapshot = self.snapshot().await?;
        let found = self.look(&snapshot, digest, first, then).await?;
        // The content is held without a release; a list that has arrived since may contain it.
        let is_vague = |found: &(ContentRef, T)| {
            found.0.release.is_none() && self.pending.find(digest).is_none()
        };
        if let Some(found) = found.filter(|found| !snapshot.has_missing() || !is_vague(found)) {
            return Ok(found);
        }
        snapshot = self.renewed(snapshot).await?;
        if let Some(found) = self.look(&snapshot, digest, first, then).await? {
            return Ok(found);
        }
        let (asked, wanted, releases) = (name.clone(), *digest, first.to_vec());
        let absent = self
            .search(&snapshot, move |view| view.absent_lists(&asked, &wanted, &releases))
            .await?;
        let brought =
            absent.iter().map(|(release, list)| self.gateway.bring_list(*release, list, owner));
        let brought: Vec<Result<(), HttpError>> = join_all(brought).await;
        if brought.iter().any(Result::is_ok) {
            snapshot = self.renewed(snapshot).await?;
            if let Some(found) = self.look(&snapshot, digest, first, then).await? {
                return Ok(found);
            }
        }
        if snapshot.is_root(digest) || !first.is_empty() {
            let failed = brought.into_iter().find_map(Result::err);
            return Err(failed.unwrap_or_else(|| HttpError::no_holder(&digest.to_string())));
        }
        if let Some(sha256) = digest.sha256() {
            let store = self.gateway.backend.store().clone();
            blocking(move || Ok::<_, HttpError>(store.refuse_listed(&sha256)?)).await?;
        }
        Err(HttpError::unknown(&format!("{digest} in {name}")))
    }

    /// The content that a digest names, from pending, held and listed content.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        snapshot: &Arc<Snapshot>,
        digest: &Digest,
        first: &[ReleaseId],
        then: fn(&Store, &ContentRef) -> Result<T, StoreError>,
    ) -> Result<Option<(ContentRef, T)>, HttpError> {
        let (pending, digest, first) = (self.pending.find(digest), *digest, first.to_vec());
        let look = self.read(snapshot, move |view| {
            let found = match pending {
                Some(found) => Some(found),
                None => view.find(&digest, &first)?,
            };
            let Some(found) = found else { return Ok(None) };
            let read = then(&view.store, &found)?;
            Ok(Some((found, read)))
        });
        look.await
    }
}
