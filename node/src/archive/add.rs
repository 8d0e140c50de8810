//! `add`: files become blobs, a signed release, a pin.
//!
//! Owns how a tree becomes a list of artifacts. Links are not followed and special files are refused, by name. The bytes are
//! durable before the release is signed; the signer pins it before it is in the catalog.

use std::fs;
use std::path::{Path, PathBuf};

use perennial_control::{Add, AddDone, ErrorCode, Failure, Progress, Sink, Stage};
use perennial_manifest::{Artifact, ArtifactPath, Draft, Purl, SignedEntry};
use perennial_store::{Placement, SMALL, Store};

use crate::archive::media::guess;
use crate::archive::publish::{Terms, release};
use crate::archive::signer::Signer;
use crate::failure::{failed, usage};

/// Adds files as a release: blocking. Gives the entries that were signed, for announcing.
pub(crate) fn add(
    store: &Store,
    signer: &Signer,
    request: &Add,
    sink: &Sink,
) -> Result<(AddDone, Vec<SignedEntry>), Failure> {
    let purl = Purl::parse(&request.purl).map_err(usage)?;
    let mut files = collect(&request.paths)?;
    if !request.license_files.is_empty() {
        let texts = collect(&request.license_files)?;
        files.extend(texts.into_iter().map(|file| File { licence: true, ..file }));
    }
    let total: u64 = files.iter().map(|file| file.size).sum();
    let mut batch = store.batch();
    let mut artifacts = Vec::with_capacity(files.len());
    let mut new_bytes = 0;
    let mut large = Vec::new();
    let placement = if request.in_place { Placement::InPlace } else { Placement::Copy };
    let done = std::cell::Cell::new(0);
    for (at, file) in files.iter().enumerate() {
        if sink.is_closed() {
            return Err(Failure::new(ErrorCode::Failed, "cancelled"));
        }
        let progress = |bytes: u64| {
            done.set(done.get() + bytes);
            let mut progress = Progress::of(Stage::Storing);
            (progress.bytes, progress.total_bytes) = (done.get(), Some(total));
            (progress.items, progress.total_items) = (at as u64, Some(files.len() as u64));
            sink.progress(progress);
        };
        let added = batch.add_file(&file.path, placement, &progress).map_err(failed)?;
        new_bytes += if added.new { added.size } else { 0 };
        if added.size > SMALL {
            large.push((added.sha256, added.blob));
        }
        let (role, media_type) = guess(file.name.as_str(), file.licence);
        artifacts.push(Artifact {
            path: file.name.clone(),
            size: added.size,
            blake3: added.blob,
            sha256: added.sha256,
            media_type: media_type.to_owned(),
            role,
            platform: None,
            exec: file.exec,
            origins: Vec::new(),
        });
    }
    let lease = batch.commit().map_err(failed)?;
    store.note_sha256(&large).map_err(failed)?;
    let draft = Draft {
        purl,
        license: request.license.clone(),
        artifacts,
        from: "file".into(),
        tags: std::collections::BTreeMap::new(),
        observations: Vec::new(),
        notes: request.notes.clone(),
    };
    let released = release(store, signer, draft, Terms { kind: request.kind, new_bytes });
    drop(lease);
    released
}

/// A file to add.
struct File {
    path: PathBuf,
    name: ArtifactPath,
    size: u64,
    exec: bool,
    licence: bool,
}

/// All files under some paths: a directory's below its own name's place, a file by its name.
fn collect(paths: &[PathBuf]) -> Result<Vec<File>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        let meta =
            fs::symlink_metadata(path).map_err(|e| failed(format!("{}: {e}", path.display())))?;
        if meta.is_dir() {
            walk(path, "", &mut found)?;
        } else {
            // a link that the user names is meant; links inside a tree are not
            let name = path.file_name().and_then(|name| name.to_str());
            let name =
                name.ok_or_else(|| usage(format!("{}: its name is not UTF-8", path.display())))?;
            let path = if meta.is_symlink() {
                fs::canonicalize(path).map_err(|e| failed(format!("{}: {e}", path.display())))?
            } else {
                path.clone()
            };
            push(&path, name, &mut found)?;
        }
    }
    if found.is_empty() {
        return Err(usage("there is no file to add"));
    }
    Ok(found)
}

fn walk(dir: &Path, prefix: &str, found: &mut Vec<File>) -> Result<(), Failure> {
    let at = |e: std::io::Error| failed(format!("{}: {e}", dir.display()));
    let mut entries = fs::read_dir(dir).map_err(at)?.collect::<Result<Vec<_>, _>>().map_err(at)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name();
        let name = name
            .to_str()
            .ok_or_else(|| usage(format!("{}: its name is not UTF-8", path.display())))?;
        let full = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        if entry.file_type().map_err(at)?.is_dir() {
            walk(&path, &full, found)?;
        } else {
            push(&path, &full, found)?;
        }
    }
    Ok(())
}

fn push(path: &Path, name: &str, found: &mut Vec<File>) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let meta =
        fs::symlink_metadata(path).map_err(|e| failed(format!("{}: {e}", path.display())))?;
    if !meta.is_file() {
        let what = if meta.is_symlink() { "a symbolic link" } else { "not a regular file" };
        return Err(usage(format!(
            "{} is {what}; a release holds regular files only",
            path.display()
        )));
    }
    let name = ArtifactPath::parse(name).map_err(usage)?;
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
