//! The owner's token: fixed, or in a file that is read again when it changes.
//!
//! The file is looked at when a request brings a token, so that a new token counts from the next
//! request on, and the old one no longer does. A file that cannot be used changes nothing.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::file_stamp::FileStamp;
use crate::secret_file;

/// Shortest token of a file, in characters.
const SHORTEST: usize = 16;
/// Largest file of a token, in bytes.
const LARGEST: u64 = 4096;

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The token file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The token is too short to resist guessing.
    #[error(
        "{}: a token has at least {SHORTEST} characters; make one with `openssl rand -hex 32`",
        path.display()
    )]
    Weak {
        /// The token file.
        path: PathBuf,
    },
    /// Other users can write to the file.
    #[error(
        "{} has mode {mode:o}: other users could put a token of their own there. Make a new token, \
         and run `chmod 600 {}`",
        path.display(), path.display()
    )]
    Loose {
        /// The token file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// The token that makes a client the owner.
#[derive(Clone)]
pub struct Token(Arc<Source>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

enum Source {
    Fixed(String),
    File { path: PathBuf, kept: Mutex<Kept> },
}

/// What the file said when it was last read, and its stamp then; none if it was not there.
struct Kept {
    token: String,
    stamp: Option<FileStamp>,
}

impl Token {
    /// The token in a file, which is made private if other users can read it.
    ///
    /// # Errors
    ///
    /// [`TokenError`] if the file cannot be read, holds no token, or can be written by others.
    pub fn in_file(path: &Path) -> Result<Self, TokenError> {
        let stamp = FileStamp::of(path).ok();
        let kept = Kept { token: read(path)?, stamp };
        Ok(Self(Arc::new(Source::File { path: path.to_owned(), kept: Mutex::new(kept) })))
    }

    /// The token as it is now.
    pub(crate) fn now(&self) -> String {
        let (path, kept) = match &*self.0 {
            Source::Fixed(token) => return token.clone(),
            Source::File { path, kept } => (path, kept),
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = FileStamp::of(path).ok();
        if stamp != kept.stamp {
            match read(path) {
                Ok(token) => {
                    if token != kept.token {
                        tracing::info!(path = %path.display(), "the token has changed");
                    }
                    kept.token = token;
                }
                Err(error) => tracing::warn!(%error, "the token stays as it was"),
            }
            // Of before the read: what is written meanwhile is read the next time.
            kept.stamp = stamp;
        }
        kept.token.clone()
    }
}

impl<T: Into<String>> From<T> for Token {
    fn from(token: T) -> Self {
        Self(Arc::new(Source::Fixed(token.into())))
    }
}

fn read(path: &Path) -> Result<String, TokenError> {
    let io = |source| TokenError::Io { path: path.to_owned(), source };
    if let Some(mode) = secret_file::close_to_others(path).map_err(io)? {
        return Err(TokenError::Loose { path: path.to_owned(), mode });
    }
    if fs::metadata(path).map_err(io)?.len() > LARGEST {
        return Err(io(io::ErrorKind::InvalidData.into()));
    }
    let text = fs::read_to_string(path).map_err(io)?;
    let token = text.trim();
    if token.len() < SHORTEST {
        return Err(TokenError::Weak { path: path.to_owned() });
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").mode() & 0o777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("ours");
    }

    #[test]
    fn a_file_that_changes_is_read_again_and_one_that_is_of_no_use_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        let replace = |text: &str| {
            let new = dir.path().join("new");
            fs::write(&new, text).expect("written");
            set_mode(&new, 0o600);
            fs::rename(&new, &path).expect("renamed");
        };
        replace("the first token, long enough\n");
        let token = Token::in_file(&path).expect("a token");
        assert_eq!(token.now(), "the first token, long enough");
        replace("the second token, long enough");
        assert_eq!(token.now(), "the second token, long enough");
        replace("short");
        assert_eq!(token.now(), "the second token, long enough");
        fs::remove_file(&path).expect("removed");
        assert_eq!(token.now(), "the second token, long enough");
        replace("the third token, long enough");
        assert_eq!(token.now(), "the third token, long enough");
    }

    #[test]
    fn a_file_that_others_read_is_made_private_and_one_that_they_write_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        fs::write(&path, "a token that is long enough").expect("written");
        for (loose, tight) in [(0o644, 0o640), (0o604, 0o600), (0o640, 0o640), (0o600, 0o600)] {
            set_mode(&path, loose);
            Token::in_file(&path).expect("a token");
            assert_eq!(mode(&path), tight, "{loose:o}");
        }
        for loose in [0o666, 0o660, 0o602, 0o777] {
            set_mode(&path, loose);
            let error = Token::in_file(&path).expect_err("refused").to_string();
            assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
            assert_eq!(mode(&path), loose, "left as it was");
        }
    }
}
