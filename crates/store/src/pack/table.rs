//! A sorted table in the index of a pack: rows of one length that begin with a key of 32 bytes.
//!
//! Keys are hashes, so that they lie evenly. Some of them are kept in memory, once the table is
//! first asked: a look-up reads the rows between two of these, and no others, whether or not the
//! key is there. Most look-ups are for what is not there, by whoever asks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

/// From one key in memory to the next, in rows. A full pack has 65,536 rows: 8 KiB of memory.
const STEP: u64 = 64;
/// Bytes of a key.
const KEY: usize = 32;

#[derive(Debug)]
pub(super) struct Table {
    /// Where it begins in the file.
    start: u64,
    rows: u64,
    /// Bytes of a row.
    width: usize,
    /// The beginning of every `STEP`th key.
    marks: OnceLock<Box<[u64]>>,
}

impl Table {
    pub(super) const fn new(start: u64, rows: u64, width: usize) -> Self {
        Self { start, rows, width, marks: OnceLock::new() }
    }

    /// The number of its rows.
    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    /// The first place behind it in the file.
    pub(super) const fn end(&self) -> u64 {
        self.start + self.rows * self.width as u64
    }

    /// The rows with a key, one after the other; none if it is not there.
    pub(super) fn find(&self, file: &File, key: &[u8; KEY]) -> io::Result<Vec<u8>> {
        let marks = match self.marks.get() {
            Some(marks) => marks,
            None => {
                let read = self.read_marks(file)?;
                self.marks.get_or_init(|| read)
            }
        };
        let beginning = beginning(key);
        let before = marks.partition_point(|mark| *mark < beginning) as u64;
        let behind = marks.partition_point(|mark| *mark <= beginning) as u64;
        let mut low = before.saturating_sub(1) * STEP;
        let mut high = (behind * STEP).min(self.rows);
        // Keys that begin alike are very many only in a table that somebody made so.
        while high - low > 2 * STEP {
            let middle = low + (high - low) / 2;
            let mut there = [0; KEY];
            file.read_exact_at(&mut there, self.place(middle))?;
            match there.cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    // One key has one row of each kind.
                    low = middle.saturating_sub(STEP).max(low);
                    high = (middle + STEP).min(high);
                }
            }
        }
        let length = usize::try_from(high - low).unwrap_or(0) * self.width;
        let mut between = vec![0; length];
        file.read_exact_at(&mut between, self.place(low))?;
        let rows = between.chunks_exact(self.width);
        Ok(rows.filter(|row| row.starts_with(key)).flatten().copied().collect())
    }

    fn place(&self, row: u64) -> u64 {
        self.start + row * self.width as u64
    }

    fn read_marks(&self, file: &File) -> io::Result<Box<[u64]>> {
        let marks = (0..self.rows.div_ceil(STEP)).map(|number| {
            let mut key = [0; KEY];
            file.read_exact_at(&mut key, self.place(number * STEP))?;
            Ok(beginning(&key))
        });
        marks.collect()
    }
}

fn beginning(key: &[u8; KEY]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&key[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 40;
    const START: u64 = 24;

    /// A file with a table of these keys, each in a row that ends in its number.
    fn table(keys: &[[u8; KEY]]) -> (File, Table) {
        let mut bytes = vec![0xff; usize::try_from(START).unwrap()];
        for (number, key) in keys.iter().enumerate() {
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(&(number as u64).to_le_bytes());
        }
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        (file, Table::new(START, keys.len() as u64, WIDTH))
    }

    fn hash(number: u64) -> [u8; KEY] {
        *blake3::hash(&number.to_le_bytes()).as_bytes()
    }

    #[test]
    fn every_key_is_found_and_no_other() {
        for many in [0, 1, 2, 63, 64, 65, 127, 128, 129, 1000] {
            let mut keys: Vec<_> = (0..many).map(hash).collect();
            keys.sort_unstable();
            let (file, table) = table(&keys);
            assert_eq!((table.rows(), table.end()), (many, START + many * WIDTH as u64));
            for (number, key) in keys.iter().enumerate() {
                let row = table.find(&file, key).unwrap();
                assert_eq!(row, [&key[..], &(number as u64).to_le_bytes()].concat());
            }
            let ends = [[0; KEY], [0xff; KEY]];
            for key in (many..many + 300).map(hash).chain(ends) {
                assert!(table.find(&file, &key).unwrap().is_empty(), "{many}");
            }
        }
    }

    #[test]
    fn keys_that_begin_alike_are_told_apart_and_equal_ones_come_together() {
        let mut keys: Vec<_> = (0..500).map(hash).collect();
        for number in 0..400_u64 {
            let mut alike = [7; KEY];
            alike[24..].copy_from_slice(&(number * 2).to_be_bytes());
            keys.push(alike);
        }
        keys.push(hash(3));
        keys.sort_unstable();
        let (file, table) = table(&keys);
        for key in &keys {
            let both = if *key == hash(3) { 2 } else { 1 };
            let rows = table.find(&file, key).unwrap();
            assert_eq!(rows.len(), both * WIDTH);
            assert!(rows.chunks(WIDTH).all(|row| row.starts_with(key)));
        }
        for number in 0..400_u64 {
            let mut between = [7; KEY];
            between[24..].copy_from_slice(&(number * 2 + 1).to_be_bytes());
            assert!(table.find(&file, &between).unwrap().is_empty());
        }
    }

    #[test]
    fn a_table_that_ends_early_is_an_error() {
        let keys: Vec<_> = (0..100).map(|n| [n; KEY]).collect();
        let (file, table) = table(&keys);
        file.set_len(START + 5 * WIDTH as u64).unwrap();
        assert!(table.find(&file, &[3; KEY]).is_err());
    }
}
