//! Reading a source as long as somebody wants it, and why a pass over it ended early.

use std::io::Read;
use std::path::Path;

use crate::error::StoreError;

/// A source that fails once nobody wants it any more.
pub(super) struct Watched<'a, R> {
    pub(super) source: R,
    pub(super) is_wanted: &'a dyn Fn() -> bool,
}

/// The error of a source that nobody wants any more.
#[derive(Debug, thiserror::Error)]
#[error("given up")]
struct Unwanted;

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if (self.is_wanted)() {
            self.source.read(out)
        } else {
            Err(std::io::Error::other(Unwanted))
        }
    }
}

/// Tells why a pass ended early: it was given up, the file changed, or the disk failed.
pub(super) fn changed_or(source: &Path, target: &Path, error: std::io::Error) -> StoreError {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    if error.get_ref().is_some_and(|inner| inner.is::<Unwanted>()) {
        StoreError::GivenUp
    } else if matches!(error.kind(), InvalidData | UnexpectedEof) {
        StoreError::Changed(source.to_owned())
    } else {
        StoreError::io(target, error)
    }
}
