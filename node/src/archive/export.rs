//! Export (`get -o`): a held release becomes files.
//!
//! Nothing is written outside the target, and no link below it is followed. A file appears whole
//! and verified or not at all. A file that already has the right bytes is left alone, except that
//! a program is marked as executable again; a file with other bytes is replaced only on request.

mod error;
mod leftover;
mod pending;
mod target;

use std::cell::Cell;
use std::io::{self, ErrorKind as IoKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perennial_manifest::{ArtifactList, BlobId, Sha256Digest};
use perennial_operation::{Progress, Stage};
use perennial_store::Store;

use super::{Archive, ArchiveError, Observer};
pub use error::ExportError;
pub(super) use leftover::{is_leftover, sweep, temporary};
use target::Target;

impl Archive {
    /// Writes all files of a held release below `target`, creating directories as needed. `force`
    /// replaces files that have other content. Returns remarks about what the file system did not
    /// take.
    ///
    /// # Errors
    /// [`ExportError`], and [`ArchiveError::Cancelled`] if the observer has left; files already
    /// written stay.
    pub async fn export(
        &self,
        list: ArtifactList,
        target: PathBuf,
        force: bool,
        observer: Arc<dyn Observer>,
    ) -> Result<Vec<String>, ArchiveError> {
        self.blocking(move |archive| export(&archive.store, &list, &target, force, &*observer))
            .await
    }

    /// Writes one held blob to a file in `target`, named by the requested digest in hex, and
    /// returns the file's path.
    ///
    /// # Errors
    /// [`ExportError`], including [`ExportError::WrongSha256`] if `sha256` is given.
    pub async fn export_blob(
        &self,
        blob: BlobId,
        sha256: Option<Sha256Digest>,
        target: PathBuf,
        force: bool,
    ) -> Result<PathBuf, ArchiveError> {
        self.blocking(move |archive| {
            let name = sha256.as_ref().map_or_else(|| blob.to_hex(), Sha256Digest::to_hex);
            let path = target.join(name);
            let mut target = Target::new(&archive.store, &target, force)?;
            target.file(&blob, sha256.as_ref(), &path, false, &|_| Ok(()))?;
            target.finish()?;
            Ok::<_, ExportError>(path)
        })
        .await
    }

    /// Reads a held blob and compares its SHA-256 with a claim.
    ///
    /// # Errors
    /// [`ExportError::WrongSha256`], or the store's error.
    pub async fn check_sha256(
        &self,
        blob: BlobId,
        claimed: Sha256Digest,
    ) -> Result<(), ArchiveError> {
        self.blocking(move |archive| check_sha256(&archive.store, &blob, &claimed)).await
    }
}

fn export(
    store: &Store,
    list: &ArtifactList,
    root: &Path,
    force: bool,
    observer: &dyn Observer,
) -> Result<Vec<String>, ArchiveError> {
    let mut target = Target::new(store, root, force)?;
    let (written, done, mut refused) = (Cell::new(0), Cell::new(0), None);
    let progress = || {
        observer.progress(Progress {
            bytes: written.get(),
            total_bytes: Some(list.total_bytes()),
            items: done.get(),
            total_items: Some(list.len() as u64),
            ..Progress::of(Stage::Writing)
        });
    };
    for artifact in list {
        let before = written.get();
        let wrote = |bytes: u64| {
            written.set(written.get() + bytes);
            progress();
            if observer.has_left() { Err(IoKind::Interrupted.into()) } else { Ok(()) }
        };
        let outcome = target.write(artifact, &wrote);
        if observer.has_left() {
            return Err(ArchiveError::Cancelled);
        }
        match outcome {
            // The rest of the release is sound.
            Err(error @ ExportError::Link { .. }) => refused = refused.or(Some(error)),
            other => other?,
        }
        written.set(before + artifact.size);
        done.set(done.get() + 1);
        progress();
    }
    let remarks = target.finish()?;
    refused.map_or(Ok(remarks), |error| Err(error.into()))
}

fn check_sha256(store: &Store, blob: &BlobId, claimed: &Sha256Digest) -> Result<(), ExportError> {
    agree(blob, claimed, &store.copy_out(blob, &mut io::sink())?)
}

fn agree(
    blob: &BlobId,
    claimed: &Sha256Digest,
    computed: &Sha256Digest,
) -> Result<(), ExportError> {
    if claimed == computed {
        return Ok(());
    }
    Err(ExportError::WrongSha256 { blob: *blob, claimed: *claimed, computed: *computed })
}
