//! The user's directories, from the environment.

use std::path::{Path, PathBuf};

use super::ConfigError;

/// The values of the variables that name the user's directories. Relative paths are ignored.
#[derive(Clone, Debug, Default)]
pub struct Home {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_DATA_HOME`.
    pub data_home: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub state_home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
}

impl Home {
    /// Reads the variables through `variable`.
    pub fn from(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        let path = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            home: path("HOME"),
            data_home: path("XDG_DATA_HOME"),
            state_home: path("XDG_STATE_HOME"),
            runtime_dir: path("XDG_RUNTIME_DIR"),
        }
    }

    /// The default data directory: `$XDG_DATA_HOME/perennial`, or `~/.local/share/perennial`.
    #[must_use]
    pub fn data(&self) -> Option<PathBuf> {
        self.below(self.data_home.as_deref(), ".local/share")
    }

    /// The directory for the program's state: `$XDG_STATE_HOME/perennial`, or
    /// `~/.local/state/perennial`.
    #[must_use]
    pub fn state(&self) -> Option<PathBuf> {
        self.below(self.state_home.as_deref(), ".local/state")
    }

    /// The directory for sockets: `$XDG_RUNTIME_DIR/perennial`, or that for state.
    #[must_use]
    pub fn runtime(&self) -> Option<PathBuf> {
        self.runtime_dir.as_ref().map(|dir| dir.join("perennial")).or_else(|| self.state())
    }

    fn below(&self, xdg: Option<&Path>, usual: &str) -> Option<PathBuf> {
        let base = xdg.map(Path::to_owned).or_else(|| Some(self.home.as_ref()?.join(usual)))?;
        Some(base.join("perennial"))
    }

    /// Replaces a leading `~`, which a shell leaves alone after `=` and in files.
    ///
    /// # Errors
    /// [`ConfigError::Tilde`] without a home directory, and for other users' homes.
    pub fn expand(&self, path: &mut PathBuf) -> Result<(), ConfigError> {
        if let Ok(rest) = path.strip_prefix("~") {
            let home = self.home.as_ref().ok_or_else(|| ConfigError::Tilde(path.clone()))?;
            *path = if rest.as_os_str().is_empty() { home.clone() } else { home.join(rest) };
        } else if path.as_os_str().as_encoded_bytes().starts_with(b"~") {
            return Err(ConfigError::Tilde(path.clone()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_home_directories_are_ignored() {
        let home = |data_home: Option<&str>, home: Option<&str>| {
            let (data_home, home) = (data_home.map(str::to_owned), home.map(str::to_owned));
            Home::from(move |name| match name {
                "XDG_DATA_HOME" => data_home.clone().map(Into::into),
                "HOME" => home.clone().map(Into::into),
                _ => None,
            })
        };
        assert_eq!(home(Some("x"), Some("/h")).data(), Some("/h/.local/share/perennial".into()));
        assert_eq!(home(Some("/x"), Some("/h")).data(), Some("/x/perennial".into()));
        assert_eq!(home(None, Some("/h")).state(), Some("/h/.local/state/perennial".into()));
        assert_eq!(home(None, None).data(), None);
    }
}
