//! An archive that a start makes where none was, and its removal where nothing came of it.
//!
//! Removes only what the start made: keys that lay there before, and other files, stay.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::{LIST, MARK, OWN, forget, listed};
use crate::config::Config;
use crate::keys;

/// Entries of an archive besides [`OWN`].
const MADE: [&str; 4] = [MARK, "index", "control.sock", "control.at"];
const LOCK: &str = "LOCK";

/// What was in the place of an archive before one was made there.
#[derive(Debug)]
pub(crate) struct Fresh {
    data: PathBuf,
    /// The entries of the data directory.
    before: BTreeSet<OsString>,
    /// The directories that were missing, deepest first.
    missing: Vec<PathBuf>,
    /// The key files that may be made outside of a new folder in the data directory.
    keys: Vec<PathBuf>,
    /// The list of archives, if it did not name this one.
    list: Option<PathBuf>,
}

impl Fresh {
    /// What is there before a start; `None` where an archive is.
    pub(crate) fn before(config: &Config) -> Option<Fresh> {
        let data = std::path::absolute(&config.data).unwrap_or_else(|_| config.data.clone());
        if super::has_archive(&data) {
            return None;
        }
        let own = data.join("keys");
        let folder = config.keys.clone().unwrap_or_else(|| own.clone());
        let mut missing = missing_above(&folder);
        missing.extend(missing_above(&data));
        let list = config.state.as_ref().map(|state| state.join(LIST));
        let list = list.filter(|list| listed(list, &data).is_none());
        missing.extend(list.iter().filter_map(|list| list.parent()).flat_map(missing_above));
        missing.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        missing.dedup();
        let entries = fs::read_dir(&data).into_iter().flatten().flatten();
        Some(Fresh {
            before: entries.map(|entry| entry.file_name()).collect(),
            keys: keys::files(&folder).filter(|path| fs::symlink_metadata(path).is_err()).collect(),
            data,
            missing,
            list,
        })
    }

    /// Removes the archive. Leaves it where another process has begun to use it.
    pub(crate) fn remove(self) {
        let lock = self.data.join(LOCK);
        let held = File::open(&lock);
        if let Ok(held) = &held
            && flock(held, FlockOperation::NonBlockingLockExclusive).is_err()
        {
            return;
        }
        // Keys that could not lie in the data directory.
        if !self.before.contains(&OsString::from("keys"))
            && let Some(folder) = keys::elsewhere(&self.data)
        {
            keys::files(&folder).for_each(|path| drop(fs::remove_file(path)));
            let _ = fs::remove_dir(&folder);
        }
        self.keys.iter().for_each(|path| drop(fs::remove_file(path)));
        // The mark goes first, so that what an interrupted removal leaves is no archive, and the
        // lock last.
        let parts = OWN.iter().filter(|name| !matches!(**name, LOCK | "lost+found"));
        let made = MADE.iter().chain(parts).chain([&LOCK]);
        for name in made.filter(|name| !self.before.contains(&OsString::from(name))) {
            let path = self.data.join(name);
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
        if let Some(list) = &self.list {
            forget(list, &self.data);
        }
        // Directories that hold anything else stay.
        self.missing.iter().for_each(|path| drop(fs::remove_dir(path)));
    }
}

/// A directory and those above it, as far as they are not there.
fn missing_above(path: &Path) -> Vec<PathBuf> {
    let missing = path.ancestors().take_while(|above| fs::symlink_metadata(above).is_err());
    missing.filter(|above| !above.as_os_str().is_empty()).map(Path::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an archive with keys leaves on disk.
    fn make(config: &Config) {
        let data = &config.data;
        let folder = config.keys.clone().unwrap_or_else(|| data.join("keys"));
        for dir in [&data.join("packs"), &data.join("index"), &folder] {
            fs::create_dir_all(dir).unwrap();
        }
        for file in ["LOCK", "FORMAT", "packs/1.pack", "index/db"] {
            fs::write(data.join(file), "x").unwrap();
        }
        for key in keys::files(&folder).filter(|path| !path.exists()) {
            fs::write(key, "new").unwrap();
        }
        super::super::made(config);
    }

    #[test]
    fn all_that_was_made_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        let config = |data: &str, keys: Option<&str>| Config {
            keys: keys.map(at),
            state: Some(at("home/state")),
            ..Config::embedded(at(data))
        };
        for (data, keys) in [("a/b/data", None), ("data", Some("k/keys"))] {
            let config = config(data, keys);
            let fresh = Fresh::before(&config).unwrap();
            make(&config);
            assert!(Fresh::before(&config).is_none(), "an archive is there now");
            fresh.remove();
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{data}");
        }
        // A restored key, and another file, are not the start's.
        fs::create_dir_all(at("data/keys")).unwrap();
        fs::write(at("data/keys/publisher.key"), "mine").unwrap();
        let fresh = Fresh::before(&config("data", None)).unwrap();
        make(&config("data", None));
        fs::write(at("data/letter"), "mine").unwrap();
        fresh.remove();
        let left = |path: &str| {
            let mut names: Vec<_> = fs::read_dir(at(path)).unwrap().flatten().collect();
            names.sort_by_key(fs::DirEntry::file_name);
            names.into_iter().map(|entry| entry.file_name()).collect::<Vec<_>>()
        };
        assert_eq!(left("data"), ["keys", "letter"]);
        assert_eq!(left("data/keys"), ["publisher.key"]);
        assert_eq!(fs::read_to_string(at("data/keys/publisher.key")).unwrap(), "mine");
    }

    #[test]
    fn an_archive_that_another_process_uses_stays() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::embedded(dir.path().join("data"));
        let fresh = Fresh::before(&config).unwrap();
        make(&config);
        let lock = File::open(config.data.join("LOCK")).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        fresh.remove();
        assert!(config.data.join("FORMAT").exists());
    }
}
