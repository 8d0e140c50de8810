//! The modes of files of secrets: made right where that is possible, or refused.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Makes the file of a secret private if every user can read it. Returns its mode if others can
/// write to it: what it says may be theirs then.
pub(crate) fn close_to_others(path: &Path) -> io::Result<Option<u32>> {
    let mode = fs::metadata(path)?.mode() & 0o777;
    if mode & 0o022 != 0 {
        return Ok(Some(mode));
    }
    if mode & 0o004 != 0 {
        match fs::set_permissions(path, PermissionsExt::from_mode(mode & 0o740)) {
            Ok(()) => tracing::warn!(
                path = %path.display(),
                "other users could read a secret: its file is private now; make a new one if you \
                 do not trust them"
            ),
            // On read-only media, or of another user, as container engines mount them.
            Err(error) => tracing::warn!(
                path = %path.display(), %error,
                "other users can read a secret; run `chmod 600` on its file"
            ),
        }
    }
    Ok(None)
}
