//! Deleting manifests: this node yanks its releases of them, and no byte is destroyed.
//!
//! A deleted tag no longer resolves. A manifest deleted by its digest is no longer in that
//! repository, whatever name it is requested by; other repositories still have it. The yank names
//! it in its references as `registry/repository@digest`, so that the deletion outlives a restart.

use std::collections::HashSet;
use std::time::Instant;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perennial_manifest::ReleaseId;
use perennial_oci::{Digest, Version};

use super::Registry;
use super::error::OciError;
use super::image_catalog::{Image, ImageRelease, Statement};
use super::name::Named;
use super::pull::only;
use super::snapshot::{Selection, Snapshot, View};

/// Tags named in one error, at most.
const NAMED: usize = 10;

impl Registry {
    /// `DELETE /v2/<name>/manifests/<reference>`.
    pub(crate) async fn delete(
        &self,
        name: &Named,
        reference: &Version,
    ) -> Result<Response, OciError> {
        match reference {
            Version::Tag(tag) => self.delete_tag(name, tag).await?,
            Version::Digest(digest) => self.delete_digest(name, *digest).await?,
        }
        Ok(StatusCode::ACCEPTED.into_response())
    }

    /// Yanks this node's releases of a tag. The manifest stays, and is still served by digest.
    async fn delete_tag(&self, name: &Named, tag: &str) -> Result<(), OciError> {
        let snapshot = self.snapshot().await?;
        let repository = only(snapshot.select_for_tag(name, tag), name)?;
        let image = snapshot.images.get(&repository);
        let ours = image.map(|image| said(&snapshot, image, tag)).unwrap_or_default();
        let ours: Vec<ReleaseId> = ours.iter().map(|statement| statement.release).collect();
        let others = image.map(|image| other_tags(image, tag, &ours)).unwrap_or_default();
        if !others.is_empty() {
            let message = format!(
                "one release signs this tag and {}: deleting one tag would yank all of them; to do \
                 that, delete the digest",
                others.join(", ")
            );
            return Err(OciError::new(StatusCode::CONFLICT, "DENIED", message));
        }
        if ours.is_empty() {
            return Err(nothing_to_delete());
        }
        self.yank(ours, &[]).await
    }

    /// Takes a manifest out of a repository, with its tags.
    async fn delete_digest(&self, name: &Named, digest: Digest) -> Result<(), OciError> {
        let snapshot = self.snapshot().await?;
        let is_pending = self.pending.find(&digest).is_some();
        let repository = match snapshot.select(name) {
            // Pushed, but not yet tagged.
            Selection::Unknown if is_pending => name.clone().target().ok_or_else(OciError::name)?,
            selection => only(selection, name)?,
        };
        if self.is_deleted(name, &digest).await? {
            return Err(nothing_to_delete());
        }
        let image = snapshot.images.get(&repository);
        let own = image.into_iter().flat_map(|image| &image.releases);
        let own = own.filter(|release| snapshot.is_own_publisher(&release.publisher));
        let (live, yanked): (Vec<_>, Vec<_>) = own
            .partition(|release| !snapshot.images.is_yanked(&release.publisher, &release.release));
        let (ours, others): (Vec<_>, Vec<_>) =
            live.into_iter().partition(|release| release.roots.contains(&digest));
        let ids = |releases: &[&ImageRelease]| -> HashSet<ReleaseId> {
            releases.iter().map(|release| release.release).collect()
        };
        let (ours, others, yanked) = (ids(&ours), ids(&others), ids(&yanked));
        let listed = move |view: &View| {
            let is_part = view.is_listed(&digest, &others)?;
            Ok((is_part, view.is_listed(&digest, &yanked)?))
        };
        let (is_part, was_part) = self.read(&snapshot, listed).await?;
        if is_part {
            let message = format!(
                "{digest} is part of another image in {repository}: delete that image first, or \
                 delete the tag alone"
            );
            return Err(OciError::new(StatusCode::CONFLICT, "DENIED", message));
        }
        if ours.is_empty() && !is_pending && !was_part {
            return Err(nothing_to_delete());
        }
        let behind = image.map(|image| behind(&snapshot, image, &digest)).unwrap_or_default();
        let behind = behind.into_iter().filter(|release| !ours.contains(release)).collect();
        // The older statements first: a tag must not resolve to one of them in between.
        self.yank(behind, &[]).await?;
        let mut ours: Vec<ReleaseId> = ours.into_iter().collect();
        ours.sort_unstable();
        self.yank(ours, &[format!("{repository}@{digest}")]).await?;
        self.pending.delete(repository, digest, Instant::now());
        Ok(())
    }

    /// Returns whether a manifest was deleted from the repository that a name refers to.
    pub(crate) async fn is_deleted(&self, name: &Named, digest: &Digest) -> Result<bool, OciError> {
        let snapshot = self.snapshot().await?;
        let repository = match snapshot.select(name) {
            Selection::One(repository) => Some(repository),
            Selection::Unknown => name.clone().target(),
            Selection::Several(_) => None,
        };
        let Some(repository) = repository else { return Ok(false) };
        if self.pending.is_deleted(&repository, digest) {
            return Ok(true);
        }
        if !snapshot.is_deleted(&repository, digest) || self.pending.find(digest).is_some() {
            return Ok(false);
        }
        let live = snapshot.live(&repository).map(|release| release.release).collect();
        let digest = *digest;
        let is_listed = self.read(&snapshot, move |view| view.is_listed(&digest, &live)).await?;
        Ok(!is_listed)
    }

    async fn yank(&self, releases: Vec<ReleaseId>, deleted: &[String]) -> Result<(), OciError> {
        for release in releases {
            let reason = "deleted from this node's registry".to_owned();
            let yanked = self.gateway.backend.yank(release, reason, deleted.to_vec()).await;
            yanked.map_err(|error| OciError::internal(&error))?;
        }
        Ok(())
    }
}

fn nothing_to_delete() -> OciError {
    let message = "this node signed nothing by that name, or yanked it already; only its publisher \
                   can yank a release";
    OciError::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message)
}

/// This node's statements of a tag that are not yanked, the newest first.
fn said<'a>(snapshot: &Snapshot, image: &'a Image, tag: &str) -> Vec<&'a Statement> {
    let said = image.tags.get(tag).into_iter().flatten();
    let mut said: Vec<&Statement> = said
        .filter(|said| snapshot.is_own_publisher(&said.publisher))
        .filter(|said| !snapshot.images.is_yanked(&said.publisher, &said.release))
        .collect();
    said.sort_by_key(|said| std::cmp::Reverse((said.seq, said.release)));
    said.dedup_by_key(|said| said.release);
    said
}

/// The other tags that some of these releases sign.
fn other_tags<'a>(image: &'a Image, tag: &str, releases: &[ReleaseId]) -> Vec<&'a str> {
    let shares = |said: &[Statement]| said.iter().any(|s| releases.contains(&s.release));
    let with = image.tags.iter().filter(|(other, said)| *other != tag && shares(said));
    with.map(|(other, _)| other.as_str()).take(NAMED).collect()
}

/// Releases whose older statements of the tags of a manifest would count again without it. One that
/// signs other tags as well is left: its statement counts again, as after any yank.
fn behind(snapshot: &Snapshot, image: &Image, digest: &Digest) -> Vec<ReleaseId> {
    let mut behind = Vec::new();
    for tag in image.tags.keys() {
        let said = said(snapshot, image, tag);
        if said.first().is_none_or(|newest| newest.digest != *digest) {
            continue;
        }
        let older = said.iter().map(|statement| statement.release);
        behind.extend(older.filter(|release| other_tags(image, tag, &[*release]).is_empty()));
    }
    behind.sort_unstable();
    behind.dedup();
    behind
}
