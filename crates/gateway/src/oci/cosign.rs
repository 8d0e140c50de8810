//! Cosign's tags, such as `sha256-<hex>.sig`, which name the attachments of a manifest.
//!
//! No release carries such a tag in its name: the image's release lists the tag in its
//! `index.json`, as imported.

use std::collections::HashSet;
use std::sync::Arc;

use futures::future::join_all;
use perennial_manifest::ReleaseId;
use perennial_oci::{Descriptor, Digest, INDEX_PATH, Manifest, REF_NAME, subject_of_tag};
use perennial_store::StoreError;

use super::Registry;
use super::digest_index::ContentRef;
use super::error::OciError;
use super::name::Named;
use super::snapshot::{ListedBy, Snapshot, View};

impl Registry {
    /// The digest that a cosign tag means, and the release that says so; `None` if no trusted
    /// publisher's release does.
    pub(crate) async fn attached(
        &self,
        snapshot: Arc<Snapshot>,
        owner: bool,
        name: &Named,
        tag: &str,
    ) -> Result<Option<(Digest, Vec<ReleaseId>)>, OciError> {
        let Some(subject) = subject_of_tag(tag) else { return Ok(None) };
        let snapshot = self.renewed(snapshot).await?;
        if let Some(found) = self.attached_here(&snapshot, owner, name, &subject, tag).await? {
            return Ok(Some(found));
        }
        let asked = name.clone();
        let absent =
            self.search(&snapshot, move |view| view.absent_lists(&asked, &subject, &[])).await?;
        // A list that does not arrive contributes nothing.
        join_all(
            absent.iter().map(|(release, list)| self.gateway.bring_list(*release, list, owner)),
        )
        .await;
        let snapshot = self.renewed(snapshot).await?;
        self.attached_here(&snapshot, owner, name, &subject, tag).await
    }

    /// As [`Self::attached`], from the lists that are held.
    async fn attached_here(
        &self,
        snapshot: &Arc<Snapshot>,
        owner: bool,
        name: &Named,
        subject: &Digest,
        tag: &str,
    ) -> Result<Option<(Digest, Vec<ReleaseId>)>, OciError> {
        let (asked, subject) = (name.clone(), *subject);
        for index in self.search(snapshot, move |view| view.indexes(&asked, &subject)).await? {
            let bytes = self.whole(owner, &index).await?;
            let Ok(layout) = Manifest::parse(&bytes) else { continue };
            let named = |child: &&Descriptor| {
                child.annotations.get(REF_NAME).is_some_and(|name| name == tag)
            };
            if let Some(child) = layout.children().iter().find(named) {
                return Ok(Some((child.digest, index.release.into_iter().collect())));
            }
        }
        Ok(None)
    }
}

impl View {
    /// The `index.json` of each release in a repository that lists a manifest, provided that a
    /// trusted publisher signed the release and did not yank it.
    fn indexes(&self, name: &Named, subject: &Digest) -> Result<Vec<ContentRef>, StoreError> {
        let snapshot = &self.snapshot;
        let ours: HashSet<ReleaseId> = snapshot
            .releases(name)
            .filter(|image| snapshot.trusts(&image.publisher))
            .filter(|image| !snapshot.images.is_yanked(&image.publisher, &image.release))
            .map(|image| image.release)
            .collect();
        let mut indexes = Vec::new();
        for (ListedBy { release, .. }, claim) in self.candidates(subject, &[])? {
            if !ours.contains(&release) {
                continue;
            }
            let Some(list) = self.list(&claim)? else { continue };
            let index = list.iter().find(|artifact| artifact.path.as_str() == INDEX_PATH);
            indexes.extend(index.map(|artifact| ContentRef {
                digest: artifact.sha256.into(),
                blob: artifact.blake3,
                size: artifact.size,
                media_type: artifact.media_type.clone(),
                release: Some(release),
                // Read as a manifest, whose bytes are checked.
                vouched: false,
            }));
        }
        Ok(indexes)
    }
}
