//! `get -o`: a held release becomes files.
//!
//! Promises that nothing is written outside the target (no link below it is followed), that a file appears whole and
//! verified or not at all, that a file with the same bytes is left as it is, and that one with others is only replaced when
//! the user says so.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use perennial_control::{ErrorCode, Failure, Progress, Sink, Stage};
use perennial_manifest::{Artifact, ArtifactList, BlobId, Sha256Digest};
use perennial_store::Store;

use crate::archive::repair::Damage;
use crate::failure::failed;

/// Writes all artifacts of a list below `target`.
pub(crate) fn export(
    store: &Store,
    damage: &Damage,
    list: &ArtifactList,
    target: &Path,
    force: bool,
    sink: &Sink,
) -> Result<(), Failure> {
    make_target(target)?;
    let mut written = 0;
    let mut dirs = std::collections::BTreeSet::new();
    for (at, artifact) in list.iter().enumerate() {
        if sink.is_closed() {
            return Err(Failure::new(ErrorCode::Failed, "cancelled"));
        }
        let dir = parent(target, artifact)?;
        let path = dir.join(artifact.path.file_name());
        write_blob(
            store,
            damage,
            &artifact.blake3,
            Some(&artifact.sha256),
            &path,
            if artifact.exec { 0o755 } else { 0o644 },
            force,
        )?;
        dirs.insert(dir);
        written += artifact.size;
        let mut progress = Progress::of(Stage::Writing);
        (progress.bytes, progress.total_bytes) = (written, Some(list.total_bytes()));
        (progress.items, progress.total_items) = (at as u64 + 1, Some(list.len() as u64));
        sink.progress(progress);
    }
    for dir in dirs {
        File::open(&dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|e| failed(format!("{}: {e}", dir.display())))?;
    }
    Ok(())
}

/// Writes one blob as a file in `target`, under its hex name. Gives where.
pub(crate) fn export_blob(
    store: &Store,
    damage: &Damage,
    blob: &BlobId,
    sha256: Option<&Sha256Digest>,
    target: &Path,
    force: bool,
) -> Result<PathBuf, Failure> {
    make_target(target)?;
    let name = sha256.map_or_else(|| blob.to_hex(), Sha256Digest::to_hex);
    let path = target.join(name);
    write_blob(store, damage, blob, sha256, &path, 0o644, force)?;
    File::open(target)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| failed(format!("{}: {e}", target.display())))?;
    Ok(path)
}

fn make_target(target: &Path) -> Result<(), Failure> {
    fs::create_dir_all(target).map_err(|e| failed(format!("{}: {e}", target.display())))
}

/// The directory of an artifact, made where it is missing. Below the target every step must be a real directory.
fn parent(target: &Path, artifact: &Artifact) -> Result<PathBuf, Failure> {
    let mut dir = target.to_owned();
    let mut components: Vec<&str> = artifact.path.components().collect();
    components.pop();
    for component in components {
        dir.push(component);
        let at = |e: std::io::Error| failed(format!("{}: {e}", dir.display()));
        match fs::symlink_metadata(&dir) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => {
                return Err(failed(format!(
                    "{} is in the way: it is not a directory, and links are not followed",
                    dir.display()
                )));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir(&dir).map_err(at)?
            }
            Err(e) => return Err(at(e)),
        }
    }
    Ok(dir)
}

fn write_blob(
    store: &Store,
    damage: &Damage,
    blob: &BlobId,
    sha256: Option<&Sha256Digest>,
    path: &Path,
    mode: u32,
    force: bool,
) -> Result<(), Failure> {
    let at = |e: std::io::Error| {
        let full = e.kind() == std::io::ErrorKind::StorageFull;
        failed(if full {
            format!("disk full while writing {}", path.display())
        } else {
            format!("{}: {e}", path.display())
        })
    };
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => {
            if is_blob(path, blob).map_err(at)? {
                return sha256.map_or(Ok(()), |sha256| check_sha256(store, damage, blob, sha256));
            }
            if !force {
                let message = format!("{} is there already, with other content", path.display());
                return Err(Failure::new(ErrorCode::Failed, message)
                    .hint("--force replaces it; or give another directory with -o"));
            }
        }
        Ok(_) => {
            return Err(failed(format!(
                "{} is in the way and is not a regular file",
                path.display()
            )));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(at(e)),
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut tmp = tempfile::Builder::new().prefix(".perennial-").tempfile_in(dir).map_err(at)?;
    let computed = copy_out(store, damage, blob, tmp.as_file_mut())?;
    if let Some(sha256) = sha256 {
        agree(blob, sha256, &computed)?;
    }
    tmp.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(at)?;
    tmp.as_file().sync_all().map_err(at)?;
    tmp.persist(path).map_err(|e| at(e.error))?;
    Ok(())
}

/// Reads a blob to see whether it has the SHA-256 that somebody says it has.
pub(crate) fn check_sha256(
    store: &Store,
    damage: &Damage,
    blob: &BlobId,
    claimed: &Sha256Digest,
) -> Result<(), Failure> {
    agree(blob, claimed, &copy_out(store, damage, blob, &mut std::io::sink())?)
}

fn agree(blob: &BlobId, claimed: &Sha256Digest, computed: &Sha256Digest) -> Result<(), Failure> {
    if claimed == computed {
        return Ok(());
    }
    let message = format!("{blob} is said to have {claimed}, and has {computed}");
    Err(Failure::new(ErrorCode::Verification, message))
}

fn copy_out(
    store: &Store,
    damage: &Damage,
    blob: &BlobId,
    out: &mut dyn Write,
) -> Result<Sha256Digest, Failure> {
    store.copy_out(blob, out).map_err(|error| match error {
        perennial_store::StoreError::Corrupt { .. } => {
            damage.found(*blob);
            Failure::new(ErrorCode::Verification, error.to_string())
                .hint("get it again: the damaged copy was set aside")
        }
        other => failed(other),
    })
}

/// Whether a file's bytes are those of a blob.
fn is_blob(path: &Path, blob: &BlobId) -> std::io::Result<bool> {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        };
    }
    Ok(hasher.finalize() == *blob.as_bytes())
}
