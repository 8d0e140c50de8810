//! Paths as the user gives them: made absolute for the node, refused when nothing is there, and
//! quoted for a shell.

use std::io;
use std::path::{Path, PathBuf};

use perennial_node::config::Home;

use crate::failure::CommandError;
use crate::global::Global;

/// The data directory as given, or the user's default.
pub(crate) fn data_directory(global: &Global, home: &Home) -> Result<PathBuf, CommandError> {
    let mut given = global.data.clone().filter(|path| !path.as_os_str().is_empty());
    if let Some(path) = &mut given {
        home.expand(path).map_err(|error| CommandError::Usage {
            message: format!("--data {error}"),
            hint: None,
        })?;
    }
    let data = given.or_else(|| home.data()).ok_or_else(|| {
        CommandError::usage(
            "there is no home directory to keep data in",
            "name a directory with --data DIR",
        )
    })?;
    absolute(&data)
}

/// The path made absolute; refuses one that does not exist, before anything is done.
pub(crate) fn existing(path: &Path) -> Result<PathBuf, CommandError> {
    std::fs::symlink_metadata(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CommandError::Usage {
            message: format!("{}: there is no such file or directory", path.display()),
            hint: None,
        },
        _ => CommandError::Io { what: path.display().to_string(), source },
    })?;
    absolute(path)
}

/// Makes `path` absolute, because the node runs in a different working directory.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path)
        .map_err(|source| CommandError::Io { what: path.display().to_string(), source })
}

/// A path as a shell reads it.
pub(crate) fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%,:=".contains(c);
    match !path.is_empty() && path.chars().all(plain) {
        true => path.to_owned(),
        false => format!("'{}'", path.replace('\'', "'\\''")),
    }
}
