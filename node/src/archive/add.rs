//! The `add` operation: files become blobs, a signed release and a pin.
//!
//! Owns how paths become a list of artifacts. Links inside a tree are not followed, and anything
//! but regular files is rejected, by name. The bytes are durable before the release is signed; the
//! signer pins the release before the catalog lists it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perennial_manifest::{Artifact, ArtifactPath, Draft, Role};
use perennial_oci::HELM_CHART;
use perennial_operation::{Add, Progress, Published, Stage};
use perennial_store::Placement;

use super::chart;
use super::media::guess;
use super::publish::Signing;
use super::{Archive, ArchiveError, Observer, PublishOptions};

impl Archive {
    /// Stores files, signs a release of them and announces it. If peers are expected, first waits
    /// briefly for their knowledge of this node's feed.
    ///
    /// # Errors
    /// When a path cannot be read or published, when signing fails, when the store fails, and
    /// [`ArchiveError::Cancelled`] if the observer left before the release was signed.
    pub async fn add(
        &self,
        files: Add,
        observer: Arc<dyn Observer>,
    ) -> Result<Published, ArchiveError> {
        self.network.synced().await;
        self.signing(move |signing| add(signing, files, &*observer)).await
    }
}

fn add(
    signing: &mut Signing<'_>,
    request: Add,
    observer: &dyn Observer,
) -> Result<Published, ArchiveError> {
    let mut files = collect(&request.paths)?;
    if !request.license_files.is_empty() {
        let texts = collect(&request.license_files)?;
        files.extend(texts.into_iter().map(|file| File { licence: true, ..file }));
    }
    let total: u64 = files.iter().map(|file| file.size).sum();
    let placement = if request.in_place { Placement::InPlace } else { Placement::Copy };
    let store = signing.store().clone();
    let mut batch = store.batch();
    let mut artifacts = Vec::with_capacity(files.len());
    let mut new_bytes = 0;
    let done = Cell::new(0);
    for (at, file) in files.iter().enumerate() {
        if observer.has_left() {
            return Err(ArchiveError::Cancelled);
        }
        let progress = |bytes: u64| {
            done.set(done.get() + bytes);
            observer.progress(Progress {
                bytes: done.get(),
                total_bytes: Some(total),
                items: at as u64,
                total_items: Some(files.len() as u64),
                ..Progress::of(Stage::Storing)
            });
        };
        let added = batch.add_file(&file.path, placement, &progress)?;
        new_bytes += if added.new { added.size } else { 0 };
        let (role, media_type) = match chart::is_chart(&file.path, &file.name, &request.purl) {
            true => (Role::Chart, HELM_CHART),
            false => guess(file.name.as_str(), file.licence),
        };
        let artifact = added.artifact(file.name.clone(), role, media_type);
        artifacts.push(Artifact { exec: file.exec, ..artifact });
    }
    let lease = batch.commit()?;
    let draft = Draft {
        purl: request.purl,
        license: request.license,
        artifacts,
        from: "file".into(),
        tags: BTreeMap::new(),
        observations: Vec::new(),
        notes: request.notes,
    };
    let options = PublishOptions { kind: request.kind, new_bytes, again: request.again };
    let published = signing.release(draft, options);
    drop(lease);
    published
}

/// A file to add.
struct File {
    path: PathBuf,
    name: ArtifactPath,
    size: u64,
    exec: bool,
    licence: bool,
}

/// Collects all files under the given paths.
fn collect(paths: &[PathBuf]) -> Result<Vec<File>, ArchiveError> {
    let mut found = Vec::new();
    for path in paths {
        let meta = fs::symlink_metadata(path).map_err(|source| unreadable(path, source))?;
        if meta.is_dir() {
            walk(path, "", &mut found)?;
        } else {
            // A link that the user names is followed; a link inside a tree is not.
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.ok_or_else(|| not_utf8(path))?;
            let path = if meta.is_symlink() {
                fs::canonicalize(path).map_err(|source| unreadable(path, source))?
            } else {
                path.clone()
            };
            push(&path, name, &mut found)?;
        }
    }
    if found.is_empty() {
        return Err(ArchiveError::NoFiles);
    }
    Ok(found)
}

fn walk(dir: &Path, prefix: &str, found: &mut Vec<File>) -> Result<(), ArchiveError> {
    let at = |source| unreadable(dir, source);
    let mut entries = fs::read_dir(dir).map_err(at)?.collect::<Result<Vec<_>, _>>().map_err(at)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| not_utf8(&path))?;
        let full = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        if entry.file_type().map_err(at)?.is_dir() {
            walk(&path, &full, found)?;
        } else {
            push(&path, &full, found)?;
        }
    }
    Ok(())
}

fn push(path: &Path, name: &str, found: &mut Vec<File>) -> Result<(), ArchiveError> {
    let meta = fs::symlink_metadata(path).map_err(|source| unreadable(path, source))?;
    if !meta.is_file() {
        let what = if meta.is_symlink() { "a symbolic link" } else { "not a regular file" };
        return Err(unportable(path, format!("is {what}; a release holds regular files only")));
    }
    let name = ArtifactPath::parse(name).map_err(|error| unportable(path, error.to_string()))?;
    let upper = name.file_name().to_ascii_uppercase();
    let licence =
        ["LICENSE", "LICENCE", "COPYING", "UNLICENSE"].iter().any(|word| upper.starts_with(word));
    found.push(File {
        path: path.to_owned(),
        name,
        size: meta.len(),
        exec: meta.permissions().mode() & 0o111 != 0,
        licence,
    });
    Ok(())
}

fn unreadable(path: &Path, source: std::io::Error) -> ArchiveError {
    ArchiveError::Read { path: path.to_owned(), source }
}

fn unportable(path: &Path, reason: String) -> ArchiveError {
    ArchiveError::Unportable { path: path.to_owned(), reason }
}

fn not_utf8(path: &Path) -> ArchiveError {
    unportable(path, "its name is not UTF-8".to_owned())
}
