//! The place of an archive, before it is opened: whether one is there, whose it is, and whether one
//! may be made.
//!
//! A new archive has new keys, so making one by mistake costs a publisher its identity: a mistyped
//! path, a disk that is not mounted yet and another program's directory are told apart from a place
//! for a new archive. Changes nothing but the list of archives on other file systems.

mod fresh;

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use perennial_store::is_on_read_only_media;

use crate::config::Config;

pub(crate) use fresh::Fresh;

/// The file whose presence makes a directory an archive.
const MARK: &str = "FORMAT";
/// Entries that an interrupted start or its user leaves in a directory that is no archive yet.
const OWN: [&str; 10] = [
    "LOCK",
    "blobs",
    "packs",
    "partial",
    "incoming",
    "state",
    "tmp",
    "keys",
    "reserve",
    "lost+found",
];
/// The list of archives on file systems that may be missing, in the user's directory for state.
const LIST: &str = "archives";
/// Archives listed, at most; the oldest are dropped.
const MAX_LISTED: usize = 1000;

/// Why no archive is opened in a place.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the variants document their fields")]
pub enum PlaceError {
    /// `data` has no archive, and none was to be made.
    #[error("no archive at {}", data.display())]
    NoArchive { data: PathBuf },
    /// `data` had an archive on the file system mounted at `mount`, which is not mounted.
    #[error(
        "no archive at {}: the one that was there is on the file system of {}, which is not \
         mounted",
        data.display(),
        mount.display()
    )]
    NotMounted { data: PathBuf, mount: PathBuf, list: PathBuf },
    /// `data` holds other files, such as `found`, and no archive.
    #[error("{} is not an archive and not empty: it holds {found}", data.display())]
    Foreign { data: PathBuf, found: String },
    /// `data` belongs to another user, and this process is root.
    #[error(
        "{} belongs to user {owner}, who could not change the files that root makes there",
        data.display()
    )]
    Owner { data: PathBuf, owner: u32 },
}

impl PlaceError {
    /// A next step for the user.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoArchive { .. } => {
                "check --data, and whether its disk is mounted. A new archive \
                 is made by `perennial key`, `add`, `follow`, by `serve` without --existing, and \
                 by `get --peer HOST:PORT`"
                    .into()
            }
            Self::NotMounted { list, .. } => format!(
                "mount it; to make a new archive there all the same, remove its line from {}",
                list.display()
            ),
            Self::Foreign { .. } => {
                "give an empty directory, or one that does not exist yet".into()
            }
            Self::Owner { owner, data } => format!(
                "run the command as that user: sudo -u '#{owner}' perennial --data {} …",
                data.display()
            ),
        }
    }
}

/// Whether `data` has an archive. A directory that cannot be read counts: opening it tells why.
#[must_use]
pub fn has_archive(data: &Path) -> bool {
    match fs::symlink_metadata(data.join(MARK)) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

/// Checks that an archive may be opened, or made, in the data directory.
pub(crate) fn check(config: &Config) -> Result<(), PlaceError> {
    let data = std::path::absolute(&config.data).unwrap_or_else(|_| config.data.clone());
    let list = config.state.as_ref().map(|state| state.join(LIST));
    let owner = owner(&data);
    let owned = match owner {
        // Nothing is made on read-only media.
        Some(_) if is_on_read_only_media(&data) => Ok(()),
        Some(owner) if owner != 0 && rustix::process::geteuid().is_root() => {
            Err(PlaceError::Owner { data: data.clone(), owner })
        }
        _ => Ok(()),
    };
    if has_archive(&data) {
        owned?;
        if let (Some(list), Some(mount)) = (&list, mount_of(&data)) {
            // The list is a convenience: an archive works without it.
            let _ = remember(list, &mount, &data);
        }
        return Ok(());
    }
    let dangling = fs::symlink_metadata(&data).is_ok() && owner.is_none();
    if !config.create || dangling {
        return Err(PlaceError::NoArchive { data });
    }
    if let Some(list) = list
        && let Some(mount) = listed(&list, &data)
        && mount_of(&data).as_ref() != Some(&mount)
    {
        return Err(PlaceError::NotMounted { data, mount, list });
    }
    let mut found = fs::read_dir(&data).into_iter().flatten().flatten().map(|e| e.file_name());
    if let Some(found) = found.find(|name| !OWN.iter().any(|own| name == own)) {
        return Err(PlaceError::Foreign { data, found: found.to_string_lossy().into_owned() });
    }
    owned
}

/// Lists a new archive, once it is there.
pub(crate) fn made(config: &Config) {
    let data = std::path::absolute(&config.data).unwrap_or_else(|_| config.data.clone());
    if let (Some(state), Some(mount)) = (&config.state, mount_of(&data)) {
        let _ = remember(&state.join(LIST), &mount, &data);
    }
}

fn owner(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|metadata| metadata.uid())
}

/// The mount point of the file system that `path` is on, or will be on; `None` for the root file
/// system, which is never missing.
fn mount_of(path: &Path) -> Option<PathBuf> {
    let mut top = path.ancestors().find_map(|above| fs::canonicalize(above).ok())?;
    let device = fs::metadata(&top).ok()?.dev();
    while let Some(above) = top.parent() {
        if fs::metadata(above).ok()?.dev() != device {
            return Some(top);
        }
        top = above.to_owned();
    }
    None
}

/// The file system on which an archive at `data` was seen last.
fn listed(list: &Path, data: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(list).ok()?;
    let mut lines = text.lines().rev().filter_map(|line| line.split_once('\t'));
    lines.find(|(_, path)| Path::new(path) == data).map(|(mount, _)| mount.into())
}

/// Takes an archive off the list, and removes a list that names no other.
fn forget(list: &Path, data: &Path) {
    let (Ok(old), Some(path)) = (fs::read_to_string(list), data.to_str()) else { return };
    let others = old.lines().filter(|line| !line.ends_with(&format!("\t{path}")));
    let others: String = others.map(|line| format!("{line}\n")).collect();
    // The list is a convenience: an archive works without it.
    let _ = match others.is_empty() {
        true => fs::remove_file(list),
        false => replace(list, &others),
    };
}

fn remember(list: &Path, mount: &Path, data: &Path) -> io::Result<()> {
    // Paths that are not text cannot be listed, nor can those with the separators.
    let (Some(mount), Some(path)) = (mount.to_str(), data.to_str()) else { return Ok(()) };
    if [mount, path].iter().any(|text| text.contains(['\n', '\t'])) {
        return Ok(());
    }
    if listed(list, data).is_some_and(|known| known == Path::new(mount)) {
        return Ok(());
    }
    let old = fs::read_to_string(list).unwrap_or_default();
    let others: Vec<&str> =
        old.lines().filter(|line| !line.ends_with(&format!("\t{path}"))).collect();
    let kept = &others[others.len().saturating_sub(MAX_LISTED - 1)..];
    let mut text = kept.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text += &format!("{mount}\t{path}\n");
    replace(list, &text)
}

fn replace(list: &Path, text: &str) -> io::Result<()> {
    let folder = list.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.persist(list)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(data: &Path, create: bool, state: &Path) -> Config {
        Config { create, state: Some(state.to_owned()), ..Config::embedded(data) }
    }

    #[test]
    fn only_a_suitable_place_takes_a_new_archive() {
        let dir = tempfile::tempdir().unwrap();
        let (data, state) = (dir.path().join("d"), dir.path().join("s"));
        let ask = |create| check(&config(&data, create, &state));
        assert!(matches!(ask(false), Err(PlaceError::NoArchive { .. })));
        ask(true).unwrap();
        fs::create_dir(&data).unwrap();
        fs::create_dir(data.join("keys")).unwrap();
        fs::create_dir(data.join("lost+found")).unwrap();
        assert!(matches!(ask(false), Err(PlaceError::NoArchive { .. })));
        ask(true).unwrap();
        fs::write(data.join("letter.txt"), "mine").unwrap();
        let refused = ask(true).unwrap_err();
        assert!(refused.to_string().contains("letter.txt"), "{refused}");
        fs::write(data.join(MARK), "1\n").unwrap();
        ask(false).unwrap();
    }

    #[test]
    fn no_archive_is_made_where_the_disk_of_one_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let (data, state) = (dir.path().join("m/d"), dir.path().join("s"));
        // The archive was seen on a file system of its own, which is gone.
        remember(&state.join(LIST), &dir.path().join("m"), &data).unwrap();
        let refused = check(&config(&data, true, &state)).unwrap_err();
        assert!(matches!(&refused, PlaceError::NotMounted { .. }), "{refused}");
        assert!(refused.hint().contains("mount it"));
        // An archive that was deleted on a file system that is there may be made again.
        if let Some(mount) = mount_of(dir.path()) {
            remember(&state.join(LIST), &mount, &data).unwrap();
        } else {
            fs::remove_file(state.join(LIST)).unwrap();
        }
        check(&config(&data, true, &state)).unwrap();
    }

    #[test]
    fn a_dangling_link_takes_no_archive() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("d");
        std::os::unix::fs::symlink(dir.path().join("gone"), &data).unwrap();
        let refused = check(&config(&data, true, &dir.path().join("s"))).unwrap_err();
        assert!(matches!(refused, PlaceError::NoArchive { .. }), "{refused}");
    }

    #[test]
    fn the_list_is_bounded_and_has_each_archive_once() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("s/archives");
        for n in 0..MAX_LISTED + 5 {
            remember(&list, Path::new("/m"), Path::new(&format!("/m/{n}"))).unwrap();
        }
        remember(&list, Path::new("/n"), Path::new("/m/9")).unwrap();
        let text = fs::read_to_string(&list).unwrap();
        assert_eq!(text.lines().count(), MAX_LISTED);
        assert_eq!(listed(&list, Path::new("/m/9")), Some("/n".into()));
        assert_eq!(listed(&list, Path::new("/m/1")), None);
    }
}
