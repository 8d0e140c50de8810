//! Some files of a release: their bytes alone are fetched, and the list that names them.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_manifest::{Artifact, ArtifactList, ReleaseId};
use perennial_store::Store;
use tokio::sync::watch;

use super::missing::missing;
use super::{FetchError, FetchedRelease, fetch_list, not_fetched, promise, start};
use crate::archive::{Archive, ArchiveError, Observer};
use crate::network::fetch_handle::FetchProgress;

/// Files named in an error, at most.
const NEAR: usize = 5;

impl Archive {
    /// Fetches files of a release, each given by its path, by the last part of its path if no other
    /// file has it, or by the directory above it. The list of the result has these files alone.
    ///
    /// # Errors
    /// [`ArchiveError::NoSuchFile`], or [`FetchError`].
    pub async fn fetch_files(
        &self,
        release: ReleaseId,
        paths: &[String],
        observer: &dyn Observer,
    ) -> Result<Arc<FetchedRelease>, ArchiveError> {
        self.fetch_list(release).await?;
        let listed = self.in_store(move |store| {
            let row = store.release(&release)?;
            let list = row.as_ref().map(|row| store.read_list(&row.artifacts)).transpose()?;
            Ok(row.zip(list.flatten()))
        });
        let (row, list) = listed.await?.ok_or(FetchError::Unknown(release))?;
        let mut chosen = BTreeMap::new();
        for path in paths {
            let found = chosen_by(&list, path);
            if found.is_empty() {
                let (path, purl) = (path.clone(), Box::new(row.purl));
                let near = near(&list, &path);
                return Err(ArchiveError::NoSuchFile { path, purl, near });
            }
            chosen.extend(found.into_iter().map(|file| (file.path.clone(), file.clone())));
        }
        let chosen = ArtifactList::new(chosen.into_values().collect())?;
        let archive = self.clone();
        let key = (release, Store::blobs_of(&chosen));
        let fetch = move |progress| async move {
            fetch_chosen(&archive, release, chosen, &progress).await.map(Arc::new)
        };
        // Files of other names with the same bytes are rare, and must not be mistaken.
        let fetched = self.fetches.files.join(key, fetch).observed_by(observer).await?;
        Ok(fetched)
    }
}

async fn fetch_chosen(
    archive: &Archive,
    release: ReleaseId,
    list: ArtifactList,
    progress: &watch::Sender<FetchProgress>,
) -> Result<FetchedRelease, FetchError> {
    let row = fetch_list(archive, release, progress).await?.row;
    let lease = archive.store.lease(Store::blobs_of(&list));
    let chosen = list.clone();
    let missing = archive.in_store(move |store| missing(store, &chosen)).await?;
    let mut from = BTreeMap::new();
    if !missing.is_empty() {
        let _room = promise(archive, &row, &missing).await?;
        let mut fetch = start(archive, Some(release), progress).await?;
        fetch.add(missing, true).await;
        from.extend(fetch.done().await.map_err(|failure| not_fetched(archive, failure))?);
        archive.in_store(move |store| store.refresh_state(&release)).await?;
    }
    Ok(FetchedRelease { row, list, from, _lease: lease })
}

/// The files that a path means.
fn chosen_by<'a>(list: &'a ArtifactList, path: &str) -> Vec<&'a Artifact> {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    let all = |fits: &dyn Fn(&str) -> bool| -> Vec<&'a Artifact> {
        list.iter().filter(|file| fits(file.path.as_str())).collect()
    };
    let exactly = all(&|file| file == path);
    if !exactly.is_empty() {
        return exactly;
    }
    let below = all(&|file| file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')));
    if !below.is_empty() {
        return below;
    }
    let last = all(&|file| file.rsplit('/').next() == Some(path));
    if last.len() == 1 { last } else { Vec::new() }
}

/// The files that may be meant by a path that means none or several.
fn near(list: &ArtifactList, path: &str) -> Vec<String> {
    let last = path.rsplit('/').next().unwrap_or_default().to_lowercase();
    let paths = || list.iter().map(|file| file.path.as_str());
    let near: Vec<_> =
        paths().filter(|file| file.to_lowercase().contains(&last)).take(NEAR).collect();
    let shown = if near.is_empty() { paths().take(NEAR).collect() } else { near };
    shown.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use perennial_manifest::{ArtifactPath, BlobId, Role, Sha256Digest};

    use super::*;

    fn list(paths: &[&str]) -> ArtifactList {
        let file = |path: &&str| Artifact {
            path: ArtifactPath::parse(path).unwrap(),
            size: 1,
            blake3: BlobId::of(path.as_bytes()),
            sha256: Sha256Digest::from_bytes([1; 32]),
            role: Role::Binary,
            media_type: "a/b".into(),
            platform: None,
            exec: false,
            origins: Vec::new(),
        };
        ArtifactList::new(paths.iter().map(file).collect()).unwrap()
    }

    #[test]
    fn a_path_its_last_part_and_a_directory_choose_files() {
        let list =
            list(&["bin/kk", "docs/README.md", "docs/guide/a.md", "src/README.md", "kk.sha"]);
        let chosen = |path| -> Vec<&str> {
            chosen_by(&list, path).iter().map(|file| file.path.as_str()).collect()
        };
        assert_eq!(chosen("bin/kk"), ["bin/kk"]);
        assert_eq!(chosen("./bin/kk"), ["bin/kk"]);
        assert_eq!(chosen("kk"), ["bin/kk"]);
        assert_eq!(chosen("docs/"), ["docs/README.md", "docs/guide/a.md"]);
        assert!(chosen("README.md").is_empty() && chosen("do").is_empty() && chosen("").is_empty());
        assert_eq!(near(&list, "readme.md"), ["docs/README.md", "src/README.md"]);
        assert_eq!(near(&list, "nosuch").len(), 5);
    }
}
