//! The archive of an image: one tar that docker, podman and containerd load.
//!
//! The file appears whole and verified or not at all. The same image gives the same bytes: no time,
//! nothing of the machine.

use std::fs::{self, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perennial_manifest::{Artifact, ArtifactList};
use perennial_operation::{Progress, Stage};
use perennial_store::{Store, sync_directory};
use tar::{EntryType, Header};

use crate::archive::export::{sweep, temporary};
use crate::archive::{Archive, ArchiveError, ExportError, Observer};

/// The unit of a tar, in bytes.
const BLOCK: u64 = 512;
/// Longest path that a header holds.
const SHORT: usize = 100;

impl Archive {
    /// Writes all files of a held release into a tar. `force` replaces a file with other content.
    ///
    /// # Errors
    /// [`ExportError`], and [`ArchiveError::Cancelled`] if the observer has left; nothing is left
    /// behind.
    pub async fn save(
        &self,
        list: ArtifactList,
        target: PathBuf,
        force: bool,
        observer: Arc<dyn Observer>,
    ) -> Result<(), ArchiveError> {
        self.blocking(move |archive| save(&archive.store, &list, &target, force, &*observer)).await
    }
}

fn save(
    store: &Store,
    list: &ArtifactList,
    target: &Path,
    force: bool,
    observer: &dyn Observer,
) -> Result<(), ArchiveError> {
    let at = |source: io::Error| ExportError::io(target, source);
    let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(dir).map_err(at)?;
    sweep(dir);
    let mut file = temporary(dir).map_err(at)?;
    let mut out = BufWriter::with_capacity(1 << 20, file.as_file_mut());
    let mut written = 0;
    for folder in ["blobs/", "blobs/sha256/"] {
        header(&mut out, folder, 0, EntryType::Directory).map_err(at)?;
    }
    for (number, artifact) in in_order(list).enumerate() {
        if observer.has_left() {
            return Err(ArchiveError::Cancelled);
        }
        entry(store, artifact, &mut out, target)?;
        written += artifact.size;
        observer.progress(Progress {
            bytes: written,
            total_bytes: Some(list.total_bytes()),
            items: number as u64 + 1,
            total_items: Some(list.len() as u64),
            ..Progress::of(Stage::Writing)
        });
    }
    zeros(&mut out, 2 * BLOCK).and_then(|()| out.flush()).map_err(at)?;
    drop(out);
    if !force && target.symlink_metadata().is_ok() {
        return if is_same(file.path(), target).map_err(at)? {
            Ok(())
        } else {
            Err(ExportError::Exists { path: target.to_owned() }.into())
        };
    }
    match file.as_file().set_permissions(Permissions::from_mode(0o644)) {
        // A file system without modes.
        Err(e)
            if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) => {
        }
        other => other.map_err(at)?,
    }
    file.as_file().sync_all().map_err(at)?;
    file.persist(target).map_err(|error| at(error.error))?;
    sync_directory(dir).map_err(at)?;
    Ok(())
}

/// The files that say what the archive is come first: a reader of a stream needs them.
fn in_order(list: &ArtifactList) -> impl Iterator<Item = &Artifact> {
    let is_blob = |artifact: &&Artifact| artifact.path.as_str().starts_with("blobs/");
    list.iter().filter(move |a| !is_blob(a)).chain(list.iter().filter(is_blob))
}

fn entry(
    store: &Store,
    artifact: &Artifact,
    out: &mut impl Write,
    target: &Path,
) -> Result<(), ExportError> {
    let at = |source: io::Error| ExportError::io(target, source);
    let path = artifact.path.as_str();
    if path.len() > SHORT {
        // GNU's form of a long name.
        let name = [path.as_bytes(), b"\0"].concat();
        let size = name.len() as u64;
        header(out, "././@LongLink", size, EntryType::GNULongName).map_err(at)?;
        out.write_all(&name).and_then(|()| pad(out, size)).map_err(at)?;
    }
    header(out, path, artifact.size, EntryType::Regular).map_err(at)?;
    let mut counted = Counted { out, count: 0 };
    let computed = store.copy_out(&artifact.blake3, &mut counted)?;
    if computed != artifact.sha256 {
        let (blob, claimed) = (artifact.blake3, artifact.sha256);
        return Err(ExportError::WrongSha256 { blob, claimed, computed });
    }
    if counted.count != artifact.size {
        // The list lies about the size; an entry of another length would shift all that follow.
        return Err(at(io::Error::other(format!("{path} has {} bytes", counted.count))));
    }
    pad(out, artifact.size).map_err(at)
}

fn header(out: &mut impl Write, path: &str, size: u64, kind: EntryType) -> io::Result<()> {
    let mut header = Header::new_gnu();
    let short = path.get(..SHORT).unwrap_or(path);
    header.as_old_mut().name[..short.len()].copy_from_slice(short.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    out.write_all(header.as_bytes())
}

fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    zeros(out, size.next_multiple_of(BLOCK) - size)
}

fn zeros(out: &mut impl Write, count: u64) -> io::Result<()> {
    io::copy(&mut io::repeat(0).take(count), out).map(drop)
}

/// Counts what is written.
struct Counted<'a, W> {
    out: &'a mut W,
    count: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    if !other.symlink_metadata()?.is_file() {
        return Ok(false);
    }
    let hash = |path: &Path| {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(fs::File::open(path)?)?;
        Ok::<_, io::Error>(hasher.finalize())
    };
    Ok(hash(one)? == hash(other)?)
}
