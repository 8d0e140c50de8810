//! The files below the paths of an add, as artifacts of a release.
//!
//! Finds all that cannot be part of a release before any byte is read. Links inside a tree stay
//! links, and empty directories stay directories.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use perennial_manifest::list::clashes;
use perennial_manifest::{ArtifactPath, link};
use perennial_operation::Add;

use super::exclude::Excludes;
use super::remarks::Remarks;
use crate::archive::ArchiveError;
use crate::archive::export::is_leftover;

/// A file that cannot be added, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offender {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Display for Offender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

/// What is found at a path.
pub(super) enum Content {
    File { size: u64, exec: bool },
    Link(String),
    Directory,
}

/// A file to add.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) name: ArtifactPath,
    pub(super) content: Content,
    pub(super) licence: bool,
}

impl Found {
    pub(super) fn size(&self) -> u64 {
        match &self.content {
            Content::File { size, .. } => *size,
            Content::Link(target) => target.len() as u64,
            Content::Directory => 0,
        }
    }
}

/// A walk over the sources of an add.
pub(super) struct Tree<'a> {
    request: &'a Add,
    excludes: Excludes,
    found: Vec<Found>,
    offenders: Vec<Offender>,
    pub(super) remarks: Remarks,
    /// Device and inode of each directory that the walk is in, to find loops.
    inside: Vec<(u64, u64)>,
}

/// Everything to add, and remarks for the user.
///
/// # Errors
/// [`ArchiveError::Unportable`] with every file that cannot be part of a release, unless the
/// request says to leave them out.
pub(super) fn collect(request: &Add) -> Result<(Vec<Found>, Remarks), ArchiveError> {
    let mut tree = Tree {
        request,
        excludes: Excludes::new(&request.exclude)?,
        found: Vec::new(),
        offenders: Vec::new(),
        remarks: Remarks::default(),
        inside: Vec::new(),
    };
    for path in &request.paths {
        tree.source(path)?;
    }
    let licences = tree.found.len();
    for path in &request.license_files {
        tree.source(path)?;
    }
    for licence in &mut tree.found[licences..] {
        licence.licence = true;
    }
    tree.refuse_clashes();
    let Tree { found, mut offenders, mut remarks, excludes, .. } = tree;
    if request.skip_unportable {
        remarks.left_out.append(&mut offenders);
    }
    if !offenders.is_empty() {
        return Err(ArchiveError::Unportable(offenders));
    }
    if found.is_empty() {
        return Err(ArchiveError::NoFiles);
    }
    remarks.useless = excludes.useless();
    Ok((found, remarks))
}

impl Tree<'_> {
    /// Takes one path of the request. A link that the user names is followed.
    fn source(&mut self, path: &Path) -> Result<(), ArchiveError> {
        let unreadable = |source| ArchiveError::Read { path: path.to_owned(), source };
        let meta = fs::symlink_metadata(path).map_err(unreadable)?;
        if meta.is_dir() {
            self.directory(path, "", &meta);
            return Ok(());
        }
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            self.offend(path, "its name is not UTF-8");
            return Ok(());
        };
        let (path, meta) = if meta.is_symlink() {
            let real = fs::canonicalize(path).map_err(unreadable)?;
            let meta = fs::metadata(&real).map_err(unreadable)?;
            (real, meta)
        } else {
            (path.to_owned(), meta)
        };
        if !self.excludes.matches(name, name) {
            self.file(&path, name, &meta);
        }
        Ok(())
    }

    /// Takes what is in a directory.
    fn directory(&mut self, dir: &Path, prefix: &str, meta: &Metadata) {
        let id = (meta.dev(), meta.ino());
        if self.inside.contains(&id) {
            self.offend(dir, "is a symbolic link to a directory above it");
            return;
        }
        let entries = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.offend(dir, format!("cannot be read: {error}")),
        };
        if entries.is_empty() && !prefix.is_empty() {
            return self.push(dir, prefix, Content::Directory);
        }
        entries.sort_by_key(fs::DirEntry::file_name);
        self.inside.push(id);
        for entry in entries {
            self.entry(&entry.path(), &entry.file_name(), prefix);
        }
        self.inside.pop();
    }

    fn entry(&mut self, path: &Path, name: &std::ffi::OsStr, prefix: &str) {
        let Some(name) = name.to_str() else {
            return self.offend(path, "its name is not UTF-8");
        };
        let full = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        if self.excludes.matches(name, &full) {
            return;
        }
        let meta = match fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) => return self.offend(path, format!("cannot be read: {error}")),
        };
        if meta.is_file() && is_leftover(name.as_ref()) {
            self.remarks.leftovers += 1;
            return;
        }
        if meta.is_symlink() {
            return self.symlink(path, &full);
        }
        self.any(path, &full, &meta);
    }

    fn any(&mut self, path: &Path, full: &str, meta: &Metadata) {
        let name = full.rsplit('/').next().unwrap_or(full);
        let is_within_hidden = full.rsplit('/').skip(1).any(|above| above.starts_with('.'));
        if name.starts_with('.') && !is_within_hidden {
            match meta.is_dir() {
                true => self.remarks.hidden_directories += 1,
                false => self.remarks.hidden_files += 1,
            }
        }
        if !meta.is_dir() {
            return self.file(path, full, meta);
        }
        // Once for all that is in it. Bounds the depth, too.
        match ArtifactPath::parse(full) {
            Ok(_) => self.directory(path, full, meta),
            Err(error) => self.offend(path, error.rule),
        }
    }

    fn symlink(&mut self, path: &Path, full: &str) {
        if self.request.dereference {
            match fs::canonicalize(path).and_then(|real| Ok((fs::metadata(&real)?, real))) {
                Ok((meta, real)) => self.any(&real, full, &meta),
                Err(error) => self.offend(path, format!("is a symbolic link: {error}")),
            }
            return;
        }
        let target = match fs::read_link(path) {
            Ok(target) => target,
            Err(error) => return self.offend(path, format!("cannot be read: {error}")),
        };
        let Some(target) = target.to_str() else {
            return self.offend(path, "is a symbolic link whose target is not UTF-8");
        };
        let valid = ArtifactPath::parse(full).map(|name| link::check(&name, target));
        match valid {
            Ok(Ok(())) => {
                self.remarks.links += 1;
                self.push(path, full, Content::Link(target.to_owned()));
            }
            Ok(Err(error)) => self.offend(path, format!("is {error}")),
            Err(error) => self.offend(path, error.rule),
        }
    }

    fn file(&mut self, path: &Path, full: &str, meta: &Metadata) {
        if !meta.is_file() {
            return self.offend(path, "is not a regular file");
        }
        self.remarks.note_dropped(path, meta);
        let exec = meta.permissions().mode() & 0o111 != 0;
        self.push(path, full, Content::File { size: meta.len(), exec });
    }

    fn push(&mut self, path: &Path, full: &str, content: Content) {
        let name = match ArtifactPath::parse(full) {
            Ok(name) => name,
            Err(error) => return self.offend(path, error.rule),
        };
        if matches!(content, Content::Directory) {
            self.remarks.directories += 1;
        }
        let upper = name.file_name().to_ascii_uppercase();
        let licence = matches!(content, Content::File { .. })
            && ["LICENSE", "LICENCE", "COPYING", "UNLICENSE"]
                .iter()
                .any(|word| upper.starts_with(word));
        self.found.push(Found { path: path.to_owned(), name, content, licence });
    }

    fn offend(&mut self, path: &Path, reason: impl Into<String>) {
        self.offenders.push(Offender { path: path.to_owned(), reason: reason.into() });
    }

    /// Moves files whose names clash with an earlier one's to the offenders.
    fn refuse_clashes(&mut self) {
        let mut gone = BTreeSet::new();
        for clash in clashes(self.found.iter().map(|found| &found.name)) {
            let of =
                |(at, found): &(usize, &Found)| found.name == clash.second && !gone.contains(at);
            let Some((at, found)) = self.found.iter().enumerate().rev().find(of) else { continue };
            let reason = match (clash.nested, clash.first == clash.second) {
                (false, true) => "has the same name in the release as another file".to_owned(),
                (false, false) => {
                    format!("is the same file as {} where case does not count", clash.first)
                }
                (true, _) => format!("{} is a file, so nothing can be in it", clash.first),
            };
            self.offenders.push(Offender { path: found.path.clone(), reason });
            gone.insert(at);
        }
        let mut at = 0;
        self.found.retain(|_| {
            at += 1;
            !gone.contains(&(at - 1))
        });
    }
}
