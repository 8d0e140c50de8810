//! A writer of files that leaves holes where the bytes are zero.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// Zeros in a whole block become a hole.
const BLOCK: usize = 64 << 10;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Writes a new, empty file from its beginning. [`Sparse::finish`] gives it its length.
pub(crate) struct Sparse<'a> {
    file: &'a File,
    at: u64,
    /// Told of each write; an error ends it.
    wrote: &'a dyn Fn(u64) -> io::Result<()>,
    /// Asked before each write that takes room; an error ends it.
    room: &'a dyn Fn(u64) -> io::Result<()>,
}

impl<'a> Sparse<'a> {
    pub(crate) fn new(file: &'a File, wrote: &'a dyn Fn(u64) -> io::Result<()>) -> Self {
        Self { file, at: 0, wrote, room: &|_| Ok(()) }
    }

    /// Asks for room before bytes are written that are no hole.
    pub(crate) fn in_room(self, room: &'a dyn Fn(u64) -> io::Result<()>) -> Self {
        Self { room, ..self }
    }

    /// Extends the file over a hole at its end.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.file.set_len(self.at)
    }
}

impl Write for Sparse<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for block in bytes.chunks(BLOCK) {
            if *block != ZEROS[..block.len()] {
                (self.room)(block.len() as u64)?;
                self.file.write_all_at(block, self.at)?;
            }
            self.at += block.len() as u64;
        }
        (self.wrote)(bytes.len() as u64)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn zeros_take_no_space_and_read_back() {
        let mut bytes = vec![0; 8 << 20];
        bytes[3 << 20] = 1;
        bytes[(5 << 20) + 7] = 2;
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = Sparse::new(file.as_file(), &|_| Ok(()));
        // Pieces that end anywhere.
        for piece in bytes.chunks(100_001) {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap();
        assert!(std::fs::read(file.path()).unwrap() == bytes);
        assert!(file.as_file().metadata().unwrap().blocks() * 512 < 2 << 20);
    }
}
