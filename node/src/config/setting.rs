//! The place where the user gave a setting, for errors about it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

/// A setting, as the user knows it: an option of the command line, or a field of the settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    key: &'static str,
    file: Option<PathBuf>,
}

impl Setting {
    /// An option of the command line, or its variable of the environment.
    #[must_use]
    pub fn option(key: &'static str) -> Setting {
        Setting { key, file: None }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.key) {
            (Some(file), key) => write!(f, "{}: {key}", file.display()),
            (None, "peer") => f.write_str("--peer (or PERENNIAL_PEERS)"),
            (None, key) => write!(f, "--{key}"),
        }
    }
}

/// The settings that a file has given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FromFile {
    pub(super) path: Option<PathBuf>,
    pub(super) keys: BTreeSet<&'static str>,
}

impl FromFile {
    /// The value of a setting: the command line's, or else that of the file, which is noted.
    pub(super) fn or<T: Default + PartialEq>(&mut self, key: &'static str, own: T, file: T) -> T {
        if own != T::default() || file == T::default() {
            return own;
        }
        self.keys.insert(key);
        file
    }

    /// A setting with the place that gave it.
    pub(super) fn setting(&self, key: &'static str) -> Setting {
        let file = self.path.clone().filter(|_| self.keys.contains(key));
        Setting { key, file }
    }
}
