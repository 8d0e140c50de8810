//! The mode of a data directory.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::OpenError;
use crate::error::AtPath;

/// Makes a data directory private that an earlier version, or the user, made with a looser mode:
/// what lies below is then out of the reach of others, whatever its own mode. That of another user
/// is left as it is, as container engines mount them. A group keeps its access where the directory
/// hands the group on to what is made in it (setgid), which takes intent.
pub(super) fn close_to_others(root: &Path) -> Result<(), OpenError> {
    let meta = fs::metadata(root).at(root)?;
    let mode = meta.mode() & 0o7777;
    let tight = if mode & 0o2000 == 0 { mode & !0o077 } else { mode & !0o007 };
    if mode == tight {
        return Ok(());
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        if mode & 0o002 != 0 {
            tracing::warn!(
                dir = %root.display(), mode = format!("{mode:o}"), owner = meta.uid(),
                "every user can write to the data directory, which belongs to another one: its \
                 owner should run `chmod o-w` on it"
            );
        }
        return Ok(());
    }
    match fs::set_permissions(root, PermissionsExt::from_mode(tight)) {
        Ok(()) => tracing::info!(
            dir = %root.display(),
            from = format!("{mode:o}"), to = format!("{tight:o}"),
            "made the data directory private"
        ),
        // Some file systems have no modes.
        Err(error) if mode & 0o022 == 0 => {
            tracing::warn!(dir = %root.display(), %error, "others can read the data directory");
        }
        Err(source) => {
            return Err(OpenError::Loose { dir: root.to_owned(), mode, source });
        }
    }
    Ok(())
}
