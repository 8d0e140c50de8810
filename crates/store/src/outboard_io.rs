//! The hash pairs of an outboard file, read and written several at a time.
//!
//! Owns the buffers between bao-tree, which asks for 64 bytes at a time, and the file. In
//! pre-order, the pairs of neighbouring groups are adjacent. Does not interpret the pairs.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bao_tree::io::sync::{ReadAt, WriteAt};

/// Bytes per read or write: the pairs of 1 MiB of data.
const BUFFER: usize = 4 << 10;

/// Adjacent bytes of a file, as they are or as they will be.
#[derive(Debug, Default)]
struct Run {
    start: u64,
    bytes: Vec<u8>,
}

impl Run {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

/// Reads a file ahead of the requests.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    file: File,
    run: RefCell<Run>,
}

impl ReadAhead {
    pub(crate) fn new(file: File) -> Self {
        Self { file, run: RefCell::default() }
    }
}

impl ReadAt for ReadAhead {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut run = self.run.borrow_mut();
        let wanted = buf.len().min(BUFFER);
        if pos < run.start || pos + wanted as u64 > run.end() {
            run.bytes.resize(BUFFER, 0);
            let read = FileExt::read_at(&self.file, &mut run.bytes, pos);
            run.bytes.truncate(*read.as_ref().unwrap_or(&0));
            run.start = pos;
            read?;
        }
        let skip = usize::try_from(pos - run.start).unwrap_or(usize::MAX);
        let here = run.bytes.get(skip..).unwrap_or_default();
        let len = here.len().min(buf.len());
        buf[..len].copy_from_slice(&here[..len]);
        Ok(len)
    }
}

/// Gathers adjacent writes. They reach the file only by `flush`.
#[derive(Debug)]
pub(crate) struct WriteBehind<'a> {
    file: &'a File,
    run: Run,
}

impl<'a> WriteBehind<'a> {
    pub(crate) fn new(file: &'a File) -> Self {
        Self { file, run: Run::default() }
    }
}

impl WriteAt for WriteBehind<'_> {
    fn write_at(&mut self, pos: u64, buf: &[u8]) -> io::Result<usize> {
        if pos != self.run.end() || self.run.bytes.len() + buf.len() > BUFFER {
            WriteAt::flush(self)?;
            self.run.start = pos;
        }
        self.run.bytes.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self.file.write_all_at(&self.run.bytes, self.run.start);
        self.run.bytes.clear();
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_any_order_is_read_back_in_any_order() {
        let file = tempfile::tempfile().expect("a file");
        let mut out = WriteBehind::new(&file);
        let pair = |n: u64| [u8::try_from(n % 251).expect("below 251"); 64];
        // Runs that are apart, inside others, and longer than the buffer.
        let order = [500, 0, 1, 2, 700, 3, 600, 601].into_iter().chain(4..200);
        for n in order.clone() {
            out.write_all_at(n * 64, &pair(n)).expect("room");
        }
        WriteAt::flush(&mut out).expect("room");
        let input = ReadAhead::new(file);
        for n in order.clone().chain(order.rev()) {
            let mut bytes = [0; 64];
            input.read_exact_at(n * 64, &mut bytes).expect("it is there");
            assert_eq!(bytes, pair(n), "{n}");
        }
        let mut long = vec![0; 3 * BUFFER];
        input.read_exact_at(0, &mut long).expect("it is there");
        assert_eq!(long[2 * BUFFER..2 * BUFFER + 64], pair(128));
    }

    #[test]
    fn the_end_of_a_file_is_the_end() {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&[1; 100], 0).expect("room");
        let input = ReadAhead::new(file);
        let mut bytes = [0; 64];
        assert_eq!(ReadAt::read_at(&input, 64, &mut bytes).expect("36 bytes"), 36);
        assert_eq!(ReadAt::read_at(&input, 100, &mut bytes).expect("no more"), 0);
        assert!(input.read_exact_at(64, &mut bytes).is_err());
    }
}
