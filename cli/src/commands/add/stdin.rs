//! Standard input as a file to add.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use perennial_manifest::ArtifactPath;
use tempfile::TempDir;

use crate::failure::CommandError;
use crate::session::interrupted;

/// What was read, in a directory that goes with this value.
pub(super) struct Spooled {
    pub(super) path: PathBuf,
    _dir: TempDir,
}

/// Whether a source means standard input; a file of that name is `./-`.
pub(super) fn is_stdin(source: &Path) -> bool {
    source.as_os_str() == "-"
}

/// Reads standard input to its end, into a file of this name, which a node can read.
pub(super) async fn spool(name: Option<&str>) -> Result<Spooled, CommandError> {
    let name = name.ok_or_else(|| {
        CommandError::usage(
            "standard input has no name, and a release has named files",
            "--file-name NAME gives it one",
        )
    })?;
    let hint = "give a name such as tool-1.2.tar.gz";
    let checked =
        ArtifactPath::parse(name).map_err(|error| CommandError::usage(error.to_string(), hint))?;
    if checked.components().count() > 1 {
        return Err(CommandError::usage(format!("{name} is a path, not a name"), hint));
    }
    if io::stdin().is_terminal() {
        return Err(CommandError::usage(
            "standard input is a terminal, so there is nothing to add",
            format!("COMMAND | perennial add - --file-name {name} …"),
        ));
    }
    let failed = |what: &Path| {
        let what = what.display().to_string();
        move |source| CommandError::Io { what, source }
    };
    let temp = std::env::temp_dir();
    let dir = tempfile::tempdir_in(&temp).map_err(failed(&temp))?;
    let path = dir.path().join(name);
    let mut file = File::create(&path).map_err(failed(&path))?;
    let copy = tokio::task::spawn_blocking(move || io::copy(&mut io::stdin().lock(), &mut file));
    let copied = tokio::select! {
        copied = copy => copied.map_err(io::Error::other).and_then(|copied| copied),
        () = interrupted() => return Err(CommandError::Interrupted { goes_on: false }),
    };
    copied.map_err(failed(&path))?;
    Ok(Spooled { path, _dir: dir })
}
