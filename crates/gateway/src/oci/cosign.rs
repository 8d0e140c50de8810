//! Tags that an image brings along: cosign's, such as `sha256-<hex>.sig`, of what it says of a manifest.
//!
//! No release is named by them: that of the image lists them in its `index.json`, as it was imported.

use std::collections::HashSet;

use futures::future::join_all;
use perennial_manifest::ReleaseId;
use perennial_store::StoreError;

use super::Registry;
use super::closure::REF_NAME;
use super::digest::Digest;
use super::digest_index::ContentRef;
use super::error::OciError;
use super::manifest::{Descriptor, Manifest};
use super::name::Named;
use super::snapshot::{Snapshot, View};

/// The manifest that such a tag is about.
fn subject(tag: &str) -> Option<Digest> {
    let rest = tag.strip_prefix("sha256-")?;
    let hex = rest.split_once('.').map_or(rest, |(hex, _)| hex);
    Digest::parse(&format!("sha256:{hex}"))
}

impl Registry {
    /// The digest that such a tag means, and the release that says so; none where no trusted publisher's does.
    pub(crate) async fn attached(
        &self,
        owner: bool,
        name: &Named,
        tag: &str,
    ) -> Result<Option<(Digest, Vec<ReleaseId>)>, OciError> {
        let Some(subject) = subject(tag) else { return Ok(None) };
        let mut brought = false;
        loop {
            if let Some(found) = self.attached_here(owner, name, &subject, tag).await? {
                return Ok(Some(found));
            }
            if brought {
                return Ok(None);
            }
            let asked = name.clone();
            let absent = self
                .ask(move |snapshot, view| snapshot.absent_lists(&asked, &subject, &[], view))
                .await?;
            // what does not come says nothing
            join_all(
                absent.iter().map(|(release, list)| self.gateway.bring_list(*release, list, owner)),
            )
            .await;
            brought = true;
        }
    }

    /// As [`Self::attached`], by the lists that are here.
    async fn attached_here(
        &self,
        owner: bool,
        name: &Named,
        subject: &Digest,
        tag: &str,
    ) -> Result<Option<(Digest, Vec<ReleaseId>)>, OciError> {
        let (asked, subject) = (name.clone(), *subject);
        for index in
            self.ask(move |snapshot, view| snapshot.indexes(&asked, &subject, view)).await?
        {
            let bytes = self.whole(owner, &index).await?;
            let Ok(layout) = Manifest::parse(&bytes) else { continue };
            let named = |child: &&Descriptor| {
                child.annotations.get(REF_NAME).is_some_and(|name| name == tag)
            };
            if let Some(digest) = layout.children().iter().find(named).and_then(Descriptor::digest)
            {
                return Ok(Some((digest, index.release.into_iter().collect())));
            }
        }
        Ok(None)
    }
}

impl Snapshot {
    /// The `index.json` of each release in a repository that has a manifest, as far as trusted publishers stand by it.
    fn indexes(
        &mut self,
        name: &Named,
        subject: &Digest,
        view: &View<'_>,
    ) -> Result<Vec<ContentRef>, StoreError> {
        self.digest_index.retry(view)?;
        let meant = self.catalog.meant(name);
        let releases =
            meant.iter().filter_map(|r| self.catalog.get(r)).flat_map(|image| &image.releases);
        let ours: HashSet<ReleaseId> = releases
            .filter(|image| (view.trusted)(&image.publisher))
            .filter(|image| !self.catalog.is_yanked(&image.publisher, &image.release))
            .map(|image| image.release)
            .collect();
        let mut indexes = Vec::new();
        for (release, claim) in self.digest_index.candidates(subject, &[], view)? {
            if !ours.contains(&release) {
                continue;
            }
            let Some(list) = view.list(&claim)? else { continue };
            let index = list.iter().find(|artifact| artifact.path.as_str() == "index.json");
            indexes.extend(index.map(|artifact| ContentRef {
                digest: artifact.sha256.into(),
                blob: artifact.blake3,
                size: artifact.size,
                media_type: artifact.media_type.clone(),
                release: Some(release),
            }));
        }
        Ok(indexes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tag_is_about_is_read_from_it() {
        let hex = "ab".repeat(32);
        for tag in
            [format!("sha256-{hex}"), format!("sha256-{hex}.sig"), format!("sha256-{hex}.att")]
        {
            assert_eq!(subject(&tag), Digest::parse(&format!("sha256:{hex}")), "{tag}");
        }
        for tag in ["v1", "sha256-ab.sig", "latest.sig", "sha256-"] {
            assert_eq!(subject(tag), None, "{tag}");
        }
    }
}
