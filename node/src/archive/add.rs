//! The `add` operation: files become blobs, a signed release and a pin.
//!
//! Owns how paths become a list of artifacts. All that cannot be part of a release is named before
//! a byte is read. A file that fails while it is read costs no other: the rest is stored, nothing
//! is signed. The bytes are durable before the release is signed; the signer pins the release
//! before the catalog lists it.

mod exclude;
mod remarks;
mod tree;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_manifest::{Artifact, Draft, Role, link};
use perennial_oci::HELM_CHART;
use perennial_operation::{Add, Notes, Progress, Published, Stage};
use perennial_store::{Placement, StoreError};

use super::chart;
use super::media::guess;
use super::publish::Signing;
use super::{Archive, ArchiveError, Observer, PublishOptions};

pub use tree::Offender;
use tree::{Content, collect};

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
    let (found, remarks) = collect(&request)?;
    let total: u64 = found.iter().map(tree::Found::size).sum();
    let placement = if request.in_place { Placement::InPlace } else { Placement::Copy };
    let store = signing.store().clone();
    let is_wanted = || !observer.has_left();
    let mut batch = store.batch().as_long_as(&is_wanted);
    let mut artifacts = Vec::with_capacity(found.len());
    let mut failed = Vec::new();
    let mut new_bytes = 0;
    let done = Cell::new(0);
    for (at, file) in found.iter().enumerate() {
        if observer.has_left() {
            return Err(ArchiveError::Cancelled);
        }
        let progress = |bytes: u64| {
            done.set(done.get() + bytes);
            observer.progress(Progress {
                bytes: done.get(),
                total_bytes: Some(total),
                items: at as u64,
                total_items: Some(found.len() as u64),
                ..Progress::of(Stage::Storing)
            });
        };
        let added = match &file.content {
            Content::File { .. } => batch.add_file(&file.path, placement, &progress),
            Content::Link(target) => batch.add_bytes(target.clone().into_bytes()),
            Content::Directory => batch.add_bytes(Vec::new()),
        };
        let added = match added {
            Ok(added) => added,
            Err(StoreError::GivenUp) => return Err(ArchiveError::Cancelled),
            Err(error) => {
                let reason = reason_of(file, &error).ok_or(error)?;
                failed.push(Offender { path: file.path.clone(), reason });
                continue;
            }
        };
        new_bytes += if added.new { added.size } else { 0 };
        let exec = matches!(file.content, Content::File { exec: true, .. });
        let (role, media_type) = match &file.content {
            Content::File { .. } if chart::is_chart(&file.path, &file.name, &request.purl) => {
                (Role::Chart, HELM_CHART)
            }
            Content::File { .. } => guess(file.name.as_str(), file.licence),
            Content::Link(_) => (guess(file.name.as_str(), false).0, link::SYMLINK),
            Content::Directory => (guess(file.name.as_str(), false).0, link::DIRECTORY),
        };
        let artifact = added.artifact(file.name.clone(), role, media_type);
        artifacts.push(Artifact { exec, ..artifact });
    }
    let lease = batch.commit()?;
    if !failed.is_empty() {
        return Err(ArchiveError::Unread { failed, stored: artifacts.len() as u64 });
    }
    let left_out = remarks.left_out(&request.paths);
    let draft = Draft {
        purl: request.purl,
        license: request.license,
        artifacts,
        from: "file".into(),
        tags: BTreeMap::new(),
        observations: Vec::new(),
        notes: Notes::new(request.notes.as_deref()).left_out(&left_out).into_text(),
    };
    let options = PublishOptions {
        kind: request.kind,
        new_bytes,
        again: request.again,
        keep_query: request.keep_query,
        withheld: Vec::new(),
    };
    let published = signing.release(draft, options);
    drop(lease);
    let published = published?;
    let remarks = [remarks.sentences(), published.remarks].concat();
    Ok(Published { remarks, left_out, ..published })
}

/// What is wrong with a file that could not be added; none if the store is to blame.
fn reason_of(file: &tree::Found, error: &StoreError) -> Option<String> {
    match error {
        StoreError::Changed(_) => Some("changed while it was being added".into()),
        StoreError::NotAFile(_) => Some("is not a regular file any more".into()),
        StoreError::Io { path, source } if *path == file.path => {
            Some(format!("cannot be read: {source}"))
        }
        StoreError::Format { reason, .. } => Some(reason.clone()),
        StoreError::Denied(_) => Some(error.to_string()),
        _ => None,
    }
}
